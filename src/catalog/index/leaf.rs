//! Rows that lie together, so that none has an allocation of its own.

use super::Held;
use super::row::{Packed, Row};
use crate::cache::allocated;
use crate::clock::Moment;

/// Rows on one leaf.
pub const ROWS: usize = 64;

/// The longest row that lies here, in bytes: their ends are told in two.
pub const LONGEST: usize = u16::MAX as usize / ROWS;

/// The room that is made for growing, in bytes.
const SPARE: usize = 128;

/// Places for so many rows, each of which may be vacant.
#[derive(Debug)]
pub struct Leaf {
    /// Row by row.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: [u16; ROWS],
    as_of: [Moment; ROWS],
    held: [Option<Held>; ROWS],
}

// === impl Leaf ===

impl Leaf {
    /// One where all places are vacant.
    pub fn new() -> Box<Self> {
        Box::new(Self {
            bytes: Vec::new(),
            ends: [0; ROWS],
            as_of: [Moment::default(); ROWS],
            held: [const { None }; ROWS],
        })
    }

    /// The row at a place.
    pub fn row(&self, at: usize) -> Option<Row<'_>> {
        let packed = self.bytes.get(self.range(at))?;
        (!packed.is_empty()).then(|| self.long_row(at, packed))
    }

    /// The row at a place whose bytes lie elsewhere.
    pub fn long_row<'a>(&'a self, at: usize, packed: &'a [u8]) -> Row<'a> {
        let held = self.held.get(at).and_then(Option::as_ref);
        let as_of = self.as_of.get(at).copied().unwrap_or_default();
        Row::new(packed, held, as_of)
    }

    /// Puts a row, or none, in the place of another. The bytes of one that is longer than [`LONGEST`] are left
    /// to the caller.
    pub fn put(&mut self, at: usize, row: &mut Packed) {
        let packed = match row.bytes.len() {
            0..=LONGEST => row.bytes.as_slice(),
            _ => &[],
        };
        let range = self.range(at);
        let (old, new) = (range.len(), packed.len());
        if new > old {
            self.make_room(at, new - old);
        }
        self.bytes.splice(range, packed.iter().copied());
        for end in self.ends.iter_mut().skip(at) {
            *end = u16::try_from(usize::from(*end) + new - old).unwrap_or(u16::MAX);
        }
        let spare = self.bytes.capacity() - self.bytes.len();
        if at == ROWS - 1 || (new < old && spare > 4 * SPARE) {
            self.bytes.shrink_to(allocated(self.bytes.len() + SPARE));
        }
        if let Some(held) = self.held.get_mut(at) {
            *held = row.held.take();
        }
    }

    /// The product at a place existed as of this moment.
    pub fn set_as_of(&mut self, at: usize, as_of: Moment) {
        if let Some(place) = self.as_of.get_mut(at) {
            *place = as_of;
        }
    }

    /// Another holder of the same body.
    pub fn set_held(&mut self, at: usize, held: Held) {
        if let Some(place) = self.held.get_mut(at) {
            *place = Some(held);
        }
    }

    /// What it takes, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Box<Self>>() + allocated(size_of::<Self>()) + allocated(self.bytes.capacity())
    }

    /// Where the row at a place lies.
    fn range(&self, at: usize) -> std::ops::Range<usize> {
        let end = |at: usize| self.ends.get(at).map_or(0, |end| usize::from(*end));
        at.checked_sub(1).map_or(0, end)..end(at)
    }

    /// Makes room for so many bytes more: while a leaf fills, for as many rows as are still to come.
    fn make_room(&mut self, at: usize, bytes: usize) {
        if self.bytes.capacity() - self.bytes.len() >= bytes {
            return;
        }
        let is_last = self.range(at).end == self.bytes.len();
        let to_come = if is_last { (ROWS - at) * bytes } else { bytes };
        // All of what the allocator gives for that.
        let room = to_come.min(8 * SPARE.max(bytes)) + SPARE;
        let length = self.bytes.len();
        self.bytes.reserve_exact(allocated(length + room) - length);
    }
}

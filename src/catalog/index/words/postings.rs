//! Which documents have one word, each in the heaviest field that has it.

use super::{ALLOCATION_BYTES, FIELDS};
use roaring::RoaringBitmap;

/// Beyond so many documents a word has a set for each field.
const MOST_IN_LIST: usize = 64;

/// The lowest bits of what a list holds name the field.
const FIELD_BITS: u32 = 3;

/// What one container of a set costs beside what it holds: its place in the set's list, half of that
/// list's spare room, and its own allocation.
const CONTAINER_BYTES: usize = 64;

/// What a container holds at most: a bit for each of its 65,536 slots.
const MOST_CONTAINER_BYTES: u64 = 8192;

/// From so many single documents on, gathering marks bits instead of sorting.
const MOST_TO_SORT: usize = 16_384;

/// The documents of a word. Slots are below 2^29: far more than fit into any cap.
#[derive(Debug)]
pub enum Postings {
    /// One document: most words have no second.
    One(u32),
    /// A few, in the order of their slots.
    List(Vec<u32>),
    /// Many, by field.
    Sets(Box<[RoaringBitmap; FIELDS]>),
}

/// A union of postings, by field. A document may be in more than one.
pub struct Gathered<'a> {
    sets: [RoaringBitmap; FIELDS],
    singles: [Singles; FIELDS],
    within: Option<&'a RoaringBitmap>,
}

/// Slots that come one by one.
#[derive(Default)]
struct Singles {
    slots: Vec<u32>,
    /// A bit for each slot, once they were many.
    bits: Vec<u8>,
}

// === impl Postings ===

impl Postings {
    /// The postings of a word that one document has.
    pub fn of(slot: u32, field: u8) -> Self {
        Self::One(packed(slot, field))
    }

    /// Adds a document that they do not have yet. Returns by how many bytes they grew.
    pub fn insert(&mut self, slot: u32, field: u8) -> usize {
        let packed = packed(slot, field);
        let before = self.list_bytes();
        match self {
            Self::One(first) => {
                *self = Self::List(vec![packed.min(*first), packed.max(*first)]);
                self.list_bytes()
            }
            Self::List(list) if list.len() < MOST_IN_LIST => {
                let at = list.partition_point(|other| *other < packed);
                if list.len() == list.capacity() {
                    list.reserve_exact(list.len() / 2 + 1);
                }
                list.insert(at, packed);
                self.list_bytes() - before
            }
            Self::List(list) => {
                let mut sets = Box::<[RoaringBitmap; FIELDS]>::default();
                for (slot, field) in list.iter().copied().map(unpacked) {
                    if let Some(set) = sets.get_mut(field) {
                        set.insert(slot);
                    }
                }
                *self = Self::Sets(sets);
                self.insert(slot, field);
                self.heap_bytes().saturating_sub(before)
            }
            Self::Sets(sets) => sets.get_mut(usize::from(field)).map_or(0, |set| {
                let before = set_bytes(set);
                set.insert(slot);
                set_bytes(set).saturating_sub(before)
            }),
        }
    }

    /// Takes these documents out. Whether none is left.
    pub fn remove_all(&mut self, slots: &RoaringBitmap) -> bool {
        match self {
            Self::One(one) => slots.contains(unpacked(*one).0),
            Self::List(list) => {
                list.retain(|packed| !slots.contains(unpacked(*packed).0));
                list.shrink_to_fit();
                list.is_empty()
            }
            Self::Sets(sets) => {
                for set in sets.iter_mut() {
                    *set -= slots;
                }
                sets.iter().all(RoaringBitmap::is_empty)
            }
        }
    }

    /// How many documents they have.
    pub fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::List(list) => list.len() as u64,
            Self::Sets(sets) => sets.iter().map(RoaringBitmap::len).sum(),
        }
    }

    /// What they hold elsewhere, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::One(_) | Self::List(_) => self.list_bytes(),
            Self::Sets(sets) => {
                let own = size_of::<[RoaringBitmap; FIELDS]>() + ALLOCATION_BYTES;
                own + sets.iter().map(set_bytes).sum::<usize>()
            }
        }
    }

    /// What a list holds elsewhere, in bytes.
    fn list_bytes(&self) -> usize {
        match self {
            Self::List(list) => list.capacity() * size_of::<u32>() + ALLOCATION_BYTES,
            Self::One(_) | Self::Sets(_) => 0,
        }
    }
}

// === impl Gathered ===

impl<'a> Gathered<'a> {
    /// Nothing yet, and never more than `within`.
    pub fn new(within: Option<&'a RoaringBitmap>) -> Self {
        Self {
            sets: Default::default(),
            singles: Default::default(),
            within,
        }
    }

    /// Adds what `postings` have.
    pub fn add(&mut self, postings: &Postings) {
        match postings {
            Postings::One(one) => self.add_one(*one),
            Postings::List(list) => list.iter().for_each(|packed| self.add_one(*packed)),
            Postings::Sets(sets) => {
                for (all, set) in self.sets.iter_mut().zip(sets.iter()) {
                    match self.within {
                        _ if set.is_empty() => {}
                        Some(within) => *all |= set & within,
                        None => *all |= set,
                    }
                }
            }
        }
    }

    /// What was gathered, by field.
    pub fn into_sets(self) -> [RoaringBitmap; FIELDS] {
        let mut sets = self.sets;
        for (set, singles) in sets.iter_mut().zip(self.singles) {
            *set |= singles.into_set();
        }
        sets
    }

    fn add_one(&mut self, packed: u32) {
        let (slot, field) = unpacked(packed);
        if self.within.is_none_or(|within| within.contains(slot))
            && let Some(singles) = self.singles.get_mut(field)
        {
            singles.push(slot);
        }
    }
}

// === impl Singles ===

impl Singles {
    fn push(&mut self, slot: u32) {
        self.slots.push(slot);
        if self.slots.len() == MOST_TO_SORT {
            self.mark();
        }
    }

    /// Turns the slots into bits.
    fn mark(&mut self) {
        for slot in self.slots.drain(..) {
            let at = slot as usize / 8;
            if self.bits.len() <= at {
                self.bits.resize(at + 1, 0);
            }
            if let Some(byte) = self.bits.get_mut(at) {
                *byte |= 1 << (slot % 8);
            }
        }
    }

    fn into_set(mut self) -> RoaringBitmap {
        self.slots.sort_unstable();
        let marked = RoaringBitmap::from_lsb0_bytes(0, &self.bits);
        marked | self.slots.into_iter().collect::<RoaringBitmap>()
    }
}

/// About what a set holds, in bytes: its containers evenly filled, with the spare room that growing leaves.
pub fn set_bytes(set: &RoaringBitmap) -> usize {
    let Some(last) = set.max() else { return 0 };
    let slots = set.len();
    let containers = (u64::from(last >> 16) + 1).min(slots);
    let held = (slots * 3).min(MOST_CONTAINER_BYTES * containers);
    usize::try_from(held).unwrap_or(usize::MAX)
        + usize::try_from(containers).unwrap_or(usize::MAX) * CONTAINER_BYTES
}

fn packed(slot: u32, field: u8) -> u32 {
    slot << FIELD_BITS | u32::from(field)
}

fn unpacked(packed: u32) -> (u32, usize) {
    let field = packed & ((1 << FIELD_BITS) - 1);
    (packed >> FIELD_BITS, field as usize)
}

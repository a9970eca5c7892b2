//! Which documents have one word, each in the heaviest field that has it.

use super::set::Set;
use super::{ALLOCATION_BYTES, FIELDS};
use roaring::RoaringBitmap;

/// Beyond so many documents a word has a set for each field; tests get there sooner.
const MOST_IN_LIST: usize = if cfg!(test) { 6 } else { 64 };

/// So many documents are put into the sets of a word at once.
const MOST_RECENT: usize = if cfg!(test) { 4 } else { 64 };

/// The lowest bits of what a list holds name the field.
const FIELD_BITS: u32 = 3;

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
    Sets {
        /// Most of them.
        sets: Box<[Set; FIELDS]>,
        /// The last that came, in the order of their slots: putting each into its set would be a look at a
        /// place that no processor cache has.
        recent: Vec<u32>,
    },
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
    /// Adds a document that they do not have yet. Returns by how many bytes they grew.
    pub fn insert(&mut self, slot: u32, field: u8) -> usize {
        let packed = packed(slot, field);
        match self {
            Self::One(first) => {
                let list = vec![packed.min(*first), packed.max(*first)];
                let bytes = list_bytes(&list);
                *self = Self::List(list);
                bytes
            }
            Self::List(list) if list.is_empty() => {
                *self = Self::One(packed);
                0
            }
            Self::List(list) if list.len() < MOST_IN_LIST => {
                let before = list.capacity();
                if list.len() == before {
                    list.reserve_exact(before / 2 + 1);
                }
                put_in(list, packed);
                (list.capacity() - before) * size_of::<u32>()
            }
            Self::List(list) => {
                put_in(list, packed);
                let before = list_bytes(list);
                *self = Self::Sets {
                    sets: Box::default(),
                    recent: std::mem::take(list),
                };
                self.settle();
                self.heap_bytes().saturating_sub(before)
            }
            Self::Sets { recent, .. } => {
                let before = list_bytes(recent);
                if recent.capacity() == 0 {
                    recent.reserve_exact(MOST_RECENT);
                }
                put_in(recent, packed);
                if recent.len() < MOST_RECENT {
                    return list_bytes(recent) - before;
                }
                let before = self.heap_bytes();
                self.settle();
                self.heap_bytes().saturating_sub(before)
            }
        }
    }

    /// Puts what came last into the sets.
    fn settle(&mut self) {
        let Self::Sets { sets, recent } = self else {
            return;
        };
        let fields = recent
            .iter()
            .fold(0, |fields, packed| fields | 1 << unpacked(*packed).1);
        for (field, set) in sets.iter_mut().enumerate() {
            // Most words are in one field.
            if fields & 1 << field == 0 {
                continue;
            }
            let slots = recent.iter().copied().map(unpacked);
            set.extend(
                slots
                    .filter(|(_, other)| *other == field)
                    .map(|(slot, _)| slot),
            );
        }
        recent.clear();
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
            Self::Sets { .. } => {
                self.settle();
                let Self::Sets { sets, .. } = self else {
                    return false;
                };
                sets.iter_mut().for_each(|set| set.remove_all(slots));
                sets.iter().all(Set::is_empty)
            }
        }
    }

    /// Gives back the room that growing left.
    pub fn shrink(&mut self) {
        self.settle();
        match self {
            Self::One(_) => {}
            Self::List(list) => list.shrink_to_fit(),
            Self::Sets { sets, recent } => {
                *recent = Vec::new();
                sets.iter_mut().for_each(Set::shrink);
            }
        }
    }

    /// How many documents they have.
    pub fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::List(list) => list.len() as u64,
            Self::Sets { sets, recent } => {
                let settled = sets.iter().map(|set| u64::from(set.len()));
                settled.sum::<u64>() + recent.len() as u64
            }
        }
    }

    /// What they hold elsewhere, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::List(list) => list_bytes(list),
            Self::Sets { sets, recent } => {
                let own = size_of::<[Set; FIELDS]>() + ALLOCATION_BYTES;
                own + sets.iter().map(Set::bytes).sum::<usize>() + list_bytes(recent)
            }
        }
    }
}

impl Default for Postings {
    fn default() -> Self {
        Self::List(Vec::new())
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
            Postings::Sets { sets, recent } => {
                recent.iter().for_each(|packed| self.add_one(*packed));
                for (all, set) in self.sets.iter_mut().zip(sets.iter()) {
                    match self.within {
                        _ if set.is_empty() => {}
                        Some(within) => *all |= set.slots() & within,
                        None => *all |= set.slots(),
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

/// Puts a document into a list; most come in the order of their slots.
fn put_in(list: &mut Vec<u32>, packed: u32) {
    match list.last() {
        Some(last) if *last > packed => {
            let at = list.partition_point(|other| *other < packed);
            list.insert(at, packed);
        }
        _ => list.push(packed),
    }
}

/// What a list holds elsewhere, in bytes.
fn list_bytes(list: &Vec<u32>) -> usize {
    match list.capacity() {
        0 => 0,
        capacity => capacity * size_of::<u32>() + ALLOCATION_BYTES,
    }
}

fn packed(slot: u32, field: u8) -> u32 {
    slot << FIELD_BITS | u32::from(field)
}

fn unpacked(packed: u32) -> (u32, usize) {
    let field = packed & ((1 << FIELD_BITS) - 1);
    (packed >> FIELD_BITS, field as usize)
}

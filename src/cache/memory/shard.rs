//! A part of the serving tier: which entries stay where not all can.
//!
//! Two rings. An entry comes into the cold one, and leaves it at the other end: into the hot one if it was read
//! meanwhile, else out. The hot ring is gone round: who was read since the last time stays, the others go. That
//! keeps what is read often, whatever comes by only once (a crawler, a warm-up).
//!
//! How much of the room is the cold ring's is learned from those that come back soon after they went. One that
//! went from the cold ring would have been held had that been longer, so it grows, and the entry becomes hot.
//! One that went from the hot ring says that it was too long, so it shrinks; the entry has to prove itself anew,
//! which keeps a round trip over more than fits from pushing everything out. What each is worth depends on how
//! many of either kind there are, as in ARC (Megiddo and Modha, 2003); that reads cost no more than a mark is
//! from CLOCK-Pro (Jiang, Chen and Zhang, 2005).

use super::ghosts::Ghosts;
use super::place::Place;
use super::rings::{Each, Ring, Rings};
use crate::cache::entry::Entry;
use hashbrown::HashTable;
use std::sync::Arc;

/// The shortest the cold ring is made, and the longest, in hundredths of the capacity.
const LEAST_COLD: u64 = 3;
const MOST_COLD: u64 = 70;

/// About what an entry weighs, in bytes: places are made ahead for as many as would fit.
const USUAL_WEIGHT: u64 = 768;

/// By how many times its weight an entry that comes back moves the border between the rings, at least.
const STEP: u64 = 4;

/// A part of the serving tier, for one thread at a time to change.
pub struct Shard<P: Place> {
    table: HashTable<u32>,
    rings: Rings<P>,
    ghosts: Ghosts,
    capacity: u64,
    /// The sums of the weights in either ring.
    weights: Each<u64>,
    /// What the cold ring may weigh before it is the one that gives way.
    most_cold: u64,
}

// === impl Shard ===

impl<P: Place> Shard<P> {
    /// An empty one of so many bytes.
    pub fn new(capacity: u64) -> Self {
        Self {
            table: HashTable::new(),
            rings: Rings::new(),
            ghosts: Ghosts::default(),
            capacity,
            weights: Each::default(),
            most_cold: capacity * LEAST_COLD / 100,
        }
    }

    /// The entry of `key`, whose hash this is.
    pub fn get(&self, hash: u64, key: &P::Key) -> Option<&Arc<Entry<P::Value>>> {
        Some(self.rings.get(self.find(hash, key)?)?.entry())
    }

    /// Keeps an entry, instead of the one that `key` has, if it has any. Those that lose their places to it go
    /// to `evicted`. One that is heavier than the shard, or of another key, is not kept, and nothing instead of it.
    pub fn insert(
        &mut self,
        hash: u64,
        key: &P::Key,
        entry: Arc<Entry<P::Value>>,
        evicted: &mut Vec<P>,
    ) {
        let weight = weight(&entry);
        let place = P::new(key, Arc::clone(&entry));
        if weight > self.capacity || !place.is_of(key) {
            self.remove(hash, key);
            return;
        }
        match self.find(hash, key) {
            Some(at) => {
                let ring = self.rings.ring(at);
                let before = self.rings.replace(at, place);
                if let Some(before) = before {
                    entry.keep_reads(before.entry());
                    *self.weights.of(ring) -= self::weight(before.entry());
                }
                *self.weights.of(ring) += weight;
            }
            None => {
                let ring = self.learn(hash, weight);
                let at = self.rings.push(ring, place);
                *self.weights.of(ring) += weight;
                let rings = &self.rings;
                let hash_of = |at: &u32| rings.get(*at).map_or(0, P::hash);
                self.table.insert_unique(hash, at, hash_of);
            }
        }
        self.make_room(evicted);
    }

    /// Makes places for so many entries, as far as they would fit.
    pub fn expect(&mut self, entries: usize) {
        let fitting = usize::try_from(self.capacity / USUAL_WEIGHT).unwrap_or(usize::MAX);
        let entries = entries.min(fitting);
        let further = entries.saturating_sub(self.len());
        let rings = &self.rings;
        let hash_of = |at: &u32| rings.get(*at).map_or(0, P::hash);
        self.table.reserve(further, hash_of);
        self.rings.expect(entries);
    }

    /// Places there are, taken or not.
    #[cfg(test)]
    pub fn places(&self) -> usize {
        self.rings.capacity()
    }

    /// Removes the entry of `key`.
    pub fn remove(&mut self, hash: u64, key: &P::Key) -> Option<P> {
        let at = self.find(hash, key)?;
        self.take(hash, at)
    }

    /// Removes everything.
    pub fn clear(&mut self) -> impl Iterator<Item = P> + use<P> {
        self.table.clear();
        self.weights = Each::default();
        self.rings.clear()
    }

    /// Moves the cap. What no longer fits goes to `evicted`.
    pub fn resize(&mut self, capacity: u64, evicted: &mut Vec<P>) {
        self.capacity = capacity;
        self.bound_cold(self.most_cold);
        self.make_room(evicted);
    }

    /// Whether an entry of this weight would be kept without costing another its place.
    pub fn has_room_for(&self, weight: u64) -> bool {
        self.weight() + weight <= self.capacity
    }

    /// The most that is held, in bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The sum of all weights, in bytes.
    pub fn weight(&self) -> u64 {
        self.weights.cold + self.weights.hot
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// All that is held, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &P> {
        self.rings.iter()
    }

    fn find(&self, hash: u64, key: &P::Key) -> Option<u32> {
        let is_it = |at: &u32| self.rings.get(*at).is_some_and(|place| place.is_of(key));
        self.table.find(hash, is_it).copied()
    }

    /// The ring that an entry begins in, by what became of its key before; what follows from that for the
    /// cold ring's share.
    fn learn(&mut self, hash: u64, weight: u64) -> Ring {
        let Some((ring, times)) = self.ghosts.take(hash, self.capacity / 2) else {
            return Ring::Cold;
        };
        let step = weight * STEP * times;
        match ring {
            Ring::Cold => {
                self.bound_cold(self.most_cold.saturating_add(step));
                Ring::Hot
            }
            Ring::Hot => {
                self.bound_cold(self.most_cold.saturating_sub(step));
                Ring::Cold
            }
        }
    }

    fn bound_cold(&mut self, most: u64) {
        let share = |percent| self.capacity * percent / 100;
        self.most_cold = most.clamp(share(LEAST_COLD), share(MOST_COLD));
    }

    fn make_room(&mut self, evicted: &mut Vec<P>) {
        while self.weight() > self.capacity {
            let (cold, hot) = (self.rings.first(Ring::Cold), self.rings.first(Ring::Hot));
            let next = match self.weights.cold > self.most_cold {
                true => cold.or(hot),
                false => hot.or(cold),
            };
            // Nothing weighs nothing.
            let Some(at) = next else { return };
            evicted.extend(self.look_at(at));
        }
    }

    /// Lets a place go on if it was read; else vacates it, and tells what was there.
    fn look_at(&mut self, at: u32) -> Option<P> {
        let entry = self.rings.get(at)?.entry();
        let weight = weight(entry);
        match self.rings.ring(at) {
            Ring::Cold if entry.forget_reads() => {
                self.weights.cold -= weight;
                self.weights.hot += weight;
                self.rings.move_to(Ring::Hot, at);
                None
            }
            Ring::Hot if entry.forget_read() => {
                self.rings.move_to(Ring::Hot, at);
                None
            }
            ring => {
                let hash = self.rings.get(at)?.hash();
                let gone = self.take(hash, at);
                self.ghosts.add(hash, ring, weight, self.table.len());
                gone
            }
        }
    }

    fn take(&mut self, hash: u64, at: u32) -> Option<P> {
        if let Ok(found) = self.table.find_entry(hash, |other| *other == at) {
            found.remove();
        }
        let ring = self.rings.ring(at);
        let gone = self.rings.take(at)?;
        *self.weights.of(ring) -= weight(gone.entry());
        Some(gone)
    }
}

fn weight<V>(entry: &Entry<V>) -> u64 {
    entry.weight_bytes() as u64
}

//! What has lately lost its place: eight bytes each, in a table of a fixed size. Forgetting one too early, or
//! taking one for another, costs a good guess and nothing else.

use super::rings::{Each, Ring};

/// How many lie together, in one line of a processor's cache: one is looked for among these.
const LINE: usize = 8;

/// The resolution of time, in bytes.
const STEP: u64 = 1024;

/// The memory of a shard. Takes none until something has lost its place.
#[derive(Debug, Default)]
pub struct Ghosts {
    lines: Vec<[Ghost; LINE]>,
    /// How many there are from either ring.
    counts: Each<u64>,
    /// How many bytes have gone.
    gone: u64,
}

/// What is remembered of one that has lost its place.
#[derive(Clone, Copy, Debug, Default)]
struct Ghost {
    /// Bits of its key's hash, and in the lowest one which ring it was in. Zero if there is none.
    mark: u32,
    /// How many bytes had gone with it, in steps of [`STEP`].
    gone: u32,
}

// === impl Ghosts ===

impl Ghosts {
    /// Remembers one of `weight` bytes that has lost its place in a ring, where `held` others have theirs.
    pub fn add(&mut self, hash: u64, ring: Ring, weight: u64, held: usize) {
        self.fit(held);
        self.gone += weight;
        let now = self.now();
        let ghost = Ghost {
            mark: mark(hash, ring),
            gone: now,
        };
        let line = line_of(&mut self.lines, hash);
        let oldest = line.and_then(|line| line.iter_mut().max_by_key(|ghost| ghost.age(now)));
        let Some(oldest) = oldest else { return };
        let before = std::mem::replace(oldest, ghost);
        self.forget(before);
        *self.counts.of(ring) += 1;
    }

    /// Forgets one. Tells which ring it was in, if no more than `within` bytes have gone since, and how many
    /// of the other ring are remembered for each of that one, at least one.
    pub fn take(&mut self, hash: u64, within: u64) -> Option<(Ring, u64)> {
        let now = self.now();
        let marks = [Ring::Cold, Ring::Hot].map(|ring| mark(hash, ring));
        let mut line = line_of(&mut self.lines, hash)?.iter_mut();
        let found = line.find(|ghost| marks.contains(&ghost.mark))?;
        let ghost = std::mem::take(found);
        let ring = ghost.ring()?;
        let Each { cold, hot } = self.counts;
        let (own, other) = match ring {
            Ring::Cold => (cold, hot),
            Ring::Hot => (hot, cold),
        };
        self.forget(ghost);
        let is_recent = u64::from(ghost.age(now)) * STEP <= within;
        is_recent.then(|| (ring, (other / own.max(1)).max(1)))
    }

    /// Begins anew where the table is much too small or much too large for half of what is held.
    fn fit(&mut self, held: usize) {
        let wanted = (held / 2).div_ceil(LINE).max(1).next_power_of_two();
        let lines = self.lines.len();
        if lines < wanted || lines > wanted * 2 {
            self.lines = vec![Default::default(); wanted];
            self.counts = Each::default();
        }
    }

    fn forget(&mut self, ghost: Ghost) {
        if let Some(ring) = ghost.ring() {
            let count = self.counts.of(ring);
            *count = count.saturating_sub(1);
        }
    }

    fn now(&self) -> u32 {
        // Comes round after four million million bytes; one that is found again only then is taken for new.
        (self.gone / STEP) as u32
    }
}

// === impl Ghost ===

impl Ghost {
    fn ring(self) -> Option<Ring> {
        match (self.mark, self.mark & 1) {
            (0, _) => None,
            (_, 0) => Some(Ring::Cold),
            _ => Some(Ring::Hot),
        }
    }

    /// How long ago it went; the longest for none.
    fn age(self, now: u32) -> u32 {
        match self.mark {
            0 => u32::MAX,
            _ => now.wrapping_sub(self.gone),
        }
    }
}

/// The line that a hash belongs to, by other bits of it than its mark has.
fn line_of(lines: &mut [[Ghost; LINE]], hash: u64) -> Option<&mut [Ghost; LINE]> {
    let last = lines.len().checked_sub(1)?;
    lines.get_mut(hash as usize & last)
}

fn mark(hash: u64, ring: Ring) -> u32 {
    // Never zero: that is none.
    ((hash >> 32) as u32 | 2) & !1 | ring as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::memory::place::hash;

    #[test]
    fn one_that_went_is_known_once_and_only_for_a_while() {
        let mut ghosts = Ghosts::default();
        assert_eq!(ghosts.take(hash(&1), u64::MAX), None);
        for ring in [Ring::Cold, Ring::Hot] {
            ghosts.add(hash(&1), ring, 1 << 20, 100);
            assert_eq!(ghosts.take(hash(&1), 0), Some((ring, 1)));
            assert_eq!(ghosts.take(hash(&1), 0), None);
        }
        ghosts.add(hash(&1), Ring::Cold, 1 << 20, 100);
        ghosts.add(hash(&2), Ring::Cold, 1 << 20, 100);
        assert_eq!(ghosts.take(hash(&1), 1 << 19), None, "too long ago");
        assert_eq!(ghosts.counts, Each { cold: 1, hot: 0 });
    }

    #[test]
    fn there_are_at_most_as_many_as_are_held_and_the_oldest_go() {
        let mut ghosts = Ghosts::default();
        for key in 0..100_000 {
            ghosts.add(hash(&key), Ring::Cold, 1024, 1_000);
        }
        assert_eq!(ghosts.lines.len() * LINE, 512);
        assert_eq!(ghosts.counts, Each { cold: 512, hot: 0 });
        let newest = (99_900..100_000).filter(|key| ghosts.take(hash(key), u64::MAX).is_some());
        assert!(newest.count() > 90);
        let old = (0..90_000).filter(|key| ghosts.take(hash(key), u64::MAX).is_some());
        assert!(old.count() < 10);
    }

    #[test]
    fn one_kind_among_many_of_the_other_counts_for_more() {
        let mut ghosts = Ghosts::default();
        for key in 0..60 {
            ghosts.add(hash(&key), Ring::Hot, 1024, 1_000);
        }
        for key in 60..80 {
            ghosts.add(hash(&key), Ring::Cold, 1024, 1_000);
        }
        assert_eq!(ghosts.take(hash(&79), u64::MAX), Some((Ring::Cold, 3)));
        assert_eq!(ghosts.take(hash(&1), u64::MAX), Some((Ring::Hot, 1)));
    }

    #[test]
    fn the_table_follows_what_is_held_and_not_every_change_of_it() {
        let mut ghosts = Ghosts::default();
        let mut lines = |held| {
            ghosts.add(1, Ring::Cold, 1, held);
            ghosts.lines.len()
        };
        assert_eq!(
            [0, 16, 18, 16, 1_000, 300, 200].map(&mut lines),
            [1, 1, 2, 2, 64, 64, 16]
        );
    }
}

//! What a listing says.

use super::Tiers;
use crate::cache::Source;
use crate::cache::entry::Entry;
use crate::cache::memory::Memory;
use std::sync::Arc;

// === impl Tiers ===

impl<S: Source> Tiers<S> {
    /// So many keys are about to come, one after the other.
    pub fn expect(&self, keys: u64) {
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        self.source.expect(keys);
        if let Some(memory) = &self.memory {
            memory.expect(keys);
        }
        self.make_room();
    }

    /// Takes in what a listing says about a key: confirms what is there, keeps what fits, and costs
    /// no other entry its place. `reading` is what the source made of it ahead.
    pub fn confirm(
        &self,
        key: &S::Key,
        listed: &Arc<Entry<S::Value>>,
        reading: Option<&S::Reading>,
    ) {
        let as_of = listed.as_of();
        match self.peek(key) {
            Some(held) if self.source.same(&held, listed) => self.touch(key, &held, as_of),
            Some(_) => self.keep_read(key, listed, reading),
            None => {
                let fits = |memory: &Memory<_>| memory.has_room_for(key, listed.weight_bytes());
                if self.memory.as_ref().is_some_and(fits) {
                    self.keep_read(key, listed, reading);
                } else {
                    self.absences.remove(key);
                    let is_news = self.learned(key, listed, reading);
                    self.make_room();
                    // What is neither held nor remembered is not on disk either, or goes with the next rewrite.
                    if self.source.remembers() {
                        self.mark_row(key, listed, is_news);
                    }
                }
            }
        }
    }
}

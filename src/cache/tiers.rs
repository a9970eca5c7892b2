//! Everything the cache knows, changed together. Each method runs under the write fence, so memory,
//! absences, the source's own index and the store's marks see the same facts in the same order.

mod listed;
mod revived;
mod room;

pub(super) use revived::Revived;

use super::absence::{Absence, Absences};
use super::contracts::{Contracts, Governing};
use super::entry::Entry;
use super::freshness::{MAX_JITTER_PER_MILLE, Rule, Trust, Verdict};
use super::journal::{Journal, Mark};
use super::ledger::Ledger;
use super::marks::Marks;
use super::memory::{Memory, Place, overhead_bytes};
use super::read::eager_below;
use super::shadow::Shadows;
use super::{Config, Counters, EvictionCause, Known, Source};
use crate::clock::{Clock, Moment};
use crate::telemetry::events::{EventKind, Events};
use room::backlog_bytes;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// Shared by the façade, its loads and the writer thread.
pub(super) struct Tiers<S: Source> {
    pub source: S,
    pub config: Config,
    pub rule: Rule,
    /// What remains of the window when whatever is read is refreshed ahead.
    pub eager_below: Duration,
    /// `None` with a cap of zero.
    pub memory: Option<Memory<S::Place>>,
    pub absences: Absences<S::Key, S::Gone, S::Error>,
    pub contracts: Contracts<S::Key, S::Fallback>,
    pub journal: Journal<S::Key>,
    pub ledger: Ledger,
    pub counters: Counters,
    pub shadows: Shadows,
    pub marks: Marks<S::Tag>,
    pub events: Events,
    /// How often something held was said to be worth less than it was thought to be.
    doubts: AtomicU64,
    /// What the open store and its marks may take in memory, in bytes.
    store_bytes: AtomicU64,
    reserved: AtomicU64,
    /// When the upstream last vouched for anything held, in milliseconds.
    newest: AtomicU64,
    /// Whether what came from the store may be wrong: it was not left in order, and no listing has
    /// confirmed it since.
    untrusted: AtomicBool,
    /// How many listings have to end before every summary is on disk again.
    listings_lacking: AtomicU8,
}

/// A store that was started anew in the middle of a listing lacks what that had listed before.
const LISTINGS_LACKING: u8 = 2;

// === impl Tiers ===

impl<S: Source> Tiers<S> {
    pub fn new(source: S, config: Config, clock: Clock, events: Events) -> Self {
        let rule = Rule {
            window: (!config.ttl.is_zero()).then_some(config.ttl),
            stale_while_revalidate: config.stale_while_revalidate,
            grace: config.grace,
        };
        let absences = Absences::new(config.max_bytes);
        let capacity = config.max_bytes.saturating_sub(absences.capacity_bytes());
        Self {
            memory: (config.max_bytes > 0).then(|| Memory::new(capacity, config.max_entry_bytes)),
            absences,
            contracts: Contracts::new(
                config.contracts,
                config.fail_throttle,
                S::name,
                clock,
                events.clone(),
            ),
            journal: Journal::new(
                config.max_bytes > 0 && config.dir.is_some(),
                backlog_bytes(config.max_bytes),
            ),
            ledger: Ledger::default(),
            counters: Counters::default(),
            shadows: Shadows::new(config.shadow_rate),
            marks: Marks::default(),
            events,
            doubts: AtomicU64::new(0),
            store_bytes: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            untrusted: AtomicBool::new(false),
            listings_lacking: AtomicU8::new(0),
            eager_below: eager_below(rule.window),
            rule,
            source,
            config,
        }
    }

    pub fn get(&self, key: &S::Key) -> Option<Arc<Entry<S::Value>>> {
        let entry = self.memory.as_ref()?.get(key)?;
        if entry.compared() != self.marks.newest() {
            self.compare(key, &entry);
        }
        Some(entry)
    }

    pub fn peek(&self, key: &S::Key) -> Option<Arc<Entry<S::Value>>> {
        let entry = self.memory.as_ref()?.peek(key)?;
        if entry.compared() != self.marks.newest() {
            self.compare(key, &entry);
        }
        Some(entry)
    }

    /// The contract that an entry is under.
    pub fn governing(&self, entry: &Entry<S::Value>) -> Option<Arc<Governing<S::Fallback>>> {
        match entry.contract() {
            0 => None,
            _ => self.contracts.governing(entry),
        }
    }

    /// What may be done with an entry at `now`: by its contract, else by the rule for all.
    pub fn judge(&self, entry: &Entry<S::Value>, now: Moment) -> Verdict {
        match self.governing(entry) {
            Some(governing) => entry.judge(&governing.rule, now),
            None => entry.judge(&self.rule, now),
        }
    }

    /// Looks up anew which contract a held entry is under.
    pub fn govern(&self, key: &S::Key) {
        let Some(entry) = self.peek(key) else { return };
        let contract = self.contracts.number_of(|| self.source.encode_key(key));
        if contract != entry.contract() || contract != 0 && entry.slot() == 0 {
            self.contracts.release(&entry);
            entry.set_contract(contract);
            self.contracts.hold(key, None, &entry);
            self.doubt();
        }
    }

    /// A number that is another once something held was distrusted, forgotten, meant by a mark or put under
    /// another contract: until then, what was fresh is so for as long as was said.
    pub fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::Acquire) + u64::from(self.marks.newest())
    }

    /// To be called after what causes it: whoever sees the new number sees that too.
    fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::Release);
    }

    /// Whether anything held may still answer at `now`, if need be as stale.
    pub fn has_usable(&self, now: Moment) -> bool {
        let newest = Moment::from_millis(self.newest.load(Ordering::Relaxed));
        let verdict = self.rule.judge(now.since(newest), Trust::Confirmed, 0);
        verdict != Verdict::Expired
            && self
                .memory
                .as_ref()
                .is_some_and(|memory| memory.entries() > 0)
    }

    /// Whether what is held was confirmed, or left in order.
    pub fn is_trusted(&self) -> bool {
        !self.untrusted.load(Ordering::Relaxed)
    }

    /// A listing has confirmed everything there is.
    pub fn trust(&self) {
        self.untrusted.store(false, Ordering::Relaxed);
        let _ = self
            .listings_lacking
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
    }

    /// The store was started anew, and of what is not held there is nothing to write.
    pub fn lack_summaries(&self) {
        self.listings_lacking
            .store(LISTINGS_LACKING, Ordering::Relaxed);
        self.source.lacks_summaries();
    }

    /// What came from the store may be wrong.
    pub fn distrust_all(&self) {
        self.untrusted.store(true, Ordering::Relaxed);
        let Some(memory) = &self.memory else { return };
        memory.for_each(|_, entry| {
            if entry.trusted() == Trust::Confirmed {
                entry.trust(Trust::Unconfirmed);
                self.contracts.changed(entry);
            }
        });
        self.doubt();
    }

    /// Makes an entry of a value, not kept yet.
    pub fn entry(
        &self,
        key: &S::Key,
        value: S::Value,
        as_of: Moment,
        spread: bool,
    ) -> Arc<Entry<S::Value>> {
        let weight = self.source.weight(key, &value) + overhead_bytes::<S::Place>();
        let contract = self.contracts.number_of(|| self.source.encode_key(key));
        let jitter = match spread && contract == 0 {
            true => jitter_per_mille(key),
            false => 0,
        };
        Arc::new(Entry::new(value, as_of, jitter, weight).under(contract))
    }

    /// Keeps an entry that a reader or writer asked for, at the cost of others if need be.
    pub fn keep(&self, key: &S::Key, entry: &Arc<Entry<S::Value>>) {
        self.keep_read(key, entry, None);
    }

    /// As [`Tiers::keep`], with what the source made of the value ahead.
    fn keep_read(&self, key: &S::Key, entry: &Arc<Entry<S::Value>>, reading: Option<&S::Reading>) {
        // Whatever is admitted here is newer than every mark there is.
        entry.set_compared(self.marks.newest());
        self.note_newest(entry.as_of());
        self.absences.remove(key);
        let (is_held, is_news) = match &self.memory {
            Some(memory) if entry.weight_bytes() <= self.config.max_entry_bytes => {
                self.hold(memory, key, entry, reading)
            }
            Some(memory) => {
                if let Some(before) = memory.remove(key) {
                    self.contracts.release(&before);
                    self.source.let_go(key);
                }
                (false, self.learned(key, entry, reading))
            }
            None => (false, self.learned(key, entry, reading)),
        };
        if is_held {
            self.journal.mark(key, Mark::Save);
        } else if self.memory.is_some() {
            self.mark_row(key, entry, is_news);
        }
        self.make_room();
    }

    /// Puts an entry into the serving tier, at the cost of others if need be; false if it was too heavy. And
    /// whether what it holds is news.
    fn hold(
        &self,
        memory: &Memory<S::Place>,
        key: &S::Key,
        entry: &Arc<Entry<S::Value>>,
        reading: Option<&S::Reading>,
    ) -> (bool, bool) {
        // Looked up under the fence: contracts may have changed since the entry was made.
        entry.set_contract(self.contracts.number_of(|| self.source.encode_key(key)));
        let before = memory.peek(key);
        let (kept, evicted) = memory.insert(key, Arc::clone(entry));
        match (kept, &before) {
            (true, before) => self.contracts.hold(key, before.as_deref(), entry),
            (false, Some(before)) => {
                self.contracts.release(before);
                self.source.let_go(key);
            }
            (false, None) => {}
        }
        let is_news = match kept {
            true => (self.source).learned(key, Known::Held(entry), reading, entry.as_of()),
            false => self.learned(key, entry, reading),
        };
        self.note_evicted(evicted);
        (kept, is_news)
    }

    /// Tells the source of a value that is not held.
    fn learned(&self, key: &S::Key, entry: &Entry<S::Value>, reading: Option<&S::Reading>) -> bool {
        self.source
            .learned(key, Known::Value(entry), reading, entry.as_of())
    }

    /// Replaces a held value by one of the same content that holds more, as `enrich` makes it, where
    /// that fits; everything else stays as it was, on disk too.
    pub fn enrich(&self, key: &S::Key, enrich: impl FnOnce(&S::Value) -> Option<S::Value>) {
        let Some(memory) = &self.memory else { return };
        let Some(held) = memory.peek(key) else { return };
        let Some(value) = enrich(&held) else { return };
        let weight = self.source.weight(key, &value) + overhead_bytes::<S::Place>();
        // What is derived from a value may be as heavy as the value itself.
        if weight > 2 * self.config.max_entry_bytes || !memory.takes(key, weight) {
            return;
        }
        let (is_held, _) = self.hold(memory, key, &Arc::new(held.with(value, weight)), None);
        if !is_held {
            self.mark_row(key, &held, false);
        }
        self.make_room();
    }

    /// Notes that the upstream vouched for an entry anew.
    pub fn touch(&self, key: &S::Key, entry: &Entry<S::Value>, as_of: Moment) {
        entry.confirm(as_of);
        entry.set_compared(self.marks.newest());
        self.contracts.changed(entry);
        self.note_newest(as_of);
        self.absences.remove(key);
        self.source.learned(key, Known::Value(entry), None, as_of);
        self.journal.mark(key, Mark::Touch);
    }

    /// Somebody saw that the key exists, but its value can not be used: what it was is no more than
    /// better than nothing. Nothing is learned that a removal of the key contradicts.
    pub fn still_exists(&self, key: &S::Key, known: Known<'_, S::Value>, as_of: Moment) {
        if !matches!(self.absences.get(key, as_of), Some(Absence::Gone(_))) {
            self.source.exists(key, known, as_of);
            self.make_room();
        }
    }

    /// The key does not exist (any more): nothing of it stays but the memory of its absence.
    pub fn gone(&self, key: &S::Key, remembered: Option<(S::Gone, Moment)>) {
        if let Some(before) = self.memory.as_ref().and_then(|memory| memory.remove(key)) {
            self.contracts.release(&before);
        }
        match remembered {
            Some((how, until)) => self.absences.put(key.clone(), Absence::Gone(how), until),
            None => self.absences.remove(key),
        }
        self.source.vanished(key);
        self.journal.mark(key, Mark::Remove);
    }

    /// Forgets what is known about a key's value: the next reader asks the upstream.
    pub fn forget(&self, key: &S::Key) -> bool {
        self.absences.remove(key);
        let Some(entry) = self.memory.as_ref().and_then(|memory| memory.remove(key)) else {
            // What is not in memory is not on disk either, or is refused when it is restored.
            return false;
        };
        self.contracts.release(&entry);
        self.source.let_go(key);
        self.counters.evicted(EvictionCause::Purge, 1);
        self.mark_row(key, &entry, false);
        self.make_room();
        self.doubt();
        true
    }

    /// Forgets every value; that the keys exist stays known.
    pub fn forget_all(&self) {
        self.absences.clear();
        let Some(memory) = &self.memory else { return };
        self.counters
            .evicted(EvictionCause::Purge, memory.entries() as u64);
        memory.for_each(|key, entry| {
            self.contracts.release(entry);
            self.source.let_go(key);
            self.mark_row(key, entry, false);
        });
        memory.clear();
        self.make_room();
        self.doubt();
    }

    /// Keeps an entry's value but no longer trusts it.
    pub fn distrust(&self, key: &S::Key, trust: Trust) -> bool {
        self.absences.remove(key);
        self.peek(key).is_some_and(|entry| {
            entry.trust(trust);
            self.contracts.changed(&entry);
            self.journal.mark(key, Mark::Touch);
            self.doubt();
            true
        })
    }

    fn note_newest(&self, as_of: Moment) {
        self.newest.fetch_max(as_of.as_millis(), Ordering::Relaxed);
    }

    /// A key's value is not held (any more), but stays known, if the source remembers such keys. `is_news` tells
    /// whether the disk can know nothing of it.
    fn mark_row(&self, key: &S::Key, entry: &Entry<S::Value>, is_news: bool) {
        if !self.source.remembers() {
            return self.journal.mark(key, Mark::Remove);
        }
        let lacking = is_news
            || self.listings_lacking.load(Ordering::Relaxed) > 0
            || self.journal.is_saving(key);
        let summary = lacking.then(|| self.source.summarize(entry).into());
        self.journal.mark(key, Mark::Row(entry.as_of(), summary));
    }

    fn note_evicted(&self, evicted: Vec<S::Place>) {
        self.counters
            .evicted(EvictionCause::Size, evicted.len() as u64);
        for place in evicted {
            let (key, entry) = (place.key(), place.entry());
            self.events.emit_with(EventKind::Eviction, |event| {
                event.key(S::name(&key)).cause(EvictionCause::Size.as_str())
            });
            self.contracts.release(entry);
            self.source.let_go(&key);
            self.mark_row(&key, entry, false);
        }
    }
}

/// Spreads windows by key alone, so that a restart does not deal them anew.
fn jitter_per_mille<K: std::hash::Hash>(key: &K) -> u16 {
    let spread = FxBuildHasher.hash_one(key) >> 32;
    u16::try_from(spread % (u64::from(MAX_JITTER_PER_MILLE) + 1)).unwrap_or(0)
}

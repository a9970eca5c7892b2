//! What the persistent tier still has to write: a map of keys, not a queue of values.
//!
//! A request marks a key and goes on; the writer thread fetches the value from memory when it gets
//! to it. The last mark wins, so a key written a thousand times costs one write. What is only marked is
//! gathered for a moment before the writer takes it: waking a thread for each of a listing's marks costs
//! more than making them, and a batch in the order of keys is what a tree on disk takes best.

use super::ledger::RecordKey;
use crate::clock::Moment;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Marks beyond which bulk loading waits for the writer.
const BACKLOG: usize = 20_000;

/// Marks handed to the writer at once.
const BATCH: usize = 2_000;

/// What a mark takes beside a summary, in bytes: its key, its place in a tree that is two thirds full.
const MARK_BYTES: usize = 96;

/// How long plain marks are gathered, unless they fill a batch before; little against how long a flush is
/// waited for.
const GATHERING: Duration = Duration::from_millis(5);

/// What has to happen to a key on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Write the value and its row.
    Save,
    /// The value is on disk as it is: write its row.
    Touch,
    /// Delete the value, keep a row that says the key existed at this moment, and a summary: this one,
    /// or with none that of what lies there.
    Row(Moment, Option<Arc<[u8]>>),
    /// Delete value and row.
    Remove,
}

/// The marks, and what else the writer is asked for.
pub struct Journal<K> {
    state: Mutex<State<K>>,
    /// What marks may hold before bulk loading waits, in bytes.
    backlog_bytes: usize,
    work: Condvar,
    room: Notify,
}

/// What the writer is to do next.
pub struct Batch<K> {
    /// Marks in key order; the journal has them too, for those who ask what is being written.
    pub marks: Arc<BTreeMap<K, Mark>>,
    /// Records to write, each with whoever waits until it is on disk.
    pub records: Vec<(RecordKey, Sender<()>)>,
    /// The source's note, if it changed.
    pub note: Option<Vec<u8>>,
    /// Callers that wait until everything marked before is on disk.
    pub flushes: Vec<oneshot::Sender<()>>,
    /// Whether this is the last batch: nothing more will be marked that counts.
    pub last: bool,
}

struct State<K> {
    open: bool,
    /// Whether somebody takes batches.
    served: bool,
    closing: bool,
    marks: BTreeMap<K, Mark>,
    marked_bytes: usize,
    writing: Arc<BTreeMap<K, Mark>>,
    /// Keys whose values were gone when they were to be written; a mark that says so is on its way.
    missed: BTreeSet<K>,
    records: Vec<(RecordKey, Sender<()>)>,
    note: Option<Vec<u8>>,
    flushes: Vec<oneshot::Sender<()>>,
}

// === impl Mark ===

impl Mark {
    fn bytes(&self) -> usize {
        match self {
            Self::Row(_, Some(summary)) => MARK_BYTES + summary.len(),
            _ => MARK_BYTES,
        }
    }
}

// === impl Journal ===

impl<K: Clone + Ord> Journal<K> {
    /// A journal that takes marks, or with `open` false ignores them. Bulk loading waits while those that wait hold
    /// `backlog_bytes`.
    pub fn new(open: bool, backlog_bytes: usize) -> Self {
        Self {
            state: Mutex::new(State {
                open,
                served: false,
                closing: false,
                marks: BTreeMap::new(),
                marked_bytes: 0,
                writing: Arc::default(),
                missed: BTreeSet::new(),
                records: Vec::new(),
                note: None,
                flushes: Vec::new(),
            }),
            backlog_bytes,
            work: Condvar::new(),
            room: Notify::new(),
        }
    }

    /// Marks a key.
    pub fn mark(&self, key: &K, mark: Mark) {
        let mut state = self.lock();
        if !state.open {
            return;
        }
        if state.put(key, mark) && matches!(state.marks.len(), 1 | BATCH) {
            drop(state);
            self.work.notify_one();
        }
    }

    /// Replaces the source's note.
    pub fn note(&self, note: Vec<u8>) {
        self.lock().note = Some(note);
        self.work.notify_one();
    }

    /// Asks for a record to be written; it does not wait for its turn behind marks. Tells when it is on
    /// disk, and hangs up where it will not be. With the journal closed, `None`.
    pub fn record(&self, key: RecordKey) -> Option<Receiver<()>> {
        let mut state = self.lock();
        if !state.open {
            return None;
        }
        let (done, wait) = channel();
        state.records.push((key, done));
        drop(state);
        self.work.notify_one();
        Some(wait)
    }

    /// Marks not written yet.
    pub fn len(&self) -> usize {
        let state = self.lock();
        state.marks.len() + state.writing.len()
    }

    /// Starts or stops taking marks; stopping drops those there are.
    pub fn set_open(&self, open: bool) {
        let mut state = self.lock();
        state.open = open;
        if !open {
            state.marks.clear();
            state.marked_bytes = 0;
            state.writing = Arc::default();
            state.missed.clear();
            state.records.clear();
            state.flushes.clear();
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Tells whether somebody takes batches; nobody waits for room while nobody does.
    pub fn set_served(&self, served: bool) {
        self.lock().served = served;
        self.room.notify_waiters();
    }

    /// Waits until the backlog is short enough for bulk loading to go on.
    pub async fn room(&self) {
        loop {
            let mut notified = std::pin::pin!(self.room.notified());
            notified.as_mut().enable();
            {
                let state = self.lock();
                if !state.served || !state.is_behind(self.backlog_bytes) {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Resolves once everything marked so far is on disk, or at once with the journal closed.
    pub fn flush(&self) -> oneshot::Receiver<()> {
        let (done, wait) = oneshot::channel();
        let mut state = self.lock();
        if state.open {
            state.flushes.push(done);
        }
        drop(state);
        self.work.notify_one();
        wait
    }

    /// Waits up to `patience` for the journal to be closed, taking nothing from it.
    pub fn closes_within(&self, patience: Duration) -> bool {
        let state = self.lock();
        self.work
            .wait_timeout_while(state, patience, |state| !state.closing)
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .closing
    }

    /// What is to happen to a key.
    pub fn pending(&self, key: &K) -> Option<Mark> {
        let state = self.lock();
        let mark = state.marks.get(key).or_else(|| state.writing.get(key));
        mark.cloned()
    }

    /// Whether a key's value may not be on disk yet.
    pub fn is_saving(&self, key: &K) -> bool {
        let state = self.lock();
        let marks = [&state.marks, &state.writing].map(|marks| marks.get(key));
        marks.contains(&Some(&Mark::Save)) || state.missed.contains(key)
    }

    /// The value of a key that was marked to be saved is gone: it was not written.
    pub fn missed(&self, key: &K) {
        let mut state = self.lock();
        if !state.marks.contains_key(key) {
            state.missed.insert(key.clone());
        }
    }

    /// Asks the writer to write what there is and end.
    pub fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }

    /// The next batch for the writer; waits up to `patience` for something to do.
    pub fn next(&self, patience: Duration) -> Batch<K> {
        // Not dropped under the lock.
        let written = std::mem::take(&mut self.lock().writing);
        drop(written);
        let mut state = self.lock();
        state = self.wait(state, patience, |state| state.has_nothing());
        state = self.wait(state, GATHERING.min(patience), |state| state.can_wait());
        let marks = if state.marks.len() > BATCH {
            let rest = state.marks.keys().nth(BATCH).cloned();
            let rest = rest
                .map(|key| state.marks.split_off(&key))
                .unwrap_or_default();
            std::mem::replace(&mut state.marks, rest)
        } else {
            std::mem::take(&mut state.marks)
        };
        let marks = Arc::new(marks);
        state.writing = Arc::clone(&marks);
        state.marked_bytes -= marks.values().map(Mark::bytes).sum::<usize>();
        let drained = state.marks.is_empty();
        let batch = Batch {
            marks,
            records: std::mem::take(&mut state.records),
            // Not before all that it is about.
            note: if drained { state.note.take() } else { None },
            flushes: if drained {
                std::mem::take(&mut state.flushes)
            } else {
                Vec::new()
            },
            last: state.closing && drained,
        };
        drop(state);
        self.room.notify_waiters();
        batch
    }

    /// Waits up to `patience` for as long as there is `nothing` to do.
    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State<K>>,
        patience: Duration,
        nothing: impl Fn(&State<K>) -> bool,
    ) -> MutexGuard<'s, State<K>> {
        let waited = self
            .work
            .wait_timeout_while(state, patience, |state| nothing(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Holds plain marks: every change is a single insert or take, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl<K: Clone + Ord> State<K> {
    /// Notes a mark; whether its key had none.
    fn put(&mut self, key: &K, mark: Mark) -> bool {
        let is_new = match self.marks.entry(key.clone()) {
            Entry::Vacant(place) => {
                self.marked_bytes += place.insert(mark).bytes();
                true
            }
            Entry::Occupied(mut place) => {
                let before = place.get().bytes();
                match (mark, place.get()) {
                    // The value that a Save is about is not on disk yet: touching it does not change that.
                    (Mark::Touch, Mark::Save) => return false,
                    // A summary that is still to be written is what will lie there.
                    (Mark::Row(as_of, None), Mark::Row(_, known)) => {
                        let known = known.clone();
                        place.insert(Mark::Row(as_of, known))
                    }
                    (mark, _) => place.insert(mark),
                };
                self.marked_bytes = self.marked_bytes - before + place.get().bytes();
                false
            }
        };
        self.missed.remove(key);
        is_new
    }

    /// Whether whoever loads in bulk should wait.
    fn is_behind(&self, backlog_bytes: usize) -> bool {
        self.marks.len() >= BACKLOG || self.marked_bytes >= backlog_bytes
    }

    fn has_nothing(&self) -> bool {
        self.marks.is_empty() && !self.is_urgent()
    }

    /// Whether all there is are marks, and room for more in their batch.
    fn can_wait(&self) -> bool {
        (1..BATCH).contains(&self.marks.len()) && !self.is_urgent()
    }

    /// Whether there is something that somebody may wait for.
    fn is_urgent(&self) -> bool {
        !(self.records.is_empty() && self.note.is_none() && self.flushes.is_empty()) || self.closing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(journal: &Journal<u32>) -> Vec<(u32, Mark)> {
        let marks = journal.next(Duration::ZERO).marks;
        marks.iter().map(|(k, m)| (*k, m.clone())).collect()
    }

    #[test]
    fn the_last_mark_of_a_key_wins_but_a_touch_never_hides_a_save() {
        let journal = Journal::new(true, 1 << 20);
        journal.mark(&1, Mark::Save);
        journal.mark(&1, Mark::Touch);
        journal.mark(&2, Mark::Save);
        journal.mark(&2, Mark::Remove);
        journal.mark(&3, Mark::Touch);
        journal.mark(&3, Mark::Save);
        assert_eq!(
            next(&journal),
            [(1, Mark::Save), (2, Mark::Remove), (3, Mark::Save)]
        );
    }

    #[test]
    fn a_key_stays_pending_until_the_batch_after_it_is_asked_for() {
        let journal = Journal::new(true, 1 << 20);
        journal.mark(&1, Mark::Save);
        assert!(journal.pending(&1).is_some());
        next(&journal);
        assert!(journal.pending(&1).is_some(), "it may not be on disk yet");
        next(&journal);
        assert!(journal.pending(&1).is_none());
    }

    #[test]
    fn batches_are_bounded_and_a_flush_waits_for_the_last_of_them() {
        let journal = Journal::new(true, 1 << 20);
        for key in 0..5_000 {
            journal.mark(&key, Mark::Save);
        }
        let mut flushed = journal.flush();
        assert_eq!(next(&journal).len(), BATCH);
        assert_eq!(next(&journal).len(), BATCH);
        assert!(flushed.try_recv().is_err());
        let batch = journal.next(Duration::ZERO);
        assert_eq!((batch.marks.len(), batch.flushes.len()), (1_000, 1));
    }

    #[test]
    fn a_value_that_was_missed_counts_as_not_written_until_its_key_is_marked_again() {
        let journal = Journal::new(true, 1 << 20);
        journal.mark(&1, Mark::Save);
        assert!(journal.is_saving(&1));
        next(&journal);
        journal.missed(&1);
        next(&journal);
        assert!(journal.is_saving(&1));
        journal.mark(&1, Mark::Row(Moment::default(), None));
        journal.missed(&1);
        assert!(!journal.is_saving(&1));
    }

    #[test]
    fn a_summary_outlives_later_marks_without_one() {
        let journal = Journal::new(true, 1 << 20);
        let summary: Arc<[u8]> = b"summary".as_slice().into();
        journal.mark(&1, Mark::Row(Moment::default(), Some(Arc::clone(&summary))));
        let later = Moment::from_millis(5);
        journal.mark(&1, Mark::Row(later, None));
        assert_eq!(journal.pending(&1), Some(Mark::Row(later, Some(summary))));
    }

    #[tokio::test(start_paused = true)]
    async fn bulk_loading_waits_for_long_summaries_to_be_written() {
        let journal = Journal::new(true, 4 << 20);
        journal.set_served(true);
        let row = || Mark::Row(Moment::default(), Some(vec![0; 100_000].into()));
        for key in 0..42 {
            let waited = tokio::time::timeout(Duration::from_secs(1), journal.room()).await;
            assert!(waited.is_ok(), "{key}");
            journal.mark(&key, row());
        }
        let waited = tokio::time::timeout(Duration::from_secs(1), journal.room()).await;
        assert!(waited.is_err());
        journal.mark(&0, Mark::Remove);
        journal.mark(&1, row());
        journal.room().await;
        journal.mark(&0, row());
        next(&journal);
        journal.room().await;
    }

    #[test]
    fn a_record_is_in_the_next_batch_however_many_marks_wait() {
        let journal = Journal::new(true, 1 << 20);
        for key in 0..5_000 {
            journal.mark(&key, Mark::Save);
        }
        let written = journal.record([7; 32]).unwrap();
        let batch = journal.next(Duration::ZERO);
        assert_eq!(batch.marks.len(), BATCH);
        let [(key, done)] = batch.records.as_slice() else {
            panic!("one record");
        };
        assert_eq!(*key, [7; 32]);
        assert!(written.try_recv().is_err());
        done.send(()).unwrap();
        assert!(written.try_recv().is_ok());
        journal.record([8; 32]).unwrap();
        journal.set_open(false);
        assert!(journal.next(Duration::ZERO).records.is_empty());
    }

    /// What a writer with all the time in the world takes, while `act` goes on.
    fn gathered(journal: &Journal<u32>, act: impl FnOnce() + Send) -> Batch<u32> {
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| journal.next(Duration::from_secs(600)));
            act();
            writer.join().unwrap()
        })
    }

    #[test]
    fn a_mark_alone_is_taken_soon() {
        let journal = Journal::new(true, 1 << 20);
        let batch = gathered(&journal, || journal.mark(&1, Mark::Save));
        assert_eq!(batch.marks.len(), 1);
    }

    #[test]
    fn what_somebody_waits_for_wakes_the_writer_whatever_is_marked() {
        for ask in [
            |journal: &Journal<u32>| drop(journal.flush()),
            |journal: &Journal<u32>| drop(journal.record([7; 32])),
            |journal: &Journal<u32>| journal.note(Vec::new()),
            |journal: &Journal<u32>| journal.close(),
        ] {
            let journal = Journal::new(true, 1 << 20);
            let batch = gathered(&journal, || ask(&journal));
            assert!(batch.marks.is_empty());
            journal.mark(&1, Mark::Save);
            ask(&journal);
            assert!(!journal.lock().can_wait());
        }
    }

    #[test]
    fn plain_marks_wait_for_others_until_they_fill_a_batch() {
        let journal = Journal::new(true, 1 << 20);
        for key in 1..u32::try_from(BATCH).unwrap() {
            journal.mark(&key, Mark::Save);
            assert!(journal.lock().can_wait(), "{key}");
        }
        journal.mark(&0, Mark::Save);
        assert!(!journal.lock().can_wait());
    }

    #[test]
    fn a_closed_journal_ignores_marks() {
        let journal = Journal::new(false, 0);
        journal.mark(&1, Mark::Save);
        assert!(next(&journal).is_empty());
        assert!(journal.flush().blocking_recv().is_err());
        assert!(journal.record([0; 32]).is_none());
    }
}

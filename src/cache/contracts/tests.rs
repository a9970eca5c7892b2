//! The book against a scan of every key at every tick.

use super::book::{Book, Slot, Terms};
use super::record::What;
use crate::cache::contract::ContractStats;
use crate::clock::Moment;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const TERMS: [Terms; 2] = [terms(500, 400, 300, 0), terms(90, 45, 0, 60)];

const fn terms(window: u64, due_after: u64, grace: u64, idle_after: u64) -> Terms {
    Terms {
        window: Duration::from_millis(window),
        due_after: Duration::from_millis(due_after),
        grace: Duration::from_millis(grace),
        idle_after: Duration::from_millis(idle_after),
    }
}

/// What may happen to keys.
#[derive(Clone, Copy, Debug)]
enum Step {
    Enter { key: u8, contract: u16, aged: u64 },
    Strike { key: u8 },
    Confirm { key: u8, aged: u64 },
    Distrust { key: u8 },
    Read { key: u8 },
    Begin { key: u8 },
    End { key: u8, has_failed: bool },
    Pass { millis: u64 },
    Tick,
}

/// A key as a scan sees it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    slot: Slot,
    contract: u16,
    as_of: Moment,
    is_trusted: bool,
    is_exhausted: bool,
    loading: u32,
}

/// The naive engine: looks at everything at every tick.
#[derive(Default)]
struct Scan {
    keys: BTreeMap<u8, Seen>,
    stats: [ContractStats; 2],
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..6_u8;
    let aged = 0..700_u64;
    prop_oneof![
        (key.clone(), 0..2_u16, aged.clone()).prop_map(|(key, contract, aged)| Step::Enter {
            key,
            contract,
            aged
        }),
        key.clone().prop_map(|key| Step::Strike { key }),
        (key.clone(), aged).prop_map(|(key, aged)| Step::Confirm { key, aged }),
        key.clone().prop_map(|key| Step::Distrust { key }),
        key.clone().prop_map(|key| Step::Read { key }),
        key.clone().prop_map(|key| Step::Begin { key }),
        (key, any::<bool>()).prop_map(|(key, has_failed)| Step::End { key, has_failed }),
        (0..400_u64).prop_map(|millis| Step::Pass { millis }),
        Just(Step::Tick),
        Just(Step::Tick),
        Just(Step::Tick),
    ]
}

impl Scan {
    fn tick(&mut self, now: Moment) {
        for seen in self.keys.values_mut() {
            let at = usize::from(seen.contract);
            let (terms, stats) = (&TERMS[at], &mut self.stats[at]);
            let age = now.since(seen.as_of);
            stats.checks_total += 1;
            stats.checks_fresh += u64::from(seen.is_trusted && age <= terms.window);
            if age > terms.window + terms.grace && !seen.is_exhausted {
                seen.is_exhausted = true;
                stats.grace_exhausted += 1;
            }
        }
    }

    /// Whether a scan that looks for work now would refresh a key.
    fn wants(seen: &Seen, last_read: Option<Moment>, now: Moment) -> bool {
        let terms = &TERMS[usize::from(seen.contract)];
        let idle = !terms.idle_after.is_zero()
            && last_read.is_none_or(|at| now.since(at) > terms.idle_after);
        let due = now.since(seen.as_of) > terms.due_after || !seen.is_trusted;
        due && !idle && seen.loading == 0
    }
}

/// A book and a scan that the same things happen to.
struct Both {
    book: Book<u8>,
    scan: Scan,
    now: Moment,
    /// When slots were last read.
    reads: BTreeMap<Slot, Moment>,
    /// Without failures no key rests, and who is due can be compared too.
    with_failures: bool,
}

impl Both {
    fn new(with_failures: bool) -> Self {
        let mut book = Book::new(Duration::from_millis(50), Duration::from_secs(1));
        for (contract, terms) in (0..).zip(TERMS) {
            book.open(contract, Some(terms));
        }
        Self {
            book,
            scan: Scan::default(),
            now: Moment::from_millis(1_000_000),
            reads: BTreeMap::new(),
            with_failures,
        }
    }

    fn enter(&mut self, key: u8, contract: u16, aged: u64) {
        if self.scan.keys.contains_key(&key) {
            return;
        }
        let as_of = self.now - Duration::from_millis(aged);
        let slot = self.book.enter(key, contract, (as_of, true), 100).unwrap();
        self.reads.remove(&slot);
        let seen = Seen {
            slot,
            contract,
            as_of,
            is_trusted: true,
            is_exhausted: false,
            loading: 0,
        };
        self.scan.keys.insert(key, seen);
        self.set(key);
    }

    /// Tells the book what the scan sees of a key.
    fn set(&mut self, key: u8) {
        let Some(seen) = self.scan.keys.get(&key) else {
            return;
        };
        let reads = self.reads.clone();
        let uses = move |slot| (reads.get(&slot).copied(), 0);
        let since = (seen.as_of, seen.is_trusted);
        self.book.set(seen.slot, since, self.now, &uses);
    }

    fn begin(&mut self, key: u8) {
        let reads = self.reads.clone();
        let uses = move |slot| (reads.get(&slot).copied(), 0);
        if let Some(seen) = self.scan.keys.get_mut(&key) {
            seen.loading += 1;
            self.scan.stats[usize::from(seen.contract)].refreshes_triggered += 1;
            self.book.begin((seen.slot, &key), self.now, &uses);
        }
    }

    fn end(&mut self, key: u8, has_failed: bool) {
        let reads = self.reads.clone();
        let uses = move |slot| (reads.get(&slot).copied(), 0);
        let seen = self.scan.keys.get_mut(&key);
        if let Some(seen) = seen.filter(|seen| seen.loading > 0) {
            seen.loading -= 1;
            let stats = &mut self.scan.stats[usize::from(seen.contract)];
            stats.refreshes_failed += u64::from(has_failed);
            let load = (seen.slot, &key);
            self.book.end(load, has_failed, self.now, &uses);
        }
    }

    fn tick(&mut self) -> Result<(), TestCaseError> {
        let (reads, now) = (self.reads.clone(), self.now);
        let uses = move |slot| (reads.get(&slot).copied(), 0);
        while !self.book.tick(now, 2, &uses, &mut Vec::new()) {}
        self.scan.tick(now);
        if self.with_failures {
            return Ok(());
        }
        let keys = self.scan.keys.iter();
        let due: Vec<u8> = keys
            .filter(|(_, seen)| Scan::wants(seen, uses(seen.slot).0, now))
            .map(|(key, _)| *key)
            .collect();
        let next = self.book.next(100, now, &uses).into_iter();
        let mut next: Vec<u8> = next.map(|(key, ..)| key).collect();
        next.sort_unstable();
        prop_assert_eq!(&next, &due);
        // Whoever is due is loaded.
        due.into_iter().for_each(|key| self.begin(key));
        Ok(())
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Enter {
                key,
                contract,
                aged,
            } => self.enter(key, contract, aged),
            Step::Strike { key } => {
                if let Some(seen) = self.scan.keys.remove(&key) {
                    self.book.strike(seen.slot);
                }
            }
            Step::Confirm { key, aged } => {
                if let Some(seen) = self.scan.keys.get_mut(&key) {
                    seen.as_of = seen.as_of.max(self.now - Duration::from_millis(aged));
                    seen.is_trusted = true;
                    let terms = &TERMS[usize::from(seen.contract)];
                    seen.is_exhausted &= self.now.since(seen.as_of) > terms.window + terms.grace;
                }
                self.set(key);
            }
            Step::Distrust { key } => {
                if let Some(seen) = self.scan.keys.get_mut(&key) {
                    seen.is_trusted = false;
                }
                self.set(key);
            }
            Step::Read { key } => {
                if let Some(seen) = self.scan.keys.get(&key) {
                    let now = self.now;
                    self.reads.insert(seen.slot, now);
                    self.book.wake(seen.slot, now, &|_| (Some(now), 0));
                }
            }
            Step::Begin { key } => self.begin(key),
            Step::End { key, has_failed } => self.end(key, has_failed && self.with_failures),
            Step::Pass { millis } => self.now = self.now + Duration::from_millis(millis),
            Step::Tick => self.tick()?,
        }
        for (contract, expected) in (0..).zip(&self.scan.stats) {
            let mut stats = self.book.stats(contract);
            (stats.keys, stats.fresh) = (0, 0);
            prop_assert_eq!(stats, *expected);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn statistics_are_those_of_a_scan_of_every_key_at_every_tick(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut both = Both::new(true);
        steps.into_iter().try_for_each(|step| both.take(step))?;
    }

    #[test]
    fn who_is_refreshed_is_who_a_scan_finds_due(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut both = Both::new(false);
        steps.into_iter().try_for_each(|step| both.take(step))?;
    }
}

#[test]
fn a_key_is_refreshed_at_the_first_tick_past_the_threshold_and_told_of_when_its_window_passes() {
    let mut book = Book::new(Duration::from_millis(50), Duration::from_secs(1));
    book.open(1, Some(terms(5000, 4000, 1000, 0)));
    let at = |millis: u64| Moment::from_millis(1_000_000 + millis);
    let uses = |_| (None, 0);
    let slot = book.enter("key", 1, (at(0), true), 9).unwrap();
    book.set(slot, (at(0), true), at(0), &uses);
    let mut happened = Vec::new();
    for (millis, expected) in [(3999, 0), (4000, 0), (4001, 1)] {
        book.tick(at(millis), 9, &uses, &mut happened);
        assert_eq!(book.next(9, at(millis), &uses).len(), expected, "{millis}");
    }
    for (millis, what) in [
        (5000, None),
        (5001, Some(What::Violated)),
        (6000, None),
        (6001, Some(What::Exhausted)),
        (7000, None),
    ] {
        happened.clear();
        book.tick(at(millis), 9, &uses, &mut happened);
        let told: Vec<_> = happened.iter().map(|happening| happening.what).collect();
        assert_eq!(told, Vec::from_iter(what), "{millis}");
    }
    let back = book.set(slot, (at(7000), true), at(7010), &uses);
    assert_eq!(back.first().map(|back| back.what), Some(What::Recovered));
}

#[test]
fn a_key_that_failed_rests_for_a_tick_then_twice_as_long_and_never_longer_than_the_throttle() {
    let mut book = Book::new(Duration::from_millis(50), Duration::from_millis(300));
    book.open(1, Some(terms(100, 80, 1_000_000, 0)));
    let (uses, mut now) = (|_: Slot| (None, 0), Moment::from_millis(1_000_000));
    let slot = book.enter("key", 1, (now, true), 9).unwrap();
    book.set(slot, (now, true), now, &uses);
    now = now + Duration::from_millis(81);
    let mut rests = Vec::new();
    let mut last = now;
    for _ in 0..2000 {
        book.tick(now, 9, &uses, &mut Vec::new());
        for (key, ..) in book.next(1, now, &uses) {
            rests.push(now.since(last).as_millis());
            last = now;
            book.begin((slot, &key), now, &uses);
            book.end((slot, &key), true, now, &uses);
        }
        now = now + Duration::from_millis(1);
    }
    assert_eq!(rests, [0, 50, 100, 200, 300, 300, 300, 300, 300]);
}

#[test]
fn a_window_that_passes_together_with_its_grace_is_told_as_both() {
    let mut book = Book::new(Duration::from_millis(50), Duration::from_secs(1));
    book.open(1, Some(terms(100, 80, 0, 0)));
    let (start, uses) = (Moment::from_millis(1_000_000), |_: Slot| (None, 0));
    let slot = book.enter("key", 1, (start, true), 9).unwrap();
    book.set(slot, (start, true), start, &uses);
    let mut happened = Vec::new();
    book.tick(start + Duration::from_millis(150), 9, &uses, &mut happened);
    let told: Vec<_> = happened.iter().map(|happening| happening.what).collect();
    assert_eq!(told, [What::Violated, What::Exhausted]);
}

#[test]
fn a_load_of_a_key_that_left_says_nothing_about_the_one_that_has_its_slot_now() {
    let mut book = Book::new(Duration::from_millis(50), Duration::from_secs(1));
    book.open(1, Some(terms(100, 80, 100, 0)));
    let (now, uses) = (Moment::from_millis(1_000_000), |_: Slot| (None, 0));
    let slot = book.enter("a", 1, (now, true), 9).unwrap();
    book.strike(slot);
    assert_eq!(book.enter("b", 1, (now, true), 9), Some(slot));
    book.set(slot, (now, true), now, &uses);
    assert!(book.begin((slot, &"a"), now, &uses).is_none());
    book.end((slot, &"a"), true, now, &uses);
    assert_eq!(book.stats(1).refreshes_triggered, 0);
    let later = now + Duration::from_millis(81);
    book.tick(later, 9, &uses, &mut Vec::new());
    assert_eq!(book.next(9, later, &uses).len(), 1);
}

#[test]
fn a_refresh_that_joins_another_load_comes_up_again() {
    let mut book = Book::new(Duration::from_millis(50), Duration::from_secs(1));
    book.open(1, Some(terms(100, 80, 0, 0)));
    let (mut now, uses) = (Moment::from_millis(1_000_000), |_: Slot| (None, 0));
    let slot = book.enter("a", 1, (now, true), 9).unwrap();
    book.set(slot, (now, true), now, &uses);
    let mut came_up = 0;
    for _ in 0..100 {
        now = now + Duration::from_millis(50);
        book.tick(now, 9, &uses, &mut Vec::new());
        for (key, slot, _) in book.next(9, now, &uses) {
            came_up += 1;
            book.postpone((slot, &key), now, &uses);
        }
    }
    assert!(came_up > 90, "{came_up}");
}

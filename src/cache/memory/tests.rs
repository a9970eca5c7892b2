//! The promises of the serving tier, over any history, and what it keeps where not all fits.

use super::*;
use crate::clock::Moment;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Numbers = Memory<Pair<u32, u32>>;

fn entry(value: u32, weight: usize) -> Arc<Entry<u32>> {
    Arc::new(Entry::new(value, Moment::default(), 0, weight))
}

#[test]
fn what_is_allocated_is_counted_in_the_allocators_classes() {
    // jemalloc.net/jemalloc.3.html, "size classes", with pages of 4 KiB.
    let classes = [
        (0, 0),
        (1, 8),
        (8, 8),
        (9, 16),
        (17, 32),
        (97, 112),
        (128, 128),
        (129, 160),
        (256, 256),
        (257, 320),
        (600, 640),
        (641, 768),
        (1_024, 1_024),
        (1_025, 1_280),
        (3_585, 4_096),
        (4_097, 5_120),
        (28_673, 32_768),
        (32_769, 40_960),
    ];
    for (bytes, class) in classes {
        assert_eq!(allocated(bytes), class, "{bytes}");
    }
}

/// A tier with one shard, in which so many entries of weight one fit.
fn small(capacity: u64) -> Numbers {
    Memory::new(capacity, capacity as usize)
}

fn put(tier: &Numbers, key: u32) {
    tier.insert(&key, entry(key, 1));
}

#[test]
fn what_is_expected_takes_no_more_room_than_fits_and_moves_nothing() {
    let tier = Numbers::new(1 << 20, 1_024);
    (0..100).for_each(|key| put(&tier, key));
    for expected in [0, 50, 1_000, usize::MAX] {
        tier.expect(expected);
        assert!((0..100).all(|key| tier.peek(&key).is_some()));
        assert_eq!((tier.entries(), tier.weight()), (100, 100));
    }
    let places = tier
        .shards
        .iter()
        .map(|shard| shard.read().unwrap().places());
    assert!(
        places.sum::<usize>() <= 2 * (1 << 20) / 768,
        "as if there were no end"
    );
}

/// Reads a key, as those do who keep what they load; whether it was held.
fn read(tier: &Numbers, key: u32) -> bool {
    let hit = tier.get(&key).is_some();
    if !hit {
        put(tier, key);
    }
    hit
}

fn held(tier: &Numbers) -> BTreeMap<u32, u32> {
    let mut held = BTreeMap::new();
    tier.for_each(|key, entry| {
        assert!(held.insert(*key, ***entry).is_none(), "{key} twice");
    });
    held
}

#[derive(Clone, Debug)]
enum Step {
    Get(u32),
    Peek(u32),
    Insert(u32, usize),
    Remove(u32),
    Resize(u64),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..60_u32).prop_map(Step::Get),
        1 => (0..60_u32).prop_map(Step::Peek),
        8 => (0..60_u32, 0..40_usize).prop_map(|(key, weight)| Step::Insert(key, weight)),
        2 => (0..60_u32).prop_map(Step::Remove),
        1 => (20..400_u64).prop_map(Step::Resize),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// A map that is told what was evicted always holds the same; and the sum is never above the cap.
    #[test]
    fn what_is_held_is_what_was_put_and_not_removed_or_reported_as_evicted(
        shards in 0..3_u32, steps in proptest::collection::vec(step(), 1..300),
    ) {
        let mut capacity = 200;
        let tier = Memory::new(capacity, (200 / 4) >> shards);
        prop_assert_eq!(tier.shards.len(), 1 << shards);
        let mut model: BTreeMap<u32, (u32, usize)> = BTreeMap::new();
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Get(key) => {
                    let found = tier.get(&key).map(|entry| **entry);
                    prop_assert_eq!(found, model.get(&key).map(|(value, _)| *value));
                }
                Step::Peek(key) => prop_assert_eq!(tier.peek(&key).is_some(), model.contains_key(&key)),
                Step::Insert(key, weight) => {
                    let has_room = tier.has_room_for(&key, weight) && !model.contains_key(&key);
                    let (kept, evicted) = tier.insert(&key, entry(number, weight));
                    prop_assert!(!has_room || kept && evicted.is_empty());
                    prop_assert!(kept || weight as u64 > capacity / tier.shards.len() as u64 / 2 || !has_room);
                    model.remove(&key);
                    for Pair(key, entry) in evicted {
                        prop_assert_eq!(model.remove(&key).map(|(value, _)| value), Some(**entry));
                    }
                    if kept {
                        model.insert(key, (number, weight));
                    }
                }
                Step::Remove(key) => {
                    let gone = tier.remove(&key).map(|entry| **entry);
                    prop_assert_eq!(gone, model.remove(&key).map(|(value, _)| value));
                }
                Step::Resize(to) => {
                    capacity = to;
                    for Pair(key, _) in tier.resize(to) {
                        prop_assert!(model.remove(&key).is_some());
                    }
                }
                Step::Clear => {
                    tier.clear();
                    model.clear();
                }
            }
            let weight: usize = model.values().map(|(_, weight)| weight).sum();
            prop_assert_eq!(tier.weight(), weight as u64);
            prop_assert!(tier.weight() <= capacity);
            prop_assert_eq!(tier.entries(), model.len());
        }
        let values = model.into_iter().map(|(key, (value, _))| (key, value));
        prop_assert_eq!(held(&tier), values.collect::<BTreeMap<_, _>>());
    }
}

#[test]
fn what_is_read_survives_a_scan_of_everything() {
    let tier = small(100);
    for key in (0..20).cycle().take(200) {
        read(&tier, key);
    }
    for key in 1_000..5_000 {
        read(&tier, key);
        if key % 10 == 0 {
            read(&tier, key / 10 % 20);
        }
    }
    let kept = (0..20).filter(|key| tier.peek(key).is_some());
    assert_eq!(kept.count(), 20);
}

#[test]
fn looking_without_reading_saves_nothing() {
    let tier = small(100);
    (0..100).for_each(|key| put(&tier, key));
    (0..50).for_each(|key| drop(tier.peek(&key)));
    (100..150).for_each(|key| put(&tier, key));
    assert!((0..50).all(|key| tier.peek(&key).is_none()));
}

#[test]
fn what_is_in_demand_now_replaces_what_was_within_a_few_rounds() {
    let tier = small(100);
    for key in (0..60).cycle().take(6_000) {
        read(&tier, key);
    }
    for key in (1_000..1_060).cycle().take(300) {
        read(&tier, key);
    }
    let hits = (1_000..1_060).filter(|key| tier.peek(key).is_some());
    assert_eq!(hits.count(), 60);
}

#[test]
fn a_round_trip_over_a_little_more_than_fits_finds_most_of_it() {
    let tier = small(1_000);
    let hits = (0..1_100)
        .cycle()
        .take(110_000)
        .filter(|key| read(&tier, *key));
    let hits = hits.count();
    assert!(hits > 40_000, "{hits}, where strict LRU has none");
}

#[test]
fn an_entry_that_is_replaced_keeps_its_place() {
    let tier = small(100);
    (0..100).for_each(|key| put(&tier, key));
    drop(tier.get(&0));
    let (kept, evicted) = tier.insert(&0, entry(7, 1));
    assert!(kept && evicted.is_empty());
    (100..190).for_each(|key| put(&tier, key));
    assert_eq!(tier.peek(&0).map(|entry| **entry), Some(7));
}

#[test]
fn what_is_too_heavy_is_not_kept_and_costs_only_its_predecessor_its_place() {
    let tier = small(100);
    (0..50).for_each(|key| put(&tier, key));
    let (kept, evicted) = tier.insert(&0, entry(0, 101));
    assert!(!kept && evicted.is_empty());
    assert_eq!(tier.entries(), 49);
    assert!(tier.takes(&0, 50) && !tier.takes(&0, 51));
}

#[test]
fn a_visitor_may_call_back() {
    let tier = small(100);
    (0..50).for_each(|key| put(&tier, key));
    tier.for_each(|key, _| {
        tier.remove(key);
    });
    assert_eq!((tier.entries(), tier.weight()), (0, 0));
}

#[test]
fn the_sums_are_right_after_many_threads_have_changed_everything() {
    let tier: Numbers = Memory::new(64_000, 100);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let tier = &tier;
            scope.spawn(move || {
                for number in 0..20_000_u32 {
                    let key = number.wrapping_mul(2_654_435_761).wrapping_add(thread) % 2_000;
                    match number % 5 {
                        0 => drop(tier.remove(&key)),
                        1 | 2 => drop(tier.insert(&key, entry(number, 50))),
                        _ => drop(tier.get(&key)),
                    }
                    assert!(tier.entries() <= 2_000);
                }
            });
        }
    });
    let held = held(&tier);
    assert_eq!(tier.entries(), held.len());
    assert_eq!(tier.weight(), 50 * held.len() as u64);
}

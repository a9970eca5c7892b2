//! The cache's promises, on a source of numbers and strings.

use super::writer::MANY_MARKS;
use super::*;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Semaphore;

mod contracts;
mod marks;
mod records;
mod room;

/// A source of truth that a test controls.
#[derive(Default)]
struct Numbers {
    truth: Mutex<HashMap<u32, String>>,
    known: Mutex<BTreeMap<u32, Moment>>,
    summaries: Mutex<BTreeMap<u32, Vec<u8>>>,
    /// What the cache says that it holds.
    held: Mutex<BTreeMap<u32, Arc<Entry<String>>>>,
    lacking: Mutex<usize>,
    restored: Mutex<Option<Restored>>,
    loads: AtomicUsize,
    /// Loads under way, and the most there ever were.
    flying: Mutex<(usize, usize)>,
    purposes: Mutex<Vec<Purpose>>,
    listing: Mutex<bool>,
    room: Mutex<Option<usize>>,
    latency: Mutex<Duration>,
    down: Mutex<bool>,
    panics: Mutex<bool>,
    forgets: AtomicBool,
    unchanged: Mutex<bool>,
    gate: Option<Semaphore>,
    clock: Option<Clock>,
}

#[derive(Debug, thiserror::Error)]
#[error("down")]
struct Down;

struct Bench {
    cache: Cache<Numbers>,
    clock: Clock,
}

impl Source for Numbers {
    type Key = u32;
    type Value = String;
    type Place = Pair<u32, String>;
    type Error = Down;
    type Gone = ();
    type Cause = ();
    type Tag = String;
    type Reading = ();
    type Fallback = String;

    async fn load(
        &self,
        key: &u32,
        known: Option<&String>,
        purpose: Purpose,
        (): (),
    ) -> Result<Loaded<String, ()>, Down> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.purposes.lock().unwrap().push(purpose);
        let _flying = self.fly();
        let as_of = self.clock.map_or(Moment::default(), |clock| clock.now());
        let value = self.truth.lock().unwrap().get(key).cloned();
        let (down, panics) = (*self.down.lock().unwrap(), *self.panics.lock().unwrap());
        let latency = *self.latency.lock().unwrap();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        assert!(!panics, "asked to panic");
        if down {
            return Err(Down);
        }
        if known.is_some() && *self.unchanged.lock().unwrap() {
            return Ok(Loaded::Unchanged { as_of });
        }
        Ok(value.map_or(Loaded::Gone(()), |value| Loaded::Value { value, as_of }))
    }

    fn room_for_refreshes(&self) -> usize {
        self.room.lock().unwrap().unwrap_or(usize::MAX)
    }

    fn stand_in(&self, fallback: &String, key: &u32) -> String {
        format!("{fallback} {key}")
    }

    fn weight(&self, _: &u32, value: &String) -> usize {
        value.len()
    }

    fn same(&self, held: &String, listed: &String) -> bool {
        // What is derived from a value stands behind a plus.
        held.split('+').next() == listed.split('+').next()
    }

    fn name(key: &u32) -> String {
        key.to_string()
    }

    fn encode_key(&self, key: &u32) -> Vec<u8> {
        key.to_be_bytes().to_vec()
    }

    fn decode_key(&self, bytes: &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    fn encode(&self, value: &String) -> Vec<u8> {
        value.clone().into_bytes()
    }

    fn decode(&self, bytes: &[u8]) -> Option<String> {
        String::from_utf8(bytes.to_vec()).ok()
    }

    fn summarize(&self, value: &String) -> Vec<u8> {
        format!("summary of {value}").into_bytes()
    }

    fn learned(&self, key: &u32, known: Known<'_, String>, _: Option<&()>, as_of: Moment) -> bool {
        self.known.lock().unwrap().insert(*key, as_of);
        if let Known::Held(entry) = known {
            self.held.lock().unwrap().insert(*key, Arc::clone(entry));
        }
        let summary = match known {
            Known::Held(entry) => self.summarize(entry),
            Known::Value(value) => self.summarize(value),
            Known::Summary(summary) => summary.to_vec(),
            Known::Nothing => return false,
        };
        let old = self.summaries.lock().unwrap().insert(*key, summary.clone());
        old != Some(summary)
    }

    fn exists(&self, key: &u32, known: Known<'_, String>, as_of: Moment) {
        let is_known = self.summaries.lock().unwrap().contains_key(key);
        self.learned(
            key,
            if is_known { Known::Nothing } else { known },
            None,
            as_of,
        );
    }

    fn lacks_summaries(&self) {
        *self.lacking.lock().unwrap() += 1;
    }

    fn let_go(&self, key: &u32) {
        self.held.lock().unwrap().remove(key);
    }

    fn vanished(&self, key: &u32) {
        self.held.lock().unwrap().remove(key);
        self.known.lock().unwrap().remove(key);
        self.summaries.lock().unwrap().remove(key);
    }

    fn for_each_known(&self, visit: &mut dyn FnMut(&u32, Moment)) {
        for (key, as_of) in &*self.known.lock().unwrap() {
            visit(key, *as_of);
        }
    }

    fn everything() -> String {
        String::new()
    }

    /// A value has every tag that it begins with.
    fn has_any(&self, _: &u32, value: &String, tags: &[String]) -> bool {
        tags.iter().any(|tag| value.starts_with(tag.as_str()))
    }

    fn encode_tag(&self, tag: &String) -> Vec<u8> {
        tag.clone().into_bytes()
    }

    fn decode_tag(&self, bytes: &[u8]) -> Option<String> {
        String::from_utf8(bytes.to_vec()).ok()
    }

    fn knows_all(&self) -> bool {
        false
    }

    fn remembers(&self) -> bool {
        !self.forgets.load(Ordering::SeqCst)
    }

    fn is_listing(&self) -> bool {
        *self.listing.lock().unwrap()
    }

    fn held_bytes(&self) -> usize {
        self.known.lock().unwrap().len() * 8
    }

    fn restored(&self, restored: &Restored) {
        *self.restored.lock().unwrap() = Some(restored.clone());
    }
}

impl Bench {
    fn new(source: Numbers, configure: impl FnOnce(&mut Config)) -> Self {
        Self::at(Clock::start(), source, configure)
    }

    fn at(clock: Clock, source: Numbers, configure: impl FnOnce(&mut Config)) -> Self {
        let bench = Self::closed(clock, source, configure);
        bench.cache.open_store().unwrap();
        bench
    }

    /// With the store not opened yet.
    fn closed(clock: Clock, mut source: Numbers, configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            ttl: Duration::from_secs(100),
            grace: Duration::from_secs(1000),
            stale_while_revalidate: Duration::from_secs(10),
            shadow_rate: 0.0,
            soft_timeout: None,
            contracts: None,
            negative_ttl: Duration::from_secs(30),
            fail_throttle: Duration::from_secs(1),
            max_bytes: 8 << 20,
            max_entry_bytes: 256 << 10,
            dir: None,
            lineage: "numbers".to_owned(),
        };
        configure(&mut config);
        source.clock = Some(clock);
        let cache = Cache::new(source, config, clock, TaskTracker::new(), Events::new());
        Self { cache, clock }
    }

    fn persistent(clock: Clock, dir: &Path, truth: &[(u32, &str)]) -> Self {
        Self::at(clock, Numbers::of(truth), |config| {
            config.dir = Some(dir.to_owned())
        })
    }

    async fn get(&self, key: u32) -> Result<(String, Outcome), Outcome> {
        match self.cache.get(&key, ()).await {
            Ok(served) => Ok((served.entry.to_string(), served.outcome)),
            Err(ReadError::Gone((), outcome)) => Err(outcome),
            Err(_) => Err(Outcome::Error),
        }
    }

    async fn put(&self, key: u32, value: &str) {
        let (value, as_of) = (value.to_owned(), self.clock.now());
        self.truth(key, Some(&value));
        let write = async move { (Change::Put { key, value, as_of }, ()) };
        self.cache.write(Some(key), write).await.unwrap();
    }

    /// The keys that the source knows, held or not.
    fn known(&self) -> Vec<u32> {
        let known = self.cache.source().known.lock().unwrap();
        known.keys().copied().collect()
    }

    /// What the source knows of a key's value, held or not.
    fn summary(&self, key: u32) -> Option<String> {
        let summaries = self.cache.source().summaries.lock().unwrap();
        let summary = summaries.get(&key)?.clone();
        Some(String::from_utf8(summary).unwrap())
    }

    fn truth(&self, key: u32, value: Option<&str>) {
        let mut truth = self.cache.source().truth.lock().unwrap();
        match value {
            Some(value) => truth.insert(key, value.to_owned()),
            None => truth.remove(&key),
        };
    }

    fn down(&self, down: bool) {
        *self.cache.source().down.lock().unwrap() = down;
    }

    fn loads(&self) -> usize {
        self.cache.source().loads.load(Ordering::SeqCst)
    }

    fn open_gate(&self, permits: usize) {
        self.cache
            .source()
            .gate
            .as_ref()
            .unwrap()
            .add_permits(permits);
    }

    /// Lets tasks run until all of them wait.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A load under way.
struct Flying<'a>(&'a Numbers);

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        self.0.flying.lock().unwrap().0 -= 1;
    }
}

impl Numbers {
    fn fly(&self) -> Flying<'_> {
        let mut flying = self.flying.lock().unwrap();
        flying.0 += 1;
        flying.1 = flying.1.max(flying.0);
        Flying(self)
    }

    fn of(truth: &[(u32, &str)]) -> Self {
        let truth = truth.iter().map(|(key, value)| (*key, (*value).to_owned()));
        Self {
            truth: Mutex::new(truth.collect()),
            ..Self::default()
        }
    }

    fn gated(truth: &[(u32, &str)]) -> Self {
        Self {
            gate: Some(Semaphore::new(0)),
            ..Self::of(truth)
        }
    }
}

impl Bench {
    /// What the source was told is held of these keys is what is held.
    fn assert_told(&self, keys: impl Iterator<Item = u32>) {
        for key in keys {
            let told = self.cache.source().held.lock().unwrap().get(&key).cloned();
            let held = self.cache.peek(&key);
            let address = |entry: &Option<Arc<_>>| entry.as_ref().map(Arc::as_ptr);
            assert_eq!(address(&told), address(&held), "{key}: {told:?}, {held:?}");
        }
    }
}

fn ok(value: &str, outcome: Outcome) -> Result<(String, Outcome), Outcome> {
    Ok((value.to_owned(), outcome))
}

async fn secs(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

#[tokio::test(start_paused = true)]
async fn a_value_is_loaded_once_and_then_served_from_memory() {
    let bench = Bench::new(Numbers::of(&[(1, "one")]), |_| {});
    assert_eq!(bench.get(1).await, ok("one", Outcome::Miss));
    assert_eq!(bench.get(1).await, ok("one", Outcome::Hit));
    secs(100).await;
    assert_eq!(bench.get(1).await, ok("one", Outcome::Hit));
    assert_eq!(bench.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_readers_of_one_cold_key_make_one_load() {
    let bench = Arc::new(Bench::new(
        Numbers::gated(&[(1, "one"), (2, "two")]),
        |_| {},
    ));
    let readers: Vec<_> = (0..1000)
        .map(|_| {
            let bench = Arc::clone(&bench);
            bench
                .cache
                .inner
                .tasks
                .clone()
                .spawn(async move { bench.get(1).await })
        })
        .collect();
    bench.settle().await;
    bench.open_gate(1);
    for reader in readers {
        assert_eq!(reader.await.unwrap(), ok("one", Outcome::Miss));
    }
    assert_eq!(bench.loads(), 1);
    assert_eq!(bench.cache.stats().coalesced, 999);
}

#[tokio::test(start_paused = true)]
async fn a_write_during_a_slow_load_is_not_undone_by_it() {
    let bench = Arc::new(Bench::new(Numbers::gated(&[(1, "old")]), |_| {}));
    let reader = Arc::clone(&bench);
    let slow = bench
        .cache
        .inner
        .tasks
        .spawn(async move { reader.get(1).await });
    bench.settle().await;
    bench.put(1, "new").await;
    assert_eq!(bench.get(1).await, ok("new", Outcome::Hit));
    bench.open_gate(1);
    slow.await.unwrap().unwrap();
    assert_eq!(bench.get(1).await, ok("new", Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_slow_load_is_not_undone_by_it() {
    let bench = Arc::new(Bench::new(Numbers::gated(&[(1, "old")]), |_| {}));
    let reader = Arc::clone(&bench);
    let slow = bench
        .cache
        .inner
        .tasks
        .spawn(async move { reader.get(1).await });
    bench.settle().await;
    bench.cache.purge(&1);
    bench.truth(1, Some("new"));
    bench.open_gate(2);
    assert_eq!(
        slow.await.unwrap(),
        ok("old", Outcome::Miss),
        "its own waiter at most"
    );
    assert_eq!(
        bench.get(1).await,
        ok("new", Outcome::Miss),
        "never joins the older load"
    );
}

#[tokio::test(start_paused = true)]
async fn a_listing_never_undoes_a_write_or_a_delete_and_confirms_the_rest() {
    let bench = Bench::new(Numbers::of(&[(1, "a"), (2, "b"), (3, "c")]), |_| {});
    for key in 1..=3 {
        bench.get(key).await.unwrap();
    }
    let listing = bench.cache.begin_listing();
    let as_of = bench.clock.now();
    bench.put(1, "written").await;
    bench
        .cache
        .write(Some(2), async { (Change::Gone(2, ()), ()) })
        .await
        .unwrap();
    for (key, value) in [(1, "a"), (2, "b"), (3, "changed"), (4, "d")] {
        bench.cache.confirm(&listing, &key, value.to_owned(), as_of);
    }
    assert_eq!(bench.get(1).await, ok("written", Outcome::Hit));
    assert_eq!(bench.get(2).await, Err(Outcome::Negative));
    assert_eq!(bench.get(3).await, ok("changed", Outcome::Hit));
    assert_eq!(bench.get(4).await, ok("d", Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_listed_goes_unless_something_newer_is_known() {
    let bench = Bench::new(Numbers::of(&[(1, "a"), (2, "b")]), |_| {});
    bench.get(1).await.unwrap();
    bench.get(2).await.unwrap();
    let listing = bench.cache.begin_listing();
    bench.put(1, "again").await;
    assert!(!bench.cache.remove_unlisted(&listing, &1));
    assert!(bench.cache.remove_unlisted(&listing, &2));
    assert_eq!(bench.cache.source().known.lock().unwrap().len(), 1);
    assert!(bench.cache.peek(&2).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_hangs_up_cancels_nothing() {
    let bench = Bench::new(Numbers::gated(&[(1, "one")]), |_| {});
    let hung_up = tokio::time::timeout(Duration::from_secs(1), bench.get(1)).await;
    assert!(hung_up.is_err());
    bench.open_gate(1);
    bench.settle().await;
    assert_eq!(bench.get(1).await, ok("one", Outcome::Hit));
    assert_eq!(bench.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_hangs_up_still_changes_the_cache() {
    let bench = Bench::new(Numbers::of(&[(1, "old")]), |_| {});
    bench.get(1).await.unwrap();
    let as_of = bench.clock.now();
    let slow = async move {
        secs(5).await;
        let value = "new".to_owned();
        (
            Change::Put {
                key: 1,
                value,
                as_of,
            },
            (),
        )
    };
    let write = bench.cache.write(Some(1), slow);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), write)
            .await
            .is_err()
    );
    secs(5).await;
    assert_eq!(bench.get(1).await, ok("new", Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn a_panicking_loader_releases_its_waiters_and_the_key() {
    let bench = Bench::new(Numbers::of(&[(1, "one")]), |_| {});
    *bench.cache.source().panics.lock().unwrap() = true;
    assert_eq!(bench.get(1).await, Err(Outcome::Error));
    *bench.cache.source().panics.lock().unwrap() = false;
    assert_eq!(bench.get(1).await, ok("one", Outcome::Miss));
    assert_eq!(bench.cache.inner.fence.remembered(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_writer_forgets_its_key() {
    let bench = Bench::new(Numbers::of(&[(1, "old")]), |_| {});
    bench.get(1).await.unwrap();
    let panics = async { panic!("asked to") };
    let written = bench.cache.write::<()>(Some(1), panics).await;
    assert!(written.is_err());
    bench.truth(1, Some("new"));
    assert_eq!(bench.get(1).await, ok("new", Outcome::Miss));
}

#[tokio::test(start_paused = true)]
async fn a_stale_value_answers_at_once_and_is_refreshed_behind_the_reader() {
    let bench = Bench::new(Numbers::of(&[(1, "old")]), |_| {});
    bench.get(1).await.unwrap();
    bench.truth(1, Some("new"));
    secs(105).await;
    assert_eq!(bench.get(1).await, ok("old", Outcome::Stale));
    bench.settle().await;
    assert_eq!(bench.get(1).await, ok("new", Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn an_overdue_value_answers_only_while_loading_fails_and_never_past_grace() {
    let bench = Bench::new(Numbers::of(&[(1, "old")]), |_| {});
    bench.get(1).await.unwrap();
    bench.truth(1, Some("new"));
    bench.down(true);
    secs(500).await;
    assert_eq!(bench.get(1).await, ok("old", Outcome::Stale));
    let loads = bench.loads();
    assert_eq!(bench.get(1).await, ok("old", Outcome::Stale), "throttled");
    assert_eq!(bench.loads(), loads);
    bench.down(false);
    secs(2).await;
    assert_eq!(bench.get(1).await, ok("new", Outcome::Miss));
    bench.down(true);
    secs(1101).await;
    assert_eq!(
        bench.get(1).await,
        Err(Outcome::Error),
        "past window + grace"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_answer_renews_the_age_without_a_new_value() {
    let bench = Bench::new(Numbers::of(&[(1, "one")]), |_| {});
    bench.get(1).await.unwrap();
    let held = bench.cache.peek(&1).unwrap();
    *bench.cache.source().unchanged.lock().unwrap() = true;
    secs(500).await;
    assert_eq!(bench.get(1).await, ok("one", Outcome::Miss));
    assert!(Arc::ptr_eq(&held, &bench.cache.peek(&1).unwrap()));
    secs(99).await;
    assert_eq!(bench.get(1).await, ok("one", Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn an_absent_key_is_remembered_and_a_failing_one_is_left_alone_for_a_moment() {
    let bench = Bench::new(Numbers::of(&[]), |_| {});
    assert_eq!(bench.get(1).await, Err(Outcome::Miss));
    assert_eq!(bench.get(1).await, Err(Outcome::Negative));
    bench.truth(1, Some("one"));
    secs(31).await;
    assert_eq!(bench.get(1).await, ok("one", Outcome::Miss));
    bench.down(true);
    assert_eq!(bench.get(2).await, Err(Outcome::Error));
    let loads = bench.loads();
    assert_eq!(bench.get(2).await, Err(Outcome::Error));
    assert_eq!(
        bench.loads(),
        loads,
        "no second attempt within the throttle"
    );
    secs(2).await;
    bench.get(2).await.unwrap_err();
    assert_eq!(bench.loads(), loads + 1);
}

#[tokio::test(start_paused = true)]
async fn a_doubted_value_waits_for_the_new_one_and_answers_only_if_that_fails() {
    let bench = Bench::new(Numbers::of(&[(1, "old")]), |_| {});
    bench.get(1).await.unwrap();
    bench.truth(1, Some("new"));
    bench.cache.distrust(&1, Trust::Doubted);
    assert_eq!(bench.get(1).await, ok("new", Outcome::Miss));
    bench.down(true);
    bench.cache.distrust(&1, Trust::Doubted);
    assert_eq!(bench.get(1).await, ok("new", Outcome::Stale));
    bench.down(false);
    secs(2).await;
    bench.cache.distrust(&1, Trust::Unconfirmed);
    assert_eq!(
        bench.get(1).await,
        ok("new", Outcome::Stale),
        "answers at once"
    );
    bench.settle().await;
    assert_eq!(bench.get(1).await, ok("new", Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn with_a_ttl_of_zero_nothing_expires() {
    let bench = Bench::new(Numbers::of(&[(1, "one")]), |config| {
        config.ttl = Duration::ZERO
    });
    bench.get(1).await.unwrap();
    secs(1 << 30).await;
    assert_eq!(bench.get(1).await, ok("one", Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn with_a_cap_of_zero_every_read_is_a_load() {
    let bench = Bench::new(Numbers::of(&[(1, "one")]), |config| config.max_bytes = 0);
    assert_eq!(bench.get(1).await, ok("one", Outcome::Bypass));
    assert_eq!(bench.get(1).await, ok("one", Outcome::Bypass));
    assert_eq!((bench.loads(), bench.cache.stats().bytes), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_value_too_large_is_served_and_not_kept() {
    let large = "x".repeat(300 << 10);
    let bench = Bench::new(Numbers::of(&[(1, &large), (2, "small")]), |_| {});
    assert_eq!(bench.get(1).await, ok(&large, Outcome::Miss));
    assert_eq!(bench.get(1).await, ok(&large, Outcome::Miss));
    bench.get(2).await.unwrap();
    bench.put(2, &large).await;
    assert!(
        bench.cache.peek(&2).is_none(),
        "nor is the value it replaced"
    );
}

#[tokio::test(start_paused = true)]
async fn the_bytes_held_never_pass_the_cap_while_keys_are_reused() {
    let bench = Bench::new(Numbers::of(&[]), |config| config.max_bytes = 1 << 20);
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20_000u32 {
        let key = random.u32(0..3_000);
        let value = "v".repeat(random.usize(0..4_000));
        match random.u8(0..10) {
            0 if round % 4_000 == 0 => bench.cache.purge_all(),
            0 => drop(bench.cache.purge(&key)),
            1..=3 => {
                let listing = bench.cache.begin_listing();
                bench
                    .cache
                    .confirm(&listing, &key, value, bench.clock.now());
            }
            4..=6 => bench
                .cache
                .enrich(&key, |held| Some(format!("{held}+{value}"))),
            _ => bench.put(key, &value).await,
        }
        let stats = bench.cache.stats();
        assert!(
            stats.bytes <= stats.capacity_bytes,
            "round {round}: {stats:?}"
        );
        if round % 100 == 0 {
            bench.assert_told(0..3_000);
        }
    }
    let stats = bench.cache.stats();
    assert!(stats.entries > 100, "{stats:?}");
    assert!(
        stats
            .evictions
            .contains(&(EvictionCause::Size, stats.evictions[0].1))
    );
    assert!(stats.evictions[0].1 > 1000, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_derived_from_a_value_counts_and_goes_with_it() {
    let bench = Bench::new(Numbers::of(&[]), |_| {});
    bench.put(1, "one").await;
    let plain = bench.cache.peek(&1).unwrap();
    let before = bench.cache.stats().bytes;
    bench.cache.distrust(&1, Trust::Unconfirmed);

    bench
        .cache
        .enrich(&1, |held| Some(format!("{held}+derived")));
    let held = bench.cache.peek(&1).unwrap();
    assert_eq!(**held, "one+derived");
    assert_eq!(bench.cache.stats().bytes, before + "+derived".len() as u64);
    assert_eq!(
        (held.as_of(), held.trusted(), held.jitter_per_mille()),
        (plain.as_of(), Trust::Unconfirmed, plain.jitter_per_mille())
    );

    bench.cache.enrich(&1, |_| None);
    bench
        .cache
        .enrich(&2, |_| panic!("nothing is held of this key"));
    bench.put(1, "two").await;
    assert_eq!(**bench.cache.peek(&1).unwrap(), "two");
    assert_eq!(bench.cache.stats().bytes, before);
}

#[tokio::test(start_paused = true)]
async fn what_is_derived_is_not_kept_where_it_does_not_fit() {
    let bench = Bench::new(Numbers::of(&[]), |_| {});
    bench.put(1, "one").await;
    let large = "+".repeat(600 << 10);
    bench
        .cache
        .enrich(&1, |held| Some(format!("{held}{large}")));
    assert_eq!(**bench.cache.peek(&1).unwrap(), "one");
}

#[tokio::test(start_paused = true)]
async fn what_is_derived_stays_while_the_value_is_confirmed() {
    let bench = Bench::new(Numbers::gated(&[(1, "one")]), |_| {});
    bench.open_gate(1);
    bench.get(1).await.unwrap();
    *bench.cache.source().unchanged.lock().unwrap() = true;
    tokio::time::sleep(Duration::from_secs(105)).await;

    let asked_at = bench.clock.now();
    assert_eq!(bench.get(1).await, ok("one", Outcome::Stale));
    bench.settle().await;
    bench
        .cache
        .enrich(&1, |held| Some(format!("{held}+derived")));
    bench.open_gate(1);
    bench.settle().await;
    let held = bench.cache.peek(&1).unwrap();
    assert_eq!((held.as_str(), held.as_of()), ("one+derived", asked_at));

    let listing = bench.cache.begin_listing();
    bench
        .cache
        .confirm(&listing, &1, "one".to_owned(), bench.clock.now());
    assert_eq!(**bench.cache.peek(&1).unwrap(), "one+derived");
}

#[tokio::test(start_paused = true)]
async fn the_recently_read_survive() {
    let bench = Bench::new(Numbers::of(&[]), |config| config.max_bytes = 1 << 20);
    for key in 0..100 {
        bench.put(key, "favourite").await;
    }
    for key in 100..20_000 {
        bench.put(key, &"passing".repeat(20)).await;
        if let Some(favourite) = bench.cache.inner.tiers.get(&(key % 100)) {
            drop(favourite);
        }
    }
    let kept = (0..100)
        .filter(|key| bench.cache.peek(key).is_some())
        .count();
    assert!(kept >= 95, "{kept} of 100 favourites survived");
}

#[tokio::test(start_paused = true)]
async fn a_restart_serves_from_the_store_with_the_true_age() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let bench = Bench::persistent(clock, dir.path(), &[(1, "one"), (2, "two")]);
    bench.cache.restored().await;
    bench.get(1).await.unwrap();
    bench.get(2).await.unwrap();
    bench.cache.distrust(&2, Trust::Doubted);
    bench.cache.note(b"noted".to_vec());
    bench.cache.close_store().await;

    // Down for a minute: the age goes on counting.
    let later = Clock::starting_at(clock.now() + Duration::from_secs(60));
    let bench = Bench::persistent(later, dir.path(), &[]);
    bench.cache.restored().await;
    let restored = bench
        .cache
        .source()
        .restored
        .lock()
        .unwrap()
        .clone()
        .unwrap();
    assert_eq!(
        restored,
        Restored {
            rows: 2,
            clean: true,
            note: Some(b"noted".to_vec())
        }
    );
    bench.assert_told(0..4);
    let served = bench.cache.get(&1, ()).await.unwrap();
    assert_eq!((served.outcome, bench.loads()), (Outcome::Hit, 0));
    assert!(
        served.remaining <= Duration::from_secs(40),
        "{:?}",
        served.remaining
    );
    assert_eq!(bench.cache.inspect(&2).unwrap().trust, "doubted");
    bench.cache.close_store().await;

    // Down for longer than window + grace: nothing may answer.
    let much_later = Clock::starting_at(clock.now() + Duration::from_secs(2000));
    let bench = Bench::persistent(much_later, dir.path(), &[]);
    bench.cache.restored().await;
    assert_eq!(bench.get(1).await, Err(Outcome::Miss));
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_makes_entries_stale_but_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let bench = Bench::persistent(clock, dir.path(), &[(1, "one")]);
    bench.get(1).await.unwrap();
    bench.cache.close_store().await;
    let earlier = Moment::from_millis(clock.now().as_millis() - 86_400_000);
    let bench = Bench::persistent(Clock::starting_at(earlier), dir.path(), &[(1, "one")]);
    bench.cache.restored().await;
    assert_eq!(bench.get(1).await, ok("one", Outcome::Stale));
    bench.settle().await;
    assert_eq!(bench.get(1).await, ok("one", Outcome::Hit));
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn after_an_unclean_stop_entries_answer_as_stale_until_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let bench = Bench::persistent(clock, dir.path(), &[(1, "one"), (2, "two")]);
    bench.get(1).await.unwrap();
    bench.get(2).await.unwrap();
    assert!(bench.cache.flush().await);
    // What a kill would leave behind:
    copy_dir(dir.path(), copy.path());
    bench.cache.close_store().await;

    let bench = Bench::persistent(clock, copy.path(), &[(1, "one"), (2, "two")]);
    bench.cache.restored().await;
    assert!(
        !bench
            .cache
            .source()
            .restored
            .lock()
            .unwrap()
            .as_ref()
            .unwrap()
            .clean
    );
    assert_eq!(bench.get(1).await, ok("one", Outcome::Stale));
    let listing = bench.cache.begin_listing();
    bench
        .cache
        .confirm(&listing, &2, "two".to_owned(), bench.clock.now());
    assert_eq!(bench.get(2).await, ok("two", Outcome::Hit));
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_or_evicted_does_not_come_back_from_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let bench = Bench::persistent(clock, dir.path(), &[(1, "one"), (2, "two"), (3, "three")]);
    for key in 1..=3 {
        bench.get(key).await.unwrap();
    }
    bench.cache.flush().await;
    bench
        .cache
        .write(Some(1), async { (Change::Gone(1, ()), ()) })
        .await
        .unwrap();
    bench.cache.purge(&2);
    bench.cache.close_store().await;
    let bench = Bench::persistent(clock, dir.path(), &[]);
    bench.cache.restored().await;
    let held: Vec<_> = (1..=3)
        .filter(|key| bench.cache.peek(key).is_some())
        .collect();
    assert_eq!(held, [3]);
    let known = bench.known();
    assert_eq!(known, [2, 3], "a purged key is still known to exist");
    assert_eq!(bench.summary(2), Some("summary of two".to_owned()));
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_live_on_disk_is_told_with_each_flush() {
    let dir = tempfile::tempdir().unwrap();
    let long = "long".repeat(1000);
    let bench = Bench::persistent(Clock::start(), dir.path(), &[(1, &long), (2, "two")]);
    bench.cache.restored().await;
    let live = async || {
        assert!(bench.cache.flush().await);
        let stats = bench.cache.stats();
        assert!(stats.store_bytes > 0);
        stats.store_live_bytes
    };
    bench.get(1).await.unwrap();
    bench.get(2).await.unwrap();
    let both = live().await;
    assert!((4_000..4_200).contains(&both), "{both}");
    bench
        .cache
        .write(Some(1), async { (Change::Gone(1, ()), ()) })
        .await
        .unwrap();
    let small = live().await;
    assert!((1..200).contains(&small), "{small}");
    bench.cache.close_store().await;
}

/// Whatever a value's way out of memory, or past it, its summary is there after a restart.
#[tokio::test(start_paused = true)]
async fn values_that_are_not_held_leave_their_summaries_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let small = |source: Numbers, dir: &Path| {
        Bench::at(clock, source, |config| {
            config.dir = Some(dir.to_owned());
            config.max_bytes = 1 << 20;
            config.max_entry_bytes = 64 << 10;
        })
    };
    let bench = small(Numbers::of(&[]), dir.path());
    bench.cache.restored().await;
    let value = |key: u32, version: u32| format!("{key}.{version} {}", "x".repeat(4000));
    let mut version = 0;
    let list = |bench: &Bench, keys: std::ops::Range<u32>, version| {
        let listing = bench.cache.begin_listing();
        for key in keys {
            let as_of = bench.clock.now();
            bench
                .cache
                .confirm(&listing, &key, value(key, version), as_of);
        }
    };
    let expect = |bench: &Bench, key: u32, version: u32| {
        let expected = format!("summary of {}", value(key, version));
        assert_eq!(bench.summary(key).as_deref(), Some(&*expected), "key {key}");
    };
    // More than fits: the last ones were never held.
    list(&bench, 0..1000, version);
    assert!(bench.cache.entries() < 300);
    bench.cache.flush().await;
    // Written, and evicted again before or after they were saved.
    for key in 500..900 {
        bench.put(key, &value(key, 7)).await;
        if key == 700 {
            bench.cache.flush().await;
        }
    }
    bench.put(900, &"y".repeat(70 << 10)).await;
    // Confirmed as they are, confirmed as others, purged.
    list(&bench, 920..940, version);
    version = 8;
    list(&bench, 940..960, version);
    bench.cache.purge(&899);
    bench.assert_told(0..1_000);
    bench.cache.close_store().await;

    let bench = small(Numbers::of(&[]), dir.path());
    bench.cache.restored().await;
    for key in (0..1000).filter(|key| *key != 900) {
        let version = match key {
            500..900 => 7,
            940..960 => 8,
            _ => 0,
        };
        expect(&bench, key, version);
    }
    assert_eq!(
        bench.summary(900),
        Some(format!("summary of {}", "y".repeat(70 << 10)))
    );
    bench.assert_told(0..1_000);
    assert_eq!(*bench.cache.source().lacking.lock().unwrap(), 0);
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_started_anew_gets_its_summaries_from_the_next_listing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    // What lies there is not to be used.
    let others = Bench::at(clock, Numbers::of(&[(2, "two")]), |config| {
        config.dir = Some(dir.path().to_owned());
        config.lineage = "others".to_owned();
    });
    others.cache.restored().await;
    others.get(2).await.unwrap();
    others.cache.close_store().await;
    let bench = Bench::closed(clock, Numbers::of(&[]), |config| {
        config.dir = Some(dir.path().to_owned());
    });
    // Too heavy to be held.
    let value = "x".repeat(300 << 10);
    let list = || {
        let listing = bench.cache.begin_listing();
        let as_of = bench.clock.now();
        let value = value.clone();
        bench.cache.confirm(&listing, &1, value, as_of);
        bench.cache.listed();
    };
    list();
    bench.cache.open_store().unwrap();
    bench.cache.restored().await;
    let lacking = *bench.cache.source().lacking.lock().unwrap();
    assert_eq!(lacking, 1, "a listing is asked for");
    list();
    bench.cache.close_store().await;
    let bench = Bench::persistent(clock, dir.path(), &[]);
    bench.cache.restored().await;
    assert_eq!(bench.summary(1), Some(format!("summary of {value}")));
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_of_another_lineage_is_discarded() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::persistent(Clock::start(), dir.path(), &[(1, "one")]);
    bench.get(1).await.unwrap();
    bench.cache.close_store().await;
    let bench = Bench::new(Numbers::of(&[(1, "another")]), |config| {
        config.dir = Some(dir.path().to_owned());
        config.lineage = "others".to_owned();
    });
    bench.cache.restored().await;
    assert_eq!(bench.get(1).await, ok("another", Outcome::Miss));
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_process_runs_from_memory_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = Bench::persistent(Clock::start(), dir.path(), &[(1, "one")]);
    first.cache.restored().await;
    first.get(1).await.unwrap();
    let second = Bench::persistent(Clock::start(), dir.path(), &[(1, "one")]);
    second.cache.restored().await;
    assert_eq!(
        second.cache.store_status(),
        StoreStatus::Down(StoreError::Locked)
    );
    assert_eq!(second.get(1).await, ok("one", Outcome::Miss));
    assert!(!second.cache.flush().await);
    assert!(first.cache.flush().await);
    second.cache.close_store().await;
    first.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_damage_costs_a_warm_up_and_nothing_else() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("garbage database", |store| {
            std::fs::write(store.join("db"), vec![0xAB; 70_000]).unwrap()
        }),
        ("empty database", |store| {
            std::fs::write(store.join("db"), []).unwrap()
        }),
        ("truncated database", |store| {
            let file = std::fs::OpenOptions::new()
                .write(true)
                .open(store.join("db"))
                .unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length / 2).unwrap();
        }),
        ("garbage configuration", |store| {
            std::fs::write(store.join("conf"), b"garbage").unwrap()
        }),
        ("flipped bits", |store| {
            let mut bytes = std::fs::read(store.join("db")).unwrap();
            for byte in bytes.iter_mut().step_by(97) {
                *byte ^= 0x55;
            }
            std::fs::write(store.join("db"), bytes).unwrap();
        }),
        ("removed directory", |store| {
            std::fs::remove_dir_all(store).unwrap()
        }),
    ];
    for (name, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        let truth: Vec<(u32, &str)> = (0..500).map(|key| (key, "value")).collect();
        let bench = Bench::persistent(Clock::start(), dir.path(), &truth);
        for (key, _) in &truth {
            bench.get(*key).await.unwrap();
        }
        bench.cache.close_store().await;
        damage(&dir.path().join("store-000001"));

        let bench = Bench::persistent(Clock::start(), dir.path(), &truth);
        bench.cache.restored().await;
        for (key, value) in &truth {
            assert_eq!(bench.get(*key).await.unwrap().0, *value, "{name}");
        }
        assert!(
            bench.cache.flush().await,
            "{name}: {:?}",
            bench.cache.store_status()
        );
        // What a listing pass says at its end.
        bench.cache.listed();
        bench.cache.close_store().await;

        let bench = Bench::persistent(Clock::start(), dir.path(), &truth);
        bench.cache.restored().await;
        assert_eq!(
            bench.get(7).await,
            ok("value", Outcome::Hit),
            "{name}: rebuilt"
        );
        bench.cache.close_store().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_can_not_be_used_leaves_a_service_without_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let bench = Bench::persistent(Clock::start(), &file, &[(1, "one")]);
    bench.cache.restored().await;
    assert!(matches!(
        bench.cache.store_status(),
        StoreStatus::Down(StoreError::Unusable(_))
    ));
    assert_eq!(bench.get(1).await, ok("one", Outcome::Miss));
    assert_eq!(bench.get(1).await, ok("one", Outcome::Hit));
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_fence_remembers_nothing() {
    let bench = Bench::new(Numbers::of(&[(1, "one")]), |_| {});
    let listing = bench.cache.begin_listing();
    for key in 0..5_000 {
        bench.put(key, "value").await;
    }
    assert_eq!(bench.cache.inner.fence.remembered(), 5_000);
    drop(listing);
    assert_eq!(bench.cache.inner.fence.remembered(), 0);
    let room = bench.cache.inner.fence.room();
    assert!(room < 2_000, "{room}");
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_failed_keeps_no_listing_from_confirming_its_key() {
    let bench = Bench::new(Numbers::of(&[(1, "one")]), |_| {});
    let listing = bench.cache.begin_listing();
    bench.down(true);
    bench.get(1).await.unwrap_err();
    let as_of = bench.clock.now();
    bench.cache.confirm(&listing, &1, "one".to_owned(), as_of);
    assert_eq!(bench.get(1).await, ok("one", Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn what_a_listing_may_not_confirm_is_still_known_to_exist_unless_it_was_removed() {
    let bench = Bench::new(Numbers::of(&[]), |_| {});
    let listing = bench.cache.begin_listing();
    let as_of = bench.clock.now();
    bench.cache.purge(&1);
    let gone = async { (Change::Gone(2, ()), ()) };
    bench.cache.write(Some(2), gone).await.unwrap();
    bench.cache.mark("none has this".to_owned());
    for key in 1..=3 {
        bench.cache.confirm(&listing, &key, "old".to_owned(), as_of);
        assert!(bench.cache.peek(&key).is_none(), "{key}");
    }
    let known = bench.known();
    assert_eq!(known, [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_was_invalidated_meanwhile_answers_its_waiters_and_no_one_else() {
    let bench = Arc::new(Bench::new(Numbers::gated(&[(1, "old")]), |_| {}));
    bench.open_gate(1);
    bench.get(1).await.unwrap();
    secs(1200).await;
    // Expired by now; a newer value is loaded, and doubted before it lands.
    bench.truth(1, Some("newer"));
    let reader = Arc::clone(&bench);
    let slow = bench
        .cache
        .inner
        .tasks
        .spawn(async move { reader.get(1).await });
    bench.settle().await;
    bench.cache.distrust(&1, Trust::Doubted);
    bench.open_gate(1);
    let answer = slow.await.unwrap().unwrap().0;
    assert_eq!(answer, "newer", "never the expired one");
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_while_the_store_is_opened_is_not_undone_by_restoring_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let truth: Vec<(u32, &str)> = (0..2000).map(|key| (key, "old")).collect();
    let bench = Bench::persistent(clock, dir.path(), &truth);
    for (key, _) in &truth {
        bench.get(*key).await.unwrap();
    }
    bench.cache.close_store().await;

    let bench = Bench::persistent(clock, dir.path(), &truth);
    // Before it is restored, most likely before it is open.
    let gone = async { (Change::Gone(1, ()), ()) };
    bench.cache.write(Some(1), gone).await.unwrap();
    bench.put(2, "new").await;
    bench.cache.purge(&3);
    bench.cache.restored().await;
    assert_eq!(bench.get(1).await, Err(Outcome::Negative));
    assert_eq!(bench.get(2).await, ok("new", Outcome::Hit));
    assert_eq!(bench.get(3).await, ok("old", Outcome::Miss));
    assert_eq!(bench.get(4).await, ok("old", Outcome::Hit));
    bench.cache.purge(&5);
    bench.cache.close_store().await;

    let bench = Bench::persistent(clock, dir.path(), &[]);
    bench.cache.restored().await;
    assert!(bench.cache.peek(&1).is_none() && bench.cache.peek(&5).is_none());
    let known = bench.cache.source().known.lock().unwrap().len();
    assert_eq!(known, 1999, "all but the one that was removed");
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn clearing_everything_while_the_store_is_opened_leaves_no_value_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let truth: Vec<(u32, &str)> = (0..500).map(|key| (key, "old")).collect();
    let bench = Bench::persistent(clock, dir.path(), &truth);
    for (key, _) in &truth {
        bench.get(*key).await.unwrap();
    }
    bench.cache.close_store().await;
    for _ in 0..2 {
        let bench = Bench::persistent(clock, dir.path(), &[]);
        bench.cache.purge_all();
        bench.cache.restored().await;
        assert_eq!(bench.cache.entries(), 0);
        assert_eq!(bench.cache.source().known.lock().unwrap().len(), 500);
        bench.cache.close_store().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_does_not_vouch_for_what_an_unclean_one_left() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Clock::start();
    let bench = Bench::persistent(clock, dir.path(), &[(1, "one")]);
    bench.get(1).await.unwrap();
    assert!(bench.cache.flush().await);
    copy_dir(dir.path(), copy.path());
    bench.cache.close_store().await;
    for listed in [false, true] {
        let bench = Bench::persistent(clock, copy.path(), &[(1, "one")]);
        bench.down(true);
        bench.cache.restored().await;
        assert_eq!(bench.get(1).await, ok("one", Outcome::Stale));
        if listed {
            let listing = bench.cache.begin_listing();
            let as_of = bench.clock.now();
            bench.cache.confirm(&listing, &1, "one".to_owned(), as_of);
            bench.cache.listed();
        }
        bench.cache.close_store().await;
    }
    let bench = Bench::persistent(clock, copy.path(), &[]);
    bench.cache.restored().await;
    assert_eq!(bench.get(1).await, ok("one", Outcome::Hit));
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_another_process_leaves_in_time_is_restored_after_all() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let first = Bench::persistent(clock, dir.path(), &[(1, "one")]);
    first.cache.restored().await;
    first.get(1).await.unwrap();
    let second = Bench::persistent(clock, dir.path(), &[]);
    second.cache.restored().await;
    assert_eq!(
        second.cache.store_status(),
        StoreStatus::Down(StoreError::Locked)
    );
    first.cache.close_store().await;
    // It tries again each second, in real time.
    let store = Arc::clone(&second.cache.inner.store);
    let up = tokio::task::spawn_blocking(move || {
        (0..100).any(|_| {
            std::thread::park_timeout(Duration::from_millis(100));
            store.status() == StoreStatus::Up
        })
    });
    assert!(up.await.unwrap(), "{:?}", second.cache.store_status());
    assert_eq!(second.get(1).await, ok("one", Outcome::Hit));
    second.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_can_not_be_opened_is_waited_for_only_while_little_changes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let bench = Bench::persistent(Clock::start(), &file, &[]);
    bench.cache.restored().await;
    let listing = bench.cache.begin_listing();
    let as_of = bench.clock.now();
    for key in 0..=u32::try_from(MANY_MARKS).unwrap() {
        let value = String::new();
        bench.cache.confirm(&listing, &key, value, as_of);
    }
    drop(listing);
    // It tries again each second, in real time.
    let cache = bench.cache.clone();
    let forgotten = tokio::task::spawn_blocking(move || {
        (0..100).any(|_| {
            std::thread::park_timeout(Duration::from_millis(100));
            cache.inner.tiers.journal.len() == 0
        })
    });
    assert!(forgotten.await.unwrap());
    assert_eq!(bench.cache.inner.fence.remembered(), 0);
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_held_is_usable_once_all_of_it_has_expired() {
    let bench = Bench::new(Numbers::of(&[(1, "one")]), |_| {});
    assert!(!bench.cache.has_usable());
    bench.get(1).await.unwrap();
    secs(1100).await;
    assert!(bench.cache.has_usable(), "as stale");
    secs(1).await;
    assert!(!bench.cache.has_usable());
}

#[tokio::test(start_paused = true)]
async fn a_read_while_the_store_is_opened_finds_what_lies_there_unless_it_was_purged() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let truth: Vec<(u32, &str)> = (0..3000).map(|key| (key, "old")).collect();
    let bench = Bench::persistent(clock, dir.path(), &truth);
    for (key, _) in &truth {
        bench.get(*key).await.unwrap();
    }
    bench.cache.close_store().await;
    for _ in 0..3 {
        let bench = Bench::persistent(clock, dir.path(), &[(2998, "new")]);
        bench.cache.purge(&2998);
        let (read, purged) = tokio::join!(bench.get(2999), bench.get(2998));
        assert_eq!(
            read,
            ok("old", Outcome::Miss),
            "from the store, before it is read to its end"
        );
        assert_eq!(purged, ok("new", Outcome::Miss));
        bench.cache.restored().await;
        assert_eq!(bench.get(2999).await, ok("old", Outcome::Hit));
        bench.cache.close_store().await;
    }
    let bench = Bench::persistent(clock, dir.path(), &[]);
    bench.cache.restored().await;
    assert_eq!(
        bench.get(2999).await,
        ok("old", Outcome::Hit),
        "what was read early is still on disk"
    );
    assert_eq!(bench.get(2998).await, ok("new", Outcome::Hit));
    assert_eq!(bench.loads(), 0);
    bench.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_key_was_not_known_beforehand_counts_from_when_it_was_done() {
    let bench = Arc::new(Bench::new(Numbers::gated(&[]), |_| {}));
    let as_of = bench.clock.now();
    let writer = Arc::clone(&bench);
    let write = bench.cache.inner.tasks.spawn(async move {
        let write = async move {
            secs(5).await;
            let value = "created".to_owned();
            (
                Change::Put {
                    key: 1,
                    value,
                    as_of,
                },
                (),
            )
        };
        writer.cache.write(None, write).await.unwrap();
    });
    bench.settle().await;
    // A read that began after the write did, and found nothing.
    let reader = Arc::clone(&bench);
    let read = bench
        .cache
        .inner
        .tasks
        .spawn(async move { reader.get(1).await });
    write.await.unwrap();
    bench.open_gate(1);
    assert_eq!(
        read.await.unwrap(),
        Err(Outcome::Miss),
        "its own waiter at most"
    );
    assert_eq!(bench.get(1).await, ok("created", Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn a_listing_does_not_wait_for_a_store_that_nobody_writes() {
    let dir = tempfile::tempdir().unwrap();
    let first = Bench::persistent(Clock::start(), dir.path(), &[]);
    first.cache.restored().await;
    let second = Bench::persistent(Clock::start(), dir.path(), &[]);
    second.cache.restored().await;
    let listing = second.cache.begin_listing();
    for key in 0..25_000 {
        second
            .cache
            .confirm(&listing, &key, "value".to_owned(), second.clock.now());
    }
    second.cache.room().await;
    assert_eq!(
        second.cache.store_status(),
        StoreStatus::Down(StoreError::Locked)
    );
    second.cache.close_store().await;
    first.cache.close_store().await;
}

//! Records: kept until they expire, on disk before anybody relies on them, and without a disk too.

use super::*;
use crate::cache::ledger::RecordKey;
use crate::cache::writer::Writer;
use bytes::Bytes;

const ONE: RecordKey = [1; 32];
const TWO: RecordKey = [2; 32];

impl Bench {
    async fn record(&self, key: RecordKey, text: &'static str, lasting_secs: u64) -> bool {
        let until = self.clock.now() + Duration::from_secs(lasting_secs);
        let bytes = Bytes::from_static(text.as_bytes());
        self.cache.record(key, bytes, until).await
    }

    async fn recorded(&self, key: RecordKey) -> Option<String> {
        let bytes = self.cache.recorded(key).await.unwrap()?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Opens the store as after all hope to restore from it is gone.
    fn open_late(&self) {
        let inner = &self.cache.inner;
        let (tiers, fence) = (Arc::clone(&inner.tiers), Arc::clone(&inner.fence));
        let dir = tiers.config.dir.clone().unwrap();
        let mut writer = Writer::new(tiers, fence, Arc::clone(&inner.store), self.clock, dir);
        writer.give_up_restoring();
        let closed = inner.store.running();
        std::thread::spawn(move || {
            writer.run();
            drop(closed);
        });
    }

    /// Waits for a store that was started anew to be in use.
    async fn flushed(&self) {
        while !self.cache.flush().await {
            tokio::task::yield_now().await;
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&copy).unwrap();
            copy_all(&entry.path(), &copy);
        } else {
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn without_a_store_records_are_kept_in_memory_until_they_expire() {
    let bench = Bench::new(Numbers::default(), |_| {});
    assert!(!bench.record(ONE, "first", 10).await, "not on disk");
    assert_eq!(bench.recorded(ONE).await, some("first"));
    assert!(!bench.record(ONE, "again", 100).await);
    assert_eq!(bench.recorded(ONE).await, some("again"));
    assert_eq!(bench.recorded(TWO).await, None);
    secs(100).await;
    assert_eq!(bench.recorded(ONE).await, None);
}

#[tokio::test]
async fn a_record_is_on_disk_once_it_is_kept_whatever_becomes_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, wall) = (Clock::start(), Clock::start().now());
    let first = Bench::persistent(clock, dir.path(), &[]);
    first.cache.restored().await;
    assert!(first.record(ONE, "one", 60).await);
    assert!(first.record(TWO, "two", 600).await);
    // What a kill leaves: the files as they are now.
    let copy = tempfile::tempdir().unwrap();
    copy_all(dir.path(), copy.path());
    let clock = Clock::starting_at(wall + Duration::from_secs(120));
    let second = Bench::persistent(clock, copy.path(), &[]);
    // Nobody waited for the store: the look-up does.
    assert_eq!(second.recorded(TWO).await, some("two"));
    assert_eq!(second.recorded(ONE).await, None, "it expired meanwhile");
    first.cache.close_store().await;
    second.cache.close_store().await;
}

#[tokio::test]
async fn another_lineage_brings_no_records() {
    let dir = tempfile::tempdir().unwrap();
    let first = Bench::persistent(Clock::start(), dir.path(), &[]);
    first.cache.restored().await;
    assert!(first.record(ONE, "one", 60).await);
    first.cache.close_store().await;
    let other = Bench::at(Clock::start(), Numbers::default(), |config| {
        config.dir = Some(dir.path().to_owned());
        config.lineage = "letters".to_owned();
    });
    other.cache.restored().await;
    assert_eq!(other.recorded(ONE).await, None);
    other.cache.close_store().await;
}

#[tokio::test]
async fn a_store_that_is_started_anew_gets_what_memory_holds() {
    let dir = tempfile::tempdir().unwrap();
    let first = Bench::persistent(Clock::start(), dir.path(), &[(1, "one")]);
    first.cache.restored().await;
    first.put(1, "one").await;
    assert!(first.record(ONE, "one", 600).await);
    first.cache.close_store().await;
    std::fs::write(dir.path().join("store-000001/db"), vec![0xAB; 70_000]).unwrap();

    let second = Bench::persistent(Clock::start(), dir.path(), &[]);
    second.record(TWO, "two", 600).await;
    second.cache.restored().await;
    assert_eq!(second.recorded(ONE).await, None, "it was moved aside");
    assert_eq!(second.recorded(TWO).await, some("two"));
    second.flushed().await;
    second.cache.close_store().await;

    let third = Bench::persistent(Clock::start(), dir.path(), &[]);
    third.cache.restored().await;
    assert_eq!(third.recorded(TWO).await, some("two"));
    third.cache.close_store().await;
}

#[tokio::test]
async fn a_store_that_is_given_up_leaves_its_records_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let first = Bench::persistent(Clock::start(), dir.path(), &[]);
    first.cache.restored().await;
    assert!(first.record(ONE, "one", 600).await);
    assert!(first.record(TWO, "two", 600).await);
    first.cache.close_store().await;

    let late = Bench::closed(Clock::start(), Numbers::default(), |config| {
        config.dir = Some(dir.path().to_owned());
    });
    late.record(TWO, "newer", 600).await;
    late.open_late();
    late.flushed().await;
    assert!(!dir.path().join("store-000001").exists(), "it was given up");
    late.cache.close_store().await;

    let third = Bench::persistent(Clock::start(), dir.path(), &[]);
    third.cache.restored().await;
    assert_eq!(third.recorded(ONE).await, some("one"));
    assert_eq!(third.recorded(TWO).await, some("newer"));
    third.cache.close_store().await;
}

#[tokio::test]
async fn a_store_that_can_not_be_read_is_no_store_without_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "no directory").unwrap();
    let bench = Bench::persistent(Clock::start(), &file, &[]);
    bench.cache.restored().await;
    assert!(bench.cache.recorded(ONE).await.is_err());
    bench.record(ONE, "one", 60).await;
    assert_eq!(bench.recorded(ONE).await, some("one"), "memory has it");
    bench.cache.close_store().await;
}

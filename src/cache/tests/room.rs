//! What else takes memory, and that it is taken off what entries get.

use super::*;

/// So many products of a listing, all alike but for their key.
fn list(bench: &Bench, keys: std::ops::Range<u32>, length: usize) {
    let listing = bench.cache.begin_listing();
    for key in keys {
        let (value, as_of) = (format!("{key} {}", "x".repeat(length)), bench.clock.now());
        bench.cache.confirm(&listing, &key, value, as_of);
    }
}

fn held(bench: &Bench) -> Vec<u32> {
    (0..31_000)
        .filter(|key| bench.cache.peek(key).is_some())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_the_store_and_its_queue_take_in_memory_counts_against_the_cap() {
    let dir = tempfile::tempdir().unwrap();
    let without = Bench::new(Numbers::of(&[]), |config| config.max_bytes = 4 << 20);
    let with = Bench::at(Clock::start(), Numbers::of(&[]), |config| {
        config.max_bytes = 4 << 20;
        config.dir = Some(dir.path().to_owned());
    });
    with.cache.restored().await;
    for bench in [&without, &with] {
        list(bench, 0..5_000, 100);
        bench.cache.flush().await;
        // Whoever keeps something next makes the room that the store has come to take.
        bench.put(0, "other").await;
    }
    let of = |bench: &Bench| (bench.cache.stats().entries, bench.cache.stats().bytes);
    let ((fewer, more_bytes), (entries, bytes)) = (of(&with), of(&without));
    assert_eq!((fewer, entries), (5_000, 5_000), "all of it fits");
    assert!(more_bytes >= bytes + 5_000 * 36, "{more_bytes} {bytes}");

    for bench in [&without, &with] {
        list(bench, 5_000..30_000, 100);
        bench.cache.flush().await;
        bench.put(0, "another").await;
        assert!(bench.cache.stats().bytes <= 4 << 20);
    }
    let ((fewer, _), (entries, _)) = (of(&with), of(&without));
    // 36 bytes a row are 1.08 MB, of entries of some 250 bytes.
    assert!(fewer + 3_500 < entries, "{fewer} {entries}");
    with.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn where_the_source_remembers_nothing_the_store_has_what_is_held_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let start = |dir: &Path| {
        Bench::at(clock, Numbers::of(&[]), |config| {
            config.max_bytes = 2 << 20;
            config.dir = Some(dir.to_owned());
        })
    };
    let bench = start(dir.path());
    bench.cache.restored().await;
    list(&bench, 0..20_000, 400);
    bench.cache.note(b"that is all".to_vec());
    bench.cache.flush().await;
    let rows = |bench: &Bench| bench.cache.stats().store_live_bytes / 400;
    assert!(rows(&bench) > 19_000, "{}", rows(&bench));

    bench.cache.source().forgets.store(true, Ordering::SeqCst);
    list(&bench, 20_000..22_000, 400);
    for key in 30_000..30_100 {
        bench.put(key, &"y".repeat(400)).await;
    }
    bench.cache.flush().await;
    // The writer sees it with its next flush.
    for _ in 0..100 {
        bench.put(30_000, &"z".repeat(400)).await;
        bench.cache.flush().await;
        if rows(&bench) < 6_000 {
            break;
        }
        let pause = || std::thread::park_timeout(Duration::from_millis(50));
        tokio::task::spawn_blocking(pause).await.unwrap();
    }
    assert!(rows(&bench) < 6_000, "{}", rows(&bench));
    let held = held(&bench);
    assert!(held.len() > 500, "{}", held.len());
    bench.cache.close_store().await;
    let left = self::held(&bench);

    let bench = start(dir.path());
    bench.cache.restored().await;
    let known = bench.known();
    // Stopping may cost a few more their place.
    let unheld = known.iter().filter(|key| !held.contains(key)).count();
    assert_eq!(
        unheld,
        0,
        "of {} known, {} were held",
        known.len(),
        held.len()
    );
    assert!(left.iter().all(|key| known.contains(key)));
    assert!(left.len() > held.len() / 2);
    let restored = bench.cache.source().restored.lock().unwrap().clone();
    assert_eq!(restored.unwrap().note, None, "it is not all any more");
    bench.cache.close_store().await;
}

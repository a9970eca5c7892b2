//! Broad invalidations: by tag and time, compared on read.

use super::*;

const TRUTH: [(u32, &str); 4] = [(1, "a one"), (2, "a two"), (3, "b three"), (4, "b four")];

async fn outcomes(bench: &Bench) -> [Outcome; 4] {
    let mut outcomes = [Outcome::Error; 4];
    for (key, outcome) in (1..).zip(&mut outcomes) {
        *outcome = match bench.get(key).await {
            Ok((_, outcome)) | Err(outcome) => outcome,
        };
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn a_mark_makes_stale_what_has_its_tag_and_is_older_and_a_newer_value_heals_it() {
    let bench = Bench::new(Numbers::of(&TRUTH), |_| {});
    outcomes(&bench).await;
    // Loads behind readers' backs would heal it too.
    bench.down(true);
    bench.cache.mark("a".to_owned());
    use Outcome::{Hit, Stale};
    assert_eq!(outcomes(&bench).await, [Stale, Stale, Hit, Hit]);
    let listing = bench.cache.begin_listing();
    let as_of = bench.clock.now();
    bench.cache.confirm(&listing, &1, "a one".to_owned(), as_of);
    bench.cache.confirm(&listing, &2, "a new".to_owned(), as_of);
    assert_eq!(outcomes(&bench).await, [Hit; 4]);
    bench.put(3, "a third").await;
    assert_eq!(bench.get(3).await, ok("a third", Hit));
    bench.cache.mark("b".to_owned());
    assert_eq!(outcomes(&bench).await, [Hit, Hit, Hit, Stale]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_began_before_a_mark_does_not_outlive_it() {
    let bench = Bench::new(Numbers::of(&TRUTH), |_| {});
    let (listing, as_of) = (bench.cache.begin_listing(), bench.clock.now());
    bench.cache.mark("a".to_owned());
    bench.cache.confirm(&listing, &1, "a old".to_owned(), as_of);
    assert!(bench.cache.peek(&1).is_none());
    assert_eq!(bench.get(1).await, ok("a one", Outcome::Miss));
    assert_eq!(bench.get(1).await, ok("a one", Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn marks_count_for_what_lies_on_disk_until_a_listing_has_confirmed_it() {
    use Outcome::{Hit, Stale};
    let dir = tempfile::tempdir().unwrap();
    let open = async |clock: Clock| {
        let bench = Bench::persistent(clock, dir.path(), &TRUTH);
        bench.cache.restored().await;
        bench
    };
    let first = open(Clock::start()).await;
    outcomes(&first).await;
    first.cache.mark("a".to_owned());
    first.cache.close_store().await;

    let second = open(Clock::starting_at(first.clock.now())).await;
    second.down(true);
    assert_eq!(outcomes(&second).await, [Stale, Stale, Hit, Hit]);
    let (upto, listing) = (second.cache.newest_mark(), second.cache.begin_listing());
    let as_of = second.clock.now();
    second
        .cache
        .confirm(&listing, &1, "a one".to_owned(), as_of);
    // The second one is listed in a form that can not be used.
    second.cache.unmark(upto);
    assert_eq!(outcomes(&second).await, [Hit, Stale, Hit, Hit]);
    second.cache.close_store().await;

    let third = open(Clock::starting_at(second.clock.now())).await;
    third.down(true);
    assert_eq!(outcomes(&third).await, [Hit, Stale, Hit, Hit]);
    assert_eq!(third.cache.newest_mark(), 0, "the marks are gone");
    third.cache.close_store().await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_made_while_a_listing_runs_is_not_dropped_with_it() {
    let bench = Bench::new(Numbers::of(&TRUTH), |_| {});
    outcomes(&bench).await;
    bench.cache.mark("b".to_owned());
    let upto = bench.cache.newest_mark();
    bench.cache.mark("a".to_owned());
    bench.cache.unmark(upto);
    bench.down(true);
    assert_eq!(
        bench.get(1).await.map(|(_, outcome)| outcome),
        Ok(Outcome::Stale)
    );
    assert!(bench.cache.newest_mark() > upto);
}

//! Events as those see them who emit and who follow.

use super::*;

fn key(number: usize) -> Event {
    Event::of(EventKind::Invalidation).key(number.to_string())
}

fn keys(batch: &Batch) -> Vec<&str> {
    let keys = batch.events.iter().map(|event| event.key.as_deref());
    keys.map(Option::unwrap).collect()
}

/// All that can be read without waiting.
async fn drained(follower: &mut Follower) -> (Vec<Missed>, Vec<Arc<Event>>) {
    let (mut missed, mut events) = (Vec::new(), Vec::new());
    while let Ok(batch) = tokio::time::timeout(Duration::ZERO, follower.next()).await {
        missed.extend(batch.missed);
        events.extend(batch.events);
    }
    (missed, events)
}

#[tokio::test(start_paused = true)]
async fn a_follower_gets_what_comes_after_it_in_order() {
    let events = Events::new();
    events.emit(key(0));
    let mut follower = events.follow(None);
    let waiting = tokio::time::timeout(Duration::from_secs(60), follower.next()).await;
    assert!(waiting.is_err(), "there is nothing yet");
    let emitting = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        events.emit(key(1));
        events.emit(key(2));
    };
    let (batch, ()) = tokio::join!(follower.next(), emitting);
    assert_eq!((keys(&batch), batch.missed), (vec!["1", "2"], None));
    assert_eq!(batch.events[1].id, follower.upto());
    let passed = batch.events[0].at_millis - events.0.started_millis;
    assert_eq!(passed, 61_000, "events are dated as the process runs");
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_gets_exactly_what_was_missed() {
    let events = Events::new();
    let mut follower = events.follow(None);
    for number in 0..100 {
        events.emit(key(number));
    }
    let (_, seen) = drained(&mut follower).await;
    assert_eq!(seen.len(), 100);
    for (at, event) in seen.iter().enumerate() {
        let (missed, rest) = drained(&mut events.follow(Some(event.id))).await;
        assert_eq!((missed, &rest[..]), (vec![], &seen[at + 1..]));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_any_more_is_counted() {
    let events = Events::new();
    let mut slow = events.follow(None);
    let start = slow.upto();
    for number in 0..KEPT + 10 {
        events.emit(key(number));
    }
    let mut back = events.follow(Some(start + 3));
    assert_eq!(slow.next().await.missed, Some(Missed::Count(10)));
    let (missed, seen) = drained(&mut back).await;
    assert_eq!(missed, [Missed::Count(7)]);
    assert_eq!(seen.len(), KEPT);
    assert_eq!(seen[0].key.as_deref(), Some("10"));
}

#[tokio::test(start_paused = true)]
async fn a_place_of_another_process_is_known_as_such() {
    let events = Events::new();
    events.emit(key(1));
    let last = events.follow(None).upto();
    let first = last - 1;
    for (after, expected) in [
        (0, vec![Missed::Unknown]),
        (first - 1, vec![Missed::Unknown]),
        (last + 1, vec![Missed::Unknown]),
        (u64::MAX, vec![Missed::Unknown]),
        (first, vec![]),
    ] {
        let (missed, seen) = drained(&mut events.follow(Some(after))).await;
        assert_eq!((missed, seen.len()), (expected, 1), "{after}");
    }
    let (missed, seen) = drained(&mut events.follow(Some(last))).await;
    assert_eq!((missed.len(), seen.len()), (0, 0));
    // Whatever an earlier process gave is smaller, unless it gave a thousand in each millisecond.
    assert_eq!(last, events.0.started_millis * IDS_PER_MILLI);
    assert!(last < 1 << 53, "JavaScript tells such numbers apart");
}

#[tokio::test(start_paused = true)]
async fn of_a_storm_a_sample_is_told_and_how_many_were_left_out() {
    let events = Events::new();
    let mut follower = events.follow(None);
    for _ in 0..5_000 {
        events.emit_with(EventKind::CacheHit, |event| event.key("a"));
    }
    events.emit(key(1));
    let mut described = 0;
    for _ in 0..10 {
        events.emit_with(EventKind::CacheHit, |event| {
            described += 1;
            event
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    events.emit(Event::of(EventKind::CacheHit));
    assert_eq!(described, 0, "what is left out costs no description");
    let (_, seen) = drained(&mut follower).await;
    assert_eq!(seen.len(), 100 + 1 + 1);
    assert_eq!(seen[101].suppressed, 4_910);
}

#[tokio::test]
async fn a_listener_that_does_not_read_slows_nobody() {
    let events = Events::new();
    let idle: Vec<_> = (0..32).map(|_| events.follow(None)).collect();
    let began = Stopwatch::start();
    for number in 0..20_000 {
        events.emit(key(number));
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?} for 20,000 events");
    assert_eq!(events.0.ring().kept.len(), KEPT, "nor does it keep more");
    drop(idle);
}

#[test]
fn a_long_cause_is_cut_between_characters() {
    let event = Event::of(EventKind::Retry).cause("ä".repeat(1_000));
    let cause = event.cause.unwrap();
    assert_eq!(cause.chars().count(), LONGEST_CAUSE / 2 + 1);
    assert!(cause.ends_with('…'));
    let event = Event::of(EventKind::Retry).cause("short");
    assert_eq!(event.cause.as_deref(), Some("short"));
}

#[test]
fn every_kind_has_a_word_of_its_own_and_a_place() {
    for (at, kind) in EventKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, at);
        assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
        assert_eq!(EventKind::WORDS[at], kind.as_str());
    }
    assert_eq!(EventKind::parse("CacheHit"), None);
}

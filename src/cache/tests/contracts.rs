//! What is under a contract is never older than promised while the source is well, and else answered as
//! the contract says.

use super::*;
use crate::cache::{Contract, ContractStats, ContractsConfig, Degrade, Demand, Pattern};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A contract about every key: fresh within two seconds, three of grace.
fn contract(on_degrade: Degrade) -> Contract<String> {
    Contract {
        name: "all".into(),
        pattern: Pattern::Prefix(Box::default()),
        fresh_within: 2 * SECOND,
        grace_period: 3 * SECOND,
        on_degrade,
        refresh_from: None,
        fallback: (on_degrade == Degrade::ServeFallback).then(|| Arc::new("no".to_owned())),
        idle_after: Duration::ZERO,
    }
}

fn bench(source: Numbers, contracts: Vec<Contract<String>>) -> (Bench, CancellationToken) {
    let bench = Bench::new(source, |config| {
        config.contracts = Some(ContractsConfig::default());
    });
    bench.cache.govern(contracts);
    let (cache, stop) = (bench.cache.clone(), CancellationToken::new());
    let stopped = stop.clone();
    bench
        .cache
        .inner
        .tasks
        .spawn(async move { cache.keep_contracts(|| (), stopped).await });
    (bench, stop)
}

fn thousand() -> Numbers {
    let keys: Vec<(u32, &str)> = (0..1000).map(|key| (key, "v")).collect();
    Numbers::of(&keys)
}

impl Bench {
    fn stats(&self, name: &str) -> ContractStats {
        self.cache.contract_stats(name).unwrap()
    }

    fn latency(&self, latency: Duration) {
        *self.cache.source().latency.lock().unwrap() = latency;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_a_contract_is_refreshed_before_its_window_ends_and_read_without_waiting() {
    let (bench, _stop) = bench(thousand(), vec![contract(Degrade::ReturnError)]);
    bench.latency(millis(300));
    for key in 0..20 {
        bench.get(key).await.unwrap();
    }
    for _ in 0..600 {
        tokio::time::sleep(millis(100)).await;
        for key in 0..20 {
            let served = bench.cache.get(&key, ()).await.unwrap();
            assert_eq!(served.outcome, Outcome::Hit);
            assert_eq!(served.contract.as_deref(), Some("all"));
            assert!(bench.clock.now().since(served.entry.as_of()) <= 2 * SECOND);
        }
    }
    let stats = bench.stats("all");
    assert_eq!(stats.checks_fresh, stats.checks_total);
    assert!((stats.compliance_pct() - 100.0).abs() < f64::EPSILON);
    // Every 1,600 ms, found by a tick of 50 ms, and as of when it was asked for.
    let refreshes = stats.refreshes_triggered;
    assert!((20 * 35..=20 * 38).contains(&refreshes), "{refreshes}");
    assert_eq!(stats.keys, 20);
    let purposes = bench.cache.source().purposes.lock().unwrap();
    let refresh = Purpose::Refresh {
        within: 3 * SECOND,
        from: None,
    };
    assert_eq!(purposes.last(), Some(&refresh));
}

#[tokio::test(start_paused = true)]
async fn where_refreshing_fails_the_contract_decides_within_its_grace_and_nobody_after_it() {
    for (on_degrade, in_grace) in [
        (Degrade::ServeStale, Ok(("v".to_owned(), Outcome::Stale))),
        (Degrade::ReturnError, Err(Outcome::Error)),
        (
            Degrade::ServeFallback,
            Ok(("no 7".to_owned(), Outcome::Fallback)),
        ),
    ] {
        let (bench, _stop) = bench(thousand(), vec![contract(on_degrade)]);
        bench.get(7).await.unwrap();
        bench.down(true);
        tokio::time::sleep(millis(1990)).await;
        assert_eq!(bench.get(7).await.unwrap().1, Outcome::Hit);
        tokio::time::sleep(millis(20)).await;
        assert_eq!(bench.get(7).await, in_grace, "{on_degrade:?}");
        // A list has no stand-ins in it.
        let looked = bench.cache.look(&7, ()).await;
        assert_eq!(
            looked.is_ok(),
            on_degrade == Degrade::ServeStale,
            "{on_degrade:?}"
        );
        tokio::time::sleep(millis(2980)).await;
        assert_eq!(bench.get(7).await, in_grace, "{on_degrade:?}");
        assert_eq!(bench.stats("all").grace_exhausted, 0);
        tokio::time::sleep(millis(100)).await;
        assert_eq!(bench.get(7).await, Err(Outcome::Error), "{on_degrade:?}");
        tokio::time::sleep(10 * SECOND).await;
        assert_eq!(bench.stats("all").grace_exhausted, 1, "once an episode");
        bench.down(false);
        tokio::time::sleep(millis(1100)).await;
        assert_eq!(bench.get(7).await, Ok(("v".to_owned(), Outcome::Hit)));
        let stats = bench.stats("all");
        assert_eq!(stats.fresh, 1);
        assert!(stats.refreshes_failed > 10 && stats.checks_fresh < stats.checks_total);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_for_a_hanging_refresh_as_long_as_one_may_take_and_no_longer() {
    let (bench, _stop) = bench(thousand(), vec![contract(Degrade::ServeStale)]);
    bench.get(7).await.unwrap();
    bench.latency(1000 * SECOND);
    tokio::time::sleep(millis(2100)).await;
    let began = bench.clock.now();
    assert_eq!(bench.get(7).await.unwrap().1, Outcome::Stale);
    // Until grace ends: no use in waiting for what may not answer any more.
    let waited = bench.clock.now().since(began);
    assert!(
        waited >= millis(2800) && waited <= millis(3000),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_refreshes_are_under_way_than_may_be() {
    let (bench, _stop) = bench(thousand(), vec![contract(Degrade::ServeStale)]);
    for key in 0..200 {
        bench.get(key).await.unwrap();
    }
    bench.latency(millis(500));
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(bench.cache.source().flying.lock().unwrap().1, 32);
    *bench.cache.source().room.lock().unwrap() = Some(0);
    tokio::time::sleep(SECOND).await;
    let loads = bench.loads();
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(bench.loads(), loads, "the source has no room");
}

#[tokio::test(start_paused = true)]
async fn where_there_is_not_room_for_all_what_is_read_the_most_is_fresh() {
    let mut contracts = Vec::new();
    for key in 0..20_u32 {
        contracts.push(Contract {
            name: format!("c{key}").into(),
            pattern: Pattern::Exact(key.to_be_bytes().into()),
            ..contract(Degrade::ServeStale)
        });
    }
    let (bench, _stop) = bench(thousand(), contracts);
    for key in 0..20 {
        bench.get(key).await.unwrap();
    }
    // Room for one refresh every half second: five keys, not twenty.
    for round in 0..400 {
        *bench.cache.source().room.lock().unwrap() = Some(usize::from(round % 10 == 0));
        tokio::time::sleep(millis(50)).await;
        for key in 0..3 {
            let fresh = bench.cache.peek(&key).unwrap();
            if bench.clock.now().since(fresh.as_of()) <= 2 * SECOND {
                bench.get(key).await.unwrap();
            }
        }
    }
    let compliance = |key: usize| bench.stats(&format!("c{key}")).compliance_pct();
    for hot in 0..3 {
        assert!(compliance(hot) > 85.0, "{hot}: {}", compliance(hot));
        for cold in 3..20 {
            assert!(compliance(hot) > compliance(cold), "{hot} {cold}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_reads_is_not_refreshed_and_what_is_read_again_is() {
    let idle = Contract {
        idle_after: 5 * SECOND,
        ..contract(Degrade::ServeStale)
    };
    let (bench, _stop) = bench(thousand(), vec![idle]);
    for key in 0..100 {
        bench.get(key).await.unwrap();
    }
    tokio::time::sleep(20 * SECOND).await;
    let loads = bench.loads();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(bench.loads(), loads);
    assert_eq!(bench.stats("all").keys, 100);
    // Past its window, its reader waits; from then on it is kept fresh.
    assert_eq!(bench.get(7).await.unwrap().1, Outcome::Miss);
    for _ in 0..100 {
        tokio::time::sleep(millis(100)).await;
        assert_eq!(bench.get(7).await.unwrap().1, Outcome::Hit);
    }
    assert!((loads + 6..=loads + 8).contains(&bench.loads()));
}

#[tokio::test(start_paused = true)]
async fn what_leaves_the_cache_leaves_the_book_and_its_bytes_count() {
    let (bench, _stop) = bench(thousand(), vec![contract(Degrade::ServeStale)]);
    let before = bench.cache.stats().bytes;
    for key in 0..1000 {
        bench.get(key).await.unwrap();
    }
    assert_eq!(bench.stats("all").keys, 1000);
    assert!(bench.cache.stats().bytes > before + 1000 * 200);
    bench.cache.purge(&1);
    bench.truth(2, None);
    bench.cache.distrust(&2, Trust::Doubted);
    assert_eq!(bench.get(2).await, Err(Outcome::Miss));
    assert_eq!(bench.stats("all").keys, 998);
    bench.put(3, "w").await;
    assert_eq!(bench.stats("all").keys, 998);
    bench.cache.purge_all();
    assert_eq!((bench.stats("all").keys, bench.stats("all").fresh), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn contracts_come_and_go_over_what_is_held() {
    let (bench, _stop) = bench(thousand(), Vec::new());
    for key in 0..10 {
        bench.get(key).await.unwrap();
    }
    assert_eq!(bench.cache.contract_stats("all"), None);
    bench.cache.govern(vec![contract(Degrade::ServeStale)]);
    assert_eq!(bench.stats("all").keys, 10);
    let one = Contract {
        name: "one".into(),
        pattern: Pattern::Exact(7_u32.to_be_bytes().into()),
        ..contract(Degrade::ServeStale)
    };
    bench
        .cache
        .govern(vec![contract(Degrade::ServeStale), one.clone()]);
    assert_eq!((bench.stats("all").keys, bench.stats("one").keys), (9, 1));
    tokio::time::sleep(10 * SECOND).await;
    let kept = bench.stats("all").checks_total;
    bench.cache.govern(vec![contract(Degrade::ServeStale)]);
    assert!(kept > 1000 && bench.stats("all").checks_total == kept);
    assert_eq!(bench.stats("all").keys, 10);
    bench.cache.govern(Vec::new());
    let loads = bench.loads();
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(bench.loads(), loads);
    assert_eq!(
        bench.get(7).await.unwrap().1,
        Outcome::Hit,
        "a TTL of 100 s"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_doubted_or_not_confirmed_is_waited_for_under_a_contract() {
    let (bench, _stop) = bench(
        Numbers::of(&[(7, "old")]),
        vec![contract(Degrade::ReturnError)],
    );
    for trust in [Trust::Unconfirmed, Trust::Doubted] {
        bench.get(7).await.unwrap();
        bench.cache.distrust(&7, trust);
        bench.down(true);
        assert_eq!(bench.get(7).await, Err(Outcome::Error), "{trust:?}");
        bench.down(false);
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(bench.get(7).await.unwrap().1, Outcome::Hit, "{trust:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_soft_timeout_answers_with_the_old_value_while_the_load_goes_on() {
    let bench = Bench::new(Numbers::of(&[(7, "old")]), |config| {
        config.soft_timeout = Some(millis(50));
    });
    bench.get(7).await.unwrap();
    bench.latency(millis(400));
    bench.truth(7, Some("new"));
    tokio::time::sleep(150 * SECOND).await;
    let began = bench.clock.now();
    assert_eq!(bench.get(7).await, Ok(("old".to_owned(), Outcome::Stale)));
    assert_eq!(bench.clock.now().since(began), millis(50));
    tokio::time::sleep(millis(400)).await;
    assert_eq!(bench.get(7).await, Ok(("new".to_owned(), Outcome::Hit)));
    // What somebody said had changed is waited for.
    bench.truth(7, Some("newer"));
    bench.cache.distrust(&7, Trust::Doubted);
    assert_eq!(bench.get(7).await, Ok(("newer".to_owned(), Outcome::Miss)));
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_refreshed_ahead_once_and_what_is_not_read_is_not() {
    let bench = Bench::new(Numbers::of(&[(7, "v"), (8, "v")]), |_| ());
    bench.get(7).await.unwrap();
    bench.get(8).await.unwrap();
    bench.latency(SECOND);
    tokio::time::sleep(79 * SECOND).await;
    bench.get(7).await.unwrap();
    assert_eq!(bench.loads(), 2);
    tokio::time::sleep(2 * SECOND).await;
    for _ in 0..100 {
        assert_eq!(bench.get(7).await.unwrap().1, Outcome::Hit);
    }
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(bench.loads(), 3);
    // Where it fails, it is tried again after the throttle, not with every hit.
    tokio::time::sleep(81 * SECOND).await;
    bench.down(true);
    for _ in 0..100 {
        bench.get(7).await.unwrap();
        tokio::time::sleep(millis(20)).await;
    }
    assert_eq!(bench.loads(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_demand_for_youth_is_met_or_refused() {
    let bench = Bench::new(Numbers::of(&[(7, "old")]), |_| ());
    let demand = |secs| Demand {
        max_age: Some(secs * SECOND),
        only_if_cached: false,
    };
    let asked = async |demand| match bench.cache.get_with(&7, (), demand).await {
        Ok(served) => Ok((served.entry.to_string(), served.outcome)),
        Err(ReadError::NotCached) => Err("not cached"),
        Err(_) => Err("failed"),
    };
    let cached = Demand {
        max_age: None,
        only_if_cached: true,
    };
    assert_eq!(asked(cached).await, Err("not cached"));
    bench.get(7).await.unwrap();
    bench.truth(7, Some("new"));
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!(asked(demand(3)).await, Ok(("old".to_owned(), Outcome::Hit)));
    assert_eq!(asked(cached).await, Ok(("old".to_owned(), Outcome::Hit)));
    assert_eq!(
        asked(demand(2)).await,
        Ok(("new".to_owned(), Outcome::Miss))
    );
    tokio::time::sleep(millis(5)).await;
    assert_eq!(
        asked(demand(0)).await,
        Ok(("new".to_owned(), Outcome::Miss))
    );
    tokio::time::sleep(3 * SECOND).await;
    bench.down(true);
    assert_eq!(asked(demand(2)).await, Err("failed"));
    assert_eq!(asked(demand(2)).await, Err("failed"), "it has just failed");
    assert_eq!(bench.get(7).await, Ok(("new".to_owned(), Outcome::Hit)));
    // A load that began before the demand does not meet it: another one is made.
    bench.down(false);
    bench.latency(SECOND);
    tokio::time::sleep(100 * SECOND).await;
    let slow = tokio::join!(bench.get(7), async {
        tokio::time::sleep(millis(500)).await;
        let began = bench.clock.now();
        let served = bench.cache.get_with(&7, (), demand(0)).await.unwrap();
        assert!(served.entry.as_of() >= began);
    });
    slow.0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_listing_is_about_to_confirm_is_not_asked_for_one_by_one() {
    let bench = Bench::new(Numbers::of(&[(7, "v")]), |_| ());
    bench.get(7).await.unwrap();
    bench.cache.distrust(&7, Trust::Unconfirmed);
    *bench.cache.source().listing.lock().unwrap() = true;
    for _ in 0..10 {
        assert_eq!(bench.get(7).await.unwrap().1, Outcome::Stale);
        bench.settle().await;
    }
    assert_eq!(bench.loads(), 1);
    // It does not go well any more.
    *bench.cache.source().listing.lock().unwrap() = false;
    assert_eq!(bench.get(7).await.unwrap().1, Outcome::Stale);
    bench.settle().await;
    assert_eq!(bench.get(7).await.unwrap().1, Outcome::Hit);
    assert_eq!(bench.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_takes_longer_than_the_window_is_answered_as_the_contract_says() {
    for (on_degrade, expected) in [
        (Degrade::ServeStale, Ok(Outcome::Stale)),
        (Degrade::ReturnError, Err(Outcome::Error)),
        (Degrade::ServeFallback, Ok(Outcome::Fallback)),
    ] {
        let (bench, _stop) = bench(thousand(), vec![contract(on_degrade)]);
        bench.latency(millis(2500));
        let read = bench.get(7).await.map(|(_, outcome)| outcome);
        assert_eq!(read, expected, "{on_degrade:?}");
        // Past its grace as well.
        bench.latency(millis(5500));
        let read = bench.get(8).await.map(|(_, outcome)| outcome);
        assert_eq!(read, Err(Outcome::Error), "{on_degrade:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_not_cut_off_where_grace_ends() {
    let strict = Contract {
        fresh_within: SECOND,
        grace_period: Duration::ZERO,
        ..contract(Degrade::ReturnError)
    };
    let (bench, _stop) = bench(thousand(), vec![strict]);
    bench.latency(millis(250));
    bench.get(7).await.unwrap();
    for _ in 0..200 {
        tokio::time::sleep(millis(30)).await;
        assert!(bench.get(7).await.is_ok());
    }
    assert_eq!(bench.stats("all").refreshes_failed, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_listing_spread_is_not_spread_under_a_contract_that_comes_later() {
    let (bench, _stop) = bench(thousand(), Vec::new());
    let listing = bench.cache.begin_listing();
    for key in 0..100 {
        bench
            .cache
            .confirm(&listing, &key, "v".to_owned(), bench.clock.now());
    }
    bench.cache.govern(vec![contract(Degrade::ReturnError)]);
    *bench.cache.source().room.lock().unwrap() = Some(0);
    tokio::time::sleep(millis(1990)).await;
    for key in 0..100 {
        assert_eq!(bench.get(key).await.unwrap().1, Outcome::Hit, "{key}");
    }
}

//! Calls through the whole stack, into a transport that answers by a script. Time is paused.

mod answers;

use super::*;
use crate::product::Draft;
use http::{HeaderValue, Method};
use std::sync::Mutex;
use tokio::time::sleep;
use tower::BoxError;
use transport::TransportError;
use uuid::Uuid;

const TEA: &str = r#"{"id":"p-1","name":"Tea","price":{"amount":5,"currency":"EUR"}}"#;

type Reply = Result<http::Response<Bytes>, BoxError>;
type Seen = Arc<Mutex<Vec<http::Request<Bytes>>>>;

fn config() -> Config {
    Config {
        base: "http://inventory/api".parse().unwrap(),
        api_key: Late::ready(Secret::new("k-1")),
        attempt_timeout: Duration::from_secs(3),
        deadline: Duration::from_secs(10),
        max_attempts: 3,
        max_concurrent: 64,
        rate_limit: None,
        refresh_origins: Vec::new(),
        circuit_failures: 5,
        circuit_recovery: Duration::from_secs(30),
        page_size: 500,
        published: PublishedMembers::None,
        compatible: semver::VersionReq::parse("^1.0.0").unwrap(),
    }
}

/// An inventory whose `n`th attempt (from 0) is answered by `answer(n)`, and what it has seen.
fn scripted<F, Fut>(config: Config, answer: F) -> (Inventory, Seen)
where
    F: Fn(usize) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Reply> + Send + 'static,
{
    let seen = Seen::default();
    let log = seen.clone();
    let transport = Transport::new(tower::service_fn(move |request| {
        let nth = log.lock().unwrap().len();
        log.lock().unwrap().push(request);
        answer(nth)
    }));
    (
        Inventory::new(config, transport, Clock::start(), Events::new()),
        seen,
    )
}

/// Answers all attempts alike.
fn always(status: u16, body: &'static str) -> (Inventory, Seen) {
    scripted(config(), move |_| async move { reply(status, body) })
}

fn reply(status: u16, body: &'static str) -> Reply {
    let response = http::Response::builder().status(status);
    let response = response.header("content-type", "application/json");
    Ok(response.body(Bytes::from(body))?)
}

fn with_header(reply: Reply, name: &'static str, value: &'static str) -> Reply {
    let mut response = reply?;
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    Ok(response)
}

fn id() -> ProductId {
    ProductId::parse("p-1").unwrap()
}

fn draft() -> Draft {
    Draft::parse(TEA.as_bytes(), None).unwrap()
}

async fn get(inventory: &Inventory) -> Result<Fetched, UpstreamError> {
    inventory.get(&id(), None, Conversation::new()).await
}

#[tokio::test(start_paused = true)]
async fn a_call_carries_our_credential_and_the_conversation() {
    let (inventory, seen) = always(200, TEA);
    let cause = Conversation::new();
    inventory.get(&id(), None, cause).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].uri(), "http://inventory/api/products/p-1");
    assert_eq!(seen[0].headers()["x-api-key"], "k-1");
    assert!(seen[0].headers()["x-api-key"].is_sensitive());
    assert_eq!(seen[0].headers()["x-conversation"], cause.to_string());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_credential_is_here() {
    let api_key = Late::pending();
    let waiting = Config {
        api_key: api_key.clone(),
        ..config()
    };
    let (inventory, seen) = scripted(waiting, |_| async { reply(200, TEA) });
    assert!(matches!(
        get(&inventory).await,
        Err(UpstreamError::NotReady)
    ));
    assert!(seen.lock().unwrap().is_empty());
    api_key.deliver(Secret::new("k-2"));
    assert!(get(&inventory).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_product_comes_with_the_inventorys_validators_and_the_time_it_was_asked_for() {
    let (inventory, _) = scripted(config(), |_| async {
        sleep(Duration::from_secs(1)).await;
        let reply = with_header(reply(200, TEA), "etag", "W/\"x\"");
        with_header(reply, "last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
    });
    let before = inventory.outlet.clock.now();
    let Ok(Fetched::Product(confirmed)) = get(&inventory).await else {
        panic!("no product");
    };
    assert_eq!(confirmed.sent_at, before);
    assert_eq!(confirmed.validators.etag.as_deref(), Some("W/\"x\""));
    let modified = confirmed.validators.last_modified.as_deref();
    assert_eq!(modified, Some("Sun, 06 Nov 1994 08:49:37 GMT"));
}

#[tokio::test(start_paused = true)]
async fn a_conditional_get_may_be_answered_not_modified() {
    let (inventory, seen) = always(304, "");
    let known = Validators {
        etag: Some("\"x\"".into()),
        last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".into()),
    };
    let fetched = inventory
        .get(&id(), Some(&known), Conversation::new())
        .await;
    assert!(matches!(fetched, Ok(Fetched::NotModified { .. })));
    let headers = seen.lock().unwrap()[0].headers().clone();
    assert_eq!(headers["if-none-match"], "\"x\"");
    assert_eq!(
        headers["if-modified-since"],
        "Sun, 06 Nov 1994 08:49:37 GMT"
    );
    // Nobody asked conditionally, so there is nothing that could be still current.
    assert!(matches!(
        get(&inventory).await,
        Err(UpstreamError::Invalid { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_product_that_is_not_there_is_gone_and_the_inventory_up() {
    for status in [404, 410] {
        let (inventory, seen) = always(status, "");
        assert!(matches!(get(&inventory).await, Ok(Fetched::Gone { .. })));
        assert_eq!(seen.lock().unwrap().len(), 1);
        assert_eq!(inventory.reachability().up, Some(true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_safe_call_is_tried_again_until_it_works() {
    let (inventory, seen) = scripted(config(), |nth| async move {
        match nth {
            0 => Err(transport::TransportError::NotSent("refused".into()).into()),
            1 => reply(503, ""),
            _ => reply(200, TEA),
        }
    });
    assert!(matches!(get(&inventory).await, Ok(Fetched::Product(_))));
    assert_eq!(seen.lock().unwrap().len(), 3);
    assert_eq!(inventory.reachability().up, Some(true));
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_the_last_failure_is_told() {
    let (inventory, seen) = always(500, "");
    let result = get(&inventory).await;
    assert!(matches!(
        result,
        Err(UpstreamError::Failing {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            ..
        })
    ));
    assert_eq!(seen.lock().unwrap().len(), 3);
    assert_eq!(inventory.reachability().up, Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_inventory_asks_for_is_kept() {
    let (inventory, _) = scripted(config(), |nth| async move {
        match nth {
            0 => with_header(reply(429, ""), "retry-after", "2"),
            _ => reply(200, TEA),
        }
    });
    let began = inventory.outlet.clock.now();
    assert!(get(&inventory).await.is_ok());
    assert!(inventory.outlet.clock.now().since(began) >= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_does_not_fit_is_left_to_the_caller() {
    let (inventory, seen) = scripted(config(), |_| async {
        with_header(reply(503, ""), "retry-after", "60")
    });
    let began = inventory.outlet.clock.now();
    let Err(UpstreamError::Failing { retry_after, .. }) = get(&inventory).await else {
        panic!("not failing");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(60)));
    assert_eq!(inventory.outlet.clock.now(), began);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn writes_are_never_repeated() {
    let (inventory, seen) = always(503, "");
    let cause = Conversation::new();
    assert!(inventory.create(&draft(), None, cause).await.is_err());
    assert!(
        inventory
            .replace(&id(), &draft(), &Expected::Anything, cause)
            .await
            .is_err()
    );
    assert!(
        inventory
            .delete(&id(), &Expected::Anything, cause)
            .await
            .is_err()
    );
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_create_with_a_key_is_repeated_with_the_same_key() {
    let key = Uuid::from_u128(7);
    let (inventory, seen) = scripted(config(), |nth| async move {
        match nth {
            0 => Err(TransportError::Broken("x".into()).into()),
            1 => with_header(reply(409, "{}"), "retry-after", "1"),
            _ => reply(201, TEA),
        }
    });
    let draft = draft();
    let created = inventory.create(&draft, Some(key), Conversation::new());
    assert_eq!(created.await.unwrap().product.name, "Tea");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    for request in seen.iter() {
        assert_eq!(request.headers()["idempotency-key"], key.to_string());
        assert_eq!(request.body(), seen[0].body());
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_denies_what_an_earlier_attempt_may_have_done_is_an_unknown_outcome() {
    for (first, last, unknown) in [
        ("broken", 409, true),
        ("broken", 404, true),
        ("broken", 401, true),
        ("broken", 400, false),
        ("broken", 422, false),
        ("refused", 409, false),
        ("500", 409, true),
        ("429", 409, false),
    ] {
        let (inventory, _) = scripted(config(), move |nth| async move {
            match (nth, first) {
                (0, "broken") => Err(TransportError::Broken("x".into()).into()),
                (0, "refused") => Err(TransportError::NotSent("x".into()).into()),
                (0, status) => reply(status.parse().unwrap(), "{}"),
                _ => reply(last, "{}"),
            }
        });
        let result = inventory
            .create(&draft(), Some(Uuid::from_u128(7)), Conversation::new())
            .await;
        let is_unknown = matches!(result, Err(UpstreamError::Unknown(_)));
        assert_eq!(is_unknown, unknown, "{first}, then {last}: {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_inventory_that_hangs_costs_the_deadline_at_most() {
    let (inventory, seen) = scripted(config(), |_| std::future::pending());
    let began = inventory.outlet.clock.now();
    assert!(matches!(
        get(&inventory).await,
        Err(UpstreamError::Unknown(_))
    ));
    let took = inventory.outlet.clock.now().since(began);
    assert!(
        (Duration::from_secs(9)..=Duration::from_secs(10)).contains(&took),
        "{took:?}"
    );
    assert_eq!(seen.lock().unwrap().len(), 3);
    let known = inventory.reachability();
    assert_eq!(
        (known.up, known.took),
        (Some(false), Some(Duration::from_secs(3)))
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_has_an_unknown_outcome() {
    let (inventory, seen) = scripted(config(), |_| std::future::pending());
    let result = inventory
        .replace(&id(), &draft(), &Expected::Anything, Conversation::new())
        .await;
    assert!(matches!(result, Err(UpstreamError::Unknown(_))));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_got_a_slot_was_not_sent() {
    let narrow = Config {
        max_concurrent: 1,
        attempt_timeout: Duration::from_secs(60),
        ..config()
    };
    let (inventory, seen) = scripted(narrow, |_| std::future::pending());
    let (cause, product) = (Conversation::new(), id());
    let (first, second) = tokio::join!(
        inventory.delete(&product, &Expected::Anything, cause),
        inventory.delete(&product, &Expected::Anything, cause),
    );
    assert!(matches!(first, Err(UpstreamError::Unknown(_))));
    assert!(matches!(
        second,
        Err(UpstreamError::Crowded(Crowded::Bulkhead))
    ));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_before_a_retry_holds_no_slot() {
    let narrow = Config {
        max_concurrent: 1,
        ..config()
    };
    let (inventory, _) = scripted(narrow, |nth| async move {
        match nth {
            0 => with_header(reply(503, ""), "retry-after", "5"),
            _ => reply(200, TEA),
        }
    });
    let began = inventory.outlet.clock.now();
    let second = async {
        sleep(Duration::from_millis(1)).await;
        get(&inventory).await.unwrap();
        inventory.outlet.clock.now().since(began)
    };
    let (first, second) = tokio::join!(get(&inventory), second);
    assert!(first.is_ok());
    assert!(second < Duration::from_secs(1), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_are_in_flight_than_there_are_slots() {
    let narrow = Config {
        max_concurrent: 3,
        ..config()
    };
    let (inventory, _) = scripted(narrow, |_| async {
        sleep(Duration::from_millis(400)).await;
        reply(200, TEA)
    });
    let began = inventory.outlet.clock.now();
    let calls = (0..9).map(|_| get(&inventory));
    for result in futures_util::future::join_all(calls).await {
        assert!(result.is_ok());
    }
    let took = inventory.outlet.clock.now().since(began);
    assert_eq!(took.as_millis() / 100, 12);
}

/// What is refreshed `from` there, by an inventory that may also refresh from `http://prices.test`.
async fn refreshed(
    from: Option<&str>,
    status: u16,
    body: &'static str,
) -> (Result<Fetched, UpstreamError>, Seen, Inventory) {
    let wide = Config {
        refresh_origins: Origin::list("http://prices.test").unwrap(),
        ..config()
    };
    let (inventory, seen) = scripted(wide, move |_| async move {
        with_header(reply(status, body), "etag", "\"new\"")
    });
    let known = Validators {
        etag: Some("\"x\"".into()),
        last_modified: None,
    };
    let (within, cause) = (Duration::from_secs(3), Conversation::new());
    let product = id();
    let fetched = inventory.refresh(&product, Some(&known), from, within, cause);
    (fetched.await, seen, inventory)
}

#[tokio::test(start_paused = true)]
async fn a_refresh_from_elsewhere_takes_no_credential_and_brings_no_validators() {
    let own = "http://inventory/api/products/{id}";
    for (from, url, has_key, conditional) in [
        (None, "http://inventory/api/products/p-1", true, true),
        (Some(own), "http://inventory/api/products/p-1", true, true),
        (
            Some("http://inventory/prices?of={id}"),
            "http://inventory/prices?of=p-1",
            true,
            false,
        ),
        (
            Some("http://prices.test/{id}"),
            "http://prices.test/p-1",
            false,
            false,
        ),
    ] {
        let (fetched, seen, _) = refreshed(from, 200, TEA).await;
        let Ok(Fetched::Product(confirmed)) = fetched else {
            panic!("{from:?}: {fetched:?}");
        };
        assert_eq!(confirmed.validators.etag.is_some(), conditional, "{from:?}");
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0].uri(), url);
        assert_eq!(
            seen[0].headers().contains_key("x-api-key"),
            has_key,
            "{from:?}"
        );
        assert_eq!(
            seen[0].headers().contains_key("if-none-match"),
            conditional,
            "{from:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_goes_nowhere_that_is_not_allowed_and_takes_no_other_product() {
    let (fetched, seen, _) = refreshed(Some("http://evil.test/{id}"), 200, TEA).await;
    assert!(matches!(fetched, Err(UpstreamError::Unreachable(_))));
    assert!(seen.lock().unwrap().is_empty());
    let other = r#"{"id":"p-2","name":"Tea","price":{"amount":5,"currency":"EUR"}}"#;
    let (fetched, ..) = refreshed(Some("http://prices.test/{id}"), 200, other).await;
    assert!(matches!(fetched, Err(UpstreamError::Invalid { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_fails_elsewhere_says_nothing_about_the_inventory() {
    let elsewhere = Some("http://prices.test/{id}");
    let (_, seen, inventory) = refreshed(elsewhere, 500, "").await;
    let product = id();
    let refresh = || {
        let within = Duration::from_secs(3);
        inventory.refresh(&product, None, elsewhere, within, Conversation::new())
    };
    for _ in 0..4 {
        assert!(matches!(
            refresh().await,
            Err(UpstreamError::Failing { .. })
        ));
    }
    assert!(matches!(
        refresh().await,
        Err(UpstreamError::CircuitOpen { .. })
    ));
    assert_eq!(seen.lock().unwrap().len(), 5, "one attempt each");
    assert_eq!(inventory.circuit().state, CircuitState::Closed);
    assert_eq!(inventory.reachability().up, None);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ends_in_its_time_and_one_cut_short_says_nothing() {
    let (inventory, seen) = scripted(config(), |_| std::future::pending());
    let refresh = async |within: u64| {
        let within = Duration::from_millis(within);
        let began = inventory.outlet.clock.now();
        let (product, cause) = (id(), Conversation::new());
        let fetched = inventory.refresh(&product, None, None, within, cause).await;
        assert!(matches!(fetched, Err(UpstreamError::Unknown(_))));
        assert_eq!(inventory.outlet.clock.now().since(began), within);
    };
    for _ in 0..20 {
        refresh(400).await;
    }
    assert_eq!(inventory.circuit().state, CircuitState::Closed);
    for _ in 0..5 {
        refresh(2000).await;
    }
    assert_eq!(inventory.circuit().state, CircuitState::Open);
    assert_eq!(seen.lock().unwrap().len(), 25);
}

#[tokio::test(start_paused = true)]
async fn a_retry_asks_the_circuit_again() {
    let (inventory, seen) = scripted(config(), |nth| async move {
        match nth {
            // While this one pauses, the others open the circuit.
            0 => with_header(reply(503, ""), "retry-after", "5"),
            _ => reply(500, ""),
        }
    });
    let others = async {
        sleep(Duration::from_secs(1)).await;
        let _ = (get(&inventory).await, get(&inventory).await);
        seen.lock().unwrap().len()
    };
    let (first, attempts) = tokio::join!(get(&inventory), others);
    assert!(
        matches!(first, Err(UpstreamError::CircuitOpen { .. })),
        "{first:?}"
    );
    assert_eq!(attempts, 5, "and nothing is repeated once it is open");
    assert_eq!(seen.lock().unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn of_many_calls_at_once_one_probes_and_a_probe_that_is_dropped_is_not_missed() {
    let (inventory, seen) = scripted(config(), |nth| async move {
        if nth < 5 {
            return reply(500, "");
        }
        sleep(Duration::from_secs(1)).await;
        reply(200, TEA)
    });
    let _ = (get(&inventory).await, get(&inventory).await);
    assert_eq!(inventory.circuit().state, CircuitState::Open);
    assert_eq!(inventory.room(), 0);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(inventory.room(), 1);
    // Whoever began to probe hangs up.
    let hung_up = tokio::time::timeout(Duration::from_millis(10), get(&inventory));
    assert!(hung_up.await.is_err());
    for round in 1..=2 {
        let calls = (0..50).map(|_| get(&inventory));
        let results = futures_util::future::join_all(calls).await;
        let worked = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(worked, 1, "{round}");
    }
    assert_eq!(seen.lock().unwrap().len(), 8);
    assert_eq!(inventory.circuit().state, CircuitState::Closed);
    assert!(inventory.room() > 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_gives_its_slot_back() {
    let (inventory, _) = scripted(config(), |nth| async move {
        assert!(nth != 5, "a bug");
        match nth < 5 {
            true => reply(500, ""),
            false => reply(200, TEA),
        }
    });
    let _ = (get(&inventory).await, get(&inventory).await);
    sleep(Duration::from_secs(30)).await;
    let panicking = inventory.clone();
    let panicked = tokio::task::JoinSet::from_iter([async move { get(&panicking).await.is_ok() }]);
    assert_eq!(panicked.len(), 1);
    assert!(
        futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(panicked.join_all()))
            .await
            .is_err()
    );
    assert_eq!(inventory.circuit().state, CircuitState::Open, "it failed");
    sleep(Duration::from_secs(30)).await;
    assert!(get(&inventory).await.is_ok() && get(&inventory).await.is_ok());
    assert_eq!(inventory.circuit().state, CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_rate_wait_for_a_second_or_are_refused() {
    let limited = Config {
        rate_limit: NonZeroU32::new(3),
        ..config()
    };
    let (inventory, seen) = scripted(limited, |_| async { reply(200, TEA) });
    assert_eq!(inventory.room(), 3);
    let calls = (0..9).map(|_| get(&inventory));
    let results = futures_util::future::join_all(calls).await;
    let crowded = |result: &&Result<Fetched, _>| {
        matches!(result, Err(UpstreamError::Crowded(Crowded::RateLimit)))
    };
    // Three at once, three a second later, and the rest would have to wait for longer.
    assert_eq!(results.iter().filter(crowded).count(), 3);
    assert_eq!(seen.lock().unwrap().len(), 6);
    assert_eq!(inventory.room(), 0);
    sleep(Duration::from_millis(500)).await;
    let calls = (0..5).map(|_| get(&inventory));
    let results = futures_util::future::join_all(calls).await;
    assert_eq!(results.iter().filter(crowded).count(), 2);
    assert_eq!(seen.lock().unwrap().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn refreshes_leave_slots_to_readers() {
    for (slots, room) in [(64, 48), (8, 6), (4, 3), (2, 1), (1, 1)] {
        let narrow = Config {
            max_concurrent: slots,
            ..config()
        };
        let (inventory, _) = scripted(narrow, |_| async { reply(200, TEA) });
        assert_eq!(inventory.room(), room, "{slots}");
    }
}

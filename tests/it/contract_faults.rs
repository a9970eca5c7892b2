//! What a reader of a product under a freshness contract gets whatever the inventory does: the second table of
//! `docs/faults.md`, and each of its cells tried.

use crate::fault_table::{FAULTS, Fault, PATH, reads, rows_of_table, within};
use crate::harness::{Answer, Setup, TestApp};
use http::Method;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

const WINDOW_SECS: u64 = 100;
const GRACE_SECS: u64 = 60;

/// How the product is cached: see [`Cached::age`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cached {
    Fresh,
    InGrace(Policy),
    PastGrace,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    ServeStale,
    ReturnError,
    ServeFallback,
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
struct Cell {
    status: u16,
    mark: &'static str,
    /// The outcome in `catalog_cache_requests_total`.
    counted: &'static str,
    /// The longest that it takes, in milliseconds.
    within_ms: u64,
}

const POLICIES: [Policy; 3] = [
    Policy::ServeStale,
    Policy::ReturnError,
    Policy::ServeFallback,
];

const COLUMNS: [Cached; 6] = [
    Cached::Fresh,
    Cached::InGrace(Policy::ServeStale),
    Cached::InGrace(Policy::ReturnError),
    Cached::InGrace(Policy::ServeFallback),
    Cached::PastGrace,
    Cached::Not,
];

// === impl Cell ===

impl Cell {
    const FRESH: Self = Self::of(200, "", "hit", 0);

    const fn of(status: u16, mark: &'static str, counted: &'static str, within_ms: u64) -> Self {
        Self {
            status,
            mark,
            counted,
            within_ms,
        }
    }

    /// What somebody gets who reads again at once: nobody waits for what has just failed.
    fn again(&self) -> Self {
        match self.counted {
            "hit" | "miss" => Self::FRESH,
            _ => Self {
                within_ms: 0,
                ..*self
            },
        }
    }
}

// === impl Cached ===

impl Cached {
    fn age(self) -> Option<Duration> {
        match self {
            Self::Fresh => Some(WINDOW_SECS / 2),
            Self::InGrace(_) => Some(WINDOW_SECS + 10),
            Self::PastGrace => Some(WINDOW_SECS + GRACE_SECS + 10),
            Self::Not => None,
        }
        .map(Duration::from_secs)
    }

    fn cell(self, fault: &Fault) -> Cell {
        let (refreshes, attempt_ms) = fault.attempt;
        match self {
            Self::Fresh => Cell::FRESH,
            Self::Not if fault.brings => Cell::of(200, "", "miss", fault.within_ms),
            Self::Not => Cell::of(503, "", "error", fault.within_ms),
            _ if refreshes => Cell::of(200, "", "miss", attempt_ms),
            Self::InGrace(Policy::ServeStale) => Cell::of(200, "stale", "stale", attempt_ms),
            Self::InGrace(Policy::ServeFallback) => {
                Cell::of(200, "fallback", "fallback", attempt_ms)
            }
            Self::InGrace(Policy::ReturnError) | Self::PastGrace => {
                Cell::of(503, "", "error", attempt_ms)
            }
        }
    }

    async fn try_all(self, policy: Policy) {
        for fault in FAULTS {
            Trial::begin(fault, self, policy).await.run().await;
        }
    }

    /// The same where no policy matters: they take turns.
    async fn try_all_by_turns(self) {
        for (fault, policy) in FAULTS.iter().zip(POLICIES.into_iter().cycle()) {
            Trial::begin(fault, self, policy).await.run().await;
        }
    }
}

/// One cell being tried.
struct Trial {
    fault: &'static Fault,
    cached: Cached,
    what: String,
    app: TestApp,
}

// === impl Trial ===

impl Trial {
    async fn begin(fault: &'static Fault, cached: Cached, policy: Policy) -> Self {
        let app = under(policy).await;
        if let Some(age) = cached.age() {
            assert!(app.get(PATH).await.is_ok());
            app.later(age).await;
        }
        // Changed meanwhile, so that what comes has a body.
        app.inventory.put(&product("Other")).unwrap();
        fault.begin(&app).await;
        Self {
            what: format!("{}, {cached:?}, {policy:?}", fault.name),
            fault,
            cached,
            app,
        }
    }

    async fn run(self) {
        let (app, what) = (&self.app, &self.what);
        let sent = app.inventory.calls_of("get");
        let cell = self.cached.cell(self.fault);
        self.read(&cell).await;
        let sent = app.inventory.calls_of("get") - sent;
        let most = match self.cached {
            _ if self.fault.counted == "rejected" => 0,
            Cached::Fresh => 0,
            Cached::InGrace(_) | Cached::PastGrace => 1,
            Cached::Not => 3,
        };
        assert!((most.min(1)..=most).contains(&sent), "{what}: {sent}");
        app.later(Duration::from_millis(1)).await;
        self.read(&cell.again()).await;
        app.inventory.knobs().reset();
        // Whatever is held, the engine refreshes; for the rest somebody has to ask.
        let (heals_ms, cell) = match self.cached {
            Cached::Not if !self.fault.brings => {
                (self.fault.heals_secs * 1000, Cell::of(200, "", "miss", 0))
            }
            _ => (heals_ms(self.fault), Cell::FRESH),
        };
        app.later(Duration::from_millis(heals_ms)).await;
        self.read(&cell).await;
        let stats = app.internal(Method::GET, "/contracts/one/stats", &[]).await;
        let exhausted = u64::from(self.cached == Cached::PastGrace);
        assert_eq!(stats.json()["grace_exhausted"], exhausted, "{what}");
        self.app.stop().await;
    }

    /// One read, and what it counts.
    async fn read(&self, cell: &Cell) {
        let (app, what) = (&self.app, &self.what);
        let before = reads(app, cell.counted);
        let longest = Duration::from_millis(cell.within_ms);
        let began = app.clock.now();
        let answer = app.get(PATH).await;
        let took = app.clock.now().since(began);
        assert_eq!(
            (answer.status(), mark(&answer)),
            (cell.status, cell.mark),
            "{what}"
        );
        // Only pauses between attempts are left to chance.
        let is_exact = took == longest || self.cached == Cached::Not;
        assert!(took <= longest && is_exact, "{what}: {took:?}");
        assert_eq!(reads(app, cell.counted), before + 1, "{what}");
        let refused = cell.status == 503;
        assert_eq!(answer.header("retry-after").is_empty(), !refused, "{what}");
        if !refused {
            let name = answer.json()["name"].clone();
            assert_eq!(name == "Stand-in", cell.mark == "fallback", "{what}");
            assert!(cell.counted != "miss" || name == "Other", "{what}: {name}");
        }
    }
}

fn product(name: &str) -> Value {
    json!({"id": "P-000001", "name": name, "price": {"amount": 1, "currency": "EUR"}})
}

fn mark(answer: &Answer) -> &'static str {
    let is_set = |name| answer.header(name) == "true";
    match (is_set("x-cache-stale"), is_set("x-cache-fallback")) {
        (false, false) => "",
        (true, false) => "stale",
        (false, true) => "fallback",
        (true, true) => "stale and fallback",
    }
}

/// A service with a contract for the product, of which nothing is held. The engine leaves alone what nobody has
/// read for a while, so that its window may pass without a failure.
async fn under(policy: Policy) -> TestApp {
    let app = Setup::products(9)
        .set("CONTRACTS_ENABLED", "true")
        .set("CACHE_TTL_SECONDS", "36000")
        .cold()
        .await;
    let mut contract = json!({"name": "one", "key_pattern": "product:P-000001",
        "fresh_within": WINDOW_SECS * 1000, "grace_period": GRACE_SECS * 1000,
        "on_degrade": format!("{policy:?}"), "idle_after": 60_000});
    if policy == Policy::ServeFallback {
        contract["fallback"] = product("Stand-in");
    }
    let made = app.operate(Method::POST, "/contracts", &contract).await;
    assert_eq!(made.status(), 201, "{}", made.text());
    app
}

/// How long after the fault is gone the engine has refreshed what is held, in milliseconds: two ticks, or when
/// the circuit lets a call try.
fn heals_ms(fault: &Fault) -> u64 {
    match fault.attempt {
        (true, _) => 0,
        _ if fault.counted == "rejected" => 30_100,
        _ => 100,
    }
}

fn row(fault: &Fault) -> String {
    let mut row = format!("| {} |", fault.name);
    for cached in COLUMNS {
        let cell = cached.cell(fault);
        let mark = match cell.mark {
            "" => String::new(),
            mark => format!(", marked {mark}"),
        };
        let when = within(cell.within_ms);
        let _ = write!(row, " {}{mark}, {when} (`{}`) |", cell.status, cell.counted);
    }
    row + &format!(" {} |", within(heals_ms(fault)))
}

#[tokio::test(start_paused = true)]
async fn a_fresh_copy_is_served_whatever_the_policy() {
    Cached::Fresh.try_all_by_turns().await;
}

#[tokio::test(start_paused = true)]
async fn in_grace_serve_stale_marks_the_copy_once_a_refresh_has_failed() {
    Cached::InGrace(Policy::ServeStale)
        .try_all(Policy::ServeStale)
        .await;
}

#[tokio::test(start_paused = true)]
async fn in_grace_return_error_is_a_503_once_a_refresh_has_failed() {
    Cached::InGrace(Policy::ReturnError)
        .try_all(Policy::ReturnError)
        .await;
}

#[tokio::test(start_paused = true)]
async fn in_grace_serve_fallback_stands_in_once_a_refresh_has_failed() {
    Cached::InGrace(Policy::ServeFallback)
        .try_all(Policy::ServeFallback)
        .await;
}

#[tokio::test(start_paused = true)]
async fn past_grace_no_policy_serves_what_could_not_be_refreshed() {
    for policy in POLICIES {
        Cached::PastGrace.try_all(policy).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_copy_no_policy_applies() {
    Cached::Not.try_all_by_turns().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_the_end_of_grace() {
    for policy in POLICIES {
        let app = under(policy).await;
        app.get(PATH).await;
        app.later(Duration::from_secs(WINDOW_SECS + GRACE_SECS - 2))
            .await;
        app.inventory.knobs().turn(|faults| faults.hang = true);
        let began = app.clock.now();
        let answer = app.get(PATH).await;
        let took = app.clock.now().since(began);
        let expected = match policy {
            Policy::ServeStale => (200, "stale"),
            Policy::ReturnError => (503, ""),
            Policy::ServeFallback => (200, "fallback"),
        };
        assert_eq!((answer.status(), mark(&answer)), expected, "{policy:?}");
        let expected = Duration::from_millis(1990)..=Duration::from_millis(2010);
        assert!(expected.contains(&took), "{policy:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_stays_fresh_where_a_refresh_ahead_comes_in_time() {
    let in_time = |fault: &&Fault| fault.brings;
    for fault in FAULTS.iter().filter(in_time) {
        let app = under(Policy::ReturnError).await;
        app.get(PATH).await;
        fault.begin(&app).await;
        let before = reads(&app, "hit");
        for _ in 0..30 {
            app.later(Duration::from_secs(10)).await;
            app.get(PATH).await;
        }
        assert_eq!(reads(&app, "hit"), before + 30, "{}", fault.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_lasts_opens_the_circuit_and_the_copy_is_refreshed_once_that_lets_it() {
    for fault in FAULTS.iter().filter(|fault| !fault.brings) {
        let app = under(Policy::ServeStale).await;
        app.get(PATH).await;
        app.later(Duration::from_secs(WINDOW_SECS + 10)).await;
        app.inventory.put(&product("Other")).unwrap();
        fault.begin(&app).await;
        for _ in 0..5 {
            assert_eq!(mark(&app.get(PATH).await), "stale", "{}", fault.name);
            app.later(Duration::from_secs(5)).await;
        }
        let circuit = app.internal(Method::GET, "/circuit", &[]).await.json();
        // 429 is an answer of an inventory that works.
        let opens = fault.counted != "client_error";
        assert_eq!(circuit["state"] == "open", opens, "{}", fault.name);
        app.inventory.knobs().reset();
        let secs = match fault.name {
            _ if !opens => 1,
            name if name.contains("60") => 60,
            _ => 30,
        };
        app.later(Duration::from_millis(secs * 1000 + 100)).await;
        let before = reads(&app, "hit");
        app.get(PATH).await;
        assert_eq!(reads(&app, "hit"), before + 1, "{}", fault.name);
        app.stop().await;
    }
}

#[test]
fn the_page_has_the_table_for_contracts() {
    let expected: Vec<_> = FAULTS.iter().map(row).collect();
    assert_eq!(rows_of_table(1), expected, "\n{}\n", expected.join("\n"));
}

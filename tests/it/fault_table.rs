//! What a reader gets whatever the inventory does: one table, the first of `docs/faults.md`, and each of its
//! cells tried. See `contract_faults` for products under a contract.

use crate::harness::{Setup, TestApp};
use http::Method;
use product_catalog::demo::Faults;
use serde_json::json;
use std::fmt::Write;
use std::time::Duration;

pub const PATH: &str = "/products/P-000001";

/// What the inventory does, what is counted of it, and what comes of a load.
pub struct Fault {
    pub name: &'static str,
    pub faults: fn() -> Faults,
    /// The outcome in `catalog_upstream_requests_total`.
    pub counted: &'static str,
    /// Whether a load brings the product in spite of it.
    pub brings: bool,
    /// The longest that a reader waits who waits for a load, in milliseconds.
    pub within_ms: u64,
    /// Whether a single attempt brings the product, as refreshes under contracts are, and how long it takes
    /// at most, in milliseconds.
    pub attempt: (bool, u64),
    /// After how many seconds without the fault a read is as ever.
    pub heals_secs: u64,
}

/// How the product is cached: see [`Cached::age`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cached {
    Fresh,
    Stale,
    Overdue,
    Expired,
    Not,
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
struct Cell {
    status: u16,
    stale: bool,
    /// The outcome in `catalog_cache_requests_total`.
    counted: &'static str,
    /// Whether the reader waits for a load.
    waits: bool,
}

const ALL: [Cached; 5] = [
    Cached::Fresh,
    Cached::Stale,
    Cached::Overdue,
    Cached::Expired,
    Cached::Not,
];

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "500",
        faults: || answering(500, None),
        counted: "server_error",
        brings: false,
        within_ms: 300,
        attempt: (false, 0),
        heals_secs: 1,
    },
    Fault {
        name: "503, `Retry-After: 60`",
        faults: || answering(503, Some(60)),
        counted: "server_error",
        brings: false,
        within_ms: 0,
        attempt: (false, 0),
        heals_secs: 1,
    },
    Fault {
        name: "429, `Retry-After: 2`",
        faults: || answering(429, Some(2)),
        counted: "client_error",
        brings: false,
        within_ms: 4300,
        attempt: (false, 0),
        heals_secs: 1,
    },
    Fault {
        name: "no connection",
        faults: || Faults {
            away: true,
            ..Faults::default()
        },
        counted: "connect_error",
        brings: false,
        within_ms: 300,
        attempt: (false, 0),
        heals_secs: 1,
    },
    Fault {
        name: "connection reset",
        faults: || Faults {
            reset: true,
            ..Faults::default()
        },
        counted: "connect_error",
        brings: false,
        within_ms: 300,
        attempt: (false, 0),
        heals_secs: 1,
    },
    Fault {
        name: "truncated body",
        faults: || Faults {
            truncate: true,
            ..Faults::default()
        },
        counted: "connect_error",
        brings: false,
        within_ms: 300,
        attempt: (false, 0),
        heals_secs: 1,
    },
    Fault {
        name: "no answer",
        faults: || Faults {
            hang: true,
            ..Faults::default()
        },
        counted: "timeout",
        brings: false,
        within_ms: 10_000,
        attempt: (false, 3000),
        heals_secs: 1,
    },
    Fault {
        name: "a page of HTML",
        faults: || Faults {
            garbage: true,
            ..Faults::default()
        },
        counted: "invalid",
        brings: false,
        within_ms: 0,
        attempt: (false, 0),
        heals_secs: 1,
    },
    Fault {
        name: "wrong content type",
        faults: || Faults {
            wrong_type: true,
            ..Faults::default()
        },
        counted: "invalid",
        brings: false,
        within_ms: 0,
        attempt: (false, 0),
        heals_secs: 1,
    },
    Fault {
        name: "two seconds late",
        faults: || Faults {
            latency_ms: 2000,
            ..Faults::default()
        },
        counted: "ok",
        brings: true,
        within_ms: 2000,
        attempt: (true, 2000),
        heals_secs: 0,
    },
    Fault {
        name: "flapping: every other call 503",
        faults: || Faults {
            up_calls: 1,
            down_calls: 1,
            ..answering(503, None)
        },
        counted: "ok",
        brings: true,
        within_ms: 100,
        attempt: (false, 0),
        heals_secs: 0,
    },
    Fault {
        name: "the circuit is open",
        faults: || answering(500, None),
        counted: "rejected",
        brings: false,
        within_ms: 0,
        attempt: (false, 0),
        heals_secs: 35,
    },
];

fn answering(status: u16, retry_after: Option<u64>) -> Faults {
    Faults {
        status: Some(status),
        retry_after,
        ..Faults::default()
    }
}

// === impl Fault ===

impl Fault {
    fn cell(&self, cached: Cached) -> Cell {
        let (status, stale, counted, waits) = match cached {
            Cached::Fresh => (200, false, "hit", false),
            Cached::Stale => (200, true, "stale", false),
            _ if self.brings => (200, false, "miss", true),
            Cached::Overdue => (200, true, "stale", true),
            Cached::Expired | Cached::Not => (503, false, "error", true),
        };
        Cell {
            status,
            stale,
            counted,
            waits,
        }
    }

    /// Begins to misbehave, for reads of products alone.
    pub async fn begin(&self, app: &TestApp) {
        let faults = Faults {
            operations: vec!["get".to_owned()],
            ..(self.faults)()
        };
        let flaps = faults.up_calls > 0;
        app.inventory.knobs().set(faults);
        if flaps {
            // The call that is answered.
            app.get("/products/P-000009").await;
        }
        if self.counted == "rejected" {
            for number in 2..=3 {
                app.get(&format!("/products/P-{number:06}")).await;
            }
            let circuit = app.internal(Method::GET, "/circuit", &[]).await.json();
            assert_eq!(circuit["state"], "open");
        }
    }

    /// One read of a product that is cached like this, what it counts, and how it is as ever again.
    async fn try_on(&self, cached: Cached) {
        let what = format!("{}, {cached:?}", self.name);
        let app = Setup::products(9)
            .set("CACHE_TTL_SECONDS", "100")
            .set("CACHE_GRACE_SECONDS", "1000")
            .cold()
            .await;
        if let Some(age) = cached.age() {
            assert!(app.get(PATH).await.is_ok());
            app.later(age).await;
        }
        // Changed meanwhile, so that what comes has a body.
        let product =
            json!({"id": "P-000001", "name": "Other", "price": {"amount": 1, "currency": "EUR"}});
        app.inventory.put(&product).unwrap();
        self.begin(&app).await;
        let cell = self.cell(cached);
        let calls = format!(
            "catalog_upstream_requests_total{{operation=\"get\",outcome=\"{}\"}}",
            self.counted
        );
        let before = (reads(&app, cell.counted), series(&app, &calls).await);
        let sent = app.inventory.calls_of("get");
        let began = app.clock.now();
        let answer = app.get(PATH).await;
        let took = app.clock.now().since(began);
        let stale = answer.header("x-cache-stale") == "true";
        assert_eq!(
            (answer.status(), stale),
            (cell.status, cell.stale),
            "{what}"
        );
        let longest = if cell.waits { self.within_ms } else { 0 };
        assert!(took <= Duration::from_millis(longest), "{what}: {took:?}");
        assert_eq!(
            answer.header("retry-after").is_empty(),
            cell.status != 503,
            "{what}"
        );
        assert_eq!(reads(&app, cell.counted), before.0 + 1, "{what}");
        // Whatever goes on in the background ends.
        app.later(Duration::from_secs(11)).await;
        let counted = series(&app, &calls).await - before.1;
        // Other tests count into the same metrics.
        assert!(counted > 0 || cached == Cached::Fresh, "{what}: {counted}");
        let sent = app.inventory.calls_of("get") - sent;
        let is_asked = cached != Cached::Fresh && self.counted != "rejected";
        assert_eq!((1..=3).contains(&sent), is_asked, "{what}: {sent}");
        self.heals(&app, &what).await;
        app.stop().await;
    }

    async fn heals(&self, app: &TestApp, what: &str) {
        app.inventory.knobs().reset();
        app.later(Duration::from_secs(self.heals_secs)).await;
        // A stale copy answers this once more, and is refreshed.
        app.get(PATH).await;
        app.later(Duration::from_millis(1)).await;
        let answer = app.get(PATH).await;
        let stale = answer.header("x-cache-stale");
        assert_eq!((answer.status(), stale), (200, ""), "{what}");
    }

    fn row(&self) -> String {
        let mut row = format!("| {} | `{}` |", self.name, self.counted);
        for cached in ALL {
            let cell = self.cell(cached);
            let mark = if cell.stale { ", marked stale" } else { "" };
            let when = within(if cell.waits { self.within_ms } else { 0 });
            let _ = write!(row, " {}{mark}, {when} (`{}`) |", cell.status, cell.counted);
        }
        let heals = match self.heals_secs {
            0 => "at once".to_owned(),
            secs => format!("after {secs} s"),
        };
        row + &format!(" {heals} |")
    }
}

// === impl Cached ===

impl Cached {
    /// How old the copy is, with a window of 100 s, 60 s in which it may be served while it is refreshed, and a
    /// grace period of 1,000 s.
    fn age(self) -> Option<Duration> {
        match self {
            Self::Fresh => Some(50),
            Self::Stale => Some(130),
            Self::Overdue => Some(500),
            Self::Expired => Some(1200),
            Self::Not => None,
        }
        .map(Duration::from_secs)
    }

    async fn try_all(self) {
        for fault in FAULTS {
            fault.try_on(self).await;
        }
    }
}

/// Reads of this service that had this outcome.
pub fn reads(app: &TestApp, outcome: &str) -> u64 {
    let requests = app.catalog().stats().requests.into_iter();
    let of = requests.filter(|(counted, _)| counted.as_str() == outcome);
    of.map(|(_, count)| count).sum()
}

/// A counter's value, which all tests of this process count into; 0 where nothing was counted yet.
pub async fn series(app: &TestApp, name: &str) -> u64 {
    let metrics = app.internal(Method::GET, "/metrics", &[]).await;
    let line = metrics.text().lines().find(|line| line.starts_with(name));
    line.map_or(0, |line| line[name.len()..].trim().parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_fresh_copy_is_served_whatever_the_inventory_does() {
    Cached::Fresh.try_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_copy_is_served_at_once_whatever_the_inventory_does() {
    Cached::Stale.try_all().await;
}

#[tokio::test(start_paused = true)]
async fn an_overdue_copy_is_served_once_a_load_has_failed() {
    Cached::Overdue.try_all().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_copy_is_not_served() {
    Cached::Expired.try_all().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_copy_there_is_what_a_load_brings() {
    Cached::Not.try_all().await;
}

/// The rows of one of the page's tables.
pub fn rows_of_table(nth: usize) -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lines: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).collect();
    let mut tables = lines.split(|line| line.starts_with("| the inventory |"));
    let table = tables.nth(nth + 1).unwrap_or_default();
    table.iter().copied().map(str::to_owned).collect()
}

/// How long a reader waits at most, in words.
pub fn within(ms: u64) -> String {
    match ms {
        0 => "at once".to_owned(),
        ms => format!(
            "within {} s",
            f64::from(u32::try_from(ms).unwrap()) / 1000.0
        ),
    }
}

#[test]
fn the_page_has_the_table() {
    let rows = rows_of_table(0);
    let expected: Vec<_> = FAULTS.iter().map(Fault::row).collect();
    assert_eq!(rows, expected, "\n{}\n", expected.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn the_circuit_stays_closed_for_one_product_that_fails() {
    let app = Setup::products(9).cold().await;
    app.inventory.knobs().set(Faults {
        id_prefix: "P-000001".to_owned(),
        ..answering(500, None)
    });
    for _ in 0..20 {
        app.get(PATH).await;
        for number in 2..=9 {
            // Purged, so that each is a call that works.
            app.operate(
                Method::DELETE,
                &format!("/cache/entries/P-{number:06}"),
                &json!(null),
            )
            .await;
            assert!(app.get(&format!("/products/P-{number:06}")).await.is_ok());
        }
        app.later(Duration::from_secs(2)).await;
    }
}

//! Every metric this service exports. Adding one means adding it here and in the table beside,
//! and nowhere else.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>: base units, `_total` for counters.
//! Label values come from closed sets (`as_str()` on an enum, a matched route), never from a
//! request, so the number of series is bounded.

mod contracts;
mod table;

pub use contracts::{ContractFigures, contracts};
pub use table::ALL;

use super::events::EventKind;
use metrics::{Counter, Histogram, Unit, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use std::cell::RefCell;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;
use table::{CIRCUIT_STATES, OUTCOMES, name};

/// Upper bounds of the duration histograms, in seconds: a hit takes tens of microseconds, a call to
/// the inventory up to its deadline.
const BUCKETS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 10.0,
];

/// One metric: what the exporter, and the README, say about it.
#[derive(Debug)]
pub struct Metric {
    /// Its name on `/metrics`.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// What tells its series apart.
    pub labels: &'static [Label],
    /// One sentence.
    pub help: &'static str,
}

/// A label of a metric.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values, where they are known before the router is built.
    pub values: &'static [&'static str],
}

/// What a metric does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

/// The recorder's other side, and the collector of `process_*`.
struct Exporter {
    prometheus: PrometheusHandle,
    process: Collector,
}

/// One resolved series of the request histogram.
struct Series {
    method: &'static str,
    route: Box<str>,
    status: u16,
    histogram: Histogram,
}

static EXPORTER: OnceLock<Exporter> = OnceLock::new();

/// Resolved once: every read counts one of these.
static CACHE_REQUESTS: LazyLock<[(&str, Counter); OUTCOMES.len()]> = LazyLock::new(|| {
    install();
    OUTCOMES.map(|outcome| {
        (
            outcome,
            counter!(name::CACHE_REQUESTS, "outcome" => outcome),
        )
    })
});

/// Resolved once: reads count these too.
static EVENTS: LazyLock<[Counter; EventKind::ALL.len()]> = LazyLock::new(|| {
    install();
    EventKind::WORDS.map(|word| counter!(name::EVENTS, "type" => word))
});

thread_local! {
    /// The request series this thread has used, the last one first: most requests are like the one before.
    static HTTP_SERIES: RefCell<Vec<Series>> = const { RefCell::new(Vec::new()) };
}

// === impl Kind ===

impl Kind {
    /// The word Prometheus uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Installs the recorder; only the first call of a process does anything.
pub fn install() {
    exporter();
}

/// Everything, in Prometheus' text format.
pub fn render() -> String {
    let exporter = exporter();
    exporter.process.collect();
    let mut text = exporter.prometheus.render();
    contracts::render(&mut text);
    text
}

/// Folds what histograms have collected since the last call, so that their memory stays bounded
/// when nobody scrapes. Call it every few seconds.
pub fn upkeep() {
    exporter().prometheus.run_upkeep();
}

/// Counts one product read by how it was satisfied.
pub fn cache_request(outcome: &'static str) {
    if let Some((_, counter)) = CACHE_REQUESTS.iter().find(|(name, _)| *name == outcome) {
        counter.increment(1);
    }
}

/// Tells what the cache holds.
pub fn cache_size(entries: u64, bytes: u64, capacity_bytes: u64) {
    gauge!(name::CACHE_ENTRIES).set(number(entries));
    gauge!(name::CACHE_BYTES).set(number(bytes));
    gauge!(name::CACHE_CAPACITY).set(number(capacity_bytes));
}

/// Counts entries that left the serving tier. `cause`: size, expired, purge.
pub fn cache_evictions(cause: &'static str, count: u64) {
    counter!(name::CACHE_EVICTIONS, "cause" => cause).increment(count);
}

/// Counts a reader that joined somebody else's load.
pub fn cache_coalesced() {
    counter!(name::CACHE_COALESCED).increment(1);
}

/// Counts a version or coding of a product that was made. `version`: 1, 2; `coding`: identity, gzip, br, zstd.
pub fn rendition_made(version: &'static str, coding: &'static str) {
    counter!(name::RENDITIONS_MADE, "version" => version, "coding" => coding).increment(1);
}

/// Tells whether the persistent tier is in use.
pub fn store_up(up: bool) {
    gauge!(name::STORE_UP).set(f64::from(up));
}

/// Tells the size of the persistent tier on disk.
pub fn store_bytes(bytes: u64) {
    gauge!(name::STORE_BYTES).set(number(bytes));
}

/// Tells how much of that is live: what the store would take if it were written anew.
pub fn store_live_bytes(bytes: u64) {
    gauge!(name::STORE_LIVE_BYTES).set(number(bytes));
}

/// Tells how many changes the persistent tier has not written yet.
pub fn store_queue_length(length: u64) {
    gauge!(name::STORE_QUEUE).set(number(length));
}

/// Counts a failed operation of the persistent tier. `operation`: open, read, write, flush, rewrite.
pub fn store_error(operation: &'static str) {
    counter!(name::STORE_ERRORS, "operation" => operation).increment(1);
}

/// Counts one attempt at the upstream and how long it took.
pub fn upstream_request(operation: &'static str, outcome: &'static str, took: Duration) {
    counter!(name::UPSTREAM_REQUESTS, "operation" => operation, "outcome" => outcome).increment(1);
    histogram!(name::UPSTREAM_DURATION, "operation" => operation).record(took);
}

/// Counts an attempt at the upstream that was not sent; `cause` says why.
pub fn upstream_rejection(operation: &'static str, outcome: &'static str, cause: &'static str) {
    counter!(name::UPSTREAM_REQUESTS, "operation" => operation, "outcome" => outcome).increment(1);
    counter!(name::UPSTREAM_REJECTIONS, "cause" => cause).increment(1);
}

/// Tells what the circuit to the upstream does: `closed`, `open` or `half_open`.
pub fn circuit_state(state: &'static str) {
    for word in CIRCUIT_STATES {
        gauge!(name::CIRCUIT_STATE, "state" => word).set(f64::from(word == state));
    }
}

/// Counts a change of the circuit to this state.
pub fn circuit_transition(to: &'static str) {
    counter!(name::CIRCUIT_TRANSITIONS, "to" => to).increment(1);
}

/// Counts a retry of an upstream call.
pub fn upstream_retry() {
    counter!(name::UPSTREAM_RETRIES).increment(1);
}

/// Counts products of the upstream that were skipped as invalid.
pub fn upstream_products_skipped(count: u64) {
    counter!(name::UPSTREAM_SKIPPED).increment(count);
}

/// Counts products confirmed by listing passes.
pub fn warmup_products(count: u64) {
    counter!(name::WARMUP_PRODUCTS).increment(count);
}

/// Tells how far the listing pass is, 0 to 1.
pub fn warmup_progress(ratio: f64) {
    gauge!(name::WARMUP_PROGRESS).set(ratio);
}

/// Counts a time the inventory was asked for what changed. `result`: ok, failed, unheeded.
pub fn sync_ended(result: &'static str) {
    counter!(name::SYNCS, "result" => result).increment(1);
}

/// Counts products that the inventory listed as changed.
pub fn sync_products(count: u64) {
    counter!(name::SYNC_PRODUCTS).increment(count);
}

/// Tells whether lists are answered from the local index.
pub fn index_complete(complete: bool) {
    gauge!(name::INDEX_COMPLETE).set(f64::from(complete));
}

/// Counts one event, told or not.
pub fn event(kind: EventKind) {
    if let Some(counter) = EVENTS.get(kind as usize) {
        counter.increment(1);
    }
}

/// Counts a fresh hit that was compared with the upstream. `result`: same, different, gone, failed;
/// `age`: le_1s, le_10s, le_1m, le_5m, le_15m, le_1h, more.
pub fn shadow_check(result: &'static str, age: &'static str) {
    counter!(name::SHADOW_CHECKS, "result" => result, "age" => age).increment(1);
}

/// Tells how long the broad invalidation that waits longest for its refill has waited.
pub fn invalidation_oldest_pending(waited: Duration) {
    gauge!(name::INVALIDATION_PENDING).set(waited.as_secs_f64());
}

/// Records one answered request. `route` is the matched path.
pub fn http_request(method: &'static str, route: &str, status: u16, took: Duration) {
    HTTP_SERIES.with_borrow_mut(|known| {
        let found = known
            .iter()
            .position(|s| s.status == status && s.method == method && *s.route == *route);
        let at = found.unwrap_or_else(|| {
            known.push(Series::resolve(method, route, status));
            known.len() - 1
        });
        known.swap(0, at);
        if let Some(series) = known.first() {
            series.histogram.record(took);
        }
    });
}

// === impl Series ===

impl Series {
    fn resolve(method: &'static str, route: &str, status: u16) -> Self {
        install();
        Self {
            method,
            route: route.into(),
            status,
            histogram: histogram!(
                name::HTTP_DURATION,
                "method" => method,
                "route" => route.to_owned(),
                "status" => status.to_string()
            ),
        }
    }
}

/// The exporter; the first call installs the recorder and describes every metric.
fn exporter() -> &'static Exporter {
    EXPORTER.get_or_init(|| {
        let recorder = ALL
            .iter()
            .filter(|metric| metric.kind == Kind::Histogram)
            .try_fold(PrometheusBuilder::new(), |builder, metric| {
                builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), &BUCKETS)
            })
            // Only an empty list of buckets is refused, and this one is not empty.
            .unwrap_or_default()
            .build_recorder();
        let prometheus = recorder.handle();
        // An embedder's own recorder stays; then ours has nothing to show.
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("Another metrics recorder is installed, /metrics stays empty");
        }
        let process = Collector::default();
        process.describe();
        describe();
        Exporter {
            prometheus,
            process,
        }
    })
}

/// Registers help texts and units, and shows counters with one closed label set or none from the
/// start: a rate needs the zero before the first event.
fn describe() {
    for metric in ALL.iter().filter(|metric| !contracts::writes(metric.name)) {
        match (metric.kind, metric.labels) {
            (Kind::Counter, labels) => {
                metrics::describe_counter!(metric.name, metric.unit, metric.help);
                match labels {
                    [] => counter!(metric.name).increment(0),
                    [label] => label.values.iter().for_each(|value| {
                        counter!(metric.name, label.name => *value).increment(0);
                    }),
                    _ => {}
                }
            }
            (Kind::Gauge, _) => metrics::describe_gauge!(metric.name, metric.unit, metric.help),
            (Kind::Histogram, _) => {
                metrics::describe_histogram!(metric.name, metric.unit, metric.help);
            }
        }
    }
}

/// Gauges are floats; what does not fit 2^53 exactly is rounded.
#[allow(clippy::cast_precision_loss, reason = "rounding is what a gauge does")]
const fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_that_was_touched_is_rendered_under_its_name() {
        cache_request("hit");
        cache_size(1, 2, 3);
        cache_evictions("size", 1);
        cache_coalesced();
        rendition_made("1", "br");
        store_up(true);
        store_bytes(1);
        store_live_bytes(1);
        store_queue_length(1);
        store_error("open");
        upstream_request("get", "ok", Duration::from_millis(3));
        upstream_retry();
        upstream_rejection("get", "rejected", "bulkhead");
        circuit_state("closed");
        circuit_transition("open");
        upstream_products_skipped(1);
        warmup_products(1);
        warmup_progress(0.5);
        sync_ended("ok");
        sync_products(1);
        index_complete(true);
        event(EventKind::Timeout);
        invalidation_oldest_pending(Duration::ZERO);
        shadow_check("same", "le_1s");
        contracts(vec![ContractFigures {
            contract: "live-prices".into(),
            checks: 2,
            fresh: 1,
            triggered: 1,
            failed: 0,
            exhausted: 0,
            compliance: 0.5,
        }]);
        http_request(
            "GET",
            "/products/{productId}",
            200,
            Duration::from_micros(80),
        );
        upkeep();

        let text = render();
        for metric in ALL {
            let heading = format!("# TYPE {} {}\n", metric.name, metric.kind.as_str());
            assert!(text.contains(&heading), "{heading} is missing in\n{text}");
            assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)));
        }
        assert!(text.contains("process_resident_memory_bytes"));
        assert!(
            text.contains("catalog_upstream_request_duration_seconds_bucket{operation=\"get\"")
        );
    }

    #[test]
    fn closed_label_sets_are_there_before_the_first_event() {
        let text = render();
        for outcome in OUTCOMES {
            assert!(text.contains(&format!(
                "{}{{outcome=\"{outcome}\"}}",
                name::CACHE_REQUESTS
            )));
        }
    }

    #[test]
    fn requests_are_told_apart_by_method_route_and_status() {
        for _ in 0..3 {
            http_request("PUT", "/told-apart", 200, Duration::from_millis(1));
            http_request("PUT", "/told-apart", 503, Duration::from_millis(1));
        }
        let text = render();
        for status in [200, 503] {
            assert!(text.contains(&format!(
                "_count{{method=\"PUT\",route=\"/told-apart\",status=\"{status}\"}} 3"
            )));
        }
    }

    #[test]
    fn names_follow_the_naming_rules_and_are_unique() {
        for (at, metric) in ALL.iter().enumerate() {
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Kind::Counter
            );
            assert_eq!(metric.name.ends_with("_bytes"), metric.unit == Unit::Bytes);
            assert_eq!(
                metric.name.ends_with("_seconds"),
                metric.unit == Unit::Seconds
            );
            assert!(metric.help.ends_with('.'));
            assert!(
                ALL.iter()
                    .skip(at + 1)
                    .all(|other| other.name != metric.name)
            );
        }
    }
}

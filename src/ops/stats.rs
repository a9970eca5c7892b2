//! What the cache holds and has done, for people.

use crate::catalog::{Catalog, Outcome, Progress, Stats};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatsBody {
    entries: u64,
    bytes: u64,
    capacity_bytes: u64,
    /// Share of reads answered fresh from the cache; null before the first read.
    hit_ratio: Option<f64>,
    requests: BTreeMap<&'static str, u64>,
    evictions: BTreeMap<&'static str, u64>,
    coalesced: u64,
    store: StoreBody,
    /// Products known to exist, whether held or not.
    known: usize,
    /// Whether those are all there are, so that lists are answered from here.
    index_complete: bool,
    listing: ListingBody,
}

/// How far the pass over the inventory's list is that refills the cache.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListingBody {
    running: bool,
    /// Products confirmed by it, or by the last one.
    confirmed: u64,
    /// Products there are; null where the inventory does not tell.
    total: Option<u64>,
    /// Passes that came to an end.
    passes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreBody {
    up: bool,
    /// On disk.
    bytes: u64,
    /// What of it would be left if it were written anew.
    live_bytes: u64,
    queue_length: u64,
}

pub(super) async fn stats(State(catalog): State<Arc<Catalog>>) -> Response {
    let progress = catalog.progress().borrow().clone();
    super::json(
        StatusCode::OK,
        &StatsBody::new(catalog.stats(), catalog.known(), &progress),
    )
}

// === impl StatsBody ===

impl StatsBody {
    fn new(stats: Stats, (known, index_complete): (usize, bool), progress: &Progress) -> Self {
        Self {
            hit_ratio: hit_ratio(&stats.requests),
            entries: stats.entries,
            bytes: stats.bytes,
            capacity_bytes: stats.capacity_bytes,
            requests: stats
                .requests
                .into_iter()
                .map(|(outcome, count)| (outcome.as_str(), count))
                .collect(),
            evictions: stats
                .evictions
                .into_iter()
                .map(|(cause, count)| (cause.as_str(), count))
                .collect(),
            coalesced: stats.coalesced,
            store: StoreBody {
                up: stats.store_up,
                bytes: stats.store_bytes,
                live_bytes: stats.store_live_bytes,
                queue_length: stats.store_queue_length,
            },
            known,
            index_complete,
            listing: ListingBody {
                running: progress.running,
                confirmed: progress.confirmed,
                total: progress.total,
                passes: progress.passes,
            },
        }
    }
}

/// Hits among all reads.
#[allow(
    clippy::cast_precision_loss,
    reason = "a ratio needs no more than 53 bits"
)]
fn hit_ratio(requests: &[(Outcome, u64)]) -> Option<f64> {
    let count = |wanted: fn(Outcome) -> bool| -> u64 {
        requests
            .iter()
            .filter(|(outcome, _)| wanted(*outcome))
            .map(|(_, count)| count)
            .sum()
    };
    let (hits, all) = (count(|outcome| outcome == Outcome::Hit), count(|_| true));
    (all > 0).then(|| hits as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::EvictionCause;
    use serde_json::json;

    #[test]
    fn statistics_have_names_for_everything_and_a_ratio() {
        let stats = Stats {
            entries: 2,
            bytes: 900,
            capacity_bytes: 1000,
            requests: vec![(Outcome::Hit, 3), (Outcome::Miss, 1)],
            evictions: vec![(EvictionCause::Size, 7)],
            coalesced: 5,
            store_up: true,
            store_bytes: 4096,
            store_live_bytes: 2048,
            store_queue_length: 1,
        };
        let progress = Progress {
            running: true,
            confirmed: 3,
            total: Some(9),
            passes: 2,
            ..Progress::default()
        };
        assert_eq!(
            serde_json::to_value(StatsBody::new(stats, (9, true), &progress)).unwrap(),
            json!({
                "entries": 2, "bytes": 900, "capacityBytes": 1000, "hitRatio": 0.75,
                "requests": {"hit": 3, "miss": 1}, "evictions": {"size": 7}, "coalesced": 5,
                "store": {"up": true, "bytes": 4096, "liveBytes": 2048, "queueLength": 1}, "known": 9, "indexComplete": true,
                "listing": {"running": true, "confirmed": 3, "total": 9, "passes": 2}
            })
        );
    }

    #[test]
    fn there_is_no_ratio_before_the_first_read() {
        assert_eq!(hit_ratio(&[]), None);
        assert_eq!(hit_ratio(&[(Outcome::Hit, 0)]), None);
        assert_eq!(hit_ratio(&[(Outcome::Miss, 1)]), Some(0.0));
    }
}

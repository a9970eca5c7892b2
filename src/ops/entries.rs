//! One entry of the cache: looked at without touching it, or purged.

use super::admin::Admin;
use crate::catalog::{Catalog, Inspection, Mode, Selector};
use crate::http::caching::NoBody;
use crate::http::extract::EntryId;
use crate::http::fault::{ErrorCode, Fault, NO_STORE};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryBody {
    id: String,
    state: &'static str,
    /// Whether the inventory's word for it stands.
    trust: &'static str,
    age_ms: u128,
    /// What remains of the window; null where it never ends.
    remaining_ms: Option<u64>,
    weight_bytes: usize,
    loading: bool,
}

pub(super) async fn inspect(
    State(catalog): State<Arc<Catalog>>,
    EntryId(id): EntryId,
) -> Result<Response, Fault> {
    let entry = catalog
        .inspect(&id)
        .ok_or_else(|| Fault::new(ErrorCode::EntryNotFound))?;
    Ok(super::json(
        StatusCode::OK,
        &EntryBody::new(id.as_str(), &entry),
    ))
}

/// Purges an entry from memory, store and negative cache.
pub(super) async fn purge(
    _: Admin,
    State(catalog): State<Arc<Catalog>>,
    EntryId(id): EntryId,
) -> Response {
    tracing::info!(product = id.as_str(), "Entry purged by an operator");
    catalog
        .invalidate(Selector::Ids(vec![id]), Mode::Hard, false)
        .await;
    let headers = [(CACHE_CONTROL, NO_STORE)];
    (StatusCode::NO_CONTENT, headers, Body::new(NoBody)).into_response()
}

// === impl EntryBody ===

impl EntryBody {
    fn new(id: &str, entry: &Inspection) -> Self {
        Self {
            id: id.to_owned(),
            state: entry.state,
            trust: entry.trust,
            age_ms: entry.age.as_millis(),
            // A window that never ends is longer than any number of milliseconds.
            remaining_ms: u64::try_from(entry.remaining.as_millis()).ok(),
            weight_bytes: entry.weight_bytes,
            loading: entry.loading,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn an_entry_tells_its_times_in_milliseconds() {
        let mut entry = Inspection {
            state: "fresh",
            trust: "confirmed",
            age: Duration::from_micros(1_500_900),
            remaining: Duration::from_secs(10),
            weight_bytes: 1300,
            loading: false,
        };
        let expected = json!({
            "id": "p-1", "state": "fresh", "trust": "confirmed", "ageMs": 1500, "remainingMs": 10_000,
            "weightBytes": 1300, "loading": false
        });
        let body = serde_json::to_value(EntryBody::new("p-1", &entry)).unwrap();
        assert_eq!(body, expected);

        entry.remaining = Duration::MAX;
        assert_eq!(EntryBody::new("p-1", &entry).remaining_ms, None);
    }
}

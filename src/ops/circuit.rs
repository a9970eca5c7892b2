//! The circuit to the inventory: looked at, and held open or closed.

use super::admin::Admin;
use crate::catalog::{Catalog, CircuitStatus, Forced};
use crate::http::extract::JsonBody;
use crate::http::fault::{ErrorCode, Fault, Reason};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// What an order has to be.
const ORDER: &str = "Must be an object with one member, `state`: open, closed or auto.";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    state: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CircuitBody {
    state: &'static str,
    /// Whether an operator holds it there.
    forced: bool,
    /// In a row.
    failures: u32,
    since: String,
    opened_total: u64,
    /// Until a call may try; null unless it is open by itself.
    remaining_ms: Option<u64>,
}

pub(super) async fn show(State(catalog): State<Arc<Catalog>>) -> Response {
    super::json(StatusCode::OK, &CircuitBody::new(&catalog.circuit()))
}

/// Holds the circuit open or closed, or lets it go, and tells how it stands then.
pub(super) async fn force(
    _: Admin,
    State(catalog): State<Arc<Catalog>>,
    body: JsonBody,
) -> Result<Response, Fault> {
    let forced = order(&body.0)?;
    tracing::info!(?forced, "Circuit set by an operator");
    catalog.force_circuit(forced);
    Ok(show(State(catalog)).await)
}

// === impl CircuitBody ===

impl CircuitBody {
    fn new(circuit: &CircuitStatus) -> Self {
        let since = i64::try_from(circuit.since.as_millis()).unwrap_or(i64::MAX);
        let since = jiff::Timestamp::from_millisecond(since).unwrap_or(jiff::Timestamp::MAX);
        let left = |left: std::time::Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Self {
            state: circuit.state.as_str(),
            forced: circuit.forced,
            failures: circuit.failures,
            since: since.to_string(),
            opened_total: circuit.opened,
            remaining_ms: circuit.remaining.map(left),
        }
    }
}

fn order(body: &[u8]) -> Result<Option<Forced>, Fault> {
    let wrong = || {
        Fault::all(vec![Reason {
            description: Cow::Borrowed(ORDER),
            field: Some("state".to_owned()),
            ..Reason::new(ErrorCode::InvalidField)
        }])
    };
    let body: OrderBody = serde_json::from_slice(body).map_err(|error| match error.is_data() {
        true => wrong(),
        false => Fault::new(ErrorCode::MalformedBody),
    })?;
    match body.state.as_str() {
        "open" => Ok(Some(Forced::Open)),
        "closed" => Ok(Some(Forced::Closed)),
        "auto" => Ok(None),
        _ => Err(wrong()),
    }
}

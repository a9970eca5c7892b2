//! The internal listener on :9090: metrics, and what operators do to the cache. No product is
//! answered here.

mod admin;
mod circuit;
mod contracts;
mod entries;
mod events;
mod invalidations;
mod stats;

use crate::catalog::Catalog;
use crate::http::Draining;
use crate::http::fault::{ErrorCode, Fault, NO_STORE};
use crate::http::observe::{Listener, ObserveLayer};
use crate::secrets::{Late, Secret};
use crate::telemetry::events::Events;
use crate::telemetry::metrics;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;

/// Prometheus' text format.
const EXPOSITION: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What the internal listener is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// `ADMIN_TOKEN`; `None` switches changes off (403).
    pub admin_token: Option<Late<Secret>>,
}

/// What the internal listener is made of.
#[derive(Clone)]
pub struct OpsState {
    /// Whose cache it is.
    pub catalog: Arc<Catalog>,
    /// What it is told.
    pub config: Config,
    /// Whether the service is on its way out.
    pub draining: Draining,
    /// What happens, for whoever listens.
    pub events: Events,
    /// Cancelled when answers that would go on have to end.
    pub stop: CancellationToken,
}

// === impl OpsState ===

impl FromRef<OpsState> for Arc<Catalog> {
    fn from_ref(state: &OpsState) -> Self {
        Arc::clone(&state.catalog)
    }
}

/// The internal listener's routes.
pub fn router(state: OpsState) -> Router {
    let observe = ObserveLayer::new(Listener::Internal, state.draining.clone());
    Router::new()
        .route("/metrics", get(exposition))
        .route("/cache/stats", get(stats::stats))
        .route(
            "/cache/entries/{productId}",
            get(entries::inspect).delete(entries::purge),
        )
        .route("/contracts", get(contracts::list).post(contracts::create))
        .route(
            "/contracts/{name}",
            get(contracts::read_one)
                .put(contracts::replace)
                .delete(contracts::remove),
        )
        .route("/contracts/{name}/stats", get(contracts::stats))
        .route(
            "/events",
            get(events::listen).layer(Extension(events::Places::default())),
        )
        .route(
            "/cache/invalidations",
            get(invalidations::list).post(invalidations::invalidate),
        )
        .route("/cache/invalidations/{id}", get(invalidations::find))
        .route("/circuit", get(circuit::show).put(circuit::force))
        .fallback(async || Fault::new(ErrorCode::RouteNotFound))
        .method_not_allowed_fallback(async || Fault::new(ErrorCode::MethodNotAllowed))
        // Whatever an answer says of itself, nothing here is ever cached.
        .layer(SetResponseHeaderLayer::overriding(CACHE_CONTROL, NO_STORE))
        .layer(observe)
        .with_state(state)
}

/// Everything that is measured.
async fn exposition(State(catalog): State<Arc<Catalog>>) -> Response {
    catalog.publish_gauges();
    let headers = [(CONTENT_TYPE, EXPOSITION), (CACHE_CONTROL, NO_STORE)];
    (headers, metrics::render()).into_response()
}

/// A JSON answer of the internal listener: never cached.
fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => {
            let headers = [
                (CONTENT_TYPE, crate::http::fault::JSON),
                (CACHE_CONTROL, NO_STORE),
            ];
            (status, headers, body).into_response()
        }
        Err(error) => Fault::internal(error.to_string()).into_response(),
    }
}

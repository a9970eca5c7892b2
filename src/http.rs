//! The public API on :8080: routes, then the inbound stack.

mod admission;
pub mod auth;
mod batch;
pub mod caching;
mod collection;
mod conditional;
mod demands;
mod directives;
mod docs;
pub(crate) mod extract;
pub mod fault;
mod file;
mod front;
mod groups;
mod guard;
mod health;
mod idempotency;
mod link;
mod list;
pub mod media;
pub mod observe;
pub mod openapi;
mod products;
mod search;
mod uri;
mod writes;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::secrets::Late;
use admission::AdmissionLayer;
use auth::{Authority, Tokens};
use axum::body::Body;
use axum::extract::FromRef;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use caching::{NoBody, Policies};
use demands::Budget;
use fault::{ErrorCode, Fault, NO_STORE};
pub use front::Front;
use front::Quick;
use guard::Guard;
pub use guard::Peer;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, StatusCode};
use observe::{Listener, ObserveLayer};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tower::ServiceBuilder;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Requests that may wait for the inventory at once; more are refused.
const MOST_WAITING: usize = 8192;

/// What the public API is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// `HTTP_MAX_AGE_SECONDS`: the longest `max-age` a product answer carries.
    pub max_age: Duration,
    /// `WRITE_API_KEYS`: who may write with a key.
    pub write_keys: Option<Late<Vec<WriteKey>>>,
    /// `JWT_ISSUER`, `JWT_AUDIENCE` and `JWKS_URL`: whose bearer tokens are taken. Without these and
    /// without write keys, writes are off (403).
    pub tokens: Option<Tokens>,
    /// `READ_REQUIRES_AUTH`: whether reading products takes a credential too.
    pub read_requires_auth: bool,
    /// `CORS_ALLOWED_ORIGINS`: whose pages may read answers. Empty: nobody's.
    pub cors_origins: Vec<HeaderValue>,
    /// `CDN_HEADERS`: what shared caches are told beyond `Cache-Control`.
    pub cdn: Option<caching::Cdn>,
    /// `RATE_LIMIT_PER_SECOND`: how many requests a client has a second; `None`: any number.
    pub rate_limit: Option<NonZeroU32>,
    /// `REVALIDATION_BUDGET_PER_SECOND`: how many calls to the inventory a caller may force in a second;
    /// `None`: none, and `Cache-Control` of requests is ignored.
    pub revalidation_budget: Option<NonZeroU32>,
    /// Whether the listener itself speaks TLS: then answers ask clients to keep to it.
    pub speaks_tls: bool,
}

/// Somebody who may write: a name for the log, and the SHA-256 digest of the key.
#[derive(Clone, PartialEq, Eq)]
pub struct WriteKey {
    /// Who.
    pub name: String,
    /// SHA-256 of the key's bytes.
    pub digest: [u8; 32],
}

/// What the public API is made of.
pub struct HttpState {
    /// Whom it asks.
    pub catalog: Arc<Catalog>,
    /// What it is told.
    pub config: Config,
    /// Who may do what.
    pub authority: Arc<Authority>,
    /// The service's clock.
    pub clock: Clock,
    /// Whether the service is on its way out.
    pub draining: Draining,
    /// The longest a request may take: beyond the deadline of a call to the inventory.
    pub deadline: Duration,
}

/// Whether the service is on its way out: then it is not ready, and asks clients to close their
/// connections. All clones are one switch.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

/// What handlers take their parts from.
#[derive(Clone)]
struct Shared(Arc<Parts>);

struct Parts {
    catalog: Arc<Catalog>,
    policies: Arc<Policies>,
    authority: Arc<Authority>,
    budget: Option<Arc<Budget>>,
    clock: Clock,
    draining: Draining,
}

// === impl WriteKey ===

impl std::fmt::Debug for WriteKey {
    /// Shows the name only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl Draining ===

impl Draining {
    /// Begins to drain. There is no way back.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has begun.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Shared ===

impl std::ops::Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl FromRef<Shared> for Arc<Catalog> {
    fn from_ref(state: &Shared) -> Self {
        Arc::clone(&state.catalog)
    }
}

impl FromRef<Shared> for Arc<Policies> {
    fn from_ref(state: &Shared) -> Self {
        Arc::clone(&state.policies)
    }
}

/// The public API: its routes, and the stack that every request goes through; hits are answered ahead of
/// both, by the same rules.
pub fn public(state: HttpState) -> Front {
    let HttpState {
        catalog,
        config,
        authority,
        clock,
        draining,
        deadline,
    } = state;
    let guard = Guard::new(&config, &authority, clock);
    // Items of a batch begin within one deadline and end within another, once the body is here.
    let batch = (batch::PATH, deadline * 2 + extract::BODY_ARRIVES);
    let observe = ObserveLayer::new(Listener::Public, draining.clone()).guarded(guard);
    let stack = ServiceBuilder::new()
        // 1 request id, x-conversation   reused or made, on every answer and log line
        // 2 conversation scope           stands in for a span at the price of two writes
        // 3 metrics, access line         labelled with the matched path, never the path
        //   rate limit                   → 429 fault; off costs nothing
        //   faults                       rendered here, where the conversation is known
        //   security headers, CORS       on whatever the answer is by then
        // 4 catch panic                  → 500 fault, still counted
        .layer(observe.clone())
        // 5 load shed                    → 503 fault; reads that need not wait are never refused
        // 6 deadline                     → 503 fault, 504 for a write, 408 while its body arrives; hits arm no timer
        .layer(AdmissionLayer::new(MOST_WAITING, deadline, batch));
    // 7 body limit                       → 413 fault; in `extract::JsonBody`, as only writes have a body

    let shared = Shared(Arc::new(Parts {
        catalog,
        policies: Arc::new(
            Policies::new(config.max_age)
                .private(config.read_requires_auth)
                .and_for_shared_caches(config.cdn),
        ),
        authority,
        budget: config
            .revalidation_budget
            .map(|calls| Arc::new(Budget::new(calls, clock))),
        clock,
        draining,
    }));
    let quick = (!config.read_requires_auth).then(|| Quick {
        catalog: Arc::clone(&shared.catalog),
        policies: Arc::clone(&shared.policies),
        observe,
    });
    let (mut routes, _) = documented().split_for_parts();
    if config.read_requires_auth {
        // Around every route there is so far; those below are open whatever the configuration.
        routes = routes.route_layer(from_fn_with_state(shared.clone(), auth::guard_reads));
    }
    let router = routes
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/", get(docs::root))
        .route("/docs", get(docs::page))
        .route("/docs/assets/{name}", get(docs::asset))
        .fallback(nowhere)
        .method_not_allowed_fallback(other_method)
        .layer(stack)
        .with_state(shared);
    Front::new(router, quick)
}

/// A method that a route has no handler for; the framework adds `Allow`. That alone is the answer to
/// OPTIONS, and to the preflights of CORS, which need no credential.
async fn other_method(method: Method) -> Response {
    if method != Method::OPTIONS {
        return Fault::new(ErrorCode::MethodNotAllowed).into_response();
    }
    let headers = [(CACHE_CONTROL, NO_STORE)];
    (StatusCode::NO_CONTENT, headers, Body::new(NoBody)).into_response()
}

async fn nowhere() -> Fault {
    Fault::new(ErrorCode::RouteNotFound)
}

/// The routes that the OpenAPI document describes.
fn documented() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(collection::query_products, writes::create_product))
        .routes(routes!(
            products::get_product,
            writes::replace_product,
            writes::patch_product,
            writes::delete_product
        ))
        .routes(routes!(products::get_availability))
        .routes(routes!(
            batch::create_products,
            batch::patch_products,
            batch::delete_products
        ))
        .routes(routes!(search::search_products))
        .routes(routes!(groups::query_categories))
        .routes(routes!(groups::get_category))
        .routes(routes!(groups::query_brands))
        .routes(routes!(groups::get_brand))
        .routes(routes!(health::get_health))
        .routes(routes!(openapi::get_document))
}

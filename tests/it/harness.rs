//! [`TestApp`]: the whole service in one process, with an inventory the test controls.
//!
//! No sockets: requests go through the router, upstream calls go into the embedded inventory's router.
//! That keeps `start_paused` tests honest, because tokio skips time ahead while it waits for a socket.

use crate::answers;
use crate::issuer::{AUDIENCE, ISSUER, JWKS_URL, Published};
use axum::Router;
use axum::body::{Body, Bytes};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use product_catalog::app::App;
use product_catalog::catalog::Catalog;
use product_catalog::clock::Clock;
use product_catalog::config::{Config, Environment, Profile};
use product_catalog::contract::Contract;
use product_catalog::demo::{Catalogue, Inventory};
use product_catalog::http::Front;
use product_catalog::upstream::transport::{Transport, in_process};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

/// The key that may write.
pub const WRITE_KEY: &str = "a-key-for-tests";

/// The token that may operate the cache.
pub const ADMIN_TOKEN: &str = "a-token-for-tests";

/// The service, ready to be asked.
pub struct TestApp {
    app: App,
    public: Front,
    internal: Front,
    pub inventory: Inventory,
    pub clock: Clock,
}

/// How a service is set up.
pub struct Setup {
    pub inventory: Inventory,
    environment: Vec<(String, String)>,
    clock: Clock,
    dir: Option<std::path::PathBuf>,
    issuer: Router,
}

/// An answer, read to its end.
pub struct Answer(Response<Bytes>);

impl Setup {
    /// A service whose inventory has so many made-up products, and that keeps nothing on disk.
    pub fn products(count: usize) -> Self {
        Self::of(Inventory::new(Catalogue::generated(count, 7)))
    }

    /// A service of this inventory.
    pub fn of(inventory: Inventory) -> Self {
        let digest = Sha256::digest(WRITE_KEY);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let given = [
            ("UPSTREAM_API", "http://inventory.test"),
            ("API_KEY", "planted-api-key"),
            ("ADMIN_TOKEN", ADMIN_TOKEN),
            ("WRITE_API_KEYS", &format!("tests:{digest}")),
        ];
        Self {
            inventory,
            environment: given
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            clock: Clock::start(),
            dir: None,
            issuer: Router::new(),
        }
    }

    /// Sets a variable.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a variable unset.
    pub fn unset(mut self, name: &str) -> Self {
        self.environment.retain(|(other, _)| other != name);
        self
    }

    /// Takes the tokens of the issuer whose keys `published` has.
    pub fn tokens(mut self, published: &Published) -> Self {
        self.issuer = published.router();
        self.set("JWT_ISSUER", ISSUER)
            .set("JWT_AUDIENCE", AUDIENCE)
            .set("JWKS_URL", JWKS_URL)
    }

    /// Keeps a store in `dir`.
    pub fn store(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Starts with this clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the service, and waits for nothing.
    pub async fn start(self) -> TestApp {
        let transport = in_process(self.inventory.router());
        self.start_through(transport).await
    }

    /// Starts the service with this transport.
    pub async fn start_through(self, transport: Transport) -> TestApp {
        let environment: Environment = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let contract = Contract::embedded().unwrap();
        let issuer = in_process(self.issuer);
        let mut config = Config::load(&contract, &environment, &Profile::Serve, issuer)
            .await
            .unwrap();
        config.cache.dir = self.dir;
        let mut app = App::build(config, transport, self.clock);
        app.start().unwrap();
        TestApp {
            public: app.public(),
            internal: Front::new(app.internal(), None),
            app,
            inventory: self.inventory,
            clock: self.clock,
        }
    }

    /// Starts the service and waits until it knows all products.
    pub async fn warm(self) -> TestApp {
        let app = self.start().await;
        app.passes(1).await;
        app
    }

    /// Starts the service without warm-up, so that every product is a miss at first.
    pub async fn cold(self) -> TestApp {
        self.set("WARMUP_ON_START", "false").start().await
    }
}

impl TestApp {
    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, "").await
    }

    /// A request to the public API. What it is answered is as the OpenAPI document says.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let answer = Answer::to(&self.public, method.clone(), path, headers, body.into()).await;
        answer.documented(&method, path)
    }

    /// A write with the key that may.
    pub async fn write(&self, method: Method, path: &str, body: &Value) -> Answer {
        let headers = [
            ("x-api-key", WRITE_KEY),
            ("content-type", "application/json"),
        ];
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.send(method, path, &headers, body).await
    }

    /// A request to the internal listener, with the token that may.
    pub async fn operate(&self, method: Method, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        Answer::to(&self.internal, method, path, &headers, body.into()).await
    }

    /// A request to the internal listener, with nothing but this.
    pub async fn internal(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        Answer::to(&self.internal, method, path, headers, Body::empty()).await
    }

    /// A request to the public API from `peer`, an address.
    pub async fn get_from(&self, peer: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let peer = product_catalog::http::Peer(peer.parse().unwrap());
        let mut request = request(Method::GET, path, headers, Body::empty());
        request.extensions_mut().insert(peer);
        let answer = Answer::of(&self.public, request).await;
        answer.documented(&Method::GET, path)
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        self.app.catalog()
    }

    pub fn app(&self) -> &App {
        &self.app
    }

    /// Waits until so many listing passes are through.
    pub async fn passes(&self, passes: u64) {
        let mut progress = self.catalog().progress();
        progress
            .wait_for(|progress| progress.passes >= passes)
            .await
            .unwrap();
    }

    /// Lets `by` pass. Sleeps instead of calling `advance`, so that every background task wakes at its
    /// own moment on the way and not once at the end.
    pub async fn later(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    /// Stops in order.
    pub async fn stop(self) {
        self.app.stop(Duration::from_secs(5)).await;
    }
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

impl Answer {
    async fn to(
        front: &Front,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Self {
        Self::of(front, request(method, path, headers, body)).await
    }

    async fn of(front: &Front, request: Request<Body>) -> Self {
        let response = front.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self(Response::from_parts(parts, body))
    }

    /// The same, if it is as the OpenAPI document says.
    fn documented(self, method: &Method, path: &str) -> Self {
        let (status, headers) = (self.0.status(), self.headers());
        match answers::check(method, path, status, headers, self.body()) {
            Ok(()) => self,
            Err(otherwise) => panic!("{otherwise}"),
        }
    }

    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    pub fn is_ok(&self) -> bool {
        self.0.status() == StatusCode::OK
    }

    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.0
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn body(&self) -> &Bytes {
        self.0.body()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(self.0.body()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(self.0.body()).unwrap()
    }

    /// The ids of a page.
    pub fn ids(&self) -> Vec<String> {
        let body = self.json();
        let items = body["data"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A page's cursor.
    pub fn cursor(&self, which: &str) -> Option<String> {
        self.json()["paging"]["cursors"][which]
            .as_str()
            .map(str::to_owned)
    }

    /// The error codes of a fault.
    pub fn codes(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["fault"]["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|error| error["errorCode"].as_str().unwrap_or("").to_owned())
            .collect()
    }
}

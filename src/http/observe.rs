//! The outermost layer: what every request gets, in one pass and without a box of its own.
//!
//! It gives a request its conversation and request id, has it meet the guard, measures it, catches its
//! panic, renders its fault, and writes its access line.

use super::Draining;
use super::fault::{ErrorCode, Fault, Rendered};
use super::guard::{Guard, Met};
use super::uri;
use crate::telemetry::{Conversation, Stopwatch, metrics};
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{Layer, Service};
use uuid::Uuid;

/// A request whose body has not been looked at.
type Request<B = Body> = http::Request<B>;

/// The request's own id: one conversation may have many requests.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Which listener a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// The API: measured.
    Public,
    /// Operations: logged, and left out of the API's figures.
    Internal,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    listener: Listener,
    draining: Draining,
    guard: Arc<Guard>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    layer: ObserveLayer,
}

pin_project! {
    /// A request on its way through the inner layers; none where it was refused before them: here, or
    /// by whoever left a [`Fault`] in its extensions.
    pub struct Observed<F> {
        #[pin]
        inner: Option<F>,
        refused: Option<Fault>,
        layer: ObserveLayer,
        exchange: Exchange,
        asked: Kept,
    }
}

/// A request that is under way: what it began with.
#[derive(Debug)]
pub struct Exchange {
    met: Met,
    started: Stopwatch,
    conversation: Conversation,
    /// The one it came with; else it has none that anybody was told.
    request_id: Option<Uuid>,
}

/// What a request asked for, as metrics and log lines tell it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// What it asked for.
    pub uri: &'a Uri,
    /// The path of the route that it matched.
    pub route: &'a str,
    /// Who says to have asked.
    pub user_agent: Option<&'a HeaderValue>,
}

/// The same, kept for when the answer comes.
#[derive(Debug)]
struct Kept {
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    user_agent: Option<HeaderValue>,
}

// === impl ObserveLayer ===

impl ObserveLayer {
    /// Observes `listener`. While `draining`, every answer asks the client to close its connection.
    pub fn new(listener: Listener, draining: Draining) -> Self {
        Self {
            listener,
            draining,
            guard: Arc::default(),
        }
    }

    /// The same, with `guard` in place of the one that only adds security headers.
    #[must_use]
    pub fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Arc::new(guard);
        self
    }

    /// Begins a request, and has it meet the guard.
    ///
    /// # Errors
    /// Beside the exchange: the fault to answer with, where its client asks for too much.
    pub fn begin<B>(&self, request: &mut Request<B>) -> (Exchange, Result<(), Fault>) {
        let started = Stopwatch::start();
        let (met, welcome) = self.guard.meet(request);
        let headers = request.headers();
        let exchange = Exchange {
            met,
            started,
            conversation: Conversation::of(headers),
            request_id: request_id(headers),
        };
        (exchange, welcome)
    }

    /// Renders a fault, and ends a request as [`ObserveLayer::end`] does.
    pub fn answer(
        &self,
        exchange: &mut Exchange,
        asked: &Asked<'_>,
        mut response: Response,
    ) -> Response {
        let fault = Fault::render(&mut response, exchange.conversation);
        let status = response.status();
        self.end(
            exchange,
            asked,
            status,
            response.headers_mut(),
            fault.as_ref(),
        );
        response
    }

    /// Adds what every answer has, counts and logs.
    pub fn end(
        &self,
        exchange: &mut Exchange,
        asked: &Asked<'_>,
        status: StatusCode,
        headers: &mut HeaderMap,
        fault: Option<&Rendered>,
    ) {
        headers.insert(Conversation::HEADER, exchange.conversation.header_value());
        self.guard.dress(&mut exchange.met, headers);
        if let Some(id) = exchange.request_id
            && let Ok(id) = HeaderValue::try_from(id.to_string())
        {
            headers.insert(X_REQUEST_ID, id);
        }
        if self.draining.is_on() {
            headers.insert(CONNECTION, CLOSE);
        }
        let (status, took) = (status.as_u16(), exchange.started.elapsed());
        if self.listener == Listener::Public {
            metrics::http_request(method_label(asked.method), asked.route, status, took);
        }
        self.log(exchange, asked, status, took, fault);
    }

    /// The access line. What went wrong stands in it once, at the level it deserves.
    fn log(
        &self,
        exchange: &Exchange,
        asked: &Asked<'_>,
        status: u16,
        took: Duration,
        fault: Option<&Rendered>,
    ) {
        macro_rules! access {
            ($level:ident, $message:literal) => {
                tracing::event!(
                    target: "access",
                    tracing::Level::$level,
                    trace_id = %exchange.conversation,
                    request_id = %exchange.request_id.unwrap_or_else(Uuid::new_v4),
                    method = asked.method.as_str(),
                    request_uri = %uri::Safe(asked.uri),
                    status,
                    request_time = millis(took),
                    user_agent = asked.user_agent.and_then(|agent| agent.to_str().ok()),
                    fault_id = fault.map(|fault| tracing::field::display(fault.fault_id)),
                    error_code = fault.and_then(|fault| fault.code).map(ErrorCode::as_str),
                    error = fault.and_then(|fault| fault.cause.as_deref()),
                    $message
                )
            };
        }
        match (self.listener, status) {
            (_, 500) => access!(ERROR, "Request failed: a defect"),
            (_, 501..) => access!(WARN, "Request could not be answered"),
            (Listener::Public, _) => access!(INFO, "Request answered"),
            (Listener::Internal, _) => access!(DEBUG, "Request answered"),
        }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe {
            inner,
            layer: self.clone(),
        }
    }
}

// === impl Observe ===

impl<S> Service<Request> for Observe<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let layer = self.layer.clone();
        let (exchange, welcome) = layer.begin(&mut request);
        let asked = Kept::of(&request);
        let refused = request.extensions().get::<Fault>().cloned();
        let admitted =
            welcome.and_then(|()| refused.map_or_else(|| uri::admit(request.uri()), Err));
        let called = admitted.and_then(|()| {
            let call = AssertUnwindSafe(|| self.inner.call(request));
            catch_unwind(|| exchange.conversation.scope(call)).map_err(|_| Fault::panicked())
        });
        let (inner, refused) = match called {
            Ok(inner) => (Some(inner), None),
            Err(fault) => (None, Some(fault)),
        };
        Observed {
            inner,
            refused,
            layer,
            exchange,
            asked,
        }
    }
}

// === impl Observed ===

impl<F> Future for Observed<F>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let refused = this.refused.take();
        let response = match (refused, this.inner.as_mut().as_pin_mut()) {
            (Some(fault), _) => fault.into_response(),
            (None, Some(inner)) => {
                let poll = AssertUnwindSafe(|| inner.poll(cx));
                match catch_unwind(|| this.exchange.conversation.scope(poll)) {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(Ok(response))) => response,
                    Ok(Poll::Ready(Err(never))) => match never {},
                    Err(_) => Fault::panicked().into_response(),
                }
            }
            // Only a future that was polled after it was ready comes here.
            (None, None) => Fault::internal("polled after completion").into_response(),
        };
        this.inner.set(None);
        let asked = this.asked.asked();
        Poll::Ready(Ok(this.layer.answer(this.exchange, &asked, response)))
    }
}

// === impl Exchange ===

impl Exchange {
    /// The conversation that the request is part of.
    pub fn conversation(&self) -> Conversation {
        self.conversation
    }
}

// === impl Kept ===

impl Kept {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            user_agent: request.headers().get(USER_AGENT).cloned(),
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            method: &self.method,
            uri: &self.uri,
            route: self.route.as_ref().map_or("unmatched", MatchedPath::as_str),
            user_agent: self.user_agent.as_ref(),
        }
    }
}

/// The conversation of the request at hand, for handlers that cause upstream calls.
impl<S: Sync> FromRequestParts<S> for Conversation {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::current().unwrap_or_default())
    }
}

/// The id a request brings, where that is a UUID.
fn request_id(headers: &HeaderMap) -> Option<Uuid> {
    Conversation::parse(headers.get(X_REQUEST_ID)?.as_bytes()).map(|id| id.0)
}

/// The methods that are told apart in metrics: anybody can invent others.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Milliseconds with three decimals: a clock that is read twice knows no more.
#[allow(
    clippy::cast_precision_loss,
    reason = "requests end within their deadline"
)]
fn millis(took: Duration) -> f64 {
    took.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::to_bytes;
    use axum::routing::get;
    use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
    use serde_json::Value;
    use tower::ServiceExt;

    const ID: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

    fn router(draining: Draining) -> Router {
        Router::new()
            .route(
                "/ok",
                get(async |conversation: Conversation| conversation.to_string()),
            )
            .route("/fault", get(async || Fault::new(ErrorCode::ProductGone)))
            .route(
                "/plain",
                get(async || (StatusCode::IM_A_TEAPOT, "parser text")),
            )
            .route("/panic", get(panics))
            .fallback(async || Fault::new(ErrorCode::RouteNotFound))
            .method_not_allowed_fallback(async || Fault::new(ErrorCode::MethodNotAllowed))
            .layer(ObserveLayer::new(Listener::Public, draining))
    }

    async fn panics() -> StatusCode {
        panic!("planted secret")
    }

    async fn send(request: Request) -> (Response<()>, String) {
        let response = router(Draining::default()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        (
            Response::from_parts(parts, ()),
            String::from_utf8(bytes.to_vec()).unwrap(),
        )
    }

    fn request(method: &str, path: &str) -> Request {
        let request = Request::builder().method(method).uri(path);
        request
            .header("x-conversation", ID)
            .body(Body::empty())
            .unwrap()
    }

    #[tokio::test]
    async fn the_conversation_reaches_the_handler_and_the_answer() {
        let (response, body) = send(request("GET", "/ok")).await;
        assert_eq!(response.headers()["x-conversation"], ID);
        assert_eq!(body, ID);

        let unasked = Request::new(Body::empty());
        let (response, _) = send(unasked).await;
        assert_ne!(response.headers()["x-conversation"], ID);
    }

    #[tokio::test]
    async fn errors_of_every_origin_are_faults_of_the_conversation() {
        for (method, path, status, code) in [
            ("GET", "/fault", 410, "PRODUCT_GONE"),
            ("GET", "/nowhere", 404, "ROUTE_NOT_FOUND"),
            ("POST", "/ok", 405, "METHOD_NOT_ALLOWED"),
            ("GET", "/plain", 418, "INVALID_REQUEST"),
            ("GET", "/ok?api_key=planted", 400, "CREDENTIAL_IN_QUERY"),
            ("GET", "/ok/", 404, "ROUTE_NOT_FOUND"),
        ] {
            let (response, body) = send(request(method, path)).await;
            assert_eq!(response.status(), status, "{method} {path}");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["fault"]["errors"][0]["errorCode"], code);
            assert_eq!(body["fault"]["traceId"], ID);
            assert_eq!(response.headers()["x-conversation"], ID);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing_and_is_counted() {
        let (response, body) = send(request("GET", "/panic")).await;
        assert_eq!(response.status(), 500);
        assert!(body.contains("Internal Server Error") && !body.contains("planted"));
        let series = "_count{method=\"GET\",route=\"/panic\",status=\"500\"}";
        assert!(metrics::render().contains(series));
    }

    #[tokio::test]
    async fn a_405_says_what_is_allowed() {
        let (response, _) = send(request("DELETE", "/ok")).await;
        assert_eq!(response.headers()[ALLOW], "GET,HEAD");
    }

    #[tokio::test]
    async fn head_is_get_without_the_body() {
        for path in ["/ok", "/fault", "/nowhere"] {
            let (get, body) = send(request("GET", path)).await;
            let (head, nothing) = send(request("HEAD", path)).await;
            assert_eq!(head.status(), get.status());
            assert_eq!(head.headers()[CONTENT_LENGTH], body.len().to_string());
            assert_eq!(nothing, "");
        }
    }

    #[tokio::test]
    async fn a_request_id_is_echoed_where_one_was_sent() {
        let mut with_id = request("GET", "/ok");
        with_id
            .headers_mut()
            .insert(X_REQUEST_ID, HeaderValue::from_static(ID));
        let (response, _) = send(with_id).await;
        assert_eq!(response.headers()[X_REQUEST_ID], ID);
        let (response, _) = send(request("GET", "/ok")).await;
        assert!(!response.headers().contains_key(X_REQUEST_ID));
    }

    #[tokio::test]
    async fn while_draining_every_answer_closes_its_connection() {
        let draining = Draining::default();
        let router = router(draining.clone());
        for expected in [None, Some(&CLOSE)] {
            for path in ["/ok", "/nowhere"] {
                let response = router.clone().oneshot(request("GET", path)).await.unwrap();
                assert_eq!(response.headers().get(CONNECTION), expected);
            }
            draining.begin();
        }
    }
}

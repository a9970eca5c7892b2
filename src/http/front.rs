//! What connections call: products that are at hand are answered right here, everything else by the
//! router behind it.
//!
//! A hit needs no route and nothing to wait for, and nearly all requests are hits. What is said in the
//! answer comes from where the router's handlers take it too: who may ask from the guard, the form from
//! [`Accepted`], conditions and caching from [`Policies`], ids, metrics and access line from
//! [`ObserveLayer`]. Whatever is not entirely plain is left to the router, untouched.

use super::caching::{Heed, Metadata, NoBody, Policies, Verdict};
use super::directives::Directives;
use super::fault::Fault;
use super::media::Accepted;
use super::observe::{Asked, Exchange, ObserveLayer};
use super::uri;
use crate::catalog::{Catalog, ProductId, Served, Stored};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response as Routed};
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use futures_util::TryFutureExt;
use futures_util::future::{Either, MapOk, Ready, ready};
use http::header::USER_AGENT;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Where products are, and the route's name in metrics.
const PRODUCTS: &str = "/products/";
const ROUTE: &str = "/products/{productId}";

/// The headers of an answer: room for all that any has, so that a connection's map grows once.
const HEADERS: usize = 24;

/// An API as connections call it. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    quick: Option<Arc<Quick>>,
    router: Router,
}

/// What a product at hand is answered with.
pub struct Quick {
    pub(super) catalog: Arc<Catalog>,
    pub(super) policies: Arc<Policies>,
    pub(super) observe: ObserveLayer,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Answer {
    /// All of it.
    Whole(Full<Bytes>),
    /// None.
    None(NoBody),
    /// What the router made.
    Routed(Body),
}

/// A product at hand in the form that its client takes.
struct Hit {
    id: ProductId,
    served: Served,
    metadata: Metadata,
    body: Bytes,
    is_304: bool,
}

// === impl Front ===

impl Front {
    /// Answers what `quick` can, and leaves the rest to `router`.
    pub fn new(router: Router, quick: Option<Quick>) -> Self {
        Self {
            quick: quick.map(Arc::new),
            router,
        }
    }
}

impl<B> Service<Request<B>> for Front
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Either<
        Ready<Result<Self::Response, Infallible>>,
        MapOk<RouteFuture<Infallible>, fn(Routed) -> Self::Response>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.router, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let quick = self.quick.as_ref();
        match quick.and_then(|quick| quick.answer(&mut request)) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.router.call(request).map_ok(routed)),
        }
    }
}

fn routed(response: Routed) -> Response<Answer> {
    response.map(Answer::Routed)
}

// === impl Quick ===

impl Quick {
    /// The answer to a request for a product that is at hand. `None` where the router has to look, and then
    /// nothing has happened.
    fn answer<B>(&self, request: &mut Request<B>) -> Option<Response<Answer>> {
        let answer = AssertUnwindSafe(|| Some(self.answer_with(self.hit(request)?, request)));
        catch_unwind(answer).unwrap_or_else(|_| {
            let (exchange, _) = self.observe.begin(request);
            Some(self.refuse(Fault::panicked(), exchange, request))
        })
    }

    fn hit<B>(&self, request: &Request<B>) -> Option<Hit> {
        let (uri, headers) = (request.uri(), request.headers());
        if request.method() != Method::GET || uri.query().is_some() {
            return None;
        }
        let id = ProductId::parse(uri.path().strip_prefix(PRODUCTS)?).ok()?;
        // The listener leaves what it refuses to whoever renders faults.
        let is_refused = request.extensions().get::<Fault>().is_some();
        if uri::is_route(&id) || is_refused || !Directives::of(headers).is_empty() {
            return None;
        }
        let shape = Accepted::of(headers).ok()?.shape();
        let served = self.catalog.at_hand(&id)?;
        let rendition = Stored::at_hand(&served.stored, shape)?;
        let (metadata, body) = self
            .policies
            .of_product(&served, rendition, Heed::default());
        let is_304 = match metadata.judged_by(headers) {
            Verdict::Proceed => false,
            Verdict::NotModified => true,
            Verdict::Failed(_) => return None,
        };
        Some(Hit {
            id,
            served,
            metadata,
            body,
            is_304,
        })
    }

    fn answer_with<B>(&self, hit: Hit, request: &mut Request<B>) -> Response<Answer> {
        let (mut exchange, welcome) = self.observe.begin(request);
        if let Err(fault) = welcome {
            return self.refuse(fault, exchange, request);
        }
        self.catalog
            .answered(&hit.id, &hit.served, exchange.conversation());
        // The server takes the map back for the connection's next request: it is made and grown once.
        let mut headers = std::mem::take(request.headers_mut());
        let user_agent = headers.get(USER_AGENT).cloned();
        let asked = Asked {
            method: request.method(),
            uri: request.uri(),
            route: ROUTE,
            user_agent: user_agent.as_ref(),
        };
        headers.clear();
        headers.reserve(HEADERS);
        hit.metadata.write(&mut headers, hit.is_304);
        self.policies.tell_of_product(&mut headers, &hit.served);
        let (status, body) = match hit.is_304 {
            true => (StatusCode::NOT_MODIFIED, Answer::None(NoBody)),
            false => (StatusCode::OK, Answer::Whole(Full::new(hit.body))),
        };
        self.observe
            .end(&mut exchange, &asked, status, &mut headers, None);
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn refuse<B>(
        &self,
        fault: Fault,
        mut exchange: Exchange,
        request: &Request<B>,
    ) -> Response<Answer> {
        let asked = Asked {
            method: request.method(),
            uri: request.uri(),
            route: ROUTE,
            user_agent: request.headers().get(USER_AGENT),
        };
        let response = self
            .observe
            .answer(&mut exchange, &asked, fault.into_response());
        routed(response)
    }
}

// === impl Answer ===

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::None(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Routed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::None(body) => body.is_end_stream(),
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::None(body) => body.size_hint(),
            Self::Routed(body) => body.size_hint(),
        }
    }
}

//! What connections call: products and pages that are at hand are answered right here, everything else by
//! the router behind it.
//!
//! A hit needs no route and nothing to wait for, and nearly all requests are hits. What is said in the
//! answer comes from where the router's handlers take it too: who may ask from the guard, the form from
//! [`Accepted`], conditions and caching from [`Policies`], ids, metrics and access line from
//! [`ObserveLayer`]. Whatever is not entirely plain is left to the router, untouched.

use super::caching::{Heed, Metadata, NoBody, Policies, Verdict};
use super::directives::Directives;
use super::fault::Fault;
use super::list;
use super::media::Accepted;
use super::observe::{Asked, Exchange, ObserveLayer};
use super::uri;
use crate::catalog::{Catalog, KeptPage, ProductId, Served, Standing, Stored};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response as Routed};
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use futures_util::TryFutureExt;
use futures_util::future::{Either, MapOk, Ready, ready};
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Where pages of products are; also their route's name in metrics.
const PAGES: &str = "/products";

/// Where products are, and their route's name.
const PRODUCTS: &str = "/products/";
const PRODUCT: &str = "/products/{productId}";

/// The headers of an answer: room for all that any has, so that a connection's map grows once.
const HEADERS: usize = 24;

/// An API as connections call it. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    quick: Option<Arc<Quick>>,
    router: Router,
}

/// An answer on its way.
pub type Answering = Either<
    Ready<Result<Response<Answer>, Infallible>>,
    MapOk<RouteFuture<Infallible>, fn(Routed) -> Response<Answer>>,
>;

/// What is needed to answer with what is at hand.
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

/// What is at hand, in the form that its client takes.
struct Hit {
    what: What,
    metadata: Metadata,
    body: Bytes,
    is_304: bool,
}

enum What {
    Product(ProductId, Served),
    Page(Arc<KeptPage>, Standing),
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

    /// The answer to a request. What is at hand is answered without a clone of this: two counts that all
    /// connections share would be changed for it, each of them by taking it away from another processor.
    pub fn handle<B>(&self, mut request: Request<B>) -> Answering
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let quick = self.quick.as_ref();
        match quick.and_then(|quick| quick.answer(&mut request)) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.router.clone().call(request).map_ok(routed)),
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
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.router, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.handle(request)
    }
}

fn routed(response: Routed) -> Response<Answer> {
    response.map(Answer::Routed)
}

// === impl Quick ===

impl Quick {
    /// The answer to a request for what is at hand. `None` where the router has to look, and then
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
        // The listener leaves what it refuses to whoever renders faults.
        let is_refused = request.extensions().get::<Fault>().is_some();
        if request.method() != Method::GET || is_refused {
            return None;
        }
        let (what, metadata, body) = match uri.path().strip_prefix(PRODUCTS) {
            Some(id) if uri.query().is_none() => self.product(id, headers)?,
            None if uri.path() == PAGES => self.page(uri.query(), headers)?,
            _ => return None,
        };
        let is_304 = match metadata.judged_by(headers) {
            Verdict::Proceed => false,
            Verdict::NotModified => true,
            Verdict::Failed(_) => return None,
        };
        Some(Hit {
            what,
            metadata,
            body,
            is_304,
        })
    }

    fn product(&self, id: &str, headers: &HeaderMap) -> Option<(What, Metadata, Bytes)> {
        let id = ProductId::parse(id).ok()?;
        if uri::is_route(&id) || !Directives::of(headers).is_empty() {
            return None;
        }
        let shape = Accepted::of(headers).ok()?.shape();
        let served = self.catalog.at_hand(&id)?;
        let rendition = Stored::at_hand(&served.stored, shape)?;
        let (metadata, body) = self
            .policies
            .of_product(&served, rendition, Heed::default());
        Some((What::Product(id, served), metadata, body))
    }

    fn page(&self, query: Option<&str>, headers: &HeaderMap) -> Option<(What, Metadata, Bytes)> {
        let form = Accepted::of(headers).ok()?.number();
        let (page, worth) = self.catalog.kept_page(query.unwrap_or_default(), form)?;
        let metadata = list::metadata_of(&self.policies, &page.rendered, worth);
        let body = page.rendered.body.clone();
        Some((What::Page(page, worth), metadata, body))
    }

    fn answer_with<B>(&self, hit: Hit, request: &mut Request<B>) -> Response<Answer> {
        let (mut exchange, welcome) = self.observe.begin(request);
        if let Err(fault) = welcome {
            return self.refuse(fault, exchange, request);
        }
        // The server takes the map back for the connection's next request: it is made and grown once.
        let mut headers = std::mem::take(request.headers_mut());
        let user_agent = headers.get(USER_AGENT).cloned();
        headers.clear();
        headers.reserve(HEADERS);
        let Hit {
            what,
            metadata,
            body,
            is_304,
        } = hit;
        metadata.write(&mut headers, is_304);
        match &what {
            What::Product(id, served) => {
                self.catalog.answered(id, served, exchange.conversation());
                self.policies.tell_of_product(&mut headers, served);
            }
            What::Page(page, worth) => {
                list::tell_of(&self.policies, &mut headers, &page.rendered, *worth, is_304);
            }
        }
        let (status, body) = match is_304 {
            true => (StatusCode::NOT_MODIFIED, Answer::None(NoBody)),
            false => (StatusCode::OK, Answer::Whole(Full::new(body))),
        };
        let asked = asked(request, user_agent.as_ref());
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
        let asked = asked(request, request.headers().get(USER_AGENT));
        let response = self
            .observe
            .answer(&mut exchange, &asked, fault.into_response());
        routed(response)
    }
}

/// What a request for a product, or for a page, asked for.
fn asked<'a, B>(request: &'a Request<B>, user_agent: Option<&'a HeaderValue>) -> Asked<'a> {
    Asked {
        method: request.method(),
        uri: request.uri(),
        route: match request.uri().path() {
            PAGES => PAGES,
            _ => PRODUCT,
        },
        user_agent,
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

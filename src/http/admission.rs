//! Admission: how many requests may wait at once, and how long each may take.
//!
//! A request that is answered without waiting (a hit) is neither counted nor timed: the counter
//! and the timer are for those that are still waiting after their first poll.

use super::extract::BodyUnderWay;
use super::fault::Fault;
use super::health;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};
use tower::{Layer, Service};

/// Admits requests. All clones, and so all routes, share one count.
#[derive(Clone, Debug)]
pub struct AdmissionLayer {
    most: usize,
    deadline: Duration,
    /// A path whose requests may take longer, and how long.
    patient: (&'static str, Duration),
    waiting: Arc<AtomicUsize>,
}

/// See [`AdmissionLayer`].
#[derive(Clone, Debug)]
pub struct Admission<S> {
    inner: S,
    layer: AdmissionLayer,
}

pin_project! {
    /// A request under way; without `inner` one that was refused.
    pub struct Admitted<F> {
        #[pin]
        inner: Option<F>,
        #[pin]
        deadline: Option<Sleep>,
        place: Option<Place>,
        layer: AdmissionLayer,
        exempt: bool,
        patience: Duration,
        // For a request that changes state: whether its body is still arriving.
        write: Option<BodyUnderWay>,
    }
}

/// A place among those that wait; given back when it is dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

// === impl AdmissionLayer ===

impl AdmissionLayer {
    /// Lets `most` requests wait at once, each for at most `deadline`; those of one path longer.
    pub fn new(most: usize, deadline: Duration, patient: (&'static str, Duration)) -> Self {
        Self {
            most,
            deadline,
            patient,
            waiting: Arc::default(),
        }
    }

    fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < self.most
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission {
            inner,
            layer: self.clone(),
        }
    }
}

// === impl Admission ===

impl<S> Service<Request> for Admission<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Admitted<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        // Health answers from memory, and must answer under load: its probes decide whether we live.
        let exempt = health::is_probe(request.uri().path());
        let write = (!request.method().is_safe()).then(BodyUnderWay::default);
        if let Some(body) = &write {
            request.extensions_mut().insert(body.clone());
        }
        let patience = match self.layer.patient {
            (path, patience) if request.uri().path() == path => patience,
            _ => self.layer.deadline,
        };
        // A read is refused once it is known to wait, a write before it could have any effect.
        let admitted = exempt || write.is_none() || self.layer.has_room();
        Admitted {
            inner: admitted.then(|| self.inner.call(request)),
            deadline: None,
            place: None,
            layer: self.layer.clone(),
            exempt,
            patience,
            write,
        }
    }
}

// === impl Admitted ===

impl<F> Future for Admitted<F>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(Ok(Fault::overloaded().into_response()));
        };
        if let Poll::Ready(answer) = inner.poll(cx) {
            return Poll::Ready(answer);
        }
        if this.place.is_none() {
            if this.write.is_none() && !*this.exempt && !this.layer.has_room() {
                this.inner.set(None);
                return Poll::Ready(Ok(Fault::overloaded().into_response()));
            }
            *this.place = Some(Place::take(&this.layer.waiting));
            this.deadline.set(Some(sleep(*this.patience)));
        }
        let Some(deadline) = this.deadline.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        ready!(deadline.poll(cx));
        let fault = match this.write {
            None => Fault::timed_out(),
            Some(body) if body.is_arriving() => Fault::body_timed_out(),
            // What a write came to is not known when it is cut off.
            Some(_) => Fault::outcome_unknown("the request's deadline passed"),
        };
        Poll::Ready(Ok(fault.into_response()))
    }
}

// === impl Place ===

impl Place {
    fn take(waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(waiting))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::extract::JsonBody;
    use axum::body::Body;
    use axum::extract::FromRequest;
    use http::{Method, StatusCode};
    use tower::{ServiceExt, service_fn};

    fn request(method: Method, path: &str) -> Request {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        request
    }

    /// A service that answers `/now` at once and everything else never.
    fn guarded(
        most: usize,
    ) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone {
        let inner = service_fn(|request: Request| async move {
            if request.uri().path() != "/now" {
                std::future::pending::<()>().await;
            }
            Ok(StatusCode::NO_CONTENT.into_response())
        });
        let patient = ("/many", Duration::from_secs(9));
        AdmissionLayer::new(most, Duration::from_secs(5), patient).layer(inner)
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_passes_is_503_for_reads_and_504_for_writes() {
        for (method, path, status, secs) in [
            (Method::GET, "/slow", 503, 5),
            (Method::PUT, "/slow", 504, 5),
            (Method::POST, "/many", 504, 9),
        ] {
            let started = crate::telemetry::Stopwatch::start();
            let answer = guarded(9).oneshot(request(method, path)).await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(started.elapsed(), Duration::from_secs(secs));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_whose_body_does_not_arrive_is_408_as_nothing_was_sent() {
        for (patience, expected) in [(5, 5), (60, 10)] {
            let inner = service_fn(|request: Request| async move {
                let read = JsonBody::from_request(request, &()).await;
                Ok(read.map_or_else(IntoResponse::into_response, |_| ().into_response()))
            });
            let patience = Duration::from_secs(patience);
            let service = AdmissionLayer::new(9, patience, ("", patience)).layer(inner);
            let never = futures_util::stream::pending::<Result<&str, Infallible>>();
            let mut request = request(Method::PUT, "/");
            *request.body_mut() = Body::from_stream(never);
            let json = http::HeaderValue::from_static("application/json");
            request.headers_mut().insert("content-type", json);
            let started = crate::telemetry::Stopwatch::start();
            let answer = service.oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 408);
            assert_eq!(started.elapsed(), Duration::from_secs(expected));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_requests_that_wait_take_a_place_and_they_give_it_back() {
        let service = guarded(1);
        let mut waiting = Box::pin(service.clone().oneshot(request(Method::GET, "/slow")));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        for (method, path, status) in [
            (Method::GET, "/now", 204),
            (Method::GET, "/slow", 503),
            (Method::PUT, "/now", 503),
        ] {
            let answer = service.clone().oneshot(request(method, path)).await;
            assert_eq!(answer.unwrap().status(), status, "the one place is taken");
        }

        drop(waiting);
        for _ in 0..3 {
            let answer = service.clone().oneshot(request(Method::GET, "/now")).await;
            assert_eq!(answer.unwrap().status(), 204);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn health_is_answered_under_any_load() {
        let service = guarded(0);
        let answer = service.clone().oneshot(request(Method::GET, "/slow")).await;
        assert_eq!(answer.unwrap().status(), 503);
        for (path, gets_through) in [
            ("/health", true),
            ("/health/live", true),
            ("/health/ready", true),
            ("/health/anything", false),
            ("/healthx", false),
        ] {
            let asked = service.clone().oneshot(request(Method::GET, path));
            let is_waiting = futures_util::poll!(Box::pin(asked).as_mut()).is_pending();
            assert_eq!(is_waiting, gets_through, "{path}");
        }
    }
}

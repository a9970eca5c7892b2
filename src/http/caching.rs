//! What answers say about caching, and 304 where the client's copy is still good.
//!
//! `Expires` and `Age` are never sent.

mod cdn;
mod media_type;
mod policy;
mod status;

pub use super::conditional::Verdict;
pub use cdn::{Cdn, Keys};
pub use media_type::Media;
pub use policy::{Class, Keep, Policies, Policy, TABLE, Then};
pub use status::{CACHE_STATUS, Heed, cache_status, product_status};

use super::conditional::{Changed, Current, of_read};
use super::extract::Conditions;
use super::fault::{Fault, NO_STORE};
use super::media::NEGOTIATED;
use crate::catalog::{Coding, Effort, LastModified, Outcome, Rendition, Served, encode};
use crate::header;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, ETAG, LAST_MODIFIED, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::Frame;
use std::convert::Infallible;
use std::fmt;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Marks an answer that is past its window.
pub const X_CACHE_STALE: HeaderName = HeaderName::from_static("x-cache-stale");
/// Marks a configured stand-in.
pub const X_CACHE_FALLBACK: HeaderName = HeaderName::from_static("x-cache-fallback");

const TRUE: HeaderValue = HeaderValue::from_static("true");

/// What a representation says about itself.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Its media type.
    pub media: Media,
    /// The coding of its body.
    pub coding: Coding,
    /// Strong entity tag.
    pub etag: HeaderValue,
    /// When it last changed, and the same for a header, which is told where it is a strong validator.
    pub last_modified: Option<(Changed, LastModified)>,
    /// What may be done with it.
    pub cache_control: HeaderValue,
    /// How it was come by, where the cache had a part in it.
    pub cache_status: Option<HeaderValue>,
    /// A header that marks it as not fresh.
    pub mark: Option<HeaderName>,
}

/// The body of an answer that has none, and says nothing about its length: a 204 must not, and a
/// 304's would be that of the 200 (RFC 9110 §8.6).
#[derive(Clone, Copy, Debug)]
pub struct NoBody;

// === impl Policies ===

impl Policies {
    /// Answers a GET or HEAD of one product.
    pub fn product(
        &self,
        conditions: &Conditions,
        served: &Served,
        rendition: Rendition,
        heed: Heed,
    ) -> Response {
        let (metadata, body) = self.of_product(served, rendition, heed);
        let mut response = respond(conditions, metadata, || body);
        self.tell_of_product(response.headers_mut(), served);
        response
    }

    /// What a product's representation says about itself, and its body.
    pub fn of_product(
        &self,
        served: &Served,
        rendition: Rendition,
        heed: Heed,
    ) -> (Metadata, Bytes) {
        let class = class_of_product(served);
        let metadata = Metadata {
            media: Media::Versioned(rendition.version),
            coding: rendition.coding,
            etag: rendition.etag,
            last_modified: last_modified(served),
            cache_control: self.cache_control(class, served.remaining),
            cache_status: Some(product_status(served, heed)),
            mark: mark(served.outcome),
        };
        (metadata, rendition.body)
    }

    /// Adds what shared caches are told of a product.
    pub fn tell_of_product(&self, headers: &mut HeaderMap, served: &Served) {
        self.tell_shared_caches(headers, Duration::MAX, served.remaining, || {
            Keys::default().with(&served.stored.labels()).into_value()
        });
    }
}

// === impl Metadata ===

impl Metadata {
    /// What the request's conditions say about this very representation.
    pub fn judged_by(&self, conditions: &HeaderMap) -> Verdict {
        let current = Current {
            etag: Some(&self.etag),
            changed: self.last_modified.as_ref().map(|(changed, _)| *changed),
        };
        of_read(conditions, current)
    }

    /// Writes it into the headers of a 200.
    ///
    /// A 304 has what the 200 would have had of the fields that [RFC 9110 §15.4.5](https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5)
    /// asks for, and `Cache-Status`.
    pub fn write(self, headers: &mut HeaderMap, is_304: bool) {
        headers.insert(CACHE_CONTROL, self.cache_control);
        headers.insert(ETAG, self.etag);
        headers.insert(VARY, NEGOTIATED);
        if let Some(status) = self.cache_status {
            headers.insert(CACHE_STATUS, status);
        }
        if let Some(mark) = self.mark {
            headers.insert(mark, TRUE);
        }
        if is_304 {
            return;
        }
        self.media.describe(headers);
        if self.coding != Coding::Identity {
            let coding = HeaderValue::from_static(self.coding.as_str());
            headers.insert(CONTENT_ENCODING, coding);
        }
        if let Some((changed, modified)) = self.last_modified
            && changed.is_strong
        {
            headers.insert(LAST_MODIFIED, modified.header());
        }
    }
}

// === impl NoBody ===

impl hyper::body::Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

/// Answers a GET or HEAD: 412 where a condition of the request does not hold, 304 where one says that
/// the client's copy is current, else 200 with `body`.
pub fn respond(
    conditions: &Conditions,
    metadata: Metadata,
    body: impl FnOnce() -> Bytes,
) -> Response {
    let not_modified = match metadata.judged_by(conditions.headers()) {
        Verdict::Proceed => false,
        Verdict::NotModified => true,
        Verdict::Failed(header) => return Fault::precondition_failed(header).into_response(),
    };
    let mut response = if not_modified {
        Response::new(Body::new(NoBody))
    } else {
        Response::new(Body::from(body()))
    };
    // The outer layers add four at least and twelve at most. Growing is what costs, not room.
    response.headers_mut().reserve(24);
    metadata.write(response.headers_mut(), not_modified);
    if not_modified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response
}

/// Answers like [`respond`] with a body that is made, and encoded, for this answer alone.
///
/// # Errors
/// 500 if the encoder gave up.
pub async fn respond_encoded(
    conditions: &Conditions,
    metadata: Metadata,
    body: impl FnOnce() -> Bytes,
) -> Result<Response, Fault> {
    let coding = metadata.coding;
    if coding == Coding::Identity || metadata.judged_by(conditions.headers()) != Verdict::Proceed {
        return Ok(respond(conditions, metadata, body));
    }
    let Some(encoded) = encode(body(), coding, Effort::Once).await else {
        return Err(Fault::internal(format!("{} gave up", coding.as_str())));
    };
    Ok(respond(conditions, metadata, || encoded))
}

/// When a product last changed.
pub fn last_modified(served: &Served) -> Option<(Changed, LastModified)> {
    let modified = served.stored.representation.last_modified()?;
    Some((Changed::of(&served.stored)?, modified))
}

/// The class of a product that was come by so.
pub fn class_of_product(served: &Served) -> Class {
    let fresh = match served.contract {
        Some(_) => Class::ProductUnderContract,
        None => Class::Product,
    };
    class_of(served.outcome, fresh)
}

/// The class of data that was come by so and is of class `fresh` when it is fresh.
pub fn class_of(outcome: Outcome, fresh: Class) -> Class {
    match outcome {
        Outcome::Stale | Outcome::Fallback => Class::NotFresh,
        Outcome::Hit | Outcome::Miss | Outcome::Negative | Outcome::Error | Outcome::Bypass => {
            fresh
        }
    }
}

/// The header that marks data that was come by so.
pub fn mark(outcome: Outcome) -> Option<HeaderName> {
    match outcome {
        Outcome::Stale => Some(X_CACHE_STALE),
        Outcome::Fallback => Some(X_CACHE_FALLBACK),
        Outcome::Hit | Outcome::Miss | Outcome::Negative | Outcome::Error | Outcome::Bypass => None,
    }
}

/// Formats a short ASCII header value without touching the heap on the way.
fn value(text: fmt::Arguments<'_>) -> HeaderValue {
    value_within::<96>(text)
}

/// Formats an ASCII header value of at most `ROOM` bytes, likewise.
fn value_within<const ROOM: usize>(text: fmt::Arguments<'_>) -> HeaderValue {
    let mut buffer = [0_u8; ROOM];
    let size = buffer.len();
    let mut free = buffer.as_mut_slice();
    let written = free.write_fmt(text);
    let used = size - free.len();
    // Two numbers of 20 digits and the longest directives take 87 bytes, a status with the longest name of
    // a contract 200; were it ever more, the safe thing to say is that nothing may be kept.
    written
        .ok()
        .and_then(|()| header::passing(buffer.get(..used)?).ok())
        .unwrap_or(NO_STORE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Entry;
    use crate::catalog::{ProductId, Stored};
    use crate::clock::Moment;
    use crate::product::{Attributes, Price, Product};
    use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH};
    use std::sync::Arc;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const MODIFIED: i64 = 784_111_777;

    fn entry(stored: Stored) -> Arc<Entry<Stored>> {
        Arc::new(Entry::new(
            stored,
            Moment::from_millis(2_000_000_000_000),
            0,
            0,
        ))
    }

    fn served(outcome: Outcome, remaining: u64) -> Served {
        let product = Product {
            id: ProductId::parse("p-1").unwrap(),
            sku: None,
            name: "Kettle".to_owned(),
            description: None,
            category: None,
            brand: None,
            price: Price {
                amount: 5122,
                currency: iso_currency::Currency::EUR,
            },
            status: None,
            tags: Vec::new(),
            attributes: Attributes::new(),
            created_at: None,
            updated_at: Some(jiff::Timestamp::from_second(MODIFIED).unwrap()),
        };
        Served {
            stored: entry(product.render(2_000_000_000).into()),
            outcome,
            remaining: Duration::from_secs(remaining),
            contract: None,
            collapsed: false,
            is_kept: false,
            was_past_window: false,
        }
    }

    fn answer(served: &Served, headers: HeaderMap) -> Response {
        let rendition = Stored::rendition(&served.stored);
        let policies = Policies::new(Duration::from_secs(300));
        policies.product(&Conditions::new(headers), served, rendition, Heed::Nothing)
    }

    #[test]
    fn every_outcome_says_how_the_product_was_come_by() {
        const FRESH: &str = "public, max-age=300, stale-while-revalidate=60";
        for (outcome, status, cache_control) in [
            (Outcome::Hit, "product-catalog; hit; ttl=900", FRESH),
            (Outcome::Miss, "product-catalog; fwd=uri-miss", FRESH),
            (
                Outcome::Stale,
                "product-catalog; hit; detail=stale",
                "no-store",
            ),
            (
                Outcome::Negative,
                "product-catalog; hit; detail=negative",
                FRESH,
            ),
            (
                Outcome::Fallback,
                "product-catalog; hit; detail=fallback",
                "no-store",
            ),
            (
                Outcome::Error,
                "product-catalog; fwd=uri-miss; detail=error",
                FRESH,
            ),
            (Outcome::Bypass, "product-catalog; fwd=bypass", FRESH),
        ] {
            let response = answer(&served(outcome, 900), HeaderMap::new());
            let headers = response.headers();
            assert_eq!(headers[CACHE_STATUS], status);
            assert_eq!(headers[CACHE_CONTROL], cache_control);
            assert_eq!(
                headers.contains_key(X_CACHE_STALE),
                outcome == Outcome::Stale
            );
            assert_eq!(
                headers.contains_key(X_CACHE_FALLBACK),
                outcome == Outcome::Fallback
            );
            assert!(!headers.contains_key(EXPIRES) && !headers.contains_key("age"));
        }
    }

    #[test]
    fn what_never_expires_has_no_ttl_to_tell() {
        let response = answer(&served(Outcome::Hit, u64::MAX), HeaderMap::new());
        assert_eq!(response.headers()[CACHE_STATUS], "product-catalog; hit");
    }

    #[test]
    fn a_304_has_what_the_rfc_wants_and_no_more() {
        let served = served(Outcome::Hit, 900);
        let etag = served.stored.representation.etag();
        let since = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        for condition in [(IF_NONE_MATCH, etag.clone()), (IF_MODIFIED_SINCE, since)] {
            let response = answer(&served, HeaderMap::from_iter([condition]));
            assert_eq!(response.status(), 304);
            let names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
            assert_eq!(names, ["cache-control", "etag", "vary", "cache-status"]);
            assert_eq!(response.headers()[ETAG], etag);
            assert!(!response.headers().contains_key(CONTENT_LENGTH));
        }
    }

    #[test]
    fn a_200_has_the_validators_that_make_the_next_one_a_304() {
        let served = served(Outcome::Hit, 900);
        let response = answer(&served, HeaderMap::new());
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json;v=2");
        assert_eq!(response.headers()[VARY], "Accept, Accept-Encoding");
        for (condition, validator) in [(IF_NONE_MATCH, ETAG), (IF_MODIFIED_SINCE, LAST_MODIFIED)] {
            let value = response.headers()[validator].clone();
            let again = answer(&served, HeaderMap::from_iter([(condition, value)]));
            assert_eq!(again.status(), 304);
        }
    }
}

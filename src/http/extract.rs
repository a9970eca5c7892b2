//! What clients send, parsed: ids, queries, bodies and conditions. Whatever is wrong with them is a
//! [`Fault`].

mod query;

pub use query::{GroupName, Groups, NoQuery, Query, SearchBody, Selected};

use super::fault::{ErrorCode, Fault, Reason};
use super::{media, uri};
use crate::catalog::{Draft, Patch, ProductId, Version};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The largest body that is read, in bytes. Only writes have one, so only they pay for the limit.
const LARGEST_BODY: usize = 1024 * 1024;

/// The media type of patches (RFC 6902), and what is said to those who send something else.
const JSON_PATCH: &str = "application/json-patch+json";
const PATCH_RULE: &str =
    "Send the patch as application/json-patch+json (RFC 6902), without a content coding.";

/// Which patches are taken ([RFC 5789 section 3.1](https://www.rfc-editor.org/rfc/rfc5789#section-3.1)).
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// How long a client may take over a body.
pub(super) const BODY_ARRIVES: Duration = Duration::from_secs(10);

/// The product id in the path of the API.
#[derive(Clone, Debug)]
pub struct Id(pub ProductId);

/// The product id in the path of an entry; there, every id is one.
#[derive(Clone, Debug)]
pub struct EntryId(pub ProductId);

/// A whole JSON body, not parsed yet, and the version it is announced to be in.
#[derive(Clone, Debug)]
pub struct JsonBody(pub Bytes, pub Version);

/// A whole JSON Patch.
#[derive(Clone, Debug)]
pub struct PatchBody(pub Patch);

/// Request extension: whether the body is still arriving, so that nothing can have come of it yet.
#[derive(Clone, Debug, Default)]
pub struct BodyUnderWay(Arc<AtomicBool>);

/// The request's headers, moved out of it for the sake of its conditions. Extract it last.
#[derive(Clone, Debug, Default)]
pub struct Conditions(HeaderMap);

// === impl Id ===

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let EntryId(id) = EntryId::from_request_parts(parts, state).await?;
        if uri::is_route(&id) {
            return Err(Fault::new(ErrorCode::RouteNotFound));
        }
        Ok(Self(id))
    }
}

// === impl EntryId ===

impl<S: Send + Sync> FromRequestParts<S> for EntryId {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let invalid = || Fault::new(ErrorCode::InvalidProductId);
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| invalid())?;
        let (_, text) = params.iter().next().ok_or_else(invalid)?;
        ProductId::parse(text).map(Self).map_err(|_| invalid())
    }
}

// === impl JsonBody ===

impl JsonBody {
    /// The product that the body is, for the path's id where there is one.
    ///
    /// # Errors
    /// A fault with everything that is wrong with it.
    pub fn into_draft(self, id: Option<&ProductId>) -> Result<Draft, Fault> {
        Draft::parse_version(self.1, &self.0, id)
            .map_err(|problems| Fault::all(problems.into_iter().map(Reason::from).collect()))
    }
}

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let version = announced_version(request.headers())?;
        whole(request).await.map(|body| Self(body, version))
    }
}

// === impl PatchBody ===

impl<S: Sync> FromRequest<S> for PatchBody {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        if !is_announced_as("json-patch+json", request.headers()) {
            let code = ErrorCode::UnsupportedMediaType;
            let reason = Reason::header(code, "content-type", PATCH_RULE);
            let accepted = HeaderValue::from_static(JSON_PATCH);
            return Err(Fault::all(vec![reason]).with(ACCEPT_PATCH, accepted));
        }
        Patch::parse(&whole(request).await?)
            .map(Self)
            .map_err(|problems| Fault::all(problems.into_iter().map(Reason::from).collect()))
    }
}

/// Reads a body to its end, as far as it is not too long and does not take too long.
async fn whole(request: Request) -> Result<Bytes, Fault> {
    let (parts, body) = request.into_parts();
    if announced_length(&parts.headers).is_some_and(|length| length > LARGEST_BODY) {
        return Err(Fault::new(ErrorCode::BodyTooLarge));
    }
    let under_way = parts.extensions.get::<BodyUnderWay>();
    let note = |arriving| {
        if let Some(BodyUnderWay(flag)) = under_way {
            flag.store(arriving, Ordering::Relaxed);
        }
    };
    note(true);
    let read = tokio::time::timeout(BODY_ARRIVES, read(body)).await;
    note(false);
    read.unwrap_or_else(|_| Err(Fault::body_timed_out()))
}

// === impl BodyUnderWay ===

impl BodyUnderWay {
    /// Whether it is.
    pub fn is_arriving(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Conditions ===

impl Conditions {
    /// Headers as they came.
    pub fn new(headers: HeaderMap) -> Self {
        Self(headers)
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Conditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(std::mem::take(&mut parts.headers)))
    }
}

/// The version that the body is announced to be in: `application/json`, at most with `v` and
/// `charset=utf-8`, and without a content coding.
fn announced_version(headers: &HeaderMap) -> Result<Version, Fault> {
    let refused = |name, value| Err(Fault::new(ErrorCode::UnsupportedMediaType).with(name, value));
    let Some(version) = announced(headers, "json") else {
        return refused(ACCEPT, media::versioned_types());
    };
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refused(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    Ok(version)
}

/// Whether the body is announced to be of this subtype of `application`, likewise.
fn is_announced_as(subtype: &str, headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    announced(headers, subtype) == Some(Version::V2)
        && codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The version that `Content-Type` says, if it is this subtype of `application`.
fn announced(headers: &HeaderMap, subtype: &str) -> Option<Version> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (value, None) = (types.next()?, types.next()) else {
        return None;
    };
    let media = media::media_type(value.as_bytes()).ok()?;
    let name = |text: &str, expected| text.eq_ignore_ascii_case(expected);
    if !name(media.kind, "application") || !name(media.subtype, subtype) || media.weight.is_some() {
        return None;
    }
    let mut version = None;
    for (parameter, value) in media.parameters() {
        if name(parameter, "v") && version.is_none() {
            version = Some(Version::ALL.into_iter().find(|v| value.is(v.number()))?);
        } else if !(name(parameter, "charset") && value.is_ignoring_case("utf-8")) {
            return None;
        }
    }
    Some(version.unwrap_or_default())
}

fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(body: Body) -> Result<Bytes, Fault> {
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::new(ErrorCode::BodyTooLarge)),
        // The client broke off, or broke the framing.
        Err(_) => Err(Fault::new(ErrorCode::MalformedBody)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_announced_in_a_version_of_json_or_refused() {
        let (v1, v2) = (Some(Version::V1), Some(Version::V2));
        for (content_type, expected) in [
            ("application/json", v2),
            ("Application/JSON", v2),
            ("application/json;v=2", v2),
            ("application/json;v=1", v1),
            ("application/json; charset=utf-8 ; V=\"1\"", v1),
            ("application/json; v=2; charset=UTF-8", v2),
            ("application/json;", v2),
            ("application/json; ;v=2;", v2),
            ("application/json;V=\"2\"; charset=\"utf-8\"", v2),
            ("application/json;v=\"2", None),
            ("application/json;v=", None),
            ("application/json;v=1;v=1", None),
            ("application/json;=", None),
            ("application/json;v=3", None),
            ("application/json;q=1", None),
            ("application/json;charset=latin1", None),
            ("application/json, application/json", None),
            ("application/jsonp", None),
            ("application/*", None),
            ("text/json", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            let announced = announced_version(&headers);
            assert_eq!(announced.ok(), expected, "{content_type}");
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            assert!(announced_version(&headers).is_err(), "{content_type}, gzip");
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("Identity"));
            assert_eq!(announced_version(&headers).ok(), expected);
        }
        assert!(announced_version(&HeaderMap::new()).is_err());
    }

    async fn body_of(length: usize, announce: bool) -> Result<usize, u16> {
        let request = Request::post("/").header(CONTENT_TYPE, "application/json");
        let request = if announce {
            request.header(CONTENT_LENGTH, length)
        } else {
            request
        };
        let request = request.body(Body::from(vec![b' '; length])).unwrap();
        JsonBody::from_request(request, &())
            .await
            .map(|body| body.0.len())
            .map_err(|fault| fault.status().as_u16())
    }

    #[tokio::test]
    async fn one_mebibyte_is_read_and_one_byte_more_is_not() {
        for announce in [true, false] {
            assert_eq!(body_of(LARGEST_BODY, announce).await, Ok(LARGEST_BODY));
            assert_eq!(body_of(LARGEST_BODY + 1, announce).await, Err(413));
        }
    }
}

//! Which pages of other origins may read answers
//! ([Fetch, CORS protocol](https://fetch.spec.whatwg.org/#http-cors-protocol)).
//!
//! An origin is only ever answered with the configured text it equals, never with what the request
//! says; `*` is never said. Credentials here are headers that a page sets itself, so
//! `Access-Control-Allow-Credentials` is never said either.

use http::Request;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method};

/// What a page may send beside what every page may.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, x-api-key, x-conversation, x-request-id, idempotency-key, \
     if-match, if-none-match, if-modified-since, if-unmodified-since",
);

/// What a page may see beside what every page may.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "etag, link, location, allow, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset, \
     www-authenticate, x-conversation, x-request-id, x-cache-stale, x-cache-fallback, cache-status, \
     idempotency-key, sunset, warning",
);

/// The methods there are; which of them a path has, `Allow` and 405 say.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");

/// How long a browser may remember what a preflight said, in seconds: a day.
const A_DAY: HeaderValue = HeaderValue::from_static("86400");

const BY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// The origins whose pages may read answers; one at least.
#[derive(Debug)]
pub struct Cors {
    origins: Vec<HeaderValue>,
}

/// What a request gets in this respect.
#[derive(Debug)]
pub struct CrossOrigin {
    allowed: Option<HeaderValue>,
    is_preflight: bool,
    varies: bool,
}

// === impl Cors ===

impl Cors {
    /// Allows `origins`; `None` where there are none.
    pub fn new(origins: Vec<HeaderValue>) -> Option<Self> {
        (!origins.is_empty()).then_some(Self { origins })
    }

    /// What `request` gets.
    ///
    /// A single origin is named on every answer, whoever asks: then an answer does not depend on
    /// who asks, and shared caches keep one copy. With several it has to depend on that.
    pub fn meet<B>(&self, request: &Request<B>) -> CrossOrigin {
        let headers = request.headers();
        let asking = headers.get(ORIGIN);
        let allowed = match self.origins.as_slice() {
            [only] => Some(only),
            several => several.iter().find(|&origin| Some(origin) == asking),
        };
        CrossOrigin {
            allowed: allowed.cloned(),
            is_preflight: request.method() == Method::OPTIONS
                && asking.is_some()
                && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
            varies: self.origins.len() > 1,
        }
    }
}

// === impl CrossOrigin ===

impl CrossOrigin {
    /// Adds it to the answer.
    pub fn dress(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(VARY, BY_ORIGIN);
        }
        let Some(allowed) = self.allowed else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if !self.is_preflight {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
            return;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, A_DAY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    const SHOP: HeaderValue = HeaderValue::from_static("https://shop.example");
    const DESK: HeaderValue = HeaderValue::from_static("https://desk.example:8443");

    fn answered(origins: &[HeaderValue], origin: Option<&str>) -> HeaderMap {
        let mut request = Request::new(Body::empty());
        if let Some(origin) = origin {
            let origin = HeaderValue::from_str(origin).unwrap();
            request.headers_mut().insert(ORIGIN, origin);
        }
        let mut headers = HeaderMap::new();
        let cors = Cors::new(origins.to_vec()).unwrap();
        cors.meet(&request).dress(&mut headers);
        headers
    }

    #[test]
    fn no_origins_is_no_cors() {
        assert!(Cors::new(Vec::new()).is_none());
    }

    #[test]
    fn a_single_origin_is_named_whoever_asks_so_that_caches_keep_one_copy() {
        for origin in [
            None,
            Some("https://shop.example"),
            Some("https://evil.example"),
        ] {
            let headers = answered(&[SHOP], origin);
            assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], SHOP, "{origin:?}");
            assert!(!headers.contains_key(VARY));
        }
    }

    #[test]
    fn of_several_the_one_that_asks_is_named_and_nobody_else() {
        for (origin, expected) in [
            (Some("https://shop.example"), Some(SHOP)),
            (Some("https://desk.example:8443"), Some(DESK)),
            (Some("https://desk.example"), None),
            (Some("https://SHOP.example"), None),
            (Some("https://shop.example.evil.example"), None),
            (Some("http://shop.example"), None),
            (Some("https://shop.example, https://evil.example"), None),
            (Some("null"), None),
            (Some("*"), None),
            (None, None),
        ] {
            let headers = answered(&[SHOP, DESK], origin);
            let named = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).cloned();
            assert_eq!(named, expected, "{origin:?}");
            assert_eq!(headers[VARY], "Origin");
            let exposed = headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS);
            assert_eq!(exposed, expected.is_some());
        }
    }
}

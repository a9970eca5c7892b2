//! Who may change state through the internal listener: whoever has `ADMIN_TOKEN`.

use super::OpsState;
use crate::http::auth::Presented;
use crate::http::fault::{ErrorCode, Fault};
use crate::secrets::{Late, Secret};
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// What a caller without the token is told to send.
const CHALLENGE: &str = "Bearer realm=\"product-catalog-operations\"";

/// How long a caller should wait for a token that has not arrived yet.
const TOKEN_ARRIVES: Duration = Duration::from_secs(5);

/// An operator who may change state. In a handler's signature it says that the operation is guarded.
pub struct Admin;

// === impl Admin ===

impl FromRequestParts<OpsState> for Admin {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &OpsState) -> Result<Self, Fault> {
        admit(&parts.headers, state.config.admin_token.as_ref())
    }
}

/// Admits a request with the token.
fn admit(headers: &HeaderMap, token: Option<&Late<Secret>>) -> Result<Admin, Fault> {
    let token = token.ok_or_else(|| Fault::new(ErrorCode::AdminDisabled))?;
    let token = token.get().ok_or_else(|| {
        Fault::unavailable(TOKEN_ARRIVES, "ADMIN_TOKEN has not been resolved yet")
    })?;
    let expected = Sha256::digest(token.expose()).into();
    bearer(headers)
        .filter(|presented| presented.is(&expected).into())
        .map(|_| Admin)
        .ok_or_else(|| Fault::unauthorized(CHALLENGE))
}

/// The token of `Authorization: Bearer`; the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Option<Presented> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| Presented::new(token.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_token_is_admitted_and_nothing_else_is() {
        let token = Late::ready(Secret::new("hush"));
        for (given, expected) in [
            (Some("Bearer hush"), None),
            (Some("bearer hush"), None),
            (Some("Bearer  hush"), None),
            (Some("Bearer Hush"), Some(401)),
            (Some("Bearer hush "), Some(401)),
            (Some("Bearer "), Some(401)),
            (Some("Basic hush"), Some(401)),
            (Some("hush"), Some(401)),
            (None, Some(401)),
        ] {
            let headers = given
                .map(|value| (AUTHORIZATION, HeaderValue::from_static(value)))
                .into_iter()
                .collect();
            let refused = admit(&headers, Some(&token)).err();
            let status = refused.map(|fault| fault.status().as_u16());
            assert_eq!(status, expected, "{given:?}");
        }
    }

    #[test]
    fn without_a_token_it_is_403_and_with_one_still_to_come_503() {
        let headers =
            HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer hush"))]);
        for headers in [headers, HeaderMap::new()] {
            let status = |token| {
                admit(&headers, token)
                    .err()
                    .map(|fault| fault.status().as_u16())
            };
            assert_eq!(status(None), Some(403));
            assert_eq!(status(Some(&Late::pending())), Some(503));
        }
    }
}

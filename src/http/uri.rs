//! What may stand in a URI, and how one is written in a log.

use super::fault::{ErrorCode, Fault};
use crate::catalog::ProductId;
use http::Uri;
use std::fmt;

/// The longest path and query together, in bytes.
pub(super) const LONGEST: usize = 8 * 1024;

/// How much of a URI a log line shows, in bytes.
const LONGEST_LOGGED: usize = 1024;

/// Query parameters that people put credentials in. None is a parameter of this API.
const CREDENTIALS: [&str; 9] = [
    "x-api-key",
    "api-key",
    "api_key",
    "apikey",
    "access_token",
    "token",
    "authorization",
    "password",
    "secret",
];

/// Paths below `/products/` that are routes of their own: the products with these ids are not there.
const ROUTES: [&str; 2] = ["search", "batch"];

/// A URI without the credentials somebody may have put in its query, and not too long.
pub struct Safe<'a>(pub &'a Uri);

/// Refuses URIs that are too long (414) or that carry a credential (400): it would be in logs and
/// caches all along the way.
///
/// # Errors
/// The fault to answer with.
pub fn admit(uri: &Uri) -> Result<(), Fault> {
    let length = uri.path_and_query().map_or(0, |whole| whole.as_str().len());
    if length > LONGEST {
        return Err(Fault::new(ErrorCode::UriTooLong));
    }
    let Some(query) = uri.query() else {
        return Ok(());
    };
    if query.split('&').any(is_credential) {
        return Err(Fault::new(ErrorCode::CredentialInQuery));
    }
    Ok(())
}

/// Where a product is, on its own or else in a list of it alone. An id has only characters that a path takes
/// as they are.
pub fn of_product(id: &ProductId) -> String {
    match is_route(id) {
        true => format!("/products?id={id}"),
        false => format!("/products/{id}"),
    }
}

/// Whether the path that a product with this id would have is a route of its own.
pub fn is_route(id: &ProductId) -> bool {
    ROUTES.contains(&id.as_str())
}

// === impl Safe ===

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.path();
        f.write_str(beginning(path, LONGEST_LOGGED))?;
        let mut left = LONGEST_LOGGED.saturating_sub(path.len());
        for (at, pair) in self
            .0
            .query()
            .into_iter()
            .flat_map(|query| query.split('&'))
            .enumerate()
        {
            if left == 0 {
                return f.write_str("…");
            }
            f.write_str(if at == 0 { "?" } else { "&" })?;
            if is_credential(pair) {
                f.write_str(beginning(name(pair), left))?;
                f.write_str("=***")?;
            } else {
                f.write_str(beginning(pair, left))?;
            }
            left = left.saturating_sub(pair.len() + 1);
        }
        Ok(())
    }
}

/// Whether a `name=value` of a query is a credential, however its name is written.
fn is_credential(pair: &str) -> bool {
    let decoded = form_urlencoded::parse(name(pair).as_bytes()).next();
    decoded.is_some_and(|(name, _)| {
        CREDENTIALS
            .iter()
            .any(|credential| name.trim().eq_ignore_ascii_case(credential))
    })
}

/// The name of a `name=value`, as it is written.
fn name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

/// At most the first `most` bytes, cut between characters.
fn beginning(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn credentials_in_the_query_are_refused_and_never_shown() {
        for name in [
            "x-api-key",
            "X-API-Key",
            "api_key",
            "api%5Fkey",
            "%74oken",
            "Token+",
        ] {
            let uri = uri(&format!("/products?limit=2&{name}=planted&after=x"));
            let fault = admit(&uri).expect_err(name);
            assert_eq!(fault.status(), 400);
            assert_eq!(
                Safe(&uri).to_string(),
                format!("/products?limit=2&{name}=***&after=x")
            );
        }
    }

    #[test]
    fn other_queries_are_admitted_and_shown_as_they_are() {
        for text in [
            "/products",
            "/products?limit=2",
            "/products?",
            "/a?tokens=1&keyed=2&&=",
        ] {
            assert!(admit(&uri(text)).is_ok(), "{text}");
            assert_eq!(Safe(&uri(text)).to_string(), text);
        }
    }

    #[test]
    fn eight_kibibytes_are_admitted_and_one_byte_more_is_not() {
        let longest = format!("/{}", "a".repeat(LONGEST - 1));
        assert!(admit(&uri(&longest)).is_ok());
        assert_eq!(
            admit(&uri(&format!("{longest}a"))).unwrap_err().status(),
            414
        );
        assert_eq!(Safe(&uri(&longest)).to_string().len(), LONGEST_LOGGED);
        let query = format!("/p?a={}&b=c", "b".repeat(5000));
        assert!(Safe(&uri(&query)).to_string().len() < LONGEST_LOGGED + 8);
    }
}

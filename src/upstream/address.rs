//! Where things are in the inventory: its URLs.

use crate::product::ProductId;
use http::Uri;
use jiff::Timestamp;
use std::fmt::Write;

/// The base URL, and what lies below it.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    base: String,
}

// === impl Addresses ===

impl Addresses {
    /// Below `base`, which may have a path.
    pub(super) fn below(base: &Uri) -> Self {
        Self {
            base: base.to_string().trim_end_matches('/').to_owned(),
        }
    }

    pub(super) fn products(&self) -> String {
        format!("{}/products", self.base)
    }

    pub(super) fn product(&self, id: &ProductId) -> String {
        format!("{}/products/{}", self.base, encoded(id.as_str()))
    }

    pub(super) fn availability(&self, id: &ProductId) -> String {
        format!("{}/availability", self.product(id))
    }

    pub(super) fn count(&self) -> String {
        format!("{}/products?count", self.base)
    }

    pub(super) fn page(&self, limit: u32, after: Option<&str>, since: Option<Timestamp>) -> String {
        let after = after.map_or_else(String::new, |after| format!("&after={}", encoded(after)));
        let since = since.map_or_else(String::new, |since| {
            format!("&updatedAt%3E={}", encoded(&since.to_string()))
        });
        format!("{}/products?limit={limit}{after}{since}", self.base)
    }

    pub(super) fn health(&self) -> String {
        format!("{}/health", self.base)
    }
}

/// Percent-encodes all but the unreserved characters
/// ([RFC 3986 section 2.3](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)).
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_below_a_base_with_or_without_a_path() {
        let id = ProductId::parse("a:b@c+d~e").unwrap();
        for base in ["https://host/api", "https://host/api/"] {
            let addresses = Addresses::below(&base.parse().unwrap());
            assert_eq!(
                addresses.product(&id),
                "https://host/api/products/a%3Ab%40c%2Bd~e"
            );
            assert_eq!(addresses.health(), "https://host/api/health");
        }
        let addresses = Addresses::below(&"http://host:8080".parse().unwrap());
        assert_eq!(addresses.products(), "http://host:8080/products");
        assert_eq!(addresses.count(), "http://host:8080/products?count");
    }

    #[test]
    fn cursors_survive_the_query_whatever_is_in_them() {
        let addresses = Addresses::below(&"http://h".parse().unwrap());
        let page = addresses.page(500, Some("a+b/c==&limit=1 é"), None);
        assert_eq!(
            page,
            "http://h/products?limit=500&after=a%2Bb%2Fc%3D%3D%26limit%3D1%20%C3%A9"
        );
        assert!(page.parse::<Uri>().is_ok());
        assert_eq!(addresses.page(5, None, None), "http://h/products?limit=5");
        let since = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(
            addresses.page(5, None, since),
            "http://h/products?limit=5&updatedAt%3E=1970-01-01T00%3A00%3A00Z"
        );
    }
}

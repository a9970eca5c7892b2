//! What a shared cache in front is told beyond `Cache-Control`, where `CDN_HEADERS` asks for it: how
//! long it may keep an answer, and by which keys it can be purged. docs/cdn.md has a worked example.

use super::Policies;
use crate::catalog::Labels;
use axum::response::Response;
use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderName, HeaderValue};
use std::fmt::Write;
use std::time::Duration;

/// What shared caches obey in place of `Cache-Control`
/// ([RFC 9213](https://www.rfc-editor.org/rfc/rfc9213)).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
/// The keys by which an answer can be purged, with spaces between.
pub const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// What every list, count and group is purged by.
const PRODUCTS: &str = "products";

/// The most bytes of keys: proxies and CDNs take header fields of 8 KiB as they come. The keys of one
/// product never reach it: names have 256 characters at most.
const MOST_KEY_BYTES: usize = 7168;

/// The longest a shared cache is told to keep what never expires, in seconds: a day.
const LONGEST: u64 = 86_400;

/// How long past its time a copy may be served while a new one is fetched, in seconds.
const WHILE_REVALIDATE: u64 = 60;

/// What shared caches are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cdn {
    /// `CACHE_GRACE_SECONDS`: how long past its time a copy may be served while no replica answers.
    pub stale_if_error: Duration,
}

/// The keys of one answer, each once.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    text: String,
    overflown: bool,
}

// === impl Policies ===

impl Policies {
    /// Adds what shared caches are told, where they are to be told anything and may keep the answer:
    /// a 200 or 304 that is `public`. It stays good for `remaining`, as far as the shared cache goes.
    pub fn tell_shared_caches(
        &self,
        response: &mut Response,
        remaining: Duration,
        keys: impl FnOnce() -> Keys,
    ) {
        let Some(cdn) = self.cdn() else { return };
        let policy = response.headers().get(CACHE_CONTROL);
        let is_public = policy.is_some_and(|policy| policy.as_bytes().starts_with(b"public"));
        if is_public {
            let headers = response.headers_mut();
            headers.insert(CDN_CACHE_CONTROL, cdn.cache_control(remaining));
            headers.insert(SURROGATE_KEY, keys().into_value());
        }
    }
}

// === impl Cdn ===

impl Cdn {
    /// `CDN-Cache-Control` for an answer that stays good for `remaining`, a shared cache's own time
    /// included.
    pub fn cache_control(self, remaining: Duration) -> HeaderValue {
        let max_age = remaining.as_secs().min(LONGEST);
        let if_error = self.stale_if_error.as_secs();
        visible(format!(
            "max-age={max_age}, stale-while-revalidate={WHILE_REVALIDATE}, stale-if-error={if_error}"
        ))
    }
}

// === impl Keys ===

impl Keys {
    /// The keys of a collection, whatever is in it.
    pub fn of_collection() -> Self {
        Self {
            text: PRODUCTS.to_owned(),
            overflown: false,
        }
    }

    /// Adds the keys of a product.
    pub fn add(&mut self, product: &Labels<'_>) {
        // Of an id every character may stand in a key as it is.
        self.push(format!("product:{}", product.id));
        for (kind, name) in [("category", &product.category), ("brand", &product.brand)] {
            if let Some(name) = name {
                self.push(format!("{kind}:{}", Encoded(name)));
            }
        }
    }

    /// With the keys of a product.
    #[must_use]
    pub fn with(mut self, product: &Labels<'_>) -> Self {
        self.add(product);
        self
    }

    fn push(&mut self, key: String) {
        if self.overflown || self.text.split(' ').any(|known| known == key) {
            return;
        }
        if self.text.len() + key.len() >= MOST_KEY_BYTES {
            self.overflown = true;
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(&key);
    }

    /// `Surrogate-Key`. Of a collection with too many keys only the one that all collections have.
    pub fn into_value(self) -> HeaderValue {
        visible(match self.overflown {
            true => PRODUCTS.to_owned(),
            false => self.text,
        })
    }
}

/// A name with everything percent-encoded but unreserved characters
/// ([RFC 3986 §2.3](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)).
struct Encoded<'a>(&'a str);

impl std::fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'-' | b'.' | b'_' | b'~' => f.write_char(char::from(byte))?,
                _ if byte.is_ascii_alphanumeric() => f.write_char(char::from(byte))?,
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// A header value of text that this file composed: digits, words, and what [`Encoded`] lets through.
fn visible(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text.into_bytes()))
        .unwrap_or_else(|_| HeaderValue::from_static(PRODUCTS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels<'a>(id: &'a str, category: Option<&'a str>, brand: Option<&'a str>) -> Labels<'a> {
        Labels {
            id: id.into(),
            category: category.map(Into::into),
            brand: brand.map(Into::into),
        }
    }

    #[test]
    fn a_shared_cache_keeps_what_is_left_of_the_window_and_longer_in_need() {
        let cdn = Cdn {
            stale_if_error: Duration::from_secs(86_400),
        };
        for (remaining, max_age) in [(0, 0), (59, 59), (3600, 3600), (u64::MAX, 86_400)] {
            assert_eq!(
                cdn.cache_control(Duration::from_secs(remaining)),
                format!("max-age={max_age}, stale-while-revalidate=60, stale-if-error=86400")
            );
        }
    }

    #[test]
    fn a_product_has_its_own_key_and_those_of_its_category_and_brand() {
        let keys = Keys::default().with(&labels(
            "A+b~1:c@d",
            Some("Small appliances"),
            Some("Ac/mé"),
        ));
        assert_eq!(
            keys.into_value(),
            "product:A+b~1:c@d category:Small%20appliances brand:Ac%2Fm%C3%A9"
        );
    }

    #[test]
    fn a_collection_has_the_keys_of_its_products_once_each() {
        let keys = Keys::of_collection()
            .with(&labels("a", Some("Tea"), None))
            .with(&labels("b", Some("Tea"), Some("Acme")));
        assert_eq!(
            keys.into_value(),
            "products product:a category:Tea product:b brand:Acme"
        );
    }

    #[test]
    fn too_many_keys_leave_the_one_of_all_collections() {
        let mut keys = Keys::of_collection();
        for number in 0..100 {
            keys.add(&labels(&format!("{number:0100}"), None, None));
        }
        assert_eq!(keys.into_value(), "products");
    }

    proptest! {
        #[test]
        fn any_name_makes_one_key(name in "\\PC{1,256}") {
            let value = Keys::default().with(&labels("a", Some(&name), None)).into_value();
            let text = value.to_str().unwrap();
            prop_assert_eq!(text.split(' ').count(), 2);
            prop_assert!(text.is_ascii() && !text.contains('"'));
        }
    }
}

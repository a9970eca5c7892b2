//! What a shared cache in front is told beyond `Cache-Control`, where `CDN_HEADERS` asks for it: how
//! long it may keep an answer, and by which keys it can be purged. docs/cdn.md has a worked example.

use super::Policies;
use crate::catalog::Labels;
use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};
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

/// The keys of one answer, each once, in the order they came; that of all collections first.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    is_collection: bool,
    keys: Vec<(Kind, String)>,
}

/// What a key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Product,
    Category,
    Brand,
}

// === impl Policies ===

impl Policies {
    /// Whether shared caches are told anything.
    pub fn tells_shared_caches(&self) -> bool {
        self.cdn().is_some()
    }

    /// Adds what shared caches are told, where they are to be told anything and may keep the answer:
    /// a 200 or 304 that is `public`. They may keep it for `longest`, but not beyond the `remaining` window.
    pub fn tell_shared_caches(
        &self,
        headers: &mut HeaderMap,
        longest: Duration,
        remaining: Duration,
        keys: impl FnOnce() -> HeaderValue,
    ) {
        let Some(cdn) = self.cdn() else { return };
        let policy = headers.get(CACHE_CONTROL);
        let is_public = policy.is_some_and(|policy| policy.as_bytes().starts_with(b"public"));
        if is_public {
            headers.insert(CDN_CACHE_CONTROL, cdn.cache_control(longest, remaining));
            headers.insert(SURROGATE_KEY, keys());
        }
    }
}

// === impl Cdn ===

impl Cdn {
    /// `CDN-Cache-Control` for an answer to keep for `longest` with `remaining` of its window left: only an
    /// error makes a copy outlive that.
    fn cache_control(self, longest: Duration, remaining: Duration) -> HeaderValue {
        let remaining = remaining.as_secs();
        let max_age = remaining.min(longest.as_secs()).min(LONGEST);
        let if_error = self.stale_if_error.as_secs();
        visible(match WHILE_REVALIDATE.min(remaining - max_age) {
            0 => format!("max-age={max_age}, stale-if-error={if_error}"),
            more => format!(
                "max-age={max_age}, stale-while-revalidate={more}, stale-if-error={if_error}"
            ),
        })
    }
}

// === impl Keys ===

impl Keys {
    /// The keys of a collection, whatever is in it.
    pub fn of_collection() -> Self {
        Self {
            is_collection: true,
            keys: Vec::new(),
        }
    }

    /// The keys of how many products have this category.
    pub fn of_category(name: &str) -> Self {
        let mut keys = Self::of_collection();
        keys.push(Kind::Category, Encoded(name));
        keys
    }

    /// The keys of how many products have this brand.
    pub fn of_brand(name: &str) -> Self {
        let mut keys = Self::of_collection();
        keys.push(Kind::Brand, Encoded(name));
        keys
    }

    /// Adds the keys of a product.
    pub fn add(&mut self, product: &Labels<'_>) {
        self.add_product(&product.id);
        if let Some(category) = &product.category {
            self.push(Kind::Category, Encoded(category));
        }
        if let Some(brand) = &product.brand {
            self.push(Kind::Brand, Encoded(brand));
        }
    }

    /// Adds the key of a product by its id, of which every character may stand in a key as it is.
    pub fn add_product(&mut self, id: &str) {
        self.push(Kind::Product, id);
    }

    /// With the keys of a product.
    #[must_use]
    pub fn with(mut self, product: &Labels<'_>) -> Self {
        self.add(product);
        self
    }

    fn push(&mut self, kind: Kind, name: impl std::fmt::Display) {
        let key = (kind, format!("{}:{name}", kind.as_str()));
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    /// `Surrogate-Key`. Where that would be too long it is without brands, then without categories; at last
    /// only the key that all collections have is left.
    pub fn into_value(mut self) -> HeaderValue {
        for kind in [Kind::Brand, Kind::Category, Kind::Product] {
            let first = self.is_collection.then_some(PRODUCTS);
            let keys = self.keys.iter().map(|(_, key)| key.as_str());
            let text = first.into_iter().chain(keys).collect::<Vec<_>>().join(" ");
            if text.len() <= MOST_KEY_BYTES {
                return visible(text);
            }
            self.keys.retain(|(other, _)| *other != kind);
        }
        visible(PRODUCTS.to_owned())
    }
}

// === impl Kind ===

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Category => "category",
            Self::Brand => "brand",
        }
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
            stale_if_error: Duration::from_secs(9),
        };
        const MAX: u64 = u64::MAX;
        for (longest, remaining, max_age, more) in [
            (MAX, 0, 0, 0),
            (MAX, 59, 59, 0),
            (MAX, 3600, 3600, 0),
            (MAX, 86_410, 86_400, 10),
            (MAX, MAX, 86_400, 60),
            (60, 7, 7, 0),
            (60, 60, 60, 0),
            (60, 61, 60, 1),
            (60, 3600, 60, 60),
        ] {
            let said =
                cdn.cache_control(Duration::from_secs(longest), Duration::from_secs(remaining));
            let more = match more {
                0 => String::new(),
                more => format!(" stale-while-revalidate={more},"),
            };
            assert_eq!(
                said,
                format!("max-age={max_age},{more} stale-if-error=9"),
                "{longest} {remaining}"
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
    fn too_many_keys_leave_those_of_the_products_and_at_last_the_one_of_all_collections() {
        for (length, left) in [
            (10, "all"),
            (25, "category"),
            (60, "product"),
            (100, "products"),
        ] {
            let mut keys = Keys::of_collection();
            for number in 0..100 {
                let name = format!("{number:0length$}");
                keys.add(&labels(&name, Some(&name), Some(&name)));
            }
            let value = keys.into_value();
            let value = value.to_str().unwrap();
            assert!(value.starts_with("products") && value.len() <= MOST_KEY_BYTES);
            let counts =
                ["product:", "category:", "brand:"].map(|kind| value.matches(kind).count());
            let expected = match left {
                "all" => [100, 100, 100],
                "category" => [100, 100, 0],
                "product" => [100, 0, 0],
                _ => [0, 0, 0],
            };
            assert_eq!(counts, expected, "{length}");
        }
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

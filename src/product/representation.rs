//! What goes on the wire for a product: bytes and validators, rendered once when it is stored.

use super::{Coding, Product, Version};
use bytes::Bytes;
use http::HeaderValue;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

/// The last second that an HTTP date can name: the end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// The bytes and validators of one product in one version and coding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representation {
    /// The JSON body, in a buffer of exactly its size.
    pub body: Bytes,
    /// Strong entity tag; a function of the bytes, version and coding alone.
    pub etag: HeaderValue,
    /// When the product last changed, where known.
    pub last_modified: Option<LastModified>,
}

/// What goes on the wire for a product in one version and coding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// Its version.
    pub version: Version,
    /// Its coding.
    pub coding: Coding,
    /// Strong entity tag.
    pub etag: HeaderValue,
    /// The bytes.
    pub body: Bytes,
}

/// By how many seconds the inventory has to have vouched for a product after its last change, so that no
/// other change can follow in the same second: one for that, and one because clocks differ.
const SETTLED_AFTER_SECS: u64 = 2;

/// A modification time at HTTP's resolution, with its header value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastModified {
    /// Whole seconds since the Unix epoch.
    pub secs: u64,
    /// The same as IMF-fixdate.
    pub header: HeaderValue,
}

// === impl Product ===

impl Product {
    /// Renders the version 2 representation, as of `now_secs` (seconds since the Unix epoch).
    ///
    /// The entity tag comes from the body alone, so it is equal on all replicas and over restarts.
    /// `Last-Modified` is never in the future
    /// ([RFC 9110 section 8.8.2.1](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.1)).
    #[expect(
        clippy::expect_used,
        reason = "fails only on maps with keys that are not strings; a product has none"
    )]
    pub fn render(&self, now_secs: u64) -> Representation {
        let text = serde_json::to_vec(self).expect("a product is always JSON");
        let updated = self.updated_at.map(jiff::Timestamp::as_second);
        Representation {
            etag: strong_tag(&text),
            // The copy is exact; the growing buffer goes.
            body: Bytes::copy_from_slice(&text),
            last_modified: updated
                .and_then(|secs| u64::try_from(secs).ok())
                .map(|secs| LastModified::at(secs.min(now_secs))),
        }
    }
}

// === impl Representation ===

impl Representation {
    /// Rebuilds a representation from what was stored of it.
    ///
    /// `None` where `etag` is no strong entity tag or the time is beyond the year 9999: such a
    /// record is damaged. Takes `body` as it is.
    pub fn restore(body: Bytes, etag: &str, last_modified_secs: Option<u64>) -> Option<Self> {
        let opaque = etag.strip_prefix('"')?.strip_suffix('"')?;
        // RFC 9110 section 8.8.3: etagc, visible characters without the quote.
        let valid = opaque
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let in_range = last_modified_secs.is_none_or(|secs| secs <= LAST_SECOND);
        (valid && in_range).then_some(())?;
        Some(Self {
            body,
            etag: HeaderValue::from_str(etag).ok()?,
            last_modified: last_modified_secs.map(LastModified::at),
        })
    }

    /// The stored version as it is.
    pub fn rendition(&self) -> Rendition {
        Rendition {
            version: Version::V2,
            coding: Coding::Identity,
            etag: self.etag.clone(),
            body: self.body.clone(),
        }
    }

    /// What the entity tags of all versions and codings of this content share.
    pub fn digest(&self) -> &str {
        let opaque = self.etag_str().trim_matches('"');
        opaque.split_once('-').map_or(opaque, |(_, digest)| digest)
    }

    /// The entity tag of this content in another version or coding.
    pub fn tag(&self, version: Version, coding: Coding) -> HeaderValue {
        entity_tag(version, self.digest(), coding)
    }

    /// The entity tag as text, to be given to [`Representation::restore`] later.
    pub fn etag_str(&self) -> &str {
        self.etag.to_str().unwrap_or_default()
    }
}

// === impl LastModified ===

impl LastModified {
    /// The modification time `secs` seconds after the Unix epoch; later than the year 9999 counts
    /// as its end, which is as far as HTTP dates go.
    pub fn at(secs: u64) -> Self {
        let secs = secs.min(LAST_SECOND);
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs));
        Self {
            secs,
            header: visible(date),
        }
    }

    /// Whether it is a strong validator of what the inventory vouched for at `as_of_secs`: whether that came
    /// so long after it that no other change can bear the same second
    /// ([RFC 9110 section 8.8.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2)).
    pub fn is_strong(&self, as_of_secs: u64) -> bool {
        self.secs.saturating_add(SETTLED_AFTER_SECS) <= as_of_secs
    }
}

/// The strong entity tag of content with this digest: `"v2-DIGEST"`, `"v1-DIGEST-gzip"`.
///
/// A digest has the characters of an entity tag only; were it otherwise, the tag would match nothing.
pub fn entity_tag(version: Version, digest: &str, coding: Coding) -> HeaderValue {
    let (number, suffix) = (version.number(), coding.tag_suffix());
    HeaderValue::try_from(format!("\"v{number}-{digest}{suffix}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// `"v2-"` and the first 16 bytes of the body's SHA-256, in hex.
fn strong_tag(body: &[u8]) -> HeaderValue {
    let mut tag = String::with_capacity(37);
    tag.push_str("\"v2-");
    for byte in Sha256::digest(body).iter().take(16) {
        // Writing to a String does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    visible(tag)
}

/// A header value of text that this file composed.
#[expect(clippy::expect_used, reason = "this file composes nothing else")]
fn visible(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text.into_bytes()))
        .expect("dates and hex are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::{Attributes, Price, ProductId};

    fn product(name: &str, updated_at: &str) -> Product {
        Product {
            id: ProductId::parse("p-1").unwrap(),
            sku: None,
            name: name.into(),
            description: None,
            category: None,
            brand: None,
            price: Price {
                amount: 1,
                currency: iso_currency::Currency::EUR,
            },
            status: None,
            tags: vec![],
            attributes: Attributes::new(),
            created_at: None,
            updated_at: updated_at.parse().ok(),
        }
    }

    #[test]
    fn the_tag_depends_on_the_content_alone() {
        let first = product("Tea", "2024-01-01T00:00:00Z").render(u64::MAX);
        let again = product("Tea", "2024-01-01T00:00:00Z").render(1_800_000_000);
        let other = product("Coffee", "2024-01-01T00:00:00Z").render(u64::MAX);
        assert_eq!(first.etag, again.etag);
        assert_ne!(first.etag, other.etag);
        let tag = first.etag_str();
        assert!(tag.starts_with("\"v2-") && tag.len() == 37, "{tag}");
    }

    #[test]
    fn the_tag_is_stable_over_releases() {
        let tag = product("Tea", "").render(0).etag;
        assert_eq!(tag, "\"v2-2521973e2a49051d4bf5ea79ce8b4d02\"");
    }

    #[test]
    fn last_modified_is_an_imf_fixdate_and_never_in_the_future() {
        let known = product("Tea", "1994-11-06T08:49:37.9Z");
        let modified = known.render(u64::MAX).last_modified.unwrap();
        assert_eq!(modified.header, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            known.render(1000).last_modified,
            Some(LastModified::at(1000))
        );
        assert_eq!(product("Tea", "").render(0).last_modified, None);
        assert_eq!(
            product("Tea", "1950-01-01T00:00:00Z")
                .render(9)
                .last_modified,
            None
        );
    }

    #[test]
    fn a_body_has_no_spare_capacity() {
        let body = product("Tea", "").render(0).body;
        let exact = body.len();
        assert_eq!(body.try_into_mut().unwrap().capacity(), exact);
    }

    #[test]
    fn what_was_stored_comes_back_equal() {
        let rendered = product("Tea", "2024-01-01T00:00:00Z").render(u64::MAX);
        let secs = rendered
            .last_modified
            .as_ref()
            .map(|modified| modified.secs);
        let restored = Representation::restore(rendered.body.clone(), rendered.etag_str(), secs);
        assert_eq!(restored, Some(rendered));
    }

    #[test]
    fn damaged_validators_do_not_come_back() {
        for etag in ["", "\"", "v2", "W/\"v2\"", "\"a\"b\"", "\"a\n\""] {
            assert_eq!(
                Representation::restore(Bytes::new(), etag, None),
                None,
                "{etag}"
            );
        }
        assert_eq!(
            Representation::restore(Bytes::new(), "\"a\"", Some(u64::MAX)),
            None
        );
    }
}

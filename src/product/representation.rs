//! What goes on the wire for a product: bytes and validators, rendered once when it is stored.

mod date;

use super::{Coding, Product, ProductId, Version};
use crate::header;
use bytes::Bytes;
use http::HeaderValue;
use http::header::InvalidHeaderValue;
use sha2::{Digest as _, Sha256};
use std::num::NonZeroU32;

/// Room for the JSON of most products: what grows is copied.
const USUAL_BYTES: usize = 2_048;

/// How every body begins: with the id, which needs no escapes.
const BEFORE_ID: &[u8] = b"{\"id\":\"";

/// The bytes and validators of one product in version 2: one buffer, and 40 bytes that say what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representation {
    /// The JSON body, then the appendix: of exactly that size.
    buffer: Box<[u8]>,
    digest: Digest,
    last_modified: Option<LastModified>,
    appendix_bytes: u32,
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

/// What tells one body from another: the first 16 bytes of its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 16]);

/// By how many seconds the inventory has to have vouched for a product after its last change, so that no
/// other change can follow in the same second: one for that, and one because clocks differ.
const SETTLED_AFTER_SECS: u64 = 2;

/// A modification time at HTTP's resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastModified {
    /// Whole seconds since the Unix epoch, and one.
    secs_and_one: NonZeroU32,
}

// === impl Product ===

impl Product {
    /// Renders the version 2 representation, as of `now_secs` (seconds since the Unix epoch).
    ///
    /// The entity tag comes from the body alone, so it is equal on all replicas and over restarts.
    /// `Last-Modified` is never in the future
    /// ([RFC 9110 section 8.8.2.1](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.1)).
    pub fn render(&self, now_secs: u64) -> Representation {
        self.render_with(now_secs, &[])
    }

    /// The same with an appendix: bytes that whoever holds the representation wants to have beside it.
    #[expect(
        clippy::expect_used,
        reason = "fails only on maps with keys that are not strings; a product has none"
    )]
    pub fn render_with(&self, now_secs: u64, appendix: &[u8]) -> Representation {
        let mut text = Vec::with_capacity(USUAL_BYTES);
        serde_json::to_writer(&mut text, self).expect("a product is always JSON");
        let updated = self.updated_at.map(jiff::Timestamp::as_second);
        let last_modified = updated
            .and_then(|secs| u64::try_from(secs).ok())
            .map(|secs| LastModified::at(secs.min(now_secs)));
        Representation::new(&text, last_modified, appendix)
    }
}

// === impl Representation ===

impl Representation {
    /// A version 2 body and what is known about it.
    pub fn new(body: &[u8], last_modified: Option<LastModified>, appendix: &[u8]) -> Self {
        // Nobody's appendix is too long for that; one that were is left out.
        let (appendix, appendix_bytes) = match u32::try_from(appendix.len()) {
            Ok(length) => (appendix, length),
            Err(_) => (&[][..], 0),
        };
        Self {
            // Of exactly the size: what grew would have to be cut.
            buffer: [body, appendix].concat().into(),
            digest: Digest::of(body),
            last_modified,
            appendix_bytes,
        }
    }

    /// Rebuilds a representation from what was stored of it: `stored` is the body and `appendix_bytes` behind
    /// it. `None` where it is shorter than those.
    pub fn restore(
        stored: &[u8],
        appendix_bytes: u32,
        digest: Digest,
        last_modified: Option<LastModified>,
    ) -> Option<Self> {
        (stored.len() >= usize::try_from(appendix_bytes).ok()?).then(|| Self {
            buffer: stored.into(),
            digest,
            last_modified,
            appendix_bytes,
        })
    }

    /// The JSON body. Costs nothing.
    pub fn body(&self) -> &[u8] {
        self.split().0
    }

    /// The product's id, which every body begins with; `None` where this one does not. Costs a look at the
    /// body's beginning, and an allocation where the id is long.
    pub fn id(&self) -> Option<ProductId> {
        self.id_text().map(ProductId::rendered)
    }

    /// The id's text. Costs a look at the body's beginning.
    pub fn id_text(&self) -> Option<&str> {
        let rest = self.body().strip_prefix(BEFORE_ID)?;
        let end = rest.iter().position(|byte| *byte == b'"')?;
        std::str::from_utf8(rest.get(..end)?).ok()
    }

    /// Whether that is the product's id. Costs less than reading the id.
    pub fn is_of(&self, id: &ProductId) -> bool {
        let id = id.as_str().as_bytes();
        let rest = self.body().strip_prefix(BEFORE_ID);
        let rest = rest.and_then(|rest| rest.strip_prefix(id));
        rest.is_some_and(|rest| rest.first() == Some(&b'"'))
    }

    /// What was put behind the body. Costs nothing.
    pub fn appendix(&self) -> &[u8] {
        self.split().1
    }

    /// Body and appendix as they lie, to be given to [`Representation::restore`] later. Costs nothing.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// What the entity tags of all versions and codings of this content share. Costs nothing.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// When the product last changed, where known. Costs nothing.
    pub fn last_modified(&self) -> Option<LastModified> {
        self.last_modified
    }

    /// The strong entity tag; a function of the bytes, version and coding alone. Made for [one
    /// answer](header::passing): keeping it would cost every product twice its 37 bytes.
    pub fn etag(&self) -> HeaderValue {
        self.tag(Version::V2, Coding::Identity)
    }

    /// The entity tag of this content in another version or coding, likewise.
    pub fn tag(&self, version: Version, coding: Coding) -> HeaderValue {
        tag_of(version, &self.digest.text(), coding, header::passing)
    }

    fn split(&self) -> (&[u8], &[u8]) {
        let body = self.buffer.len() - self.appendix_bytes as usize;
        // Both constructors see to it that the appendix is in there.
        self.buffer
            .split_at_checked(body)
            .unwrap_or((&self.buffer, &[]))
    }
}

// === impl Digest ===

impl Digest {
    /// The digest of a body.
    pub fn of(body: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(body).into();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// A digest that was stored.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be stored.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Half of it, which is enough to tell the contents of one product from each other.
    pub fn half(self) -> u64 {
        let half = self.0.first_chunk().copied();
        u64::from_le_bytes(half.unwrap_or_default())
    }

    /// Its text in entity tags: 32 digits.
    pub fn text(self) -> [u8; 32] {
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[hex(byte >> 4), hex(byte & 0xf)]);
        }
        text
    }
}

// === impl LastModified ===

impl LastModified {
    /// The modification time `secs` seconds after the Unix epoch. Later than the beginning of 2106 counts
    /// as that: four bytes end there.
    pub fn at(secs: u64) -> Self {
        let secs = u32::try_from(secs).unwrap_or(u32::MAX);
        Self {
            secs_and_one: NonZeroU32::MIN.saturating_add(secs),
        }
    }

    /// Four bytes that [`LastModified::from_bytes`] reads; zeros are none.
    pub fn to_bytes(known: Option<Self>) -> [u8; 4] {
        known
            .map_or(0, |modified| modified.secs_and_one.get())
            .to_le_bytes()
    }

    /// Reads what [`LastModified::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        let secs_and_one = NonZeroU32::new(u32::from_le_bytes(bytes))?;
        Some(Self { secs_and_one })
    }

    /// Whole seconds since the Unix epoch.
    pub fn secs(self) -> u64 {
        u64::from(self.secs_and_one.get() - 1)
    }

    /// The same as IMF-fixdate, for [one answer](header::passing).
    pub fn header(self) -> HeaderValue {
        let date = date::imf_fixdate(self.secs_and_one.get() - 1);
        // Letters, digits and signs: always a header value.
        header::passing(&date).unwrap_or(const { HeaderValue::from_static("") })
    }

    /// Whether it is a strong validator of what the inventory vouched for at `as_of_secs`: whether that came
    /// so long after it that no other change can bear the same second
    /// ([RFC 9110 section 8.8.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2)).
    pub fn is_strong(self, as_of_secs: u64) -> bool {
        self.secs().saturating_add(SETTLED_AFTER_SECS) <= as_of_secs
    }
}

/// The strong entity tag of content with this digest: `"v2-DIGEST"`, `"v1-DIGEST-gzip"`.
///
/// A digest has the characters of an entity tag only, and 43 of them at most; were it otherwise, the tag would
/// match nothing.
pub fn entity_tag(version: Version, digest: &str, coding: Coding) -> HeaderValue {
    tag_of(version, digest.as_bytes(), coding, HeaderValue::from_bytes)
}

fn tag_of(
    version: Version,
    digest: &[u8],
    coding: Coding,
    value: impl FnOnce(&[u8]) -> Result<HeaderValue, InvalidHeaderValue>,
) -> HeaderValue {
    let (number, suffix) = (version.number().as_bytes(), coding.tag_suffix().as_bytes());
    let mut text = [0; 64];
    let mut length = 0;
    for part in [b"\"v", number, b"-", digest, suffix, b"\""] {
        if let Some(free) = text.get_mut(length..length + part.len()) {
            free.copy_from_slice(part);
        }
        length += part.len();
    }
    let tag = text.get(..length).map(value);
    tag.and_then(Result::ok)
        .unwrap_or(const { HeaderValue::from_static("\"\"") })
}

/// A digit of a byte's two.
fn hex(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::{Attributes, Price};

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
        assert_eq!(first.etag(), again.etag());
        assert_ne!(first.etag(), other.etag());
        let tag = first.etag();
        let tag = tag.to_str().unwrap();
        assert!(tag.starts_with("\"v2-") && tag.len() == 37, "{tag}");
    }

    #[test]
    fn the_tag_is_stable_over_releases() {
        let tag = product("Tea", "").render(0).etag();
        assert_eq!(tag, "\"v2-2521973e2a49051d4bf5ea79ce8b4d02\"");
    }

    #[test]
    fn last_modified_is_an_imf_fixdate_and_never_in_the_future() {
        let known = product("Tea", "1994-11-06T08:49:37.9Z");
        let modified = known.render(u64::MAX).last_modified().unwrap();
        assert_eq!(modified.header(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            known.render(1000).last_modified(),
            Some(LastModified::at(1000))
        );
        assert_eq!(product("Tea", "").render(0).last_modified(), None);
        assert_eq!(
            product("Tea", "1950-01-01T00:00:00Z")
                .render(9)
                .last_modified(),
            None
        );
    }

    #[test]
    fn a_body_tells_its_id() {
        for text in ["p-1", "p", &"x".repeat(128)] {
            let id = ProductId::parse(text).unwrap();
            let tea = Product {
                id: id.clone(),
                ..product("Tea", "")
            };
            let tea = tea.render(0);
            assert_eq!((tea.id(), tea.id_text()), (Some(id.clone()), Some(text)));
            for other in ["p-1", "p", "p-12", "x", &"x".repeat(128), &"x".repeat(127)] {
                assert_eq!(tea.is_of(&ProductId::parse(other).unwrap()), other == text);
            }
        }
        for body in ["", "{}", "{\"id\":\"p", "{\"name\":\"p\"}"] {
            let none = Representation::new(body.as_bytes(), None, &[]);
            assert_eq!(none.id(), None);
            assert!(!none.is_of(&ProductId::parse("p").unwrap()));
        }
    }

    #[test]
    fn an_appendix_lies_behind_the_body_and_changes_nothing_else() {
        let tea = product("Tea", "2024-01-01T00:00:00Z");
        let (plain, with) = (tea.render(9), tea.render_with(9, b"appendix"));
        assert_eq!(with.body(), plain.body());
        assert_eq!(
            (plain.appendix(), with.appendix()),
            (&[][..], &b"appendix"[..])
        );
        assert_eq!((with.etag(), with.digest()), (plain.etag(), plain.digest()));
        assert_eq!(with.buffer().len(), plain.buffer().len() + 8);
    }

    #[test]
    fn a_representation_takes_40_bytes_beside_its_buffer() {
        assert_eq!(size_of::<Representation>(), 40);
    }

    #[test]
    fn what_was_stored_comes_back_equal() {
        let tea = product("Tea", "2024-01-01T00:00:00Z");
        let rendered = tea.render_with(u64::MAX, b"appendix");
        let digest = Digest::from_bytes(rendered.digest().to_bytes());
        let restored =
            Representation::restore(rendered.buffer(), 8, digest, rendered.last_modified());
        assert_eq!(restored, Some(rendered));
    }

    #[test]
    fn what_is_shorter_than_its_appendix_does_not_come_back() {
        let digest = Digest::of(b"");
        for (stored, appendix, fits) in [(0, 0, true), (3, 3, true), (3, 4, false), (0, 1, false)] {
            let stored = vec![b'x'; stored];
            let restored = Representation::restore(&stored, appendix, digest, None);
            assert_eq!(restored.is_some(), fits);
        }
    }

    #[test]
    fn a_tag_names_version_and_coding() {
        let tea = product("Tea", "").render(0);
        let digest = String::from_utf8(tea.digest().text().to_vec()).unwrap();
        for version in Version::ALL {
            for coding in Coding::ALL {
                let (number, suffix) = (version.number(), coding.tag_suffix());
                let expected = format!("\"v{number}-{digest}{suffix}\"");
                assert_eq!(tea.tag(version, coding), expected);
            }
        }
        for strange in ["x".repeat(99), "\n".to_owned()] {
            assert_eq!(entity_tag(Version::V2, &strange, Coding::Identity), "\"\"");
        }
    }

    #[test]
    fn dates_end_in_2106() {
        let last = LastModified::at(u64::MAX);
        assert_eq!(last.header(), "Sun, 07 Feb 2106 06:28:14 GMT");
        assert_eq!(LastModified::at(last.secs()), last);
        for known in [None, Some(LastModified::at(0)), Some(last)] {
            assert_eq!(
                LastModified::from_bytes(LastModified::to_bytes(known)),
                known
            );
        }
        assert_eq!(
            LastModified::at(0).header(),
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
    }
}

//! What the cache holds for a product, and how that lies on disk.

use super::index::Content;
use super::renditions::Renditions;
use crate::cache::{Entry, Place, allocated, hash};
use crate::product::{Digest, LastModified, ProductId, Representation};
use crate::upstream::{Confirmed, Validators};
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

/// A product as the cache holds it: rendered, with the inventory's own validators behind the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What goes on the wire.
    pub representation: Representation,
    /// What was made of the representation so far; not on disk.
    pub(super) renditions: Renditions,
}

/// Keeps a product for as long as its body is being sent.
struct Sent(Arc<Entry<Stored>>);

/// What precedes body and validators on disk: the digest, the time of the last change, how long the validators are.
const HEAD_BYTES: usize = 16 + 4 + 4;

/// A product's place in memory: its body tells its id.
#[derive(Debug)]
pub struct InMemory(Arc<Entry<Stored>>);

/// What a product is filed under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Labels<'a> {
    /// Its id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Its category.
    #[serde(borrow, default)]
    pub category: Option<Cow<'a, str>>,
    /// Its brand.
    #[serde(borrow, default)]
    pub brand: Option<Cow<'a, str>>,
}

// === impl Stored ===

impl Stored {
    /// Renders what the inventory confirmed.
    pub fn render(confirmed: &Confirmed, now_secs: u64) -> Self {
        let validators = pack(&confirmed.validators);
        confirmed.product.render_with(now_secs, &validators).into()
    }

    /// The body, for as long as whoever sends it needs it. Costs one allocation of 24 bytes, that of the
    /// reference to the entry; no byte is copied.
    pub fn shared_body(this: &Arc<Entry<Self>>) -> Bytes {
        Bytes::from_owner(Sent(Arc::clone(this)))
    }

    /// What the next conditional call to the inventory carries. Costs two allocations where there is any.
    pub fn validators(&self) -> Validators {
        unpack(self.representation.appendix()).unwrap_or_default()
    }

    /// What queries ask about the product is in its body; its tag tells one body from another.
    pub fn content(&self) -> Content<'_> {
        Content {
            version: self.representation.digest().half(),
            json: self.representation.body(),
        }
    }

    /// What the product is filed under, read from its body: a microsecond or two, not for every read.
    pub fn labels(&self) -> Labels<'_> {
        // What is stored was rendered from a product.
        serde_json::from_slice(self.representation.body()).unwrap_or_default()
    }

    /// What this holds on the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        allocated(self.representation.buffer().len()) + self.renditions.heap_bytes()
    }

    /// The bytes on disk: what is known of the body, then the body and the inventory's validators as they
    /// lie in memory.
    pub fn encode(&self) -> Vec<u8> {
        let representation = &self.representation;
        let buffer = representation.buffer();
        let appendix = u32::try_from(representation.appendix().len()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(HEAD_BYTES + buffer.len());
        bytes.extend_from_slice(&representation.digest().to_bytes());
        bytes.extend_from_slice(&LastModified::to_bytes(representation.last_modified()));
        bytes.extend_from_slice(&appendix.to_le_bytes());
        bytes.extend_from_slice(buffer);
        bytes
    }

    /// Reads what [`Stored::encode`] wrote; `None` if the bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (digest, rest) = bytes.split_first_chunk()?;
        let (modified, rest) = rest.split_first_chunk()?;
        let (appendix, buffer) = rest.split_first_chunk()?;
        let representation = Representation::restore(
            buffer,
            u32::from_le_bytes(*appendix),
            Digest::from_bytes(*digest),
            LastModified::from_bytes(*modified),
        )?;
        unpack(representation.appendix())?;
        representation.id_text()?;
        Some(representation.into())
    }
}

impl From<Representation> for Stored {
    fn from(representation: Representation) -> Self {
        Self {
            representation,
            renditions: Renditions::default(),
        }
    }
}

// === impl InMemory ===

impl Place for InMemory {
    type Key = ProductId;
    type Value = Stored;

    fn new(_: &ProductId, entry: Arc<Entry<Stored>>) -> Self {
        Self(entry)
    }

    fn entry(&self) -> &Arc<Entry<Stored>> {
        &self.0
    }

    #[expect(
        clippy::expect_used,
        reason = "only places that are of some id are kept"
    )]
    fn key(&self) -> ProductId {
        let id = self.0.representation.id();
        id.expect("every body begins with an id")
    }

    fn is_of(&self, id: &ProductId) -> bool {
        self.0.representation.is_of(id)
    }

    fn hash(&self) -> u64 {
        // An id hashes like its text.
        hash(self.0.representation.id_text().unwrap_or_default())
    }
}

// === impl Sent ===

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        self.0.representation.body()
    }
}

/// Validators in one piece: nothing where there are none, else the length of the tag, the tag, the date.
fn pack(validators: &Validators) -> Vec<u8> {
    let text = |text: &'_ Option<Box<str>>| text.as_deref().unwrap_or_default().as_bytes().to_vec();
    let (etag, date) = (text(&validators.etag), text(&validators.last_modified));
    // Header values are far shorter; one that is not is left out, and only costs a full GET.
    let (length, etag) = match u16::try_from(etag.len()) {
        Ok(length) => (length, etag),
        Err(_) => (0, Vec::new()),
    };
    match etag.is_empty() && date.is_empty() {
        true => Vec::new(),
        false => [&length.to_le_bytes()[..], &etag, &date].concat(),
    }
}

/// Reads what [`pack`] wrote.
fn unpack(packed: &[u8]) -> Option<Validators> {
    if packed.is_empty() {
        return Some(Validators::default());
    }
    let (length, rest) = packed.split_first_chunk()?;
    let (etag, date) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let text = |bytes| {
        let text = std::str::from_utf8(bytes).ok()?;
        Some((!text.is_empty()).then(|| text.into()))
    };
    Some(Validators {
        etag: text(etag)?,
        last_modified: text(date)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use proptest::prelude::*;

    fn stored(body: &[u8], modified: Option<u32>, validators: &Validators) -> Stored {
        let modified = modified.map(|secs| LastModified::at(secs.into()));
        Representation::new(body, modified, &pack(validators)).into()
    }

    #[test]
    fn a_cached_product_takes_88_bytes_beside_its_buffer() {
        assert_eq!(16 + size_of::<Entry<Stored>>(), 88);
    }

    #[test]
    fn a_body_is_shared_and_without_the_validators() {
        let validators = Validators {
            etag: Some("\"1\"".into()),
            last_modified: None,
        };
        let entry = Entry::new(stored(b"body", None, &validators), Moment::default(), 0, 0);
        let entry = Arc::new(entry);
        let body = Stored::shared_body(&entry);
        assert_eq!(body, "body");
        assert_eq!(body.as_ptr(), entry.representation.body().as_ptr());
        drop(entry);
        assert_eq!(body, "body");
    }

    #[test]
    fn a_place_is_found_by_the_id_in_its_body() {
        for text in ["p-1", &"x".repeat(128)] {
            let id = ProductId::parse(text).unwrap();
            let body = format!("{{\"id\":\"{id}\",\"name\":\"N\"}}");
            let stored = stored(body.as_bytes(), None, &Validators::default());
            let place = InMemory(Arc::new(Entry::new(stored, Moment::default(), 0, 0)));
            assert_eq!(place.key(), id);
            assert_eq!(place.hash(), hash(&id));
            assert!(place.is_of(&id) && !place.is_of(&ProductId::parse("p").unwrap()));
        }
    }

    #[test]
    fn what_does_not_begin_with_an_id_does_not_come_back() {
        let none = stored(b"{}", None, &Validators::default());
        assert_eq!(Stored::decode(&none.encode()), None);
    }

    #[test]
    fn validators_that_are_too_long_are_left_out() {
        let validators = Validators {
            etag: Some("x".repeat(70_000).into()),
            last_modified: Some("date".into()),
        };
        let kept = stored(b"body", None, &validators).validators();
        assert_eq!(
            (kept.etag, kept.last_modified),
            (None, validators.last_modified)
        );
    }

    proptest! {
        #[test]
        fn a_stored_product_survives_its_encoding(
            rest: Vec<u8>, modified in proptest::option::of(0..u32::MAX),
            etag in proptest::option::of("[a-z\"]{1,40}"), date in proptest::option::of("[A-Z]{29}"),
        ) {
            let validators = Validators {
                etag: etag.map(Into::into),
                last_modified: date.map(Into::into),
            };
            let body = [&b"{\"id\":\"p-1\""[..], &rest].concat();
            let stored = stored(&body, modified, &validators);
            prop_assert_eq!(stored.validators(), validators);
            prop_assert_eq!(stored.representation.body(), &body);
            prop_assert_eq!(Stored::decode(&stored.encode()), Some(stored));
        }

        #[test]
        fn garbage_is_no_product_and_no_panic(bytes: Vec<u8>) {
            let _ = Stored::decode(&bytes).map(|stored| stored.validators());
        }
    }
}

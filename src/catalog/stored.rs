//! What the cache holds for a product, and how that lies on disk.

use super::index::Content;
use super::renditions::Renditions;
use crate::product::Representation;
use crate::upstream::{Confirmed, Validators};
use bytes::Bytes;
use rustc_hash::FxBuildHasher;
use serde::Deserialize;
use std::borrow::Cow;
use std::hash::BuildHasher;

/// What one shared buffer costs beside its bytes: its allocation and its counters.
const BUFFER_BYTES: usize = 48;

/// A product as the cache holds it: rendered, with the inventory's own validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What goes on the wire.
    pub representation: Representation,
    /// What the next conditional call to the inventory carries.
    pub validators: Validators,
    /// What was made of the representation so far; not on disk.
    pub renditions: Renditions,
}

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
        Self {
            representation: confirmed.product.render(now_secs),
            validators: confirmed.validators.clone(),
            renditions: Renditions::default(),
        }
    }

    /// What queries ask about the product is in its body; its tag tells one body from another.
    pub fn content(&self) -> Content<'_> {
        Content {
            version: FxBuildHasher.hash_one(self.representation.etag.as_bytes()),
            json: &self.representation.body,
        }
    }

    /// What the product is filed under, read from its body: a microsecond or two, not for every read.
    pub fn labels(&self) -> Labels<'_> {
        // What is stored was rendered from a product.
        serde_json::from_slice(&self.representation.body).unwrap_or_default()
    }

    /// What this holds on the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let Representation {
            body,
            etag,
            last_modified,
        } = &self.representation;
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len() + 16);
        let header = |length: usize| length + BUFFER_BYTES;
        body.len()
            + BUFFER_BYTES
            + header(etag.len())
            + last_modified
                .as_ref()
                .map_or(0, |modified| header(modified.header.len()))
            + text(&self.validators.etag)
            + text(&self.validators.last_modified)
            + self.renditions.heap_bytes()
    }

    /// The bytes on disk: four fields behind their lengths, then the body.
    pub fn encode(&self) -> Vec<u8> {
        let modified = self.representation.last_modified.as_ref();
        let modified = modified.map(|modified| modified.secs.to_le_bytes());
        let text = |text: &'_ Option<Box<str>>| text.as_deref().unwrap_or("").as_bytes().to_vec();
        let fields: [&[u8]; 4] = [
            self.representation.etag.as_bytes(),
            modified.as_ref().map_or(&[], |bytes| bytes.as_slice()),
            &text(&self.validators.etag),
            &text(&self.validators.last_modified),
        ];
        let body = &self.representation.body;
        let mut bytes = Vec::with_capacity(body.len() + 128);
        for field in fields {
            // Header values are far shorter; one that is not is left out, and only costs a full GET.
            let length = u16::try_from(field.len()).unwrap_or(0);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(field.get(..usize::from(length)).unwrap_or_default());
        }
        bytes.extend_from_slice(body);
        bytes
    }

    /// Reads what [`Stored::encode`] wrote; `None` if the bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut field = || {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (field, after) =
                after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            rest = after;
            Some(field)
        };
        let etag = std::str::from_utf8(field()?).ok()?;
        let modified = match field()? {
            [] => None,
            secs => Some(u64::from_le_bytes(secs.try_into().ok()?)),
        };
        let mut text = || {
            let text = std::str::from_utf8(field()?).ok()?;
            Some((!text.is_empty()).then(|| text.into()))
        };
        let validators = Validators {
            etag: text()?,
            last_modified: text()?,
        };
        Some(Self {
            representation: Representation::restore(Bytes::copy_from_slice(rest), etag, modified)?,
            validators,
            renditions: Renditions::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stored_product_survives_its_encoding(
            body: Vec<u8>, modified in proptest::option::of(0u64..4_000_000_000),
            etag in proptest::option::of("[a-z\"]{1,40}"), date in proptest::option::of("[A-Z]{29}"),
        ) {
            let stored = Stored {
                representation: Representation::restore(body.into(), "\"v2-abc\"", modified).unwrap(),
                validators: Validators {
                    etag: etag.map(Into::into),
                    last_modified: date.map(Into::into),
                },
                renditions: Renditions::default(),
            };
            prop_assert_eq!(Stored::decode(&stored.encode()), Some(stored));
        }

        #[test]
        fn garbage_is_no_product_and_no_panic(bytes: Vec<u8>) {
            let _ = Stored::decode(&bytes);
        }
    }
}

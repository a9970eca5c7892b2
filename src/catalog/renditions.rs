//! Products in other versions and codings than the one that is stored: made at first need, kept beside
//! it within the cap, gone with it, and never on disk.

use super::{Catalog, Entry, Stored};
use crate::cache::allocated;
use crate::product::{
    Coding, Effort, LEAST_ENCODED, ProductId, Rendition, Representation, Version, flatten,
};
use crate::telemetry::metrics;
use bytes::Bytes;
use http::HeaderValue;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Bodies longer than this, in bytes, are encoded on a thread where they hold up no other request.
const LONGEST_INLINE: usize = 16 * 1024;

/// What clones of a kept body share, in bytes.
const SHARED_BYTES: usize = 32;

/// The form that a client wants a product in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Its version.
    pub version: Version,
    /// Its coding, where that makes it smaller.
    pub coding: Coding,
    /// Whether it must be in that coding, smaller or not: the client refuses identity.
    pub strict: bool,
}

/// What was made of a stored product so far. Nothing, for most: then it is 8 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renditions(Option<Arc<Box<[Kept]>>>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    version: Version,
    coding: Coding,
    /// `None` where the coding does not make it smaller.
    body: Option<Bytes>,
}

/// What is stored as a product is none. That is a defect: its checksum was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored body is no product, or can not be encoded")]
pub struct Unrenderable;

/// Renditions that are being made: one maker each, however many need it.
#[derive(Default)]
pub(super) struct Workshop {
    /// By entity tag, which names the bytes that will come of it.
    benches: Mutex<HashMap<HeaderValue, watch::Receiver<Option<Kept>>>>,
    made: AtomicU64,
}

/// A place to make a rendition at, alone; given back when it is dropped.
struct Bench<'a> {
    workshop: &'a Workshop,
    etag: HeaderValue,
    done: watch::Sender<Option<Kept>>,
}

enum Turn<'a> {
    Make(Bench<'a>),
    Wait(watch::Receiver<Option<Kept>>),
}

impl Catalog {
    /// A product as `shape` wants it; identity where the coding does not pay and need not be. Only the
    /// first that needs a rendition waits for it to be made.
    ///
    /// # Errors
    /// [`Unrenderable`].
    pub async fn rendition(
        &self,
        id: &ProductId,
        stored: &Arc<Entry<Stored>>,
        shape: Shape,
    ) -> Result<Rendition, Unrenderable> {
        match Stored::at_hand(stored, shape) {
            Some(rendition) => Ok(rendition),
            // Boxed, so that reads that find it at hand do not carry the room for making it.
            None => Box::pin(self.made(id, stored, shape)).await,
        }
    }

    async fn made(
        &self,
        id: &ProductId,
        stored: &Arc<Entry<Stored>>,
        shape: Shape,
    ) -> Result<Rendition, Unrenderable> {
        let representation = &stored.representation;
        let Shape {
            version, coding, ..
        } = shape;
        let plain = match version {
            Version::V2 => Stored::rendition(stored),
            Version::V1 => {
                let flat = self.kept(id, stored, version, Coding::Identity, None);
                flat.await.rendition(representation).ok_or(Unrenderable)?
            }
        };
        let pays = plain.body.len() >= LEAST_ENCODED;
        if coding == Coding::Identity || !(pays || shape.strict) {
            return Ok(plain);
        }
        if pays {
            let kept = self.kept(id, stored, version, coding, Some(&plain.body));
            if let Some(encoded) = kept.await.rendition(representation) {
                return Ok(encoded);
            }
        }
        if !shape.strict {
            return Ok(plain);
        }
        let etag = representation.tag(version, coding);
        let body = encode(plain.body, coding, Effort::Kept).await;
        Ok(Rendition {
            version,
            coding,
            etag,
            body: body.ok_or(Unrenderable)?,
        })
    }

    /// How many renditions were made since the start.
    pub fn renditions_made(&self) -> u64 {
        self.workshop.made.load(Ordering::Relaxed)
    }

    /// One rendition, kept already or made now: of `plain` in `coding`, or the flat one.
    async fn kept(
        &self,
        id: &ProductId,
        stored: &Stored,
        version: Version,
        coding: Coding,
        plain: Option<&Bytes>,
    ) -> Kept {
        if let Some(kept) = stored.renditions.find(version, coding) {
            return kept.clone();
        }
        let representation = &stored.representation;
        let etag = representation.tag(version, coding);
        loop {
            let mut waiting = match self.workshop.enter(&etag) {
                Turn::Make(bench) => {
                    let made = self.found_meanwhile(id, representation, version, coding);
                    let kept = match made {
                        Some(kept) => kept,
                        None => self.make(id, representation, version, coding, plain).await,
                    };
                    bench.done.send_replace(Some(kept.clone()));
                    return kept;
                }
                Turn::Wait(waiting) => waiting,
            };
            // A maker whose client hung up leaves its place to the next.
            if let Ok(kept) = waiting.wait_for(Option::is_some).await
                && let Some(kept) = &*kept
            {
                return kept.clone();
            }
        }
    }

    /// What somebody else has made between our look and our turn.
    fn found_meanwhile(
        &self,
        id: &ProductId,
        representation: &Representation,
        version: Version,
        coding: Coding,
    ) -> Option<Kept> {
        let held = self.cache.peek(id)?;
        let is_same = held.representation.digest() == representation.digest();
        let kept = held.renditions.find(version, coding)?;
        is_same.then(|| kept.clone())
    }

    async fn make(
        &self,
        id: &ProductId,
        representation: &Representation,
        version: Version,
        coding: Coding,
        plain: Option<&Bytes>,
    ) -> Kept {
        let body = match plain {
            None => flatten(representation.body()).map(|flat| Bytes::copy_from_slice(&flat)),
            Some(plain) => encode(plain.clone(), coding, Effort::Kept)
                .await
                .filter(|encoded| encoded.len() < plain.len()),
        };
        self.workshop.made.fetch_add(1, Ordering::Relaxed);
        metrics::rendition_made(version.number(), coding.as_str());
        let kept = Kept {
            version,
            coding,
            body,
        };
        self.cache.enrich(id, |held| {
            let is_missing = held.renditions.find(version, coding).is_none();
            let is_same = held.representation.digest() == representation.digest();
            (is_same && is_missing).then(|| Stored {
                renditions: held.renditions.with(kept.clone()),
                ..held.clone()
            })
        });
        kept
    }
}

// === impl Stored ===

impl Stored {
    /// The stored version as it is. Costs two allocations, those of [`Stored::shared_body`] and of
    /// [`Representation::etag`].
    pub fn rendition(this: &Arc<Entry<Self>>) -> Rendition {
        Rendition {
            version: Version::V2,
            coding: Coding::Identity,
            etag: this.representation.etag(),
            body: Self::shared_body(this),
        }
    }

    /// The product as `shape` wants it, where nothing has to be made for that.
    pub fn at_hand(this: &Arc<Entry<Self>>, shape: Shape) -> Option<Rendition> {
        let Shape {
            version, coding, ..
        } = shape;
        if (version, coding) == (Version::V2, Coding::Identity) {
            return Some(Self::rendition(this));
        }
        let kept = this.renditions.find(version, coding);
        if let Some(rendition) = kept.and_then(|kept| kept.rendition(&this.representation)) {
            return Some(rendition);
        }
        let pays = kept.is_none() && this.representation.body().len() >= LEAST_ENCODED;
        (version == Version::V2 && !pays && !shape.strict).then(|| Self::rendition(this))
    }

    /// The body in this version, for answers that are made of many; what is made for it is not kept.
    ///
    /// # Errors
    /// [`Unrenderable`].
    pub fn body(this: &Arc<Entry<Self>>, version: Version) -> Result<Bytes, Unrenderable> {
        let flat = || flatten(this.representation.body()).map(Bytes::from);
        match (version, this.renditions.find(version, Coding::Identity)) {
            (Version::V2, _) => Ok(Self::shared_body(this)),
            (Version::V1, Some(kept)) => kept.body.clone().ok_or(Unrenderable),
            (Version::V1, None) => flat().ok_or(Unrenderable),
        }
    }
}

// === impl Renditions ===

impl Renditions {
    /// What they hold on the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let Some(kept) = &self.0 else { return 0 };
        let each = kept
            .iter()
            .map(|kept| SHARED_BYTES + allocated(kept.body.as_ref().map_or(0, Bytes::len)));
        // The two counters and the list, and what is in it.
        each.sum::<usize>() + allocated(32) + allocated(size_of_val::<[Kept]>(kept))
    }

    fn find(&self, version: Version, coding: Coding) -> Option<&Kept> {
        let mut kept = self.0.as_ref()?.iter();
        kept.find(|kept| kept.version == version && kept.coding == coding)
    }

    fn with(&self, kept: Kept) -> Self {
        let before = self.0.iter().flat_map(|kept| kept.iter().cloned());
        Self(Some(Arc::new(before.chain([kept]).collect())))
    }
}

// === impl Kept ===

impl Kept {
    /// Costs one allocation, that of the tag.
    fn rendition(&self, of: &Representation) -> Option<Rendition> {
        Some(Rendition {
            version: self.version,
            coding: self.coding,
            etag: of.tag(self.version, self.coding),
            body: self.body.clone()?,
        })
    }
}

// === impl Workshop ===

impl Workshop {
    fn enter(&self, etag: &HeaderValue) -> Turn<'_> {
        let mut benches = self.lock();
        if let Some(waiting) = benches.get(etag) {
            return Turn::Wait(waiting.clone());
        }
        let (done, waiting) = watch::channel(None);
        benches.insert(etag.clone(), waiting);
        Turn::Make(Bench {
            workshop: self,
            etag: etag.clone(),
            done,
        })
    }

    /// Holds a map that is changed in single steps: a panic elsewhere can not leave it half changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<HeaderValue, watch::Receiver<Option<Kept>>>> {
        self.benches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Bench ===

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        self.workshop.lock().remove(&self.etag);
    }
}

/// Encodes a body, long ones on a thread of their own. `None` if the encoder gave up: then the body
/// goes as it is.
pub async fn encode(body: Bytes, coding: Coding, effort: Effort) -> Option<Bytes> {
    let is_long = body.len() > LONGEST_INLINE;
    let encode = move || {
        let encoded = coding.encode(&body, effort);
        // The copy is exact; the growing buffer goes.
        encoded.ok().map(|encoded| Bytes::copy_from_slice(&encoded))
    };
    if is_long {
        tokio::task::spawn_blocking(encode).await.ok().flatten()
    } else {
        encode()
    }
}

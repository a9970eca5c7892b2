//! Pages as they were answered, kept for those who ask for the same again.
//!
//! A kept page stands as long as it would be composed anew from the same products, all of them fresh:
//!
//! - Nothing in the index has changed since. Where something has, the same walk is taken again: if it finds
//!   the same contents in the same places, the change is of no concern to this page, and it stands.
//! - Nobody has said of any product held that it is worth less than it was thought to be.
//! - The shortest window among its products has not ended, and the index itself is right.
//!
//! So an answer from here is the one that would have been given without it. Kept are pages of fresh products
//! that are under no contract: under one, being read counts.

use super::index::Run;
use super::{Catalog, Coding, PageQuery, Standing, Version};
use crate::clock::Moment;
use bytes::Bytes;
use http::HeaderValue;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, Weighter};
use rustc_hash::FxBuildHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The share of the cap that pages may take: what they save is time, what they take is room for products.
const SHARE: u64 = 64;

/// A typical page in one coding, to size the table.
const TYPICAL_BYTES: u64 = 8 * 1024;

/// What a page costs beside its body: its place in the table, its query, where its products were found.
const BESIDE_BYTES: u64 = 512;

/// What one product on a page costs beside its part of the body: where it was found.
const FOUND_BYTES: u64 = 96;

/// A page in one version and coding.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Its version.
    pub version: Version,
    /// The coding of its body.
    pub coding: Coding,
    /// The bytes.
    pub body: Bytes,
    /// Strong entity tag.
    pub etag: HeaderValue,
    /// Where its neighbours are.
    pub link: Option<HeaderValue>,
    /// The keys that a shared cache may purge it by, where it is told any.
    pub keys: Option<HeaderValue>,
}

/// What a page was composed from, and until when that is fresh.
#[derive(Debug)]
pub struct Seal {
    /// What the index had gone through when this was found there last.
    changes: AtomicU64,
    /// What had been said against products held.
    doubts: u64,
    until: Moment,
    query: PageQuery,
    run: Run,
}

/// A page that is kept.
#[derive(Debug)]
pub struct KeptPage {
    /// What goes on the wire.
    pub rendered: Rendered,
    seal: Seal,
}

/// The pages that are kept, by what was asked for and the form it was asked for in.
pub(super) struct Pages {
    tier: Cache<Key, Arc<KeptPage>, Weigh, FxBuildHasher>,
    capacity: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    query: Box<str>,
    form: u8,
}

struct Asked<'a> {
    query: &'a str,
    form: u8,
}

#[derive(Clone)]
struct Weigh;

impl Catalog {
    /// The page that was kept of this query, in the form of this number, where nothing at all has changed
    /// since, and what it is worth now. Costs what a hit on a product does.
    pub fn kept_page(&self, query: &str, form: u8) -> Option<(Arc<KeptPage>, Standing)> {
        let kept = self.pages().tier.get(&Asked { query, form })?;
        let is_same = kept.seal.changes.load(Ordering::Relaxed) == self.index().changes();
        let worth = is_same.then(|| self.worth_of(&kept.seal)).flatten()?;
        Some((kept, worth))
    }

    /// The same, also where something has changed that is of no concern to the page.
    pub async fn page_that_stands(
        &self,
        query: &str,
        form: u8,
    ) -> Option<(Arc<KeptPage>, Standing)> {
        let kept = self.pages().tier.get(&Asked { query, form })?;
        let worth = self.worth_of(&kept.seal)?;
        let changes = self.index().changes();
        if kept.seal.changes.load(Ordering::Relaxed) != changes {
            let run = self.run_of(&kept.seal.query).await?;
            if run != kept.seal.run {
                return None;
            }
            kept.seal.changes.store(changes, Ordering::Relaxed);
        }
        Some((kept, worth))
    }

    /// Keeps a page, if there is room for it.
    pub fn keep_page(&self, query: &str, form: u8, rendered: Rendered, seal: Seal) {
        let pages = self.pages();
        if pages.capacity > 0 {
            let query = query.into();
            let kept = Arc::new(KeptPage { rendered, seal });
            pages.tier.insert(Key { query, form }, kept);
        }
    }

    /// What a sealed page is worth now; `None` where that is not what it was.
    fn worth_of(&self, seal: &Seal) -> Option<Standing> {
        if seal.doubts != self.cache.doubts() {
            return None;
        }
        let remaining = seal.until.since(self.clock.now());
        let standing = self.standing().ok()?;
        (standing.is_fresh() && !remaining.is_zero()).then(|| Standing {
            remaining: remaining.min(standing.remaining),
            ..standing
        })
    }

    fn pages(&self) -> &Pages {
        &self.cache.source().pages
    }
}

// === impl Seal ===

impl Seal {
    /// A page of `query` that is found as `run`, composed since the numbers were these, fresh until then.
    pub(super) fn new(
        query: PageQuery,
        run: Run,
        (changes, doubts): (u64, u64),
        until: Moment,
    ) -> Self {
        Self {
            changes: AtomicU64::new(changes),
            doubts,
            until,
            query,
            run,
        }
    }
}

// === impl Pages ===

impl Pages {
    /// Room for a 64th of `max_bytes`.
    pub fn new(max_bytes: u64) -> Self {
        let capacity = max_bytes / SHARE;
        let pages = usize::try_from(capacity / TYPICAL_BYTES).unwrap_or(usize::MAX);
        let tier = Cache::with(
            pages.max(1),
            capacity,
            Weigh,
            FxBuildHasher,
            DefaultLifecycle::default(),
        );
        Self { tier, capacity }
    }

    /// The most bytes this ever holds.
    pub fn capacity_bytes(&self) -> usize {
        usize::try_from(self.capacity).unwrap_or(usize::MAX)
    }
}

// === impl Weigh ===

impl Weighter<Key, Arc<KeptPage>> for Weigh {
    fn weight(&self, key: &Key, kept: &Arc<KeptPage>) -> u64 {
        let Rendered { body, keys, .. } = &kept.rendered;
        let keys = keys.as_ref().map_or(0, HeaderValue::len);
        let bytes = body.len() + keys + 4 * key.query.len();
        bytes as u64 + BESIDE_BYTES + FOUND_BYTES * kept.seal.run.found.len() as u64
    }
}

// === impl Key ===

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { query, form } = self;
        Asked { query, form: *form }.hash(state);
    }
}

// === impl Asked ===

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.query.hash(state);
        self.form.hash(state);
    }
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.form == key.form && *self.query == *key.query
    }
}

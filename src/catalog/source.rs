//! The catalogue's side of the cache: products are loaded from the inventory, rendered once, and
//! every fact the cache accepts about one is a fact for the index.

use super::index::{Content, Index, Reading};
use super::invalidate::Selector;
use super::pages::Pages;
use super::standing::Confirmation;
use super::stored::{InMemory, Stored};
use crate::cache::{Known, Loaded, Purpose, Restored, STORED_ROW_BYTES, Source, allocated};
use crate::clock::{Clock, Moment};
use crate::product::{Product, ProductId};
use crate::telemetry::Conversation;
use crate::upstream::{Confirmed, Fetched, Inventory, UpstreamError, Validators};
use http::StatusCode;
use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Products, from the inventory.
pub struct Products {
    pub(super) inventory: Inventory,
    pub(super) index: Index,
    pub(super) pages: Pages,
    /// As of when the index is right.
    pub(super) confirmation: Confirmation,
    /// Somebody wants a listing pass.
    pub(super) wanted: Notify,
    /// Whether one is under way or about to begin, and goes well so far.
    pub(super) listing: AtomicBool,
    clock: Clock,
}

// === impl Products ===

impl Products {
    /// Products of `inventory`; what is known of them, and what a store takes in memory for each, takes its part of
    /// `max_bytes`.
    pub fn new(inventory: Inventory, max_bytes: u64, has_store: bool, clock: Clock) -> Self {
        // Three quarters at most, so that there is always room for what the rows are about.
        let index_bytes = usize::try_from(max_bytes / 4 * 3).unwrap_or(usize::MAX);
        Self {
            inventory,
            index: Index::new(index_bytes, if has_store { STORED_ROW_BYTES } else { 0 }),
            pages: Pages::new(max_bytes),
            confirmation: Confirmation::default(),
            wanted: Notify::new(),
            listing: AtomicBool::new(false),
            clock,
        }
    }
}

impl Source for Products {
    type Key = ProductId;
    type Value = Stored;
    type Place = InMemory;
    type Error = UpstreamError;
    type Gone = StatusCode;
    type Cause = Conversation;
    type Tag = Selector;
    type Reading = Reading;
    type Fallback = Product;

    async fn load(
        &self,
        id: &ProductId,
        known: Option<&Stored>,
        purpose: Purpose,
        cause: Conversation,
    ) -> Result<Loaded<Stored, StatusCode>, UpstreamError> {
        let validators = known.map(Stored::validators);
        let validators = validators.as_ref();
        let fetched = match purpose {
            Purpose::Read => self.inventory.get(id, validators, cause).await,
            Purpose::Refresh { within, from } => {
                let from = from.as_deref();
                self.inventory
                    .refresh(id, validators, from, within, cause)
                    .await
            }
        };
        match fetched? {
            Fetched::Product(confirmed) => Ok(Loaded::Value {
                value: Stored::render(&confirmed, self.clock.now().as_secs()),
                as_of: confirmed.sent_at,
            }),
            Fetched::NotModified { sent_at } => Ok(Loaded::Unchanged { as_of: sent_at }),
            Fetched::Gone { status } => Ok(Loaded::Gone(status)),
        }
    }

    fn room_for_refreshes(&self) -> usize {
        self.inventory.room()
    }

    fn stand_in(&self, fallback: &Product, id: &ProductId) -> Stored {
        let product = Product {
            id: id.clone(),
            ..fallback.clone()
        };
        let confirmed = Confirmed {
            product,
            validators: Validators::default(),
            sent_at: self.clock.now(),
        };
        Stored::render(&confirmed, self.clock.now().as_secs())
    }

    fn weight(&self, id: &ProductId, stored: &Stored) -> usize {
        let id = match id.heap_bytes() {
            0 => 0,
            bytes => allocated(bytes),
        };
        id + stored.heap_bytes()
    }

    fn same(&self, held: &Stored, listed: &Stored) -> bool {
        held.representation.digest() == listed.representation.digest()
    }

    fn name(id: &ProductId) -> String {
        format!("product:{id}")
    }

    fn everything() -> Selector {
        Selector::All
    }

    fn has_any(&self, id: &ProductId, stored: &Stored, tags: &[Selector]) -> bool {
        let labels = OnceCell::new();
        let labels = || labels.get_or_init(|| stored.labels());
        tags.iter().any(|tag| tag.selects(id, labels))
    }

    fn encode_tag(&self, tag: &Selector) -> Vec<u8> {
        tag.encode()
    }

    fn decode_tag(&self, bytes: &[u8]) -> Option<Selector> {
        Selector::decode(bytes)
    }

    fn encode_key(&self, id: &ProductId) -> Vec<u8> {
        id.as_str().as_bytes().to_vec()
    }

    fn decode_key(&self, bytes: &[u8]) -> Option<ProductId> {
        ProductId::parse(std::str::from_utf8(bytes).ok()?).ok()
    }

    fn encode(&self, stored: &Stored) -> Vec<u8> {
        stored.encode()
    }

    fn decode(&self, bytes: &[u8]) -> Option<Stored> {
        Stored::decode(bytes)
    }

    fn summarize(&self, stored: &Stored) -> Vec<u8> {
        stored.content().to_bytes()
    }

    fn read_ahead(&self, stored: &Stored) -> Option<Reading> {
        let is_wanted = !self.index.has_overflown();
        is_wanted.then(|| Reading::of_content(stored.content()))?
    }

    fn expect(&self, products: usize) {
        self.index.expect(products);
    }

    fn learned(
        &self,
        id: &ProductId,
        known: Known<'_, Stored>,
        reading: Option<&Reading>,
        as_of: Moment,
    ) -> bool {
        let held = match known {
            Known::Held(entry) => Some(entry),
            _ => None,
        };
        let content = content(known);
        self.index.learn(id, content, held, reading, as_of)
    }

    fn exists(&self, id: &ProductId, known: Known<'_, Stored>, as_of: Moment) {
        self.index.insert_unknown(id, content(known), as_of);
    }

    fn let_go(&self, id: &ProductId) {
        self.index.let_go(id);
    }

    fn vanished(&self, id: &ProductId) {
        self.index.remove(id);
    }

    fn for_each_known(&self, visit: &mut dyn FnMut(&ProductId, Moment)) {
        self.index.for_each(visit);
    }

    fn knows_all(&self) -> bool {
        self.index.is_complete()
    }

    fn remembers(&self) -> bool {
        !self.index.has_overflown()
    }

    fn is_listing(&self) -> bool {
        self.listing.load(Ordering::Relaxed)
    }

    fn held_bytes(&self) -> usize {
        self.index.bytes() + self.pages.capacity_bytes()
    }

    fn lacks_summaries(&self) {
        self.wanted.notify_one();
    }

    fn restored(&self, restored: &Restored) {
        let late = self.index.is_complete();
        // Of some products the store may know no more than that they exist.
        let is_whole = self.index.bare() == 0;
        let note = restored.note.as_deref();
        let listed = note.and_then(|note| Confirmation::from_note(note, self.clock.now()));
        if let Some(as_of) = listed.filter(|_| is_whole) {
            self.confirmation.restore(as_of, restored.clean);
            self.index.complete();
        }
        let is_doubted = self.index.is_complete() && !self.confirmation.is_trusted();
        // What was left in disorder has to be confirmed, and so has what comes after a pass was through.
        if !restored.clean || late || !is_whole || is_doubted {
            self.wanted.notify_one();
        }
    }
}

/// What queries ask about a product, where that is known.
fn content(known: Known<'_, Stored>) -> Option<Content<'_>> {
    match known {
        Known::Held(entry) => Some(entry.content()),
        Known::Value(stored) => Some(stored.content()),
        Known::Summary(bytes) => Content::from_bytes(bytes),
        Known::Nothing => None,
    }
}

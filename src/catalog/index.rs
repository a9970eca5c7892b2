//! Which products exist, and what queries ask about them: what lists are answered from. Bodies are the
//! cache's matter.
//!
//! Rows, the texts they share and the orders that queries have asked for lie in one [`Table`] behind one
//! lock. Whoever looks at many rows lets go of it now and then, so that nobody waits long to change one.

mod collect;
mod column;
mod documents;
mod groups;
mod hits;
mod labels;
mod leaf;
mod order;
mod packing;
mod plan;
mod row;
mod rows;
mod scan;
mod search;
mod sequence;
mod sorting;
mod summary;
mod table;
mod terms;
mod walk;
mod words;

#[cfg(test)]
mod tests;

pub use search::{Edge, Found, Lengthy, Patience, Run};
pub use table::{Content, Reading};

use super::stored::Stored;
use crate::cache::Entry;
use crate::clock::Moment;
use crate::product::ProductId;
use row::Row;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use table::{Parsed, Table};

/// About what is known of a product takes, in bytes: places are made ahead for as many as would fit.
const USUAL_BYTES: usize = 256;

/// Contents that are looked up under one lock.
const AT_ONCE: usize = 32;

/// Who holds a product's body. The index reads its texts there for as long as it is held.
pub type Held = Arc<Entry<Stored>>;

/// The products, with what can be asked about them, and as of when each was known to exist.
pub struct Index {
    table: RwLock<Table>,
    /// Held while an order is made: one at a time.
    sorting: Mutex<()>,
    bytes: AtomicUsize,
    changes: AtomicU64,
    limit_bytes: usize,
    /// What a row takes elsewhere, in bytes.
    elsewhere_bytes: usize,
    complete: AtomicBool,
    overflown: AtomicBool,
}

// === impl Index ===

impl Index {
    /// An empty index of at most `limit_bytes`, of which each row takes `elsewhere_bytes` beside what lies here. One that
    /// would pass that gives up and stays empty.
    pub fn new(limit_bytes: usize, elsewhere_bytes: usize) -> Self {
        Self {
            table: RwLock::new(Table::new()),
            sorting: Mutex::new(()),
            bytes: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            limit_bytes,
            elsewhere_bytes,
            complete: AtomicBool::new(false),
            overflown: AtomicBool::new(limit_bytes == 0),
        }
    }

    /// The product exists as of `as_of`, with this content where it is known. Returns whether that
    /// content is news.
    pub fn insert(&self, id: &ProductId, content: Option<Content<'_>>, as_of: Moment) -> bool {
        self.learn(id, content, None, None, as_of)
    }

    /// The product exists as of `as_of`, and its body is held: its texts are read there until
    /// [`Index::let_go`]. Returns whether its content is news.
    #[cfg(test)]
    pub fn hold(&self, id: &ProductId, held: &Held, as_of: Moment) -> bool {
        self.learn(id, Some(held.content()), Some(held), None, as_of)
    }

    /// So many products there are about to be: makes their places at once, as far as they would fit.
    pub fn expect(&self, products: usize) {
        if self.has_overflown() {
            return;
        }
        let mut table = self.write();
        // Less than a twentieth of the limit: where that may be too much, places are made one by one.
        if self.size(&table) < self.limit_bytes / 8 * 7 {
            table
                .rows
                .expect(products.min(self.limit_bytes / USUAL_BYTES));
            self.account(&table, false);
        }
    }

    /// Which of these contents of products are known, in their order.
    pub fn knows<'a>(&self, contents: impl Iterator<Item = (&'a ProductId, u64)>) -> Vec<bool> {
        let (mut contents, mut known) = (contents.peekable(), Vec::new());
        while contents.peek().is_some() {
            // Anew for each few: others want it too.
            let table = self.read();
            let few = contents.by_ref().take(AT_ONCE);
            known.extend(few.map(|(id, version)| {
                let row = table.row(id.as_str()).filter(|row| !row.is_bare());
                row.is_some_and(|row| row.version() == version)
            }));
        }
        known
    }

    /// The product's body is held no more.
    pub fn let_go(&self, id: &ProductId) {
        let mut table = self.write();
        table.let_go(id.as_str());
        self.settle(&mut table, false);
    }

    /// The product exists as of `as_of`, with this content where it is known, and where its body is held, there
    /// until [`Index::let_go`]. `reading` may be what was read of that content ahead. Returns whether the
    /// content is news.
    pub fn learn(
        &self,
        id: &ProductId,
        content: Option<Content<'_>>,
        held: Option<&Held>,
        reading: Option<&Reading>,
        as_of: Moment,
    ) -> bool {
        if self.has_overflown() {
            return false;
        }
        let is_needed = |content: &Content<'_>| {
            let table = self.read();
            let row = table.row(id.as_str()).filter(|row| !row.is_bare());
            row.is_none_or(|row| {
                row.version() != content.version || (held.is_some() && row.held.is_none())
            })
        };
        let parsed = content.and_then(|content| match reading {
            // It was news when it was read.
            Some(reading) if reading.is_of(content) => reading.parsed(content.json),
            _ if is_needed(&content) => Parsed::of(content),
            _ => None,
        });
        let mut table = self.write();
        let known = table.rows.len();
        let is_news = table.insert(id.as_str(), parsed.as_ref(), held, as_of);
        let is_changed = is_news || table.rows.len() != known;
        self.settle(&mut table, is_changed);
        is_news
    }

    /// The product exists as of `as_of`, with this content where no other is known.
    pub fn insert_unknown(&self, id: &ProductId, content: Option<Content<'_>>, as_of: Moment) {
        let is_known = self
            .read()
            .row(id.as_str())
            .is_some_and(|row| !row.is_bare());
        self.insert(id, content.filter(|_| !is_known), as_of);
    }

    /// The product does not exist.
    pub fn remove(&self, id: &ProductId) {
        let mut table = self.write();
        table.remove(id.as_str());
        self.account(&table, true);
    }

    /// The ids of all products not known to exist as of `moment` or later.
    pub fn older_than(&self, moment: Moment) -> Vec<ProductId> {
        let table = self.read();
        let old = table.rows.iter().filter(|row| row.as_of < moment);
        old.filter_map(id_of).collect()
    }

    /// Visits every product.
    pub fn for_each(&self, visit: &mut dyn FnMut(&ProductId, Moment)) {
        for row in self.read().rows.iter() {
            if let Some(id) = id_of(row) {
                visit(&id, row.as_of);
            }
        }
    }

    /// Products there are.
    pub fn len(&self) -> usize {
        self.read().rows.len()
    }

    /// Products of which nothing but the id is known.
    pub fn bare(&self) -> usize {
        self.read().bare()
    }

    /// What the index holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether every product is in it.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    /// Whether the products are too many for it.
    pub fn has_overflown(&self) -> bool {
        self.overflown.load(Ordering::Relaxed)
    }

    /// Declares that every product is in it, unless it gave up.
    pub fn complete(&self) {
        if !self.is_complete() {
            // What comes from now on comes one by one.
            let mut table = self.write();
            table.documents.shrink();
            self.account(&table, false);
        }
        let complete = !self.has_overflown();
        self.complete.store(complete, Ordering::Relaxed);
    }

    /// A number that is another once a product has come, gone or changed: what was found under it, and read
    /// after it, is found again.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Sees to it that the table stays within its limit, and tells what became of it.
    fn settle(&self, table: &mut Table, is_changed: bool) {
        if self.size(table) > self.limit_bytes {
            // Orders only save time.
            table.drop_orders();
            if self.size(table) > self.limit_bytes {
                *table = Table::new();
                self.overflown.store(true, Ordering::Relaxed);
                self.complete.store(false, Ordering::Relaxed);
            }
        }
        self.account(table, is_changed);
    }

    /// What the table takes of the limit.
    fn size(&self, table: &Table) -> usize {
        table.bytes() + table.rows.len() * self.elsewhere_bytes
    }

    /// Tells what the table holds by now, and whether queries may find something else.
    fn account(&self, table: &Table, is_changed: bool) {
        if is_changed {
            self.changes.fetch_add(1, Ordering::Release);
        }
        let bytes = if self.has_overflown() {
            0
        } else {
            table.bytes()
        };
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// The table changes by single inserts and removes that do not panic half-way, so poison is ignored.
    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id_of(row: Row<'_>) -> Option<ProductId> {
    ProductId::parse(row.id_text()?).ok()
}

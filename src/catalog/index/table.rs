//! What the index knows, and the orders it keeps: everything behind its lock.

use super::Held;
use super::column::{Column, SortValue};
use super::documents::Documents;
use super::order::List;
use super::row::{Packed, Row, SharedTexts};
use super::rows::{Rows, Slot};
use super::summary::{Summary, Text};
use super::words::{self, Document};
use crate::clock::Moment;
use crate::product::Product;
use std::borrow::Cow;
use std::cmp::Ordering;

/// With no more rows than this an order is made on the spot.
pub const FEW: usize = 2_000;

/// Rows, the texts they share, and the orders in use. What the rows say and where the orders have them
/// changes together.
pub struct Table {
    /// Every product's row.
    pub rows: Rows,
    /// The texts that rows share.
    pub texts: SharedTexts,
    /// The texts of every product that has a row with more than an id.
    pub documents: Documents,
    orders: [Order; Column::COUNT],
    /// Rows of which nothing but the id is known.
    bare: usize,
}

/// The order of one column.
#[derive(Default)]
enum Order {
    /// Nobody has asked for it yet.
    #[default]
    Absent,
    /// Being made, with the slots that have changed meanwhile.
    Coming(Vec<Slot>),
    /// In use.
    Kept(List),
}

/// What is known of a product's content.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// Tells one content from another.
    pub version: u64,
    /// The rendered product, or a stored summary.
    pub json: &'a [u8],
}

/// A [`Content`], read. Making it needs nothing of the table, so nobody has to wait for it.
#[derive(Debug)]
pub struct Parsed<'a> {
    version: u64,
    summary: Summary<'a>,
    text: Cow<'a, words::Text>,
}

/// What was read of a product before its turn: whoever puts it into the index need not read it again.
#[derive(Debug)]
pub struct Reading {
    version: u64,
    text: words::Text,
}

// === impl Content ===

impl<'a> Content<'a> {
    /// What is stored of a product whose body is not held.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.version.to_le_bytes().to_vec();
        if let Some(summary) = Summary::parse(self.json) {
            summary.write(&mut bytes);
        }
        bytes
    }

    /// Reads what [`Content::to_bytes`] made; `None` where it is too short to be that.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (version, json) = bytes.split_first_chunk()?;
        let version = u64::from_le_bytes(*version);
        Some(Self { version, json })
    }
}

// === impl Parsed ===

impl<'a> Parsed<'a> {
    /// Reads a content; `None` where it is no product, which can not be.
    pub fn of(content: Content<'a>) -> Option<Self> {
        let summary = Summary::parse(content.json)?;
        let text = Cow::Owned(document(&summary).text());
        Some(Self {
            version: content.version,
            summary,
            text,
        })
    }
}

// === impl Reading ===

impl Reading {
    /// Reads a product whose rendered content is of that version.
    pub fn of(product: &Product, version: u64) -> Self {
        let document = Document {
            name: &product.name,
            brand: product.brand.as_deref().unwrap_or_default(),
            category: product.category.as_deref().unwrap_or_default(),
            tags: product.tags.iter().map(String::as_str).collect(),
            description: product.description.as_deref().unwrap_or_default(),
        };
        let text = document.text();
        Self { version, text }
    }

    /// Reads a rendered product; `None` where it is none, which can not be.
    pub fn of_content(content: Content<'_>) -> Option<Self> {
        let parsed = Parsed::of(content)?;
        Some(Self {
            version: parsed.version,
            text: parsed.text.into_owned(),
        })
    }

    /// Whether this was read of that content.
    pub(super) fn is_of(&self, content: Content<'_>) -> bool {
        self.version == content.version
    }

    /// With what else is asked of that content, `json`: a row finds its texts in the body they were read from.
    pub(super) fn parsed<'a>(&'a self, json: &'a [u8]) -> Option<Parsed<'a>> {
        Some(Parsed {
            version: self.version,
            summary: Summary::parse(json)?,
            text: Cow::Borrowed(&self.text),
        })
    }
}

// === impl Table ===

impl Table {
    /// An empty one, with the order of ids.
    pub fn new() -> Self {
        let mut orders = <[Order; Column::COUNT]>::default();
        if let Some(ids) = orders.get_mut(Column::Id as usize) {
            *ids = Order::Kept(List::default());
        }
        Self {
            rows: Rows::default(),
            texts: SharedTexts::default(),
            documents: Documents::default(),
            orders,
            bare: 0,
        }
    }

    /// What it holds, in bytes.
    pub fn bytes(&self) -> usize {
        let orders = self.orders.iter().map(|order| match order {
            Order::Absent => 0,
            Order::Coming(changed) => changed.capacity() * size_of::<Slot>(),
            Order::Kept(list) => list.bytes(),
        });
        self.rows.bytes() + self.texts.bytes() + self.documents.bytes() + orders.sum::<usize>()
    }

    /// How many products are known by nothing but their ids.
    pub fn bare(&self) -> usize {
        self.bare
    }

    /// The product `id` exists as of `as_of`, with this content where it is known, and where its body is held,
    /// there. Returns whether that content is news.
    pub fn insert(
        &mut self,
        id: &str,
        parsed: Option<&Parsed<'_>>,
        held: Option<&Held>,
        as_of: Moment,
    ) -> bool {
        let known = self.rows.find(id.as_bytes());
        let mut is_news = parsed.is_some();
        if let Some((slot, row)) = known.and_then(|slot| Some((slot, self.rows.get(slot)?))) {
            let (before, is_bare, was_held) = (row.as_of, row.is_bare(), row.held.is_some());
            let is_same = |version| !is_bare && row.version() == version;
            let is_known = parsed.is_none_or(|parsed| is_same(parsed.version));
            let swaps = held.filter(|held| was_held && is_same(held.content().version));
            self.rows.set_as_of(slot, as_of.max(before));
            if let Some(held) = swaps {
                self.rows.set_held(slot, Held::clone(held));
                return false;
            }
            if is_known && (parsed.is_none() || held.is_none()) {
                return false;
            }
            is_news &= !is_known;
        }
        let row = match parsed {
            Some(parsed) => {
                let Parsed {
                    summary, version, ..
                } = parsed;
                Packed::new(id, summary, *version, held, &mut self.texts)
            }
            None => Packed::bare(id),
        };
        self.bare += usize::from(parsed.is_none());
        let mut has_other_text = true;
        let slot = match known {
            Some(slot) => {
                has_other_text = self.replace(slot, row);
                slot
            }
            None => {
                let slot = self.rows.insert(row, as_of);
                for column in Column::ALL {
                    self.put_in(column, slot);
                }
                slot
            }
        };
        if let Some(parsed) = parsed.filter(|_| has_other_text) {
            self.documents.put(slot, &parsed.text);
        }
        is_news
    }

    /// The body of the product `id` is held no more.
    pub fn let_go(&mut self, id: &str) {
        let slot = self.rows.find(id.as_bytes());
        let Some((slot, row)) = slot.and_then(|slot| Some((slot, self.rows.get(slot)?))) else {
            return;
        };
        if row.held.is_some() {
            let row = row.let_go();
            self.rows.update(slot, row);
        }
    }

    /// The row of the product `id`.
    pub fn row(&self, id: &str) -> Option<Row<'_>> {
        self.rows.get(self.rows.find(id.as_bytes())?)
    }

    /// The product `id` does not exist.
    pub fn remove(&mut self, id: &str) {
        let Some(slot) = self.rows.find(id.as_bytes()) else {
            return;
        };
        for column in Column::ALL {
            self.take_out(column, slot);
        }
        self.documents.remove(slot);
        if let Some(row) = self.rows.get(slot) {
            self.bare -= usize::from(row.is_bare());
            row.release(&mut self.texts);
        }
        self.rows.remove(slot);
    }

    /// The order of `column`, where it is kept.
    pub fn order(&self, column: Column) -> Option<&List> {
        match self.orders.get(column as usize)? {
            Order::Kept(list) => Some(list),
            Order::Absent | Order::Coming(_) => None,
        }
    }

    /// What sorting by `column` looks at of a slot's row.
    pub fn value(&self, column: Column, slot: Slot) -> SortValue<'_> {
        self.rows.get(slot).map_or(SortValue::Missing, |row| {
            row.unpack().sort_value(column, &self.texts)
        })
    }

    /// How a slot compares with a place in the ascending order of `column`.
    pub fn compare(&self, column: Column, slot: Slot, place: (SortValue<'_>, &[u8])) -> Ordering {
        let Some(row) = self.rows.get(slot) else {
            return Ordering::Greater;
        };
        if column == Column::Id {
            return row.id().cmp(place.1);
        }
        let row = row.unpack();
        let value = row.sort_value(column, &self.texts);
        (value, row.id).cmp(&place)
    }

    /// Makes ready for [`Table::finish_order`]: from now on changes are noted.
    pub fn begin_order(&mut self, column: Column) {
        if let Some(order @ Order::Absent) = self.orders.get_mut(column as usize) {
            *order = Order::Coming(Vec::new());
        }
    }

    /// Takes an order into use. `sorted` are the slots as they were since it was begun; those that
    /// changed meanwhile find their places now.
    pub fn finish_order(&mut self, column: Column, sorted: impl Iterator<Item = Slot>) {
        let Some(order) = self.orders.get_mut(column as usize) else {
            return;
        };
        let Order::Coming(mut changed) = std::mem::take(order) else {
            return;
        };
        changed.sort_unstable();
        changed.dedup();
        let unchanged = sorted.filter(|slot| changed.binary_search(slot).is_err());
        *order = Order::Kept(List::from_sorted(unchanged));
        for slot in changed {
            if self.rows.get(slot).is_some() {
                self.put_in(column, slot);
            }
        }
    }

    /// Gives up all orders but that of ids.
    pub fn drop_orders(&mut self) {
        for column in Column::ALL {
            if let (Some(order), true) =
                (self.orders.get_mut(column as usize), column != Column::Id)
            {
                *order = Order::Absent;
            }
        }
    }

    /// Gives a product another row. Whether other words are found in it now.
    fn replace(&mut self, slot: Slot, row: Packed) -> bool {
        let Some(old) = self.rows.get(slot).map(Row::to_packed) else {
            return true;
        };
        let (before, after) = (old.row().unpack(), row.row().unpack());
        let has_other_text = !before.has_text_of(&after);
        let moved = Column::ALL.map(|column| {
            let value = before.sort_value(column, &self.texts);
            value != after.sort_value(column, &self.texts)
        });
        let moved = || {
            Column::ALL
                .into_iter()
                .zip(moved)
                .filter(|(_, moved)| *moved)
        };
        for (column, _) in moved() {
            self.take_out(column, slot);
        }
        self.rows.update(slot, row);
        for (column, _) in moved() {
            self.put_in(column, slot);
        }
        self.bare -= usize::from(old.row().is_bare());
        old.row().release(&mut self.texts);
        has_other_text
    }

    fn put_in(&mut self, column: Column, slot: Slot) {
        self.change(column, slot, |list, slot, is_before| {
            list.insert(slot, is_before)
        });
    }

    fn take_out(&mut self, column: Column, slot: Slot) {
        self.change(column, slot, |list, slot, is_before| {
            list.remove(slot, is_before)
        });
    }

    /// Changes the order of `column` at the place of `slot`.
    fn change(
        &mut self,
        column: Column,
        slot: Slot,
        change: impl FnOnce(&mut List, Slot, &mut dyn FnMut(Slot) -> bool),
    ) {
        // Out of the table while the table is asked for comparisons.
        let Some(order) = self.orders.get_mut(column as usize).map(std::mem::take) else {
            return;
        };
        let order = match order {
            Order::Kept(mut list) => {
                if let Some(row) = self.rows.get(slot) {
                    let row = row.unpack();
                    let place = (row.sort_value(column, &self.texts), row.id);
                    let mut is_before = |other| self.compare(column, other, place).is_lt();
                    change(&mut list, slot, &mut is_before);
                }
                Order::Kept(list)
            }
            Order::Coming(mut changed) => {
                changed.push(slot);
                Order::Coming(changed)
            }
            Order::Absent => Order::Absent,
        };
        if let Some(place) = self.orders.get_mut(column as usize) {
            *place = order;
        }
    }
}

/// What is searched for words.
fn document<'s>(summary: &'s Summary<'_>) -> Document<'s> {
    let text = |text: &'s Option<Text<'_>>| text.as_deref().unwrap_or_default();
    Document {
        name: &summary.name,
        brand: text(&summary.brand),
        category: text(&summary.category),
        tags: summary.tags.iter().map(|tag| &**tag).collect(),
        description: text(&summary.description),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::{Price, ProductId};
    use proptest::collection::vec;
    use proptest::option::of;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        "[a-zA-Z\"\\\\\n\u{e9}\u{1f600} ]{0,12}"
    }

    proptest! {
        #[test]
        fn what_is_read_of_a_product_ahead_is_what_its_body_says(
            name in text(), (description, category, brand) in (of(text()), of(text()), of(text())),
            tags in vec(text(), 0..3),
        ) {
            let product = Product {
                id: ProductId::parse("p-1").unwrap(),
                price: Price { amount: 1, currency: iso_currency::Currency::EUR },
                attributes: Default::default(),
                sku: None, status: None, created_at: None, updated_at: None,
                name, description, category, brand, tags,
            };
            let rendered = product.render(0);
            let content = Content { version: 7, json: rendered.body() };
            let (ahead, parsed) = (Reading::of(&product, 7), Parsed::of(content).unwrap());
            prop_assert!(ahead.is_of(content));
            prop_assert_eq!(&ahead.text, &*parsed.text);
        }
    }
}

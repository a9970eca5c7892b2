//! One product in the index: what queries compare, packed into a few bytes.

use super::Held;
use super::column::{Column, SortValue};
use super::labels::{Hashed, Label, Labels, Sorted};
use super::packing::{Body, Clipped, Reader, Writer, clip};
use super::summary::{Scalar, Summary};
use crate::clock::Moment;
use crate::product::Status;

/// A product's row, as it lies among the others.
///
/// Its bytes are, in this order: flags; the version, where the body is not held; the id, amount, times, labels,
/// the three texts, tags, and attributes up to the end. Lengths, numbers and labels take as many bytes as
/// they need. Of a product whose body is held, the row says where in it the texts are.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    packed: &'a [u8],
    /// The body's holder, where that is held.
    pub held: Option<&'a Held>,
    /// As of when the product was known to exist.
    pub as_of: Moment,
}

/// A row by itself.
#[derive(Debug, Default)]
pub struct Packed {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The body's holder, where that is held.
    pub held: Option<Held>,
}

/// A row, unpacked as far as it has a fixed shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unpacked<'a> {
    /// Whether nothing but the id is known.
    pub is_bare: bool,
    /// `id`
    pub id: &'a [u8],
    version: u64,
    held: Option<&'a Held>,
    amount: i64,
    created_at: Option<(i64, i32)>,
    updated_at: Option<(i64, i32)>,
    /// `category`
    pub category: Label,
    /// `brand`
    pub brand: Label,
    currency: Label,
    status: Option<Status>,
    /// The texts, and what follows them.
    rest: Reader<'a>,
}

/// An attribute's value in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(Label),
    /// An integer.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// True or false.
    Bool(bool),
}

/// The texts that rows share.
#[derive(Default)]
pub struct SharedTexts {
    /// `category`
    pub categories: Labels<Sorted>,
    /// `brand`
    pub brands: Labels<Sorted>,
    /// `currency`
    currencies: Labels<Hashed>,
    /// Tags, and attributes' names and values.
    pub others: Labels<Hashed>,
}

/// What an attribute's first byte says.
const TEXT: u8 = 0;
const INTEGER: u8 = 1;
const FLOAT: u8 = 2;
const FALSE: u8 = 3;
const TRUE: u8 = 4;

/// What a row's first byte says: that nothing but the id is known, or that the body is held; and the status.
const BARE: u8 = 0x80;
const HELD: u8 = 0x40;
const STATUS: u8 = 0x3f;

/// The texts, in this order.
const TEXTS: [Column; 3] = [Column::Sku, Column::Name, Column::Description];

// === impl Row ===

impl<'a> Row<'a> {
    /// A row of these bytes.
    pub fn new(packed: &'a [u8], held: Option<&'a Held>, as_of: Moment) -> Self {
        Self {
            packed,
            held,
            as_of,
        }
    }

    /// Gives back the labels it took.
    pub fn release(self, texts: &mut SharedTexts) {
        let row = self.unpack();
        texts.categories.give_back(row.category);
        texts.brands.give_back(row.brand);
        texts.currencies.give_back(row.currency);
        for tag in row.tags() {
            texts.others.give_back(tag);
        }
        for (name, value) in row.attributes() {
            texts.others.give_back(name);
            if let Attribute::Text(text) = value {
                texts.others.give_back(text);
            }
        }
    }

    /// Whether nothing but the id is known.
    pub fn is_bare(self) -> bool {
        self.flags() & BARE != 0
    }

    /// Tells one content of the product from another.
    pub fn version(self) -> u64 {
        match self.held {
            Some(held) => held.content().version,
            None if self.is_bare() => 0,
            None => u64::from_le_bytes(Reader(self.packed.get(1..).unwrap_or_default()).number()),
        }
    }

    /// The id.
    pub fn id(self) -> &'a [u8] {
        self.behind_version().bytes()
    }

    /// The id as text.
    pub fn id_text(self) -> Option<&'a str> {
        std::str::from_utf8(self.id()).ok()
    }

    /// The same by itself.
    pub fn to_packed(self) -> Packed {
        Packed {
            bytes: self.packed.to_vec(),
            held: self.held.cloned(),
        }
    }

    /// The same by itself, with as much of its texts as is needed: for when the body goes.
    pub fn let_go(self) -> Packed {
        let row = self.unpack();
        let before = self.behind_version().0;
        let before = before.get(..before.len() - row.rest.0.len());
        let mut out = Writer(vec![self.flags() & !HELD]);
        out.0.extend(self.version().to_le_bytes());
        out.0.extend_from_slice(before.unwrap_or_default());
        for column in TEXTS {
            out.clipped(row.own_text(column));
        }
        out.0.extend_from_slice(row.labels().0);
        Packed {
            bytes: out.0,
            held: None,
        }
    }

    /// Reads it.
    pub fn unpack(self) -> Unpacked<'a> {
        let mut reader = self.behind_version();
        let id = reader.bytes();
        let mut row = Unpacked {
            is_bare: self.is_bare(),
            id,
            ..Unpacked::default()
        };
        if row.is_bare {
            return row;
        }
        row.held = self.held;
        row.version = match self.held {
            Some(_) => 0,
            None => self.version(),
        };
        row.amount = reader.signed();
        row.created_at = reader.time();
        row.updated_at = reader.time();
        row.category = reader.label();
        row.brand = reader.label();
        row.currency = reader.label();
        let status = (self.flags() & STATUS).checked_sub(1);
        row.status = status.and_then(|at| Status::ALL.get(usize::from(at)).copied());
        row.rest = reader;
        row
    }

    fn flags(self) -> u8 {
        self.packed.first().copied().unwrap_or(BARE)
    }

    fn behind_version(self) -> Reader<'a> {
        let is_there = self.flags() & (BARE | HELD) == 0;
        let from = if is_there { 1 + size_of::<u64>() } else { 1 };
        Reader(self.packed.get(from..).unwrap_or_default())
    }
}

// === impl Packed ===

impl Packed {
    /// A row of which nothing but the id is known.
    pub fn bare(id: &str) -> Self {
        let mut out = Writer(vec![BARE]);
        out.bytes(id.as_bytes());
        Self {
            bytes: out.0,
            held: None,
        }
    }

    /// The row of a product of this content; takes its labels. `held` holds the body that the summary was read
    /// from.
    pub fn new(
        id: &str,
        summary: &Summary<'_>,
        version: u64,
        held: Option<&Held>,
        texts: &mut SharedTexts,
    ) -> Self {
        let status = summary.status.as_deref().and_then(Status::parse);
        let mut out = Writer(Vec::with_capacity(256));
        out.0.push(status.map_or(0, |status| 1 + status as u8));
        match (held, out.0.first_mut()) {
            (Some(_), Some(flags)) => *flags |= HELD,
            _ => out.0.extend(version.to_le_bytes()),
        }
        out.bytes(id.as_bytes());
        out.signed(summary.price.amount);
        out.time(summary.created_at);
        out.time(summary.updated_at);
        let label = |labels: &mut Labels<Sorted>, text: Option<&str>| {
            u64::from(text.map_or(0, |text| labels.take(text)))
        };
        out.unsigned(label(&mut texts.categories, summary.category.as_deref()));
        out.unsigned(label(&mut texts.brands, summary.brand.as_deref()));
        out.unsigned(texts.currencies.take(&summary.price.currency).into());
        let mut body = Body::of(held.map(|held| held.content().json));
        out.text(summary.sku.as_deref(), &mut body);
        out.text(Some(&summary.name), &mut body);
        out.text(summary.description.as_deref(), &mut body);
        out.unsigned(summary.tags.len() as u64);
        for tag in &summary.tags {
            out.unsigned(texts.others.take(tag).into());
        }
        for (name, value) in &summary.attributes.0 {
            out.unsigned(texts.others.take(name).into());
            match value {
                Scalar::Text(text) => {
                    out.0.push(TEXT);
                    out.unsigned(texts.others.take(text).into());
                }
                Scalar::Integer(number) => {
                    out.0.push(INTEGER);
                    out.signed(*number);
                }
                Scalar::Float(number) => {
                    out.0.push(FLOAT);
                    out.0.extend(number.to_le_bytes());
                }
                Scalar::Bool(truth) => out.0.push(if *truth { TRUE } else { FALSE }),
            }
        }
        Self {
            bytes: out.0,
            held: held.cloned(),
        }
    }

    /// It as a row.
    pub fn row(&self) -> Row<'_> {
        Row::new(&self.bytes, self.held.as_ref(), Moment::default())
    }
}

// === impl Unpacked ===

impl<'a> Unpacked<'a> {
    /// Tells one content of the product from another.
    pub fn version(&self) -> u64 {
        self.held
            .map_or(self.version, |held| held.content().version)
    }

    /// What sorting by `column` looks at.
    pub fn sort_value<'b>(&self, column: Column, labels: &'b SharedTexts) -> SortValue<'b>
    where
        'a: 'b,
    {
        if column == Column::Id {
            return SortValue::Text(self.id);
        }
        let time = |time: Option<(i64, i32)>| {
            time.map_or(SortValue::Missing, |(secs, nanos)| {
                SortValue::Time(secs, nanos)
            })
        };
        match column {
            _ if self.is_bare => SortValue::Missing,
            Column::Price => SortValue::Integer(self.amount),
            Column::CreatedAt => time(self.created_at),
            Column::UpdatedAt => time(self.updated_at),
            Column::Category | Column::Brand => {
                let label = match column {
                    Column::Category => labels.categories.text(self.category),
                    _ => labels.brands.text(self.brand),
                };
                label.map_or(SortValue::Missing, |text| {
                    SortValue::Text(clip(text.as_bytes()))
                })
            }
            _ => self
                .text(column, labels)
                .map_or(SortValue::Missing, |text| SortValue::Text(text.head)),
        }
    }

    /// The text of `column`.
    pub fn text<'b>(&self, column: Column, labels: &'b SharedTexts) -> Option<Clipped<'b>>
    where
        'a: 'b,
    {
        let whole = |text: &'b str| Clipped::of(text.as_bytes());
        match column {
            Column::Id => Some(Clipped::of(self.id)),
            Column::Sku | Column::Name | Column::Description => self.own_text(column),
            Column::Category => labels.categories.text(self.category).map(whole),
            Column::Brand => labels.brands.text(self.brand).map(whole),
            Column::Currency => labels.currencies.text(self.currency).map(whole),
            Column::Status => self.status.map(|status| whole(status.as_str())),
            Column::Price | Column::CreatedAt | Column::UpdatedAt => None,
        }
    }

    /// A text that is the product's own.
    fn own_text(&self, column: Column) -> Option<Clipped<'a>> {
        if self.is_bare {
            return None;
        }
        let mut reader = self.rest;
        let mut body = Body::of(self.held.map(|held| held.content().json));
        let mut texts = TEXTS
            .into_iter()
            .map(|other| (other, reader.text(&mut body)));
        texts.find(|(other, _)| *other == column)?.1
    }

    /// Whether both have the same texts, as far as these are searched for words.
    pub fn has_text_of(&self, other: &Self) -> bool {
        let labels = |row: &Self| (row.is_bare, row.category, row.brand);
        let text = |column| self.own_text(column) == other.own_text(column);
        labels(self) == labels(other)
            && text(Column::Name)
            && text(Column::Description)
            && self.tags().eq(other.tags())
    }

    /// The tags' labels.
    pub fn tags(&self) -> impl Iterator<Item = Label> + use<'a> {
        let mut reader = self.labels();
        (0..reader.unsigned()).map(move |_| reader.label())
    }

    /// The attributes: the labels of their names, and their values.
    pub fn attributes(&self) -> impl Iterator<Item = (Label, Attribute)> + use<'a> {
        let mut reader = self.labels();
        for _ in 0..reader.unsigned() {
            reader.unsigned();
        }
        std::iter::from_fn(move || {
            if reader.0.is_empty() {
                return None;
            }
            let name = reader.label();
            let value = match reader.byte() {
                TEXT => Attribute::Text(reader.label()),
                INTEGER => Attribute::Integer(reader.signed()),
                FLOAT => Attribute::Float(f64::from_le_bytes(reader.number())),
                truth => Attribute::Bool(truth == TRUE),
            };
            Some((name, value))
        })
    }

    /// What lies behind the texts.
    fn labels(&self) -> Reader<'a> {
        let mut reader = self.rest;
        for _ in TEXTS {
            reader.skip_text();
        }
        reader
    }
}

// === impl SharedTexts ===

impl SharedTexts {
    /// What they hold, in bytes.
    pub fn bytes(&self) -> usize {
        let Self {
            categories,
            brands,
            currencies,
            others,
        } = self;
        categories.bytes() + brands.bytes() + currencies.bytes() + others.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::held;
    use super::*;
    use crate::product::Key;
    use jiff::Timestamp;
    use proptest::prelude::*;

    const COLUMNS: [Column; Column::COUNT] = Column::ALL;

    /// A product's row while its body is not held, while it is, and once it is no more.
    fn rows(json: &str, texts: &mut SharedTexts) -> [Packed; 3] {
        let summary = Summary::parse(json.as_bytes()).unwrap();
        let own = Packed::new("p-1", &summary, 7, None, texts);
        let held = held(json);
        let content = held.content();
        let mut in_body = || {
            let summary = Summary::parse(content.json).unwrap();
            Packed::new("p-1", &summary, content.version, Some(&held), texts)
        };
        let let_go = in_body().row().let_go();
        [own, in_body(), let_go]
    }

    #[test]
    fn a_row_gives_back_what_was_put_in() {
        let mut texts = SharedTexts::default();
        let rows = rows(
            r#"{"id":"p-1","sku":"S","name":"N","category":"C","price":{"amount":-5,"currency":"EUR"},
            "status":"draft","tags":["x","y"],"attributes":{"a":"x","b":-300,"c":1.5,"d":true,"e":false},
            "createdAt":"1960-01-02T01:04:05.5Z"}"#,
            &mut texts,
        );
        let text = |text: &str| Key::Text(text.into());
        let expected = [
            text("p-1"),
            text("S"),
            text("N"),
            Key::Missing,
            text("C"),
            Key::Missing,
            Key::Integer(-5),
            text("EUR"),
            text("draft"),
            Key::Time("1960-01-02T01:04:05.5Z".parse().unwrap()),
            Key::Missing,
        ];
        for row in &rows {
            let unpacked = row.row().unpack();
            let values = COLUMNS.map(|column| unpacked.sort_value(column, &texts).to_key());
            assert_eq!(values, expected);
            let tags: Vec<_> = unpacked.tags().map(|tag| texts.others.text(tag)).collect();
            assert_eq!(tags, [Some("x"), Some("y")]);
            let attributes: Vec<_> = unpacked
                .attributes()
                .map(|(name, value)| (texts.others.text(name).unwrap(), value))
                .collect();
            let shared = texts.others.find("x").unwrap();
            assert_eq!(
                attributes,
                [
                    ("a", Attribute::Text(shared)),
                    ("b", Attribute::Integer(-300)),
                    ("c", Attribute::Float(1.5)),
                    ("d", Attribute::Bool(true)),
                    ("e", Attribute::Bool(false)),
                ]
            );
            assert!(unpacked.has_text_of(&rows[0].row().unpack()));
        }
        for row in rows {
            row.row().release(&mut texts);
        }
        assert_eq!(texts.bytes(), 0);
    }

    #[test]
    fn a_row_knows_its_content_and_takes_few_bytes_while_the_body_is_held() {
        let mut texts = SharedTexts::default();
        let description = "long ".repeat(60);
        let json = serde_json::json!({"sku": "S-1", "name": "a \"name\"", "description": description,
            "price": {"amount": 1, "currency": "EUR"}});
        let [own, held, let_go] = rows(&json.to_string(), &mut texts);
        let version = held.held.as_ref().unwrap().content().version;
        assert_eq!(own.row().version(), 7);
        assert_eq!(
            (held.row().version(), let_go.row().version()),
            (version, version)
        );
        assert!(held.bytes.len() < 40 && own.bytes.len() > 150);
        assert_eq!(own.bytes.len(), let_go.bytes.len());
        assert!(let_go.held.is_none());
        for row in [&held, &let_go] {
            let (row, own) = (row.row().unpack(), own.row().unpack());
            assert!(row.has_text_of(&own) && own.has_text_of(&row));
            let text = row.text(Column::Description, &texts).unwrap();
            assert!(text.compare(&description).is_eq());
            assert!(text.compare(&description[1..]).is_ne());
            let text = row.text(Column::Name, &texts).unwrap();
            assert!(text.compare("a \"name\"").is_eq(), "escapes and all");
        }
    }

    #[test]
    fn a_bare_row_has_an_id_and_nothing_else() {
        let (texts, row) = (SharedTexts::default(), Packed::bare("p-1"));
        let unpacked = row.row().unpack();
        assert_eq!((unpacked.id, row.row().id()), (&b"p-1"[..], &b"p-1"[..]));
        for column in &COLUMNS[1..] {
            assert_eq!(unpacked.sort_value(*column, &texts), SortValue::Missing);
            assert_eq!(unpacked.text(*column, &texts), None);
        }
        assert_eq!(
            (unpacked.tags().count(), unpacked.attributes().count()),
            (0, 0)
        );
    }

    proptest! {
        #[test]
        fn texts_compare_like_the_whole_of_them(base in "[aä]{120,140}", cut in 0usize..140, more in "[a-b]{0,3}") {
            let mut texts = SharedTexts::default();
            let short: String = base.chars().take(cut).chain(more.chars()).take(128).collect();
            for operand in [short, base.clone(), base.clone() + "x"] {
                let json = serde_json::json!({"name": base, "price": {"amount": 1, "currency": "EUR"}});
                for row in rows(&json.to_string(), &mut texts) {
                    let text = row.row().unpack().text(Column::Name, &texts).unwrap();
                    let expected = base.cmp(&operand);
                    if operand.chars().count() <= Key::MAX_TEXT_CHARS {
                        prop_assert_eq!(text.compare(&operand), expected);
                    } else {
                        prop_assert_eq!(text.compare(&operand).is_eq(), expected.is_eq());
                    }
                }
            }
        }

        #[test]
        fn numbers_survive(amount: i64, integer: i64, secs in -377_705_023_201i64..=253_402_207_200, nanos in 0i32..1_000_000_000) {
            let mut texts = SharedTexts::default();
            let time = |nanos| Timestamp::new(secs, nanos).unwrap();
            let json = serde_json::json!({"name": "n", "price": {"amount": amount, "currency": "EUR"},
                "attributes": {"i": integer}, "createdAt": time(0).to_string(), "updatedAt": time(nanos).to_string()});
            for row in rows(&json.to_string(), &mut texts) {
                let row = row.row().unpack();
                prop_assert_eq!(row.sort_value(Column::Price, &texts), SortValue::Integer(amount));
                prop_assert_eq!(row.sort_value(Column::CreatedAt, &texts).to_key(), Key::Time(time(0)));
                prop_assert_eq!(row.sort_value(Column::UpdatedAt, &texts).to_key(), Key::Time(time(nanos)));
                prop_assert_eq!(row.attributes().next().unwrap().1, Attribute::Integer(integer));
            }
        }
    }
}

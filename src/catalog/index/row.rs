//! One product in the index: what queries compare, packed into a single buffer.

use super::labels::{Hashed, Label, Labels, Sorted};
use super::packing::{Clipped, Reader, Writer, clip};
use super::summary::{Scalar, Summary};
use crate::clock::Moment;
use crate::product::{Field, Key, Status};
use jiff::Timestamp;

/// A product's row.
///
/// The buffer holds, in this order: flags, the id, amount, times, labels, currency, the three texts,
/// tags, and attributes up to its end. Lengths, numbers and labels take as many bytes as they need.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    packed: Box<[u8]>,
    /// Tells one content of the product from another.
    pub version: u64,
    /// As of when the product was known to exist.
    pub as_of: Moment,
}

/// The members that can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// `id`
    Id,
    /// `sku`
    Sku,
    /// `name`
    Name,
    /// `description`
    Description,
    /// `category`
    Category,
    /// `brand`
    Brand,
    /// `price`
    Price,
    /// `currency`
    Currency,
    /// `status`
    Status,
    /// `createdAt`
    CreatedAt,
    /// `updatedAt`
    UpdatedAt,
}

/// What sorting looks at of a member. Missing values come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortValue<'a> {
    /// The first [`Key::MAX_TEXT_CHARS`] characters, in UTF-8: its bytes sort like its characters.
    Text(&'a [u8]),
    /// An amount.
    Integer(i64),
    /// Seconds, and nanoseconds of the same sign.
    Time(i64, i32),
    /// There is none.
    Missing,
}

/// A row, unpacked as far as it has a fixed shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unpacked<'a> {
    /// Whether nothing but the id is known.
    pub is_bare: bool,
    /// `id`
    pub id: &'a [u8],
    /// Tells one content of the product from another.
    pub version: u64,
    amount: i64,
    created_at: Option<(i64, i32)>,
    updated_at: Option<(i64, i32)>,
    /// `category`
    pub category: Label,
    /// `brand`
    pub brand: Label,
    currency: &'a [u8],
    status: Option<Status>,
    sku: Option<Clipped<'a>>,
    name: Option<Clipped<'a>>,
    description: Option<Clipped<'a>>,
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

/// What an attribute's first byte says.
const TEXT: u8 = 0;
const INTEGER: u8 = 1;
const FLOAT: u8 = 2;
const FALSE: u8 = 3;
const TRUE: u8 = 4;

const BARE: u8 = 0xff;

// === impl Column ===

impl Column {
    /// How many there are.
    pub const COUNT: usize = 11;

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Id,
        Self::Sku,
        Self::Name,
        Self::Description,
        Self::Category,
        Self::Brand,
        Self::Price,
        Self::Currency,
        Self::Status,
        Self::CreatedAt,
        Self::UpdatedAt,
    ];

    /// The column of `field`; none for tags and attributes.
    pub fn of(field: &Field) -> Option<Self> {
        Some(match field {
            Field::Id => Self::Id,
            Field::Sku => Self::Sku,
            Field::Name => Self::Name,
            Field::Description => Self::Description,
            Field::Category => Self::Category,
            Field::Brand => Self::Brand,
            Field::Price => Self::Price,
            Field::Currency => Self::Currency,
            Field::Status => Self::Status,
            Field::CreatedAt => Self::CreatedAt,
            Field::UpdatedAt => Self::UpdatedAt,
            Field::Tags | Field::Attribute(_) => return None,
        })
    }
}

// === impl Row ===

impl Row {
    /// A row of which nothing but the id is known.
    pub fn bare(id: &str, as_of: Moment) -> Self {
        let mut out = Writer(vec![BARE]);
        out.bytes(id.as_bytes());
        Self {
            packed: out.0.into(),
            version: 0,
            as_of,
        }
    }

    /// The row of a product; takes its labels.
    pub fn new(
        id: &str,
        summary: &Summary<'_>,
        version: u64,
        as_of: Moment,
        labels: &mut SharedTexts,
    ) -> Self {
        let status = summary.status.as_deref().and_then(Status::parse);
        let flags = status.map_or(0, |status| 1 + status as u8);
        let mut out = Writer(Vec::with_capacity(512));
        out.0.push(flags);
        out.bytes(id.as_bytes());
        out.signed(summary.price.amount);
        out.time(summary.created_at);
        out.time(summary.updated_at);
        let label = |labels: &mut Labels<Sorted>, text: Option<&str>| {
            u64::from(text.map_or(0, |text| labels.take(text)))
        };
        out.unsigned(label(&mut labels.categories, summary.category.as_deref()));
        out.unsigned(label(&mut labels.brands, summary.brand.as_deref()));
        out.bytes(summary.price.currency.as_bytes());
        out.text(summary.sku.as_deref());
        out.text(Some(&summary.name));
        out.text(summary.description.as_deref());
        out.unsigned(summary.tags.len() as u64);
        for tag in &summary.tags {
            out.unsigned(labels.others.take(tag).into());
        }
        for (name, value) in &summary.attributes.0 {
            out.unsigned(labels.others.take(name).into());
            match value {
                Scalar::Text(text) => {
                    out.0.push(TEXT);
                    out.unsigned(labels.others.take(text).into());
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
            packed: out.0.into(),
            version,
            as_of,
        }
    }

    /// Gives back the labels it took.
    pub fn release(&self, labels: &mut SharedTexts) {
        let row = self.unpack();
        labels.categories.give_back(row.category);
        labels.brands.give_back(row.brand);
        for tag in row.tags() {
            labels.others.give_back(tag);
        }
        for (name, value) in row.attributes() {
            labels.others.give_back(name);
            if let Attribute::Text(text) = value {
                labels.others.give_back(text);
            }
        }
    }

    /// Whether nothing but the id is known.
    pub fn is_bare(&self) -> bool {
        self.packed.first() == Some(&BARE)
    }

    /// The id.
    pub fn id(&self) -> &[u8] {
        let mut reader = Reader(&self.packed);
        reader.byte();
        reader.bytes()
    }

    /// The id as text.
    pub fn id_text(&self) -> Option<&str> {
        std::str::from_utf8(self.id()).ok()
    }

    /// What it holds on the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.packed.len()
    }

    /// Reads it.
    pub fn unpack(&self) -> Unpacked<'_> {
        let mut reader = Reader(&self.packed);
        let flags = reader.byte();
        let id = reader.bytes();
        if flags == BARE {
            return Unpacked {
                is_bare: true,
                id,
                version: self.version,
                ..Unpacked::default()
            };
        }
        Unpacked {
            is_bare: false,
            id,
            version: self.version,
            amount: reader.signed(),
            created_at: reader.time(),
            updated_at: reader.time(),
            category: reader.label(),
            brand: reader.label(),
            currency: reader.bytes(),
            status: flags
                .checked_sub(1)
                .and_then(|at| Status::ALL.get(usize::from(at)).copied()),
            sku: reader.text(),
            name: reader.text(),
            description: reader.text(),
            rest: reader,
        }
    }
}

/// The texts that rows share.
#[derive(Default)]
pub struct SharedTexts {
    /// `category`
    pub categories: Labels<Sorted>,
    /// `brand`
    pub brands: Labels<Sorted>,
    /// Tags, and attributes' names and values.
    pub others: Labels<Hashed>,
}

// === impl SharedTexts ===

impl SharedTexts {
    /// What they hold, in bytes.
    pub fn bytes(&self) -> usize {
        self.categories.bytes() + self.brands.bytes() + self.others.bytes()
    }
}

// === impl Unpacked ===

impl<'a> Unpacked<'a> {
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
                    SortValue::Text(clip(text).as_bytes())
                })
            }
            _ => self
                .text(column, labels)
                .map_or(SortValue::Missing, |text| SortValue::Text(text.head)),
        }
    }

    /// The text of `column`; a label's is always whole.
    pub fn text<'b>(&self, column: Column, labels: &'b SharedTexts) -> Option<Clipped<'b>>
    where
        'a: 'b,
    {
        let whole = |head: &'b [u8]| Clipped { head, digest: None };
        match column {
            Column::Id => Some(whole(self.id)),
            Column::Sku => self.sku,
            Column::Name => self.name,
            Column::Description => self.description,
            Column::Category => labels
                .categories
                .text(self.category)
                .map(str::as_bytes)
                .map(whole),
            Column::Brand => labels.brands.text(self.brand).map(str::as_bytes).map(whole),
            Column::Currency => (!self.is_bare).then(|| whole(self.currency)),
            Column::Status => self.status.map(|status| whole(status.as_str().as_bytes())),
            Column::Price | Column::CreatedAt | Column::UpdatedAt => None,
        }
    }

    /// Whether both have the same texts, as far as these are searched for words.
    pub fn has_text_of(&self, other: &Self) -> bool {
        let labels = |row: &Self| (row.is_bare, row.category, row.brand);
        labels(self) == labels(other)
            && (self.name, self.description) == (other.name, other.description)
            && self.tags().eq(other.tags())
    }

    /// The tags' labels.
    pub fn tags(&self) -> impl Iterator<Item = Label> + use<'a> {
        let mut reader = self.rest;
        (0..reader.unsigned()).map(move |_| reader.label())
    }

    /// The attributes: the labels of their names, and their values.
    pub fn attributes(&self) -> impl Iterator<Item = (Label, Attribute)> + use<'a> {
        let mut reader = self.rest;
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
                FLOAT => Attribute::Float(reader.float()),
                truth => Attribute::Bool(truth == TRUE),
            };
            Some((name, value))
        })
    }
}

// === impl SortValue ===

impl<'a> SortValue<'a> {
    /// What a place says of a member.
    pub fn of(key: &'a Key) -> Self {
        match key {
            Key::Missing => Self::Missing,
            Key::Text(text) => Self::Text(clip(text).as_bytes()),
            Key::Integer(number) => Self::Integer(*number),
            Key::Time(time) => Self::Time(time.as_second(), time.subsec_nanosecond()),
        }
    }

    /// The same for a place.
    pub fn to_key(self) -> Key {
        match self {
            Self::Missing => Key::Missing,
            Self::Text(text) => Key::Text(String::from_utf8_lossy(text).into()),
            Self::Integer(number) => Key::Integer(number),
            Self::Time(secs, nanos) => Timestamp::new(secs, nanos).map_or(Key::Missing, Key::Time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: [Column; Column::COUNT] = Column::ALL;

    fn row(json: &str, labels: &mut SharedTexts) -> Row {
        let summary = Summary::parse(json.as_bytes()).unwrap();
        Row::new("p-1", &summary, 7, Moment::default(), labels)
    }

    #[test]
    fn a_row_gives_back_what_was_put_in() {
        let mut labels = SharedTexts::default();
        let row = row(
            r#"{"id":"p-1","sku":"S","name":"N","category":"C","price":{"amount":-5,"currency":"EUR"},
            "status":"draft","tags":["x","y"],"attributes":{"a":"x","b":-300,"c":1.5,"d":true,"e":false},
            "createdAt":"1960-01-02T01:04:05.5Z"}"#,
            &mut labels,
        );
        let unpacked = row.unpack();
        let values = COLUMNS.map(|column| unpacked.sort_value(column, &labels).to_key());
        let text = |text: &str| Key::Text(text.into());
        assert_eq!(
            values,
            [
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
            ]
        );
        let tags: Vec<_> = unpacked.tags().map(|tag| labels.others.text(tag)).collect();
        assert_eq!(tags, [Some("x"), Some("y")]);
        let attributes: Vec<_> = unpacked
            .attributes()
            .map(|(name, value)| (labels.others.text(name).unwrap(), value))
            .collect();
        let shared = labels.others.find("x").unwrap();
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
        row.release(&mut labels);
        assert_eq!(labels.bytes(), 0);
    }

    #[test]
    fn a_bare_row_has_an_id_and_nothing_else() {
        let (labels, row) = (SharedTexts::default(), Row::bare("p-1", Moment::default()));
        let unpacked = row.unpack();
        assert_eq!(
            (unpacked.id, row.id()),
            (b"p-1".as_slice(), b"p-1".as_slice())
        );
        for column in &COLUMNS[1..] {
            assert_eq!(unpacked.sort_value(*column, &labels), SortValue::Missing);
            assert_eq!(unpacked.text(*column, &labels), None);
        }
        assert_eq!(
            (unpacked.tags().count(), unpacked.attributes().count()),
            (0, 0)
        );
    }

    proptest! {
        #[test]
        fn texts_compare_like_the_whole_of_them(base in "[aä]{120,140}", cut in 0usize..140, more in "[a-b]{0,3}") {
            let mut labels = SharedTexts::default();
            let short: String = base.chars().take(cut).chain(more.chars()).take(128).collect();
            for operand in [short, base.clone(), base.clone() + "x"] {
                let json = serde_json::json!({"name": base, "price": {"amount": 1, "currency": "EUR"}});
                let row = row(&json.to_string(), &mut labels);
                let text = row.unpack().text(Column::Name, &labels).unwrap();
                let expected = base.cmp(&operand);
                if operand.chars().count() <= Key::MAX_TEXT_CHARS {
                    prop_assert_eq!(text.compare(&operand), expected);
                } else {
                    prop_assert_eq!(text.compare(&operand).is_eq(), expected.is_eq());
                }
            }
        }

        #[test]
        fn numbers_survive(amount: i64, integer: i64, secs in -377_705_023_201i64..=253_402_207_200, nanos in 0i32..1_000_000_000) {
            let mut labels = SharedTexts::default();
            let time = Timestamp::new(secs, nanos).unwrap();
            let json = serde_json::json!({"name": "n", "price": {"amount": amount, "currency": "EUR"},
                "attributes": {"i": integer}, "updatedAt": time.to_string()});
            let row = row(&json.to_string(), &mut labels);
            let unpacked = row.unpack();
            prop_assert_eq!(unpacked.sort_value(Column::Price, &labels), SortValue::Integer(amount));
            prop_assert_eq!(unpacked.sort_value(Column::UpdatedAt, &labels).to_key(), Key::Time(time));
            prop_assert_eq!(unpacked.attributes().next().unwrap().1, Attribute::Integer(integer));
        }
    }
}

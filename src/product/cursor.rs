//! Opaque, versioned page cursors.

use super::{Criteria, Fingerprint, Key, Place, ProductId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

/// What an encoded cursor begins with: the version of its layout. Those of other versions are refused.
const VERSION: u8 = 2;
const LOCAL: u8 = b'l';
const UPSTREAM: u8 = b'u';

const MISSING: u8 = 0;
const TEXT: u8 = 1;
const INTEGER: u8 = 2;
const TIME: u8 = 3;

/// Where a walk through the collection stands. Clients see an opaque base64url string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// A place in the local index.
    Local {
        /// Of the criteria whose order the place is in: it means nothing in another.
        fingerprint: Fingerprint,
        /// The place.
        place: Place,
    },
    /// A place in the inventory's own list, in its own words.
    Upstream(String),
}

// === impl Cursor ===

impl Cursor {
    /// The longest of the inventory's own cursors that is passed on, in bytes.
    pub const MAX_UPSTREAM_LEN: usize = 2048;

    /// The longest a cursor can be in its opaque form: one with as many texts as there are keys, each
    /// as long as it may be, of characters that take four bytes. Well below what fits into a URI.
    pub const MAX_LEN: usize = MAX_PLAIN_LEN.div_ceil(3) * 4;

    /// A cursor at `place` in the order of `criteria`.
    pub fn at(criteria: &Criteria, place: Place) -> Self {
        let fingerprint = criteria.fingerprint();
        Self::Local { fingerprint, place }
    }

    /// A cursor in the inventory's own words; `None` where these are empty, too long to pass on, or have
    /// control characters.
    pub fn upstream(words: impl Into<String>) -> Option<Self> {
        let words = words.into();
        let fits = (1..=Self::MAX_UPSTREAM_LEN).contains(&words.len());
        (fits && !words.contains(char::is_control)).then_some(Self::Upstream(words))
    }

    /// The opaque form: base64url without padding, safe in a query.
    ///
    /// A [`Cursor::Upstream`] that [`Cursor::upstream`] does not make, and a place with more keys than
    /// there can be or a text longer than [`Key::text`] makes one, do not parse again.
    pub fn encode(&self) -> String {
        let mut plain = Vec::with_capacity(192);
        match self {
            Self::Local { fingerprint, place } => {
                plain.extend([VERSION, LOCAL]);
                plain.extend(fingerprint.as_bytes());
                write_text(&mut plain, place.id.as_str());
                place.keys.iter().for_each(|key| write_key(&mut plain, key));
            }
            Self::Upstream(words) => {
                plain.extend([VERSION, UPSTREAM]);
                plain.extend(words.as_bytes());
            }
        }
        URL_SAFE_NO_PAD.encode(plain)
    }

    /// Reads the opaque form. `None` for anything that [`Cursor::encode`] did not make, or made in
    /// another version of this service.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > Self::MAX_LEN {
            return None;
        }
        let plain = URL_SAFE_NO_PAD.decode(text).ok()?;
        match plain.split_at_checked(2)? {
            ([VERSION, LOCAL], rest) => local(rest),
            ([VERSION, UPSTREAM], words) => Self::upstream(std::str::from_utf8(words).ok()?),
            _ => None,
        }
    }

    /// Whether it is a place in the order of `criteria`. The inventory's own list has all products, in
    /// the order of ids.
    pub fn belongs_to(&self, criteria: &Criteria) -> bool {
        match self {
            Self::Local { fingerprint, place } => {
                *fingerprint == criteria.fingerprint() && criteria.has_place(place)
            }
            Self::Upstream(_) => criteria.is_plain(),
        }
    }
}

/// The longest a cursor is before it is made opaque, in bytes.
const MAX_PLAIN_LEN: usize = {
    let text = 2 + Key::MAX_TEXT_CHARS * 4;
    2 + Fingerprint::LEN + 2 + ProductId::MAX_LEN + Criteria::MAX_SORT_KEYS * (1 + text)
};

fn local(bytes: &[u8]) -> Option<Cursor> {
    let (fingerprint, mut rest) = bytes.split_first_chunk()?;
    let id = ProductId::parse(read_text(&mut rest)?).ok()?;
    let mut keys = Vec::new();
    while !rest.is_empty() {
        keys.push(read_key(&mut rest)?);
    }
    (keys.len() <= Criteria::MAX_SORT_KEYS).then(|| Cursor::Local {
        fingerprint: Fingerprint::from_bytes(*fingerprint),
        place: Place { keys, id },
    })
}

fn write_key(plain: &mut Vec<u8>, key: &Key) {
    match key {
        Key::Missing => plain.push(MISSING),
        Key::Text(text) => {
            plain.push(TEXT);
            write_text(plain, text);
        }
        Key::Integer(number) => {
            plain.push(INTEGER);
            plain.extend(number.to_be_bytes());
        }
        Key::Time(time) => {
            plain.push(TIME);
            plain.extend(time.as_nanosecond().to_be_bytes());
        }
    }
}

fn read_key(rest: &mut &[u8]) -> Option<Key> {
    let (kind, after) = rest.split_first()?;
    *rest = after;
    match *kind {
        MISSING => Some(Key::Missing),
        TEXT => {
            let text = read_text(rest)?;
            let fits = text.chars().count() <= Key::MAX_TEXT_CHARS;
            fits.then(|| Key::Text(text.into()))
        }
        INTEGER => read(rest).map(|bytes| Key::Integer(i64::from_be_bytes(bytes))),
        TIME => Timestamp::from_nanosecond(i128::from_be_bytes(read(rest)?))
            .ok()
            .map(Key::Time),
        _ => None,
    }
}

/// A text behind its length in bytes.
fn write_text(plain: &mut Vec<u8>, text: &str) {
    // Longer ones do not parse again, whatever is written here.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    plain.extend(length.to_be_bytes());
    plain.extend(text.as_bytes());
}

fn read_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = u16::from_be_bytes(read(rest)?);
    let (text, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

fn read<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::{Field, SortKey};
    use proptest::prelude::*;

    fn id(text: &str) -> ProductId {
        ProductId::parse(text).unwrap()
    }

    fn by_id(text: &str) -> Cursor {
        let (keys, id) = (Vec::new(), id(text));
        Cursor::at(&Criteria::default(), Place { keys, id })
    }

    fn key() -> impl Strategy<Value = Key> {
        prop_oneof![
            Just(Key::Missing),
            any::<String>().prop_map(|text| Key::text(&text)),
            any::<i64>().prop_map(Key::Integer),
            (-377_705_023_201_i64..253_402_207_200, 0..1_000_000_000_i32)
                .prop_map(|(secs, nanos)| Key::Time(Timestamp::new(secs, nanos).unwrap())),
        ]
    }

    #[test]
    fn a_walk_in_the_index_is_never_taken_for_one_in_the_inventory() {
        let local = by_id("p-1");
        let upstream = Cursor::upstream("p-1").unwrap();
        assert_ne!(local.encode(), upstream.encode());
        assert_eq!(Cursor::parse(&local.encode()), Some(local));
        assert_eq!(Cursor::parse(&upstream.encode()), Some(upstream));
    }

    #[test]
    fn a_cursor_belongs_to_its_criteria_alone() {
        let plain = Criteria::default();
        let sorted = |field, descending| Criteria {
            sort: vec![SortKey { field, descending }],
            ..Criteria::default()
        };
        let by_price = sorted(Field::Price, true);
        let at = |keys| Place { keys, id: id("p") };
        let price = Cursor::at(&by_price, at(vec![Key::Integer(5)]));
        assert!(price.belongs_to(&by_price) && !price.belongs_to(&plain));
        assert!(!price.belongs_to(&sorted(Field::Price, false)));
        assert!(!price.belongs_to(&sorted(Field::CreatedAt, true)));
        // Made up: the right criteria, and keys that no product has there.
        for keys in [vec![], vec![Key::Missing], vec![Key::Integer(5); 2]] {
            assert!(!Cursor::at(&by_price, at(keys)).belongs_to(&by_price));
        }
        let upstream = Cursor::upstream("x").unwrap();
        assert!(upstream.belongs_to(&plain) && !upstream.belongs_to(&by_price));
    }

    #[test]
    fn the_longest_cursor_fits_a_uri() {
        let longest = Key::Text("\u{10ffff}".repeat(Key::MAX_TEXT_CHARS).into());
        let place = Place {
            keys: vec![longest; Criteria::MAX_SORT_KEYS],
            id: id(&"x".repeat(ProductId::MAX_LEN)),
        };
        let cursor = Cursor::at(&Criteria::default(), place);
        let text = cursor.encode();
        assert!(text.len() <= Cursor::MAX_LEN && Cursor::MAX_LEN < 4000);
        assert_eq!(Cursor::parse(&text), Some(cursor));
        let words = "w".repeat(Cursor::MAX_UPSTREAM_LEN);
        assert!(Cursor::upstream(words).unwrap().encode().len() <= Cursor::MAX_LEN);
    }

    #[test]
    fn what_nobody_encoded_is_refused() {
        let encode = |plain: &[u8]| URL_SAFE_NO_PAD.encode(plain);
        let with = |rest: &[u8]| encode(&[b"\x02l12345678".as_slice(), rest].concat());
        assert!(Cursor::parse(&with(b"\x00\x03p-1")).is_some(), "one more");
        let padded = format!("{}==", with(b"\x00\x03p-1"));
        let long_text = [b"\x00\x01p\x01\x00\x81".as_slice(), &[b'x'; 129]].concat();
        for text in [
            String::new(),
            "p-1".into(),
            "1234".into(),
            encode(b"\x02"),
            encode(b"\x02l"),
            encode(b"\x02u"),
            encode(b"\x01lp-1"),
            encode(b"\x03l12345678\x00\x03p-1"),
            encode(b"\x02x12345678\x00\x03p-1"),
            encode(b"\x02u\xff"),
            encode(b"\x02ua\nb"),
            encode("\x02ua\u{85}b".as_bytes()),
            encode(&[b"\x02u".as_slice(), &[b'x'; 2049]].concat()),
            with(b""),
            with(b"\x00\x04p-1"),
            with(b"\x00\x03p 1"),
            with(b"\x00\x03p-1\x04"),
            with(b"\x00\x03p-1\x02\x00"),
            with(b"\x00\x03p-1\x01\x00\x01\xff"),
            with(
                b"\x00\x03p-1\x03\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            ),
            with(b"\x00\x03p-1\x00\x00\x00\x00\x00\x00"),
            with(&long_text),
            "A".repeat(1 << 20),
            padded,
        ] {
            assert_eq!(Cursor::parse(&text), None, "{text:.40}");
        }
    }

    proptest! {
        #[test]
        fn places_come_back(
            id in "[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,127}", keys in proptest::collection::vec(key(), 0..=5),
            fingerprint: [u8; Fingerprint::LEN],
        ) {
            let place = Place { keys, id: ProductId::parse(&id).unwrap() };
            let fingerprint = Fingerprint::from_bytes(fingerprint);
            let cursor = Cursor::Local { fingerprint, place };
            let text = cursor.encode();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(Cursor::parse(&text), Some(cursor));
        }

        #[test]
        fn the_inventorys_words_come_back(words in "\\PC{1,500}") {
            let cursor = Cursor::upstream(words).unwrap();
            prop_assert_eq!(Cursor::parse(&cursor.encode()), Some(cursor));
        }

        #[test]
        fn a_text_that_parses_is_the_one_that_encodes(text in "(Amw|AnU|)[A-Za-z0-9_-]{0,60}|.{0,40}") {
            if let Some(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }

        #[test]
        fn any_bytes_are_a_cursor_or_not_and_no_panic(plain: Vec<u8>) {
            let plain = [b"\x02l".as_slice(), &plain].concat();
            let text = URL_SAFE_NO_PAD.encode(plain);
            if let Some(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }
    }
}

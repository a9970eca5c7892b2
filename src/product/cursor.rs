//! Opaque, versioned page cursors.

use super::ProductId;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What an encoded cursor begins with: the version of its layout.
const VERSION: u8 = 1;
const LOCAL: u8 = b'l';
const UPSTREAM: u8 = b'u';

/// Where a walk through the collection stands. Clients see an opaque base64url string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// A place in the local index: next to this product.
    Local(ProductId),
    /// A place in the inventory's own list, in its own words.
    Upstream(String),
}

// === impl Cursor ===

impl Cursor {
    /// The longest of the inventory's own cursors that is passed on, in bytes.
    pub const MAX_UPSTREAM_LEN: usize = 2048;

    /// A cursor in the inventory's own words; `None` where these are empty or too long to pass on.
    pub fn upstream(words: impl Into<String>) -> Option<Self> {
        let words = words.into();
        (1..=Self::MAX_UPSTREAM_LEN)
            .contains(&words.len())
            .then_some(Self::Upstream(words))
    }

    /// The opaque form: base64url without padding, safe in a query.
    ///
    /// An [`Cursor::Upstream`] longer than [`Cursor::MAX_UPSTREAM_LEN`] does not parse again.
    pub fn encode(&self) -> String {
        let (kind, words) = match self {
            Self::Local(id) => (LOCAL, id.as_str()),
            Self::Upstream(words) => (UPSTREAM, words.as_str()),
        };
        let mut plain = Vec::with_capacity(words.len() + 2);
        plain.extend([VERSION, kind]);
        plain.extend(words.as_bytes());
        URL_SAFE_NO_PAD.encode(plain)
    }

    /// Reads the opaque form. `None` for anything that [`Cursor::encode`] did not make.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > (Self::MAX_UPSTREAM_LEN + 2).div_ceil(3) * 4 {
            return None;
        }
        let plain = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, words) = plain.split_at_checked(2)?;
        let words = std::str::from_utf8(words).ok()?;
        match head {
            [VERSION, LOCAL] => ProductId::parse(words).ok().map(Self::Local),
            [VERSION, UPSTREAM] => Self::upstream(words),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_walk_in_the_index_is_never_taken_for_one_in_the_inventory() {
        let local = Cursor::Local(ProductId::parse("p-1").unwrap());
        let upstream = Cursor::upstream("p-1").unwrap();
        assert_ne!(local.encode(), upstream.encode());
        assert_eq!(Cursor::parse(&local.encode()), Some(local));
        assert_eq!(Cursor::parse(&upstream.encode()), Some(upstream));
    }

    #[test]
    fn what_nobody_encoded_is_refused() {
        let encode = |plain: &[u8]| URL_SAFE_NO_PAD.encode(plain);
        for text in [
            String::new(),
            "p-1".into(),
            "1234".into(),
            encode(b"\x01"),
            encode(b"\x01l"),
            encode(b"\x01u"),
            encode(b"\x01lno spaces"),
            encode(b"\x02lp-1"),
            encode(b"\x01xp-1"),
            encode(b"\x01u\xff"),
            encode(&[b"\x01u".as_slice(), &[b'x'; 2049]].concat()),
            "A".repeat(1 << 20),
            format!("{}==", encode(b"\x01lp-1")),
        ] {
            assert_eq!(Cursor::parse(&text), None, "{text:.40}");
        }
    }

    proptest! {
        #[test]
        fn ids_come_back(id in "[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,127}") {
            let cursor = Cursor::Local(ProductId::parse(&id).unwrap());
            let text = cursor.encode();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(Cursor::parse(&text), Some(cursor));
        }

        #[test]
        fn the_inventorys_words_come_back(words in ".{1,500}") {
            let cursor = Cursor::upstream(words).unwrap();
            prop_assert_eq!(Cursor::parse(&cursor.encode()), Some(cursor));
        }

        #[test]
        fn a_text_that_parses_is_the_one_that_encodes(text in "[A-Za-z0-9_-]{0,40}|.{0,40}") {
            if let Some(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }
    }
}

//! What invalidations go by.

use crate::catalog::stored::Labels;
use crate::product::ProductId;
use std::borrow::Cow;

/// Which entries an invalidation means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// These products.
    Ids(Vec<ProductId>),
    /// Those whose id begins so.
    Prefix(String),
    /// Those of this category.
    Category(String),
    /// Those of this brand.
    Brand(String),
    /// All.
    All,
}

// === impl Selector ===

impl Selector {
    /// Whether it means this product; `labels` are read where they are needed.
    pub(in crate::catalog) fn selects<'a>(
        &self,
        id: &ProductId,
        labels: impl FnOnce() -> &'a Labels<'a>,
    ) -> bool {
        let is = |label: &Option<Cow<'_, str>>, name: &str| label.as_deref() == Some(name);
        match self {
            Self::Ids(ids) => ids.contains(id),
            Self::Prefix(prefix) => id.as_str().starts_with(prefix),
            Self::Category(category) => is(&labels().category, category),
            Self::Brand(brand) => is(&labels().brand, brand),
            Self::All => true,
        }
    }

    /// Whether it means all that `other` means.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Prefix(prefix), Self::Prefix(longer)) => longer.starts_with(prefix),
            (Self::Prefix(prefix), _) => prefix.is_empty(),
            _ => self == other,
        }
    }

    pub(super) fn is_broad(&self) -> bool {
        !matches!(self, Self::Ids(_))
    }

    /// What it selects by: the word in orders, events and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ids(_) => "ids",
            Self::Prefix(_) => "prefix",
            Self::Category(_) => "category",
            Self::Brand(_) => "brand",
            Self::All => "all",
        }
    }

    /// Its bytes: a letter for what it selects by, and the text.
    pub(in crate::catalog) fn encode(&self) -> Vec<u8> {
        let (kind, text) = match self {
            Self::Ids(ids) => {
                let ids: Vec<_> = ids.iter().map(ProductId::as_str).collect();
                (b'i', Cow::Owned(ids.join("\n")))
            }
            Self::Prefix(prefix) => (b'p', Cow::Borrowed(prefix.as_str())),
            Self::Category(category) => (b'c', Cow::Borrowed(category.as_str())),
            Self::Brand(brand) => (b'b', Cow::Borrowed(brand.as_str())),
            Self::All => (b'a', Cow::Borrowed("")),
        };
        [&[kind], text.as_bytes()].concat()
    }

    /// Reads what [`Selector::encode`] wrote; `None` if the bytes are anything else.
    pub(in crate::catalog) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, text) = bytes.split_first()?;
        let text = std::str::from_utf8(text).ok()?;
        match kind {
            b'i' => {
                let ids = text.split('\n').filter(|id| !id.is_empty());
                let ids: Result<_, _> = ids.map(ProductId::parse).collect();
                ids.ok().map(Self::Ids)
            }
            b'p' => Some(Self::Prefix(text.to_owned())),
            b'c' => Some(Self::Category(text.to_owned())),
            b'b' => Some(Self::Brand(text.to_owned())),
            b'a' => text.is_empty().then_some(Self::All),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_survives_its_encoding_and_other_bytes_are_none() {
        let ids = ["a", "b"].map(|id| ProductId::parse(id).unwrap()).to_vec();
        for selector in [
            Selector::Ids(ids),
            Selector::Ids(vec![]),
            Selector::Prefix("P-".into()),
            Selector::Category("K\u{fc}che\n".into()),
            Selector::Brand(String::new()),
            Selector::All,
        ] {
            assert_eq!(Selector::decode(&selector.encode()), Some(selector));
        }
        for bytes in [b"".as_slice(), b"x", b"a?", b"b\xff", b"i?!"] {
            assert_eq!(Selector::decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_broader_covers_what_is_narrower() {
        let prefix = |text: &str| Selector::Prefix(text.into());
        for (broad, narrow, expected) in [
            (Selector::All, prefix("a"), true),
            (prefix(""), Selector::Brand("x".into()), true),
            (prefix("a"), prefix("ab"), true),
            (prefix("ab"), prefix("a"), false),
            (prefix("a"), Selector::All, false),
            (
                Selector::Brand("x".into()),
                Selector::Brand("y".into()),
                false,
            ),
        ] {
            assert_eq!(broad.covers(&narrow), expected, "{broad:?} {narrow:?}");
        }
    }
}

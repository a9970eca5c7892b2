//! How one state of a product is told from another in the inventory.

/// The inventory's own validators for a product, for conditional GETs and writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// Its `ETag`, verbatim.
    pub etag: Option<Box<str>>,
    /// Its `Last-Modified`, verbatim.
    pub last_modified: Option<Box<str>>,
}

/// What must still be so in the inventory for it to do a write; else it refuses with 412.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever there is.
    #[default]
    Anything,
    /// No product.
    Nothing,
    /// The product with these validators. As good as anything where they can not tell.
    Unchanged(Validators),
}

// === impl Validators ===

impl Validators {
    /// The tag, where it is one that `If-Match` may carry.
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }

    /// Whether they can tell one state of a product from another when it is written.
    pub fn can_guard(&self) -> bool {
        self.strong_etag().is_some() || self.last_modified.is_some()
    }
}

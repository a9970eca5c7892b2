//! Invalidating deliberately: by id, prefix, category, brand, or everything.

use super::{Catalog, Stored};
use crate::cache::Trust;
use crate::product::ProductId;
use crate::telemetry::events::{Event, EventKind};
use std::sync::Arc;

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

/// How an invalidation treats what it selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Expired, but usable in grace.
    Soft,
    /// Gone from memory, store and negative cache.
    Hard,
}

/// What an invalidation did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidated {
    /// Entries selected.
    pub products: usize,
    /// Their weight in the serving tier, in bytes.
    pub bytes: u64,
    /// Upstream calls that refilling takes.
    pub refill_calls: u64,
    /// How long that is likely to take, in seconds, from how long the last call took.
    pub estimated_seconds: u64,
}

// === impl Selector ===

impl Selector {
    /// The word for its kind in events and log lines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ids(_) => "ids",
            Self::Prefix(_) => "prefix",
            Self::Category(_) => "category",
            Self::Brand(_) => "brand",
            Self::All => "all",
        }
    }

    fn selects(&self, id: &ProductId, stored: &Stored) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(id),
            Self::Prefix(prefix) => id.as_str().starts_with(prefix),
            Self::Category(category) => stored.labels().category.is_some_and(|of| of == *category),
            Self::Brand(brand) => stored.labels().brand.is_some_and(|of| of == *brand),
            Self::All => true,
        }
    }
}

// === impl Mode ===

impl Mode {
    /// The word for it in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

impl Catalog {
    /// Invalidates what `selector` means; with `dry_run` only says what that would be.
    ///
    /// Softly invalidated by id, a product's next reader waits for the new value and gets the old one
    /// only if loading fails. After any other selector readers get stale answers at once, and the
    /// refill is an ordinary listing pass, page by page, so that the inventory meets no flood.
    pub async fn invalidate(
        self: &Arc<Self>,
        selector: Selector,
        mode: Mode,
        dry_run: bool,
    ) -> Invalidated {
        let (catalog, chosen) = (Arc::clone(self), selector.clone());
        // Looks at every entry: not on a thread that serves.
        let selected = tokio::task::spawn_blocking(move || catalog.selected(&chosen));
        let selected = selected.await.unwrap_or_default();
        let invalidated = self.reckon(&selector, &selected);
        if !dry_run {
            let (word, products) = (selector.as_str(), invalidated.products);
            self.events.emit(
                Event::of(EventKind::Invalidation)
                    .cause(format!("{word}, {products} held, {}", mode.as_str())),
            );
            self.apply(&selector, mode, &selected);
        }
        invalidated
    }

    fn selected(&self, selector: &Selector) -> Vec<(ProductId, usize)> {
        match selector {
            Selector::Ids(ids) => ids
                .iter()
                .filter_map(|id| Some((id.clone(), self.cache.peek(id)?.weight_bytes())))
                .collect(),
            _ => self.cache.select(|id, stored| selector.selects(id, stored)),
        }
    }

    fn reckon(&self, selector: &Selector, selected: &[(ProductId, usize)]) -> Invalidated {
        let pages =
            (self.index().len() as u64).div_ceil(self.inventory().config().page_size.into());
        let refill_calls = match selector {
            Selector::Ids(_) => selected.len() as u64,
            _ if selected.is_empty() => 0,
            _ => pages,
        };
        let took = self.inventory().reachability().took.unwrap_or_default();
        let seconds =
            took.as_secs_f64() * f64::from(u32::try_from(refill_calls).unwrap_or(u32::MAX));
        Invalidated {
            products: selected.len(),
            bytes: selected.iter().map(|(_, weight)| *weight as u64).sum(),
            refill_calls,
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float to integer cast saturates, and the value is not negative"
            )]
            estimated_seconds: seconds.ceil() as u64,
        }
    }

    fn apply(&self, selector: &Selector, mode: Mode, selected: &[(ProductId, usize)]) {
        if !matches!(selector, Selector::Ids(_)) {
            // Also what is not held yet, but is being loaded.
            self.cache.outdate_loads();
            self.doubt_index();
        }
        match (selector, mode) {
            // Also those not held: their negative entries go.
            (Selector::Ids(ids), Mode::Soft) => {
                for id in ids {
                    self.cache.distrust(id, Trust::Doubted);
                }
            }
            (Selector::Ids(ids), Mode::Hard) => {
                for id in ids {
                    self.cache.purge(id);
                }
            }
            (Selector::All, Mode::Hard) => self.cache.purge_all(),
            (_, Mode::Soft) => {
                for (id, _) in selected {
                    self.cache.distrust(id, Trust::Unconfirmed);
                }
            }
            (_, Mode::Hard) => {
                for (id, _) in selected {
                    self.cache.purge(id);
                }
            }
        }
        if !matches!(selector, Selector::Ids(_)) {
            self.want_listing();
        }
    }
}

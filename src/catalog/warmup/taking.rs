//! Taking in a page, on two threads that give way to those that serve: one reads products and makes of them
//! what needs no lock, the other confirms them. So two processors work on a pass, each page in its turn.

use super::Catalog;
use crate::cache::Listing;
use crate::catalog::index::Reading;
use crate::catalog::source::Products;
use crate::catalog::stored::Stored;
use crate::clock::Moment;
use crate::pace::Pace;
use crate::product::ProductId;
use crate::upstream::{Confirmed, RawPage, Validators};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::mpsc::channel;
use tokio::task::JoinHandle;

/// What came of one page.
pub(super) struct TakenIn {
    pub confirmed: u64,
    pub skipped: u64,
    pub unusable: Vec<ProductId>,
    /// Of those confirmed, the ones that are older than what was asked for, or have no date.
    pub unasked: u64,
}

/// A product as it is held, with what the index wants to know of it where that is news.
struct Rendered {
    id: ProductId,
    stored: Stored,
    reading: Option<Reading>,
}

// === impl Catalog ===

impl Catalog {
    /// Reads and takes in a page, behind those before it. `since` is from when on what changed was asked for.
    /// `None` where that broke off.
    pub(super) fn take_in(
        self: &Arc<Self>,
        page: RawPage,
        listing: Listing<Products>,
        since: Option<Timestamp>,
    ) -> JoinHandle<Option<TakenIn>> {
        let catalog = Arc::clone(self);
        let (done, taken_in) = channel();
        let begun = self.reading.begin(move || {
            let (rendered, taken_in) = catalog.rendered(&page, since);
            let (sent_at, confirming) = (page.sent_at, Arc::clone(&catalog));
            let begun = catalog.confirming.begin(move || {
                confirming.confirm_all(&listing, rendered, sent_at);
                let _ = done.send(taken_in);
            });
            if let Err(confirm) = begun {
                confirm();
            }
        });
        // One that may block waits for it.
        tokio::task::spawn_blocking(move || {
            if let Err(take_in) = begun {
                take_in();
            }
            taken_in.recv().ok()
        })
    }

    fn rendered(&self, page: &RawPage, since: Option<Timestamp>) -> (Vec<Rendered>, TakenIn) {
        let mut pace = Pace::default();
        let decoded = page.decode(&self.inventory().config().published, || pace.step());
        let now_secs = self.clock.now().as_secs();
        // A missing date is before every other.
        let unasked = decoded.products.iter();
        let unasked = unasked.filter(|product| product.updated_at < since).count() as u64;
        let taken_in = TakenIn {
            confirmed: decoded.products.len() as u64,
            skipped: decoded.skipped as u64,
            unusable: decoded.unusable,
            unasked,
        };
        let render = |product| {
            pace.step();
            let confirmed = Confirmed {
                product,
                validators: Validators::default(),
                sent_at: page.sent_at,
            };
            let stored = Stored::render(&confirmed, now_secs);
            (confirmed.product, stored)
        };
        let products: Vec<_> = decoded.products.into_iter().map(render).collect();
        let version = |stored: &Stored| stored.content().version;
        let contents = products.iter();
        let contents = contents.map(|(product, stored)| (&product.id, version(stored)));
        let known = self.index().knows(contents);
        let is_full = self.index().has_overflown();
        let rendered = products.into_iter().zip(known);
        let rendered = rendered.map(|((product, stored), is_known)| {
            pace.step();
            Rendered {
                reading: (!is_known && !is_full).then(|| Reading::of(&product, version(&stored))),
                id: product.id,
                stored,
            }
        });
        (rendered.collect(), taken_in)
    }

    fn confirm_all(&self, listing: &Listing<Products>, rendered: Vec<Rendered>, sent_at: Moment) {
        let mut pace = Pace::default();
        for product in rendered {
            pace.step();
            let (stored, reading) = (product.stored, product.reading.as_ref());
            (self.cache).confirm_read(listing, &product.id, stored, sent_at, reading);
        }
    }
}

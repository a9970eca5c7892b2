//! One write's turn: what it is checked against, and what the inventory is told to check.
//!
//! The product's present state is what we hold, while that is fresh: asking before each write would cost
//! a call, and the inventory checks anyway. So what we hold may be out of date, and then it is the
//! inventory that says so; and it may be what another replica has long seen replaced. Therefore nobody
//! is refused because of what we hold: before that, and after the inventory refused, it is asked for anew.

use super::read::unavailable;
use super::source::Products;
use super::{CatalogError, Outcome, Precondition, Stored};
use crate::cache::{Cache, Entry, ReadError, Trust};
use crate::clock::Clock;
use crate::product::ProductId;
use crate::telemetry::Conversation;
use crate::upstream::{Expected, UpstreamError};
use http::StatusCode;
use std::sync::Arc;

/// A write whose turn has come.
pub(super) struct Turn {
    pub(super) cache: Cache<Products>,
    pub(super) clock: Clock,
    pub(super) id: ProductId,
    pub(super) cause: Conversation,
    /// Whether the write needs a product to be there. Then one that is not has no conditions (RFC 9110
    /// section 13.2.1): the write fails as it would without them.
    pub(super) needs_product: bool,
}

/// A product's state, as far as we know.
struct Present {
    /// The product.
    entry: Option<Arc<Entry<Stored>>>,
    /// What the inventory says where there is none: 404 or 410.
    absence: StatusCode,
    /// Whether the inventory said so just now.
    is_certain: bool,
}

/// Why a write in its turn was not done.
pub(super) enum Undone {
    /// It was not sent: nothing changed.
    Unsent(CatalogError),
    /// The inventory was asked, and did not accept it.
    Failed(UpstreamError),
}

// === impl Turn ===

impl Turn {
    /// Sends a write with `send`, which is given the product that `precondition` holds for and what to have
    /// the inventory check: that this is its state too. If it is not, once more with its new one.
    ///
    /// # Errors
    /// Why it was not done. What is held is up to date with what was learned on the way.
    pub(super) async fn run<T, F>(
        &self,
        precondition: &Precondition,
        send: impl Fn(Option<Arc<Entry<Stored>>>, Expected) -> F,
    ) -> Result<T, Undone>
    where
        F: Future<Output = Result<T, Undone>>,
    {
        let mut present = self.present(false).await?;
        let mut refusals = 0;
        loop {
            if let Err(undone) = self.check(&present, precondition) {
                if present.is_certain {
                    return Err(undone);
                }
                present = self.present(true).await?;
                continue;
            }
            let expected = present.expected();
            match send(present.entry.clone(), expected).await {
                Err(Undone::Failed(UpstreamError::Refused {
                    status: StatusCode::PRECONDITION_FAILED,
                })) if refusals == 0 => {
                    refusals += 1;
                    // Whatever becomes of asking, what we hold is wrong.
                    self.cache.purge(&self.id);
                    let asked = self.present(true).await;
                    present = asked.map_err(|_| Undone::Unsent(CatalogError::Changed))?;
                }
                // It can not be applied to what is held, maybe to what is there.
                Err(Undone::Unsent(_)) if !present.is_certain => {
                    present = self.present(true).await?;
                }
                result => return result,
            }
        }
    }

    fn check(&self, present: &Present, precondition: &Precondition) -> Result<(), Undone> {
        match &present.entry {
            None if self.needs_product => Err(Undone::Failed(UpstreamError::Gone {
                status: present.absence,
            })),
            entry => precondition
                .check(entry.as_deref())
                .map_err(|header| Undone::Unsent(CatalogError::PreconditionFailed { header })),
        }
    }

    /// The product's state: what is held while that is fresh and has validators that the inventory can
    /// check, else, or if it has to be `anew`, what the inventory says.
    async fn present(&self, anew: bool) -> Result<Present, Undone> {
        let mut anew = anew;
        loop {
            let began = self.clock.now();
            if anew {
                self.cache.distrust(&self.id, Trust::Doubted);
            }
            match self.cache.look(&self.id, self.cause).await {
                Ok(served) => {
                    let is_held = !anew && served.outcome == Outcome::Hit;
                    let is_certain = !is_held && served.entry.as_of() >= began;
                    if is_certain || is_held && served.entry.validators().can_guard() {
                        return Ok(Present::there(served.entry, is_certain));
                    }
                    if anew {
                        let cause = "the product could not be read anew".to_owned();
                        return Err(Undone::Unsent(CatalogError::Unavailable {
                            retry_after: super::read::RETRY_AFTER,
                            cause,
                        }));
                    }
                }
                Err(ReadError::Gone(status, outcome)) => {
                    let is_certain = anew || outcome != Outcome::Negative;
                    return Ok(Present::absent(status, is_certain));
                }
                Err(ReadError::Failed(error)) => {
                    return Err(Undone::Unsent(unavailable(&error)));
                }
                Err(error) => return Err(Undone::Unsent(error.into())),
            }
            anew = true;
        }
    }
}

// === impl Present ===

impl Present {
    fn there(entry: Arc<Entry<Stored>>, is_certain: bool) -> Self {
        Self {
            entry: Some(entry),
            absence: StatusCode::NOT_FOUND,
            is_certain,
        }
    }

    fn absent(absence: StatusCode, is_certain: bool) -> Self {
        Self {
            entry: None,
            absence,
            is_certain,
        }
    }

    /// What the inventory is to check.
    fn expected(&self) -> Expected {
        match &self.entry {
            None => Expected::Nothing,
            Some(entry) => Expected::Unchanged(entry.validators()),
        }
    }
}

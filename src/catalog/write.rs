//! Writing through: the inventory first, and only when it has accepted does anything change here.

use super::read::unavailable;
use super::turn::{Turn, Undone};
use super::{Catalog, CatalogError, Precondition, Served, Written};
use crate::cache::{Change, Entry, Trust};
use crate::catalog::stored::Stored;
use crate::clock::Moment;
use crate::product::{Draft, Patch, ProductId};
use crate::telemetry::Conversation;
use crate::upstream::{Confirmed, Expected, UpstreamError};
use http::StatusCode;
use std::sync::Arc;
use uuid::Uuid;

/// How long ago a product may have been created, in seconds, that was created just now: clocks differ.
const JUST_NOW_SECS: u64 = 60;

type ProductChange = Change<ProductId, Stored, StatusCode>;

impl Catalog {
    /// Creates a product: in the inventory first, then here. `key` names the write to the inventory, so
    /// that it may be sent again; see [`Repeatable::write_key`](super::Repeatable::write_key).
    ///
    /// # Errors
    /// - [`CatalogError::Conflict`], [`CatalogError::Rejected`]: nothing changed.
    /// - [`CatalogError::Unavailable`]: nothing changed, as far as the inventory says.
    /// - [`CatalogError::OutcomeUnknown`]: it may have been created.
    pub async fn create(
        &self,
        draft: Draft,
        key: Option<Uuid>,
        cause: Conversation,
    ) -> Result<Written, CatalogError> {
        let (inventory, clock) = (self.inventory().clone(), self.clock);
        let id = draft.id.clone();
        let asked_for = id.clone();
        let held = id.as_ref().and_then(|id| self.cache.peek(id));
        let write = async move {
            match inventory.create(&draft, key, cause).await {
                Ok(confirmed) => accepted(&confirmed, true, clock.now().as_secs()),
                // There is no such route: that says nothing about the product.
                Err(error @ UpstreamError::Gone { .. }) => {
                    (Change::Nothing, Err(unavailable(&error)))
                }
                Err(error) => refused(&error, asked_for),
            }
        };
        let written = self.write(id, write).await?;
        // The inventory may have answered with what it did when it got the key for the first time, and
        // the product may have changed since: whoever reads it next asks for it.
        if key.is_some() && is_past(&written, held.as_deref(), self.clock.now()) {
            self.cache.distrust(&written.id, Trust::Doubted);
        }
        Ok(written)
    }

    /// Creates or replaces a product, if `precondition` holds: in the inventory first, then here.
    ///
    /// # Errors
    /// As [`Catalog::create`], and [`CatalogError::Changed`], [`CatalogError::NotFound`],
    /// [`CatalogError::Gone`]; [`CatalogError::PreconditionFailed`]: nothing changed.
    pub async fn replace(
        &self,
        id: ProductId,
        draft: Draft,
        precondition: Precondition,
        cause: Conversation,
    ) -> Result<Written, CatalogError> {
        let (inventory, clock) = (self.inventory().clone(), self.clock);
        let key = id.clone();
        let turn = self.turn(&id, false, cause);
        let write = async move {
            let (inventory, id, draft) = (&inventory, &id, &draft);
            let send = move |_, expected: Expected| async move {
                let sent = inventory.replace(id, draft, &expected, cause).await;
                sent.map_err(Undone::Failed)
            };
            let result = match precondition.is_none() {
                true => send(None, Expected::Anything).await,
                false => turn.run(&precondition, send).await,
            };
            match result {
                Ok((confirmed, created)) => accepted(&confirmed, created, clock.now().as_secs()),
                Err(undone) => undone.settled(id),
            }
        };
        self.write(Some(key), write).await
    }

    /// Changes parts of a product, if `precondition` holds: in the inventory first, then here.
    ///
    /// The patch is applied to the version 2 document as it is in the inventory: if that turns out to be
    /// another than the one held here, to the new one.
    ///
    /// # Errors
    /// As [`Catalog::replace`], and [`CatalogError::Patch`]: nothing changed.
    pub async fn patch(
        &self,
        id: ProductId,
        patch: Patch,
        precondition: Precondition,
        cause: Conversation,
    ) -> Result<Written, CatalogError> {
        let (inventory, clock) = (self.inventory().clone(), self.clock);
        let key = id.clone();
        let turn = self.turn(&id, true, cause);
        let write = async move {
            let (inventory, id, patch) = (&inventory, &id, &patch);
            let send = move |entry: Option<Arc<Entry<Stored>>>, expected: Expected| async move {
                let document = entry.as_ref().map(|entry| entry.representation.body());
                let amendment = patch
                    .amend(document.unwrap_or_default(), id)
                    .map_err(|problems| Undone::Unsent(CatalogError::Patch(problems)))?;
                let sent = inventory.patch(id, &amendment, &expected, cause).await;
                sent.map_err(Undone::Failed)
            };
            match turn.run(&precondition, send).await {
                Ok(confirmed) => accepted(&confirmed, false, clock.now().as_secs()),
                Err(Undone::Failed(UpstreamError::Refused {
                    status: StatusCode::UNPROCESSABLE_ENTITY,
                })) => (Change::Nothing, Err(CatalogError::PatchRejected)),
                Err(undone) => undone.settled(id),
            }
        };
        self.write(Some(key), write).await
    }

    /// Deletes a product, if `precondition` holds: in the inventory first, then here.
    ///
    /// # Errors
    /// As [`Catalog::replace`].
    pub async fn delete(
        &self,
        id: ProductId,
        precondition: Precondition,
        cause: Conversation,
    ) -> Result<(), CatalogError> {
        let inventory = self.inventory().clone();
        let key = id.clone();
        let turn = self.turn(&id, true, cause);
        let write = async move {
            let (inventory, id) = (&inventory, &id);
            let send = move |_, expected: Expected| async move {
                let sent = inventory.delete(id, &expected, cause).await;
                sent.map_err(Undone::Failed)
            };
            let result = match precondition.is_none() {
                true => send(None, Expected::Anything).await,
                false => turn.run(&precondition, send).await,
            };
            match result {
                Ok(_) => (Change::Gone(id.clone(), StatusCode::NOT_FOUND), Ok(())),
                Err(undone) => undone.settled(id),
            }
        };
        match self.cache.write(Some(key), write).await {
            Ok((_, result)) => result,
            Err(crashed) => Err(unknown(crashed.to_string())),
        }
    }

    fn turn(&self, id: &ProductId, needs_product: bool, cause: Conversation) -> Turn {
        Turn {
            cache: self.cache.clone(),
            clock: self.clock,
            id: id.clone(),
            cause,
            needs_product,
        }
    }

    async fn write(
        &self,
        id: Option<ProductId>,
        write: impl Future<Output = (ProductChange, Result<(ProductId, bool), CatalogError>)>
        + Send
        + 'static,
    ) -> Result<Written, CatalogError> {
        let (entry, result) = match self.cache.write(id, write).await {
            Ok(written) => written,
            Err(crashed) => return Err(unknown(crashed.to_string())),
        };
        let (id, created) = result?;
        let Some(entry) = entry else {
            return Err(unknown("an accepted write left no entry".to_owned()));
        };
        Ok(Written {
            id,
            served: Served::from(self.cache.serve_written(entry)),
            created,
        })
    }
}

/// What an accepted write changes, and its answer.
fn accepted(
    confirmed: &Confirmed,
    created: bool,
    now_secs: u64,
) -> (ProductChange, Result<(ProductId, bool), CatalogError>) {
    let key = confirmed.product.id.clone();
    let change = Change::Put {
        key: key.clone(),
        value: Stored::render(confirmed, now_secs),
        as_of: confirmed.sent_at,
    };
    (change, Ok((key, created)))
}

// === impl Undone ===

impl Undone {
    /// What a write that was not done changes here, and what its caller is told.
    fn settled<T>(self, id: &ProductId) -> (ProductChange, Result<T, CatalogError>) {
        match self {
            Self::Unsent(error) => (Change::Nothing, Err(error)),
            Self::Failed(error) => refused(&error, Some(id.clone())),
        }
    }
}

/// Whether a product that was just created looks like one that was created before: we held another, or
/// its own date says so.
fn is_past(written: &Written, held: Option<&Entry<Stored>>, now: Moment) -> bool {
    let stored = &written.served.stored;
    let digest = stored.representation.digest();
    let is_other = held.is_some_and(|held| held.representation.digest() != digest);
    let modified = stored.representation.last_modified();
    is_other || modified.is_none_or(|modified| modified.secs() + JUST_NOW_SECS < now.as_secs())
}

fn refused<T>(
    error: &UpstreamError,
    id: Option<ProductId>,
) -> (ProductChange, Result<T, CatalogError>) {
    let (change, error) = refusal(error, id);
    (change, Err(error))
}

/// What a write that was not accepted changes here, and what its caller is told.
fn refusal(error: &UpstreamError, id: Option<ProductId>) -> (ProductChange, CatalogError) {
    let on = |change: fn(ProductId) -> ProductChange| id.clone().map_or(Change::Nothing, change);
    match error {
        // Nothing was sent, or it was turned away before anything happened.
        UpstreamError::NotReady
        | UpstreamError::Unreachable(_)
        | UpstreamError::CircuitOpen { .. }
        | UpstreamError::Crowded(_)
        | UpstreamError::Denied { .. }
        | UpstreamError::Failing {
            status: StatusCode::TOO_MANY_REQUESTS,
            ..
        } => (Change::Nothing, unavailable(error)),
        // It failed half-way, maybe: what we hold is better than nothing, but not to be trusted.
        UpstreamError::Failing { .. } => (on(Change::Doubt), unavailable(error)),
        // It may have been applied.
        UpstreamError::Unknown(_)
        | UpstreamError::Invalid { .. }
        | UpstreamError::BadCursor { .. } => (on(Change::Forget), unknown(error.to_string())),
        UpstreamError::Gone { status } => {
            let error = match *status {
                StatusCode::GONE => CatalogError::Gone,
                _ => CatalogError::NotFound {
                    outcome: crate::cache::Outcome::Miss,
                },
            };
            let status = *status;
            let change = id.map_or(Change::Nothing, |id| Change::Gone(id, status));
            (change, error)
        }
        UpstreamError::Refused { status } => match *status {
            StatusCode::PRECONDITION_FAILED => (on(Change::Forget), CatalogError::Changed),
            StatusCode::CONFLICT => (Change::Nothing, CatalogError::Conflict),
            _ => (Change::Nothing, CatalogError::Rejected),
        },
    }
}

fn unknown(cause: String) -> CatalogError {
    CatalogError::OutcomeUnknown { cause }
}

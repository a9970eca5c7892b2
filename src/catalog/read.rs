//! Reading: one product, or a page of them.

use super::{Catalog, CatalogError, Page, Served};
use crate::cache::ReadError;
use crate::catalog::stored::Stored;
use crate::product::{Criteria, Cursor, PageQuery, Place, Position, ProductId};
use crate::telemetry::Conversation;
use crate::upstream::{Confirmed, UpstreamError, Validators};
use futures_util::future::join_all;
use http::StatusCode;
use std::time::Duration;

/// When a caller may try again where nobody said anything better.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// When a caller may try again a query that only the complete index can answer.
const RETRY_AFTER_INDEX: Duration = Duration::from_secs(5);

impl Catalog {
    /// One product, from memory wherever its window allows.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`], [`CatalogError::Gone`], [`CatalogError::Unavailable`].
    pub async fn get(&self, id: &ProductId, cause: Conversation) -> Result<Served, CatalogError> {
        Ok(self.cache.get(id, cause).await?.into())
    }

    /// One page, from the local index; a plain one from the inventory until that is complete.
    ///
    /// # Errors
    /// [`CatalogError::BadCursor`], [`CatalogError::Unavailable`].
    pub async fn page(&self, query: &PageQuery, cause: Conversation) -> Result<Page, CatalogError> {
        let complete = self.index().is_complete();
        match &query.position {
            Position::After(Cursor::Upstream(cursor)) => {
                self.forward(query.limit, Some(cursor), cause).await
            }
            Position::Before(Cursor::Upstream(_)) => Err(CatalogError::BadCursor),
            Position::Start if !complete && query.criteria.is_plain() => {
                self.want_index();
                self.forward(query.limit, None, cause).await
            }
            _ if !complete => {
                self.want_index();
                Err(index_is_not_complete())
            }
            // Only the order of ids is kept.
            _ if !query.criteria.is_plain() => Err(index_is_not_complete()),
            Position::Start => self.walk_on(None, query.limit, cause).await,
            Position::After(Cursor::Local { place, .. }) => {
                self.walk_on(Some(place.id.clone()), query.limit, cause)
                    .await
            }
            Position::Before(Cursor::Local { place, .. }) => {
                self.walk_back(place.id.clone(), query.limit, cause).await
            }
        }
    }

    /// Several products at once, in the order asked; `None` for one that does not exist.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where one of them can not be had now.
    pub async fn many(
        &self,
        ids: &[ProductId],
        cause: Conversation,
    ) -> Result<Vec<(ProductId, Option<Served>)>, CatalogError> {
        self.look_up(ids.to_vec(), cause).await
    }

    /// The page after `at`. Products that turn out to be gone make room for the next ones.
    async fn walk_on(
        &self,
        at: Option<ProductId>,
        limit: usize,
        cause: Conversation,
    ) -> Result<Page, CatalogError> {
        let (mut items, mut from, mut before) = (Vec::new(), at, None);
        loop {
            let run = self.index().after(from.as_ref(), limit - items.len());
            let has_before = *before.get_or_insert(run.has_before);
            from = run.ids.last().cloned().or(from);
            items.extend(self.load_all(run.ids, cause).await?);
            if !run.has_after || items.len() >= limit {
                return Ok(Page::local(items, has_before, run.has_after));
            }
        }
    }

    /// The page before `end`.
    async fn walk_back(
        &self,
        end: ProductId,
        limit: usize,
        cause: Conversation,
    ) -> Result<Page, CatalogError> {
        let (mut items, mut upto, mut after) = (Vec::new(), end, None);
        loop {
            let run = self.index().before(&upto, limit - items.len());
            let has_after = *after.get_or_insert(run.has_after);
            upto = run.ids.first().cloned().unwrap_or(upto);
            let mut earlier = self.load_all(run.ids, cause).await?;
            earlier.append(&mut items);
            items = earlier;
            if !run.has_before || items.len() >= limit {
                return Ok(Page::local(items, run.has_before, has_after));
            }
        }
    }

    /// Reads products side by side, leaving out those that are gone.
    async fn load_all(
        &self,
        ids: Vec<ProductId>,
        cause: Conversation,
    ) -> Result<Vec<(ProductId, Served)>, CatalogError> {
        let found = self.look_up(ids, cause).await?.into_iter();
        Ok(found
            .filter_map(|(id, served)| Some((id, served?)))
            .collect())
    }

    /// Reads products side by side. A list is no product read: nothing is counted.
    async fn look_up(
        &self,
        ids: Vec<ProductId>,
        cause: Conversation,
    ) -> Result<Vec<(ProductId, Option<Served>)>, CatalogError> {
        let reads = ids.into_iter().map(|id| async move {
            match self.cache.look(&id, cause).await {
                Ok(served) => Ok((id, Some(Served::from(served)))),
                Err(ReadError::Gone(..)) => Ok((id, None)),
                Err(error) => Err(CatalogError::from(error)),
            }
        });
        join_all(reads).await.into_iter().collect()
    }

    /// The inventory's own page, while there is no complete index to answer from.
    async fn forward(
        &self,
        limit: usize,
        after: Option<&str>,
        cause: Conversation,
    ) -> Result<Page, CatalogError> {
        let listing = self.cache.begin_listing();
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let raw = self
            .inventory()
            .list(limit, after, cause)
            .await
            .map_err(|error| unavailable(&error))?;
        let decoded = raw.decode(&self.inventory().config().published);
        let now_secs = self.clock.now().as_secs();
        let items = decoded.products.into_iter().map(|product| {
            let id = product.id.clone();
            let confirmed = Confirmed {
                product,
                validators: Validators::default(),
                sent_at: raw.sent_at,
            };
            let stored = Stored::render(&confirmed, now_secs);
            Served::from(self.cache.confirm(&listing, &id, stored, raw.sent_at))
        });
        Ok(Page {
            items: items.collect(),
            before: None,
            after: raw.after.and_then(Cursor::upstream),
            forwarded: true,
        })
    }
}

// === impl Page ===

impl Page {
    /// A page from the index, with cursors at its ends where there is more.
    fn local(items: Vec<(ProductId, Served)>, has_before: bool, has_after: bool) -> Self {
        let at = |item: Option<&(ProductId, Served)>| {
            let (keys, id) = (Vec::new(), item?.0.clone());
            Some(Cursor::at(&Criteria::default(), Place { keys, id }))
        };
        Self {
            before: at(items.first()).filter(|_| has_before),
            after: at(items.last()).filter(|_| has_after),
            items: items.into_iter().map(|(_, served)| served).collect(),
            forwarded: false,
        }
    }
}

// === impl CatalogError ===

impl From<ReadError<StatusCode, UpstreamError>> for CatalogError {
    fn from(error: ReadError<StatusCode, UpstreamError>) -> Self {
        match error {
            ReadError::Gone(StatusCode::GONE, _) => Self::Gone,
            ReadError::Gone(_, outcome) => Self::NotFound { outcome },
            ReadError::Failed(error) => unavailable(&error),
            ReadError::Crashed => Self::Unavailable {
                retry_after: RETRY_AFTER,
                cause: "the load broke off".to_owned(),
            },
        }
    }
}

/// What only the complete index can answer.
fn index_is_not_complete() -> CatalogError {
    CatalogError::Unavailable {
        retry_after: RETRY_AFTER_INDEX,
        cause: "the index is not complete yet".to_owned(),
    }
}

/// What a failed read means to its caller.
pub(super) fn unavailable(error: &UpstreamError) -> CatalogError {
    let retry_after = match error {
        UpstreamError::Failing { retry_after, .. } => *retry_after,
        _ => None,
    };
    CatalogError::Unavailable {
        retry_after: retry_after.unwrap_or(RETRY_AFTER),
        cause: error.to_string(),
    }
}

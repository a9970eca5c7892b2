//! Many writes in one request: each for itself, a few at a time, within a time that is known beforehand.

use super::{Catalog, CatalogError, Precondition};
use crate::product::{Draft, Patch, ProductId};
use crate::telemetry::Conversation;
use futures_util::StreamExt;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// Writes of one batch that are under way at once: a batch must not keep the inventory from others.
const AT_ONCE: usize = 8;

/// How long to wait before trying again what a batch had no time for.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// One write of a batch.
pub enum BatchWrite {
    /// Creates a product; see [`Catalog::create`].
    Create {
        /// The product.
        draft: Box<Draft>,
        /// The key under which the inventory gets it.
        key: Option<Uuid>,
    },
    /// Changes parts of a product; see [`Catalog::patch`].
    Patch {
        /// The product.
        id: ProductId,
        /// What is done to it.
        patch: Patch,
        /// If it is as demanded.
        precondition: Precondition,
    },
    /// Deletes a product; see [`Catalog::delete`].
    Delete(ProductId),
}

/// What a write of a batch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchDone {
    /// The product was created; the inventory may have chosen its id.
    Created(ProductId),
    /// The product was changed.
    Updated,
    /// The product is gone.
    Deleted,
}

// === impl Catalog ===

impl Catalog {
    /// Writes each for itself, 8 at once at most; those of the same product one after the other, in their
    /// order. Returns as many results, in the order of the writes.
    ///
    /// Takes twice the deadline of a call to the inventory at most: what has not begun after the first is
    /// not begun ([`CatalogError::Unavailable`]), and what has not ended after the second goes on, but
    /// is not waited for ([`CatalogError::OutcomeUnknown`]). Dropped, it begins nothing more; what has
    /// begun ends.
    pub async fn batch(
        &self,
        writes: Vec<BatchWrite>,
        cause: Conversation,
    ) -> Vec<Result<BatchDone, CatalogError>> {
        let deadline = self.inventory().config().deadline;
        let last_begin = self.clock.now() + deadline;
        let end = last_begin + deadline;
        let count = writes.len();
        let one_by_one = |turns: Vec<(usize, BatchWrite)>| async move {
            let mut results = Vec::with_capacity(turns.len());
            for (index, write) in turns {
                let now = self.clock.now();
                let result = match now < last_begin {
                    false => Err(out_of_time()),
                    true => tokio::time::timeout(end.since(now), self.one(write, cause))
                        .await
                        .unwrap_or_else(|_| Err(still_under_way())),
                };
                results.push((index, result));
            }
            results
        };
        let mut results: Vec<_> = futures_util::stream::iter(by_product(writes))
            .map(one_by_one)
            .buffer_unordered(AT_ONCE)
            .concat()
            .await;
        results.sort_unstable_by_key(|(index, _)| *index);
        debug_assert_eq!(results.len(), count);
        results.into_iter().map(|(_, result)| result).collect()
    }

    async fn one(&self, write: BatchWrite, cause: Conversation) -> Result<BatchDone, CatalogError> {
        match write {
            BatchWrite::Create { draft, key } => {
                let written = self.create(*draft, key, cause).await?;
                Ok(BatchDone::Created(written.id))
            }
            BatchWrite::Patch {
                id,
                patch,
                precondition,
            } => {
                self.patch(id, patch, precondition, cause).await?;
                Ok(BatchDone::Updated)
            }
            BatchWrite::Delete(id) => {
                self.delete(id, Precondition::none(), cause).await?;
                Ok(BatchDone::Deleted)
            }
        }
    }
}

// === impl BatchWrite ===

impl BatchWrite {
    /// The product it is about, where that is known beforehand.
    pub fn product(&self) -> Option<&ProductId> {
        match self {
            Self::Create { draft, .. } => draft.id.as_ref(),
            Self::Patch { id, .. } | Self::Delete(id) => Some(id),
        }
    }
}

/// The writes with their places, those of the same product together, in the order of the first of each.
fn by_product(writes: Vec<BatchWrite>) -> Vec<Vec<(usize, BatchWrite)>> {
    let mut groups: Vec<Vec<(usize, BatchWrite)>> = Vec::with_capacity(writes.len());
    let mut group_of: HashMap<ProductId, usize> = HashMap::with_capacity(writes.len());
    for (index, write) in writes.into_iter().enumerate() {
        let group = write
            .product()
            .map(|id| *group_of.entry(id.clone()).or_insert(groups.len()));
        match group.and_then(|group| groups.get_mut(group)) {
            Some(group) => group.push((index, write)),
            None => groups.push(vec![(index, write)]),
        }
    }
    groups
}

fn out_of_time() -> CatalogError {
    CatalogError::Unavailable {
        retry_after: RETRY_AFTER,
        cause: "the batch's time was over before the item's turn came".to_owned(),
    }
}

fn still_under_way() -> CatalogError {
    CatalogError::OutcomeUnknown {
        cause: "the batch's time was over while the item was written".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_of_one_product_stay_together_and_in_order() {
        let writes = ["a", "b", "a", "c", "b", "a"];
        let writes = writes.map(|id| BatchWrite::Delete(ProductId::parse(id).unwrap()));
        let groups: Vec<Vec<usize>> = by_product(writes.into())
            .into_iter()
            .map(|group| group.into_iter().map(|(index, _)| index).collect())
            .collect();
        assert_eq!(groups, [vec![0, 2, 5], vec![1, 4], vec![3]]);
    }
}

//! Operators' contracts on disk: one record, read once the store can be read, and written with each change.
//!
//! Until it was read, nothing is written there: whoever does not know what lies there must not replace it.

use super::book::{Book, Kept, Origin, Refused};
use super::declared::Declared;
use super::{Contracts, MOST_BYTES};
use crate::cache::{RecordKey, StoreError, StoreStatus};
use crate::catalog::Catalog;
use crate::clock::Moment;
use crate::product::Problem;
use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Contracts are kept until they are removed: the last second of the year 9999.
const FOR_EVER: Moment = Moment::from_millis(253_402_300_799_000);

/// How often it is looked whether the store can be read by now.
const STORE_LOOK: Duration = Duration::from_millis(250);

/// How long after the record could not be read it is tried again.
const READ_AGAIN: Duration = Duration::from_secs(5);

// === impl Contracts ===

impl Contracts {
    /// From now on what is on disk is known; gives the names that were removed before.
    fn set_recalled(&self) -> BTreeSet<Box<str>> {
        let mut known = self.lock();
        known.recalled = true;
        take(&mut known.removed)
    }
}

impl Catalog {
    /// Reads operators' contracts from the store as soon as that can be read, and says of all contracts what
    /// they ask for once it is known what there is.
    pub async fn recall_contracts(self: Arc<Self>, stop: CancellationToken) {
        if self.keeps_contracts() {
            stop.run_until_cancelled(async {
                while !self.recalled().await {
                    tokio::time::sleep(READ_AGAIN).await;
                }
                let _ = self.progress().wait_for(|listing| listing.passes > 0).await;
                self.advise().await;
            })
            .await;
        }
    }

    /// Waits for the store, and reads from it; false where that is to be tried again.
    async fn recalled(self: &Arc<Self>) -> bool {
        while !self.store_is_readable() {
            tokio::time::sleep(STORE_LOOK).await;
        }
        let recalling = Arc::clone(self);
        let recalled = self.tasks.spawn(async move { recalling.recall().await });
        match recalled.await {
            Ok(Err(error)) => {
                warn!(%error, "Operators' contracts could not be read from the store, will retry");
                false
            }
            Ok(Ok(())) | Err(_) => true,
        }
    }

    /// Writes what [`record`] made. Says whether it is on disk.
    pub(super) async fn keep(&self, record: Bytes) -> bool {
        let recalled = self.contracts.lock().recalled;
        recalled && self.cache.record(place(), record, FOR_EVER).await
    }

    /// Whether there is a disk to write to.
    pub(super) fn has_store(&self) -> bool {
        self.cache.store_status() != StoreStatus::Off
    }

    /// Whether what is on disk can be read, or there is no disk.
    fn store_is_readable(&self) -> bool {
        self.cache.store_status().is_up() || !self.has_store()
    }

    /// # Errors
    /// Why it could not be read; nothing has changed then.
    async fn recall(self: &Arc<Self>) -> Result<(), StoreError> {
        let _turn = self.contracts.changing.lock().await;
        let found = self.cache.recorded(place()).await?;
        let removed = self.contracts.set_recalled();
        let mut book = self.contracts.lock().book.clone();
        let of_operator = |kept: &Kept| kept.origin == Origin::Operator;
        let is_changed = !removed.is_empty() || book.iter().any(of_operator);
        let read = |members| self.read_contract(members, None);
        let all = found.as_ref().map(|bytes| recorded(bytes, read));
        let mut recalled = 0;
        for declared in all.unwrap_or_default() {
            let name = declared.name().to_owned();
            if removed.contains(name.as_str()) {
                continue;
            }
            match book.add(declared, Origin::Operator) {
                Ok(()) => recalled += 1,
                Err(refused) => warn!(
                    contract = name,
                    "The contract {name} of the store is left out: {refused}"
                ),
            }
        }
        if recalled > 0 {
            info!(recalled, "{recalled} contracts came back from the store");
            self.govern(book.clone()).await;
        }
        // Also where nothing has changed: a store that is started anew gets what memory holds. What was
        // left out stays there, for the configuration may allow it again.
        let kept = if is_changed {
            record(&book).ok()
        } else {
            found
        };
        if let Some(kept) = kept {
            self.keep(kept).await;
        }
        Ok(())
    }
}

/// Where operators' contracts lie among the records.
fn place() -> RecordKey {
    Sha256::digest("contracts of operators").into()
}

/// Operators' contracts as they lie on disk.
pub(super) fn record(book: &Book) -> Result<Bytes, Refused> {
    let own = book.iter().filter(|kept| kept.origin == Origin::Operator);
    let all: Vec<_> = own.map(|kept| kept.declared.members()).collect();
    let bytes = serde_json::to_vec(&all).unwrap_or_default();
    match bytes.len() <= MOST_BYTES {
        true => Ok(bytes.into()),
        false => Err(Refused::TooMany),
    }
}

/// Reads what [`record`] wrote; what is no contract (any more) is left out.
pub(super) fn recorded(
    bytes: &[u8],
    read: impl Fn(Map<String, Value>) -> Result<Declared, Vec<Problem>>,
) -> Vec<Declared> {
    let all: Vec<_> = serde_json::from_slice(bytes).unwrap_or_else(|_| {
        warn!("The contracts of the store can not be read, and are left out");
        Vec::new()
    });
    let sound = |members| {
        read(members)
            .inspect_err(|problems| {
                let rule = problems.first().map(|problem| problem.description.as_str());
                warn!(
                    rule,
                    "A contract of the store can not be read, and is left out"
                );
            })
            .ok()
    };
    all.into_iter().filter_map(sound).collect()
}

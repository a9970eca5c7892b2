//! Keeping and finding records; see [`ledger`](super::ledger).

use super::ledger::{Record, RecordKey};
use super::store::StoreError;
use super::{Cache, Source, StoreStatus};
use crate::clock::Moment;
use crate::telemetry::metrics;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// How long whoever keeps a record waits for it to be on disk.
const PATIENCE: Duration = Duration::from_millis(500);

impl<S: Source> Cache<S> {
    /// Keeps a record until `expires_at`; another under the same key is replaced. True if it is on disk:
    /// then it survives whatever happens to this process. A store that is not in use is not waited for,
    /// and one that is busy for half a second; the record is in memory then, and is written as soon as
    /// that can be done.
    ///
    /// At most 100,000 are kept on disk, 256 MiB of them, and 16 MiB in memory; those that expire first
    /// go first.
    pub async fn record(&self, key: RecordKey, bytes: Bytes, expires_at: Moment) -> bool {
        let tiers = &self.inner.tiers;
        let record = Record { bytes, expires_at };
        tiers.ledger.keep(key, record, self.inner.clock.now());
        let Some(written) = tiers.journal.record(key) else {
            return false;
        };
        if !self.store_status().is_up() {
            return false;
        }
        // On a thread: a disk takes real time, whatever the runtime's clock shows.
        let waiting = tokio::task::spawn_blocking(move || written.recv_timeout(PATIENCE).is_ok());
        waiting.await.unwrap_or(false)
    }

    /// The record of a key, from memory or disk, unless it has expired. A store that is still being
    /// opened is waited for as by reads.
    ///
    /// # Errors
    /// Why it is not known whether there is one: it is not in memory, and the store can not be read.
    pub async fn recorded(&self, key: RecordKey) -> Result<Option<Bytes>, StoreError> {
        let now = self.inner.clock.now();
        let tiers = &self.inner.tiers;
        let found = match tiers.ledger.held(&key) {
            None if self.store_status() != StoreStatus::Off => self.recorded_on_disk(key).await?,
            held => held,
        };
        Ok(found
            .filter(|record| record.expires_at > now)
            .map(|record| record.bytes))
    }

    async fn recorded_on_disk(&self, key: RecordKey) -> Result<Option<Record>, StoreError> {
        let patience = self.inner.opening_until.since(self.inner.clock.now());
        let inner = Arc::clone(&self.inner);
        let looked_up = tokio::task::spawn_blocking(move || {
            inner.store.wait_opened(patience);
            let unopened = || StoreError::Unusable("it is not open".to_owned());
            let disk = inner.tiers.ledger.disk().ok_or_else(unopened)?;
            disk.record(&key).inspect_err(|error| {
                metrics::store_error("read");
                warn!(%error, "A record could not be read from the store");
            })
        });
        let broken = |_| StoreError::Unusable("the look-up broke off".to_owned());
        looked_up.await.map_err(broken)?
    }
}

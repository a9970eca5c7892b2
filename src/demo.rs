//! The embedded inventory: the inventory API in this process, with faults on request.
//!
//! `product-catalog demo` runs it on a loopback port, and the tests use it as their upstream, so
//! there are no mocks. It keeps its products in memory only.

mod api;
mod catalogue;
mod faulty;
mod knobs;
mod refused;
mod repeats;
mod shelf;

pub use catalogue::{Catalogue, CatalogueError, Place};
pub use knobs::{Faults, Knobs};

use crate::product::{InvalidId, ProductId};
use axum::Router;
use axum::serve::ListenerExt;
use knobs::Counters;
use shelf::{Kept, Shelf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long calls under way may take to end once the inventory is told to stop.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// An inventory. All clones are the same one.
#[derive(Clone, Debug)]
pub struct Inventory {
    shelf: Shelf,
    knobs: Knobs,
    counters: Counters,
    /// The `x-api-key` that calls must carry, where one is asked for.
    key: Option<Arc<str>>,
}

// === impl Inventory ===

impl Inventory {
    /// An inventory of these products that anyone may call.
    pub fn new(catalogue: Catalogue) -> Self {
        Self {
            shelf: Shelf::filled(catalogue),
            knobs: Knobs::default(),
            counters: Counters::default(),
            key: None,
        }
    }

    /// The same, but every call must carry this `x-api-key`; others are answered with 401.
    pub fn with_key(self, key: impl Into<Arc<str>>) -> Self {
        Self {
            key: Some(key.into()),
            ..self
        }
    }

    /// Its API: what the service calls `UPSTREAM_API`, and `/knobs`.
    pub fn router(&self) -> Router {
        api::router(self)
    }

    /// Serves the API on `listener` until `stop` is cancelled; then calls under way have half a
    /// second to end.
    ///
    /// # Errors
    /// Where the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        let listener = listener.tap_io(|connection| {
            // Answers are written whole; without this they may wait for an acknowledgement.
            let _ = connection.set_nodelay(true);
        });
        let stopped = stop.clone().cancelled_owned();
        let server = axum::serve(listener, self.router()).with_graceful_shutdown(stopped);
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            result = server.into_future() => result,
            () = patience => Ok(()),
        }
    }

    /// Its switches.
    pub fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    /// How many products it has.
    pub fn len(&self) -> usize {
        self.shelf.read().len()
    }

    /// Whether it has no products.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a product there without a call, as if somebody else had written it. Anything with an
    /// `id` will do, so that broken products can be tried; without `updatedAt` it changed now.
    ///
    /// # Errors
    /// Where `product` has no valid `id`.
    pub fn put(&self, product: &serde_json::Value) -> Result<ProductId, InvalidId> {
        let id = product.get("id").and_then(|id| id.as_str());
        let id = ProductId::parse(id.unwrap_or_default())?;
        let mut product = product.clone();
        let updated_at = match product.get("updatedAt").and_then(|time| time.as_str()) {
            Some(time) => crate::product::parse_timestamp(time),
            None => {
                let now = api::now();
                if let Some(members) = product.as_object_mut() {
                    members.insert("updatedAt".to_owned(), now.to_string().into());
                }
                Some(now)
            }
        };
        let body = product.to_string().into();
        self.shelf
            .write()
            .put(id.clone(), Kept { body, updated_at });
        Ok(id)
    }

    /// Removes a product without a call, as if somebody else had deleted it. False where there is none.
    pub fn remove(&self, id: &str) -> bool {
        self.shelf.write().remove(id)
    }

    /// Calls so far, those that were refused or failed on request included.
    pub fn calls(&self) -> u64 {
        self.counters.total()
    }

    /// Calls so far of one operation: get, list, count, create, replace, delete, availability,
    /// health, or other.
    pub fn calls_of(&self, operation: &str) -> u64 {
        self.counters.of(operation)
    }

    /// The most calls that were under way at the same time.
    pub fn max_in_flight(&self) -> usize {
        self.counters.max_in_flight()
    }

    /// The `x-conversation` of the last call, where it had one.
    pub fn last_conversation(&self) -> Option<String> {
        self.counters.last_conversation()
    }
}

#[cfg(test)]
mod tests;

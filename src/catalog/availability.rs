//! Live stock: passed through, never kept.

use super::read::unavailable;
use super::{Catalog, CatalogError, Outcome};
use crate::product::ProductId;
use crate::telemetry::Conversation;
use crate::upstream::UpstreamError;
use bytes::Bytes;
use http::StatusCode;

impl Catalog {
    /// The live stock of a product: a JSON object, as the inventory has it now.
    ///
    /// # Errors
    /// As [`Catalog::get`].
    pub async fn availability(
        &self,
        id: &ProductId,
        cause: Conversation,
    ) -> Result<Bytes, CatalogError> {
        let result = self.inventory().availability(id, cause).await;
        self.cache.count_bypass(match &result {
            Ok(_) | Err(UpstreamError::Gone { .. }) => Outcome::Bypass,
            Err(_) => Outcome::Error,
        });
        result.map_err(|error| match error {
            UpstreamError::Gone {
                status: StatusCode::GONE,
            } => CatalogError::Gone,
            UpstreamError::Gone { .. } => CatalogError::NotFound {
                outcome: Outcome::Bypass,
            },
            error => unavailable(&error),
        })
    }
}

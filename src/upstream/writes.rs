//! Calls that change products. All but a create with a key are made once: an attempt that failed may have
//! had its effect.

use super::asked::Asked;
use super::call::Operation;
use super::{Confirmed, Expected, Inventory, UpstreamError, wire};
use crate::clock::Moment;
use crate::product::{Amendment, Draft, ProductId};
use crate::telemetry::Conversation;
use bytes::Bytes;
use http::{Method, StatusCode};
use uuid::Uuid;

impl Inventory {
    /// Creates a product. With a `key` the inventory does so once however often it is asked, so that
    /// an attempt that fails is made again.
    ///
    /// # Errors
    /// Any. After [`UpstreamError::Unknown`] and [`UpstreamError::Failing`] it may exist.
    pub async fn create(
        &self,
        draft: &Draft,
        key: Option<Uuid>,
        cause: Conversation,
    ) -> Result<Confirmed, UpstreamError> {
        let body = wire::body(draft, draft.id.as_ref());
        let asked = Asked::new(Operation::Create, self.addresses.products());
        let asked = asked.writing(Method::POST, body).once(key);
        let answer = self.call(asked, cause).await?;
        self.confirm(&answer, draft.id.as_ref())
    }

    /// Creates or replaces a product, if it is as `expected`. True when it was created.
    ///
    /// # Errors
    /// Any. After [`UpstreamError::Unknown`] and [`UpstreamError::Failing`] it may be replaced.
    pub async fn replace(
        &self,
        id: &ProductId,
        draft: &Draft,
        expected: &Expected,
        cause: Conversation,
    ) -> Result<(Confirmed, bool), UpstreamError> {
        let body = wire::body(draft, Some(id));
        let asked = Asked::new(Operation::Replace, self.addresses.product(id))
            .if_expected(expected)
            .writing(Method::PUT, body);
        let answer = self.call(asked, cause).await?;
        let confirmed = self.confirm(&answer, Some(id))?;
        Ok((confirmed, answer.status() == StatusCode::CREATED))
    }

    /// Changes parts of a product, if it is as `expected`.
    ///
    /// # Errors
    /// Any. After [`UpstreamError::Unknown`] and [`UpstreamError::Failing`] it may be changed.
    pub async fn patch(
        &self,
        id: &ProductId,
        amendment: &Amendment,
        expected: &Expected,
        cause: Conversation,
    ) -> Result<Confirmed, UpstreamError> {
        let asked = Asked::new(Operation::Patch, self.addresses.product(id))
            .if_expected(expected)
            .patching(Bytes::from(amendment.to_json()));
        let answer = self.call(asked, cause).await?;
        self.confirm(&answer, Some(id))
    }

    /// Deletes a product, if it is as `expected`. Returns when the request was sent.
    ///
    /// # Errors
    /// Any. After [`UpstreamError::Unknown`] and [`UpstreamError::Failing`] it may be deleted.
    pub async fn delete(
        &self,
        id: &ProductId,
        expected: &Expected,
        cause: Conversation,
    ) -> Result<Moment, UpstreamError> {
        let asked = Asked::new(Operation::Delete, self.addresses.product(id))
            .if_expected(expected)
            .deleting();
        let answer = self.call(asked, cause).await?;
        answer.accept(match answer.status() {
            StatusCode::NOT_MODIFIED => Err("it answered 304 to a write".to_owned()),
            _ => Ok(answer.sent_at),
        })
    }
}

//! Files that stay the same while the service runs: encoded once, at first need.

use super::caching::{Class, Media, Metadata, Policies, respond};
use super::extract::Conditions;
use super::fault::Fault;
use super::media::Codings;
use crate::catalog::{Coding, Effort, encode};
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::sync::OnceCell;

/// A file as it is served, in every coding that was asked for so far.
pub(super) struct File {
    body: Bytes,
    content_type: HeaderValue,
    /// Of the body, in hexadecimal.
    digest: String,
    /// In the order of [`Coding::ALL`].
    encoded: [OnceCell<Bytes>; 4],
}

// === impl File ===

impl File {
    /// A file of this type.
    pub fn new(body: Bytes, content_type: HeaderValue) -> Self {
        Self {
            digest: format!("{:x}", Sha256::digest(&body)),
            encoded: Default::default(),
            content_type,
            body,
        }
    }

    /// SHA-256 of its bytes, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its bytes.
    #[cfg(test)]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Answers a GET or HEAD of it.
    ///
    /// # Errors
    /// 406 if the client takes it in no coding, 500 if it can not be encoded.
    pub async fn answer(
        &self,
        policies: &Policies,
        conditions: &Conditions,
        class: Class,
    ) -> Result<Response, Fault> {
        let codings = Codings::of(conditions.headers())?;
        let coding = codings.for_body_of(self.length(), Effort::Kept);
        let body = self.body_in(coding).await?;
        let tag = format!("\"{}{}\"", self.digest, coding.tag_suffix());
        let metadata = Metadata {
            media: Media::Plain(self.content_type.clone()),
            coding,
            // Hexadecimal digits, names of codings and quotes are always a valid header value.
            etag: HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
            last_modified: None,
            cache_control: policies.cache_control(class, Duration::ZERO),
            cache_status: None,
            mark: None,
        };
        Ok(respond(conditions, metadata, || body))
    }

    /// How long it is, as far as encoding it goes: a picture is as small as it can be.
    fn length(&self) -> usize {
        if self.content_type.as_bytes().starts_with(b"image/") {
            0
        } else {
            self.body.len()
        }
    }

    async fn body_in(&self, coding: Coding) -> Result<Bytes, Fault> {
        let mut encoded = Coding::ALL.iter().zip(&self.encoded);
        let place = encoded.find(|(other, _)| **other == coding && coding != Coding::Identity);
        let Some((_, place)) = place else {
            return Ok(self.body.clone());
        };
        let made = place.get_or_try_init(|| async {
            let encoded = encode(self.body.clone(), coding, Effort::Kept).await;
            encoded.ok_or_else(|| Fault::internal(format!("{} gave up", coding.as_str())))
        });
        made.await.cloned()
    }
}

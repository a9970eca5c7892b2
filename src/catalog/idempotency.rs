//! Requests that may be repeated: the same request under the same key is carried out once, and answered
//! the same for a day.
//!
//! The answer is on disk before it goes out (see [`Cache::record`]). Where this process ends between the
//! inventory's acceptance and that, or has no store, the repetition is carried out again, but under
//! the same [write keys](Repeatable::write_key), by which the inventory knows it.

use super::Catalog;
use super::source::Products;
use crate::cache::{Cache, RecordKey};
use crate::clock::Clock;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// How long an answer is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// A request that its caller may repeat.
#[derive(Clone, Debug)]
pub struct Repeatable {
    /// Who asks which operation under which key: a digest.
    scope: RecordKey,
    /// What is asked for: a digest.
    asked: [u8; 32],
}

/// An answer that is given again when its request is repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, as far as they belong to it.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// How a repeatable request was answered.
#[derive(Debug)]
pub enum Once<T> {
    /// It was carried out.
    Done(T),
    /// It had been: this was the answer.
    Repeated(KeptAnswer),
}

/// Why a repeatable request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRepeatable {
    /// Its key was used for another request.
    #[error("the key was used for another request")]
    OtherRequest,
    /// The first one is still being carried out.
    #[error("the first request with this key is still under way")]
    UnderWay,
    /// Carrying it out broke off.
    #[error("the request broke off")]
    Crashed,
}

/// Requests that are being carried out, and what they ask for. All clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<Mutex<HashMap<RecordKey, [u8; 32]>>>);

/// A request's place among those under way, until dropped.
struct Claim {
    scope: RecordKey,
    under_way: UnderWay,
}

/// What stands before a kept body, on a line of its own.
#[derive(Serialize, Deserialize)]
struct Head {
    asked: [u8; 32],
    status: u16,
    headers: Vec<(String, String)>,
}

// === impl Repeatable ===

impl Repeatable {
    /// The request of `caller` to `route`, under its `key`, with a body of this type. Whoever repeats it
    /// has to send the same bytes.
    pub fn new(caller: &str, route: &str, key: Uuid, media_type: &[u8], body: &[u8]) -> Self {
        Self {
            scope: digest(&[caller.as_bytes(), route.as_bytes(), key.as_bytes()]),
            asked: digest(&[media_type, body]),
        }
    }

    /// The key under which the inventory gets the `index`th write of this request. Nobody who does not
    /// know caller, route and key can make the same one.
    pub fn write_key(&self, index: usize) -> Uuid {
        let digest = digest(&[&self.scope, &index.to_be_bytes()]);
        let (bytes, _) = digest.split_first_chunk().unwrap_or((&[0; 16], &[]));
        uuid::Builder::from_custom_bytes(*bytes).into_uuid()
    }
}

// === impl Catalog ===

impl Catalog {
    /// Carries out a repeatable request, in a task of its own that no caller can cancel, unless that was
    /// done. What `carry_out` says is kept for [`KEPT_FOR`]; without that, nothing is, and the request may
    /// be tried again.
    ///
    /// # Errors
    /// Every [`NotRepeatable`].
    pub async fn once<T: Send + 'static>(
        &self,
        request: &Repeatable,
        carry_out: impl Future<Output = (T, Option<KeptAnswer>)> + Send + 'static,
    ) -> Result<Once<T>, NotRepeatable> {
        let claim = self.under_way.claim(request)?;
        let (cache, clock, asked) = (self.cache.clone(), self.clock, request.asked);
        let task = self.tasks.spawn(async move {
            if let Some(kept) = recall(&cache, &claim.scope).await {
                return match kept {
                    (before, kept) if before == asked => Ok(Once::Repeated(kept)),
                    _ => Err(NotRepeatable::OtherRequest),
                };
            }
            let carried_out = AssertUnwindSafe(carry_out).catch_unwind().await;
            let (answer, kept) = carried_out.map_err(|_| NotRepeatable::Crashed)?;
            if let Some(kept) = kept {
                keep(&cache, clock, claim.scope, asked, &kept).await;
            }
            Ok(Once::Done(answer))
        });
        task.await.unwrap_or(Err(NotRepeatable::Crashed))
    }
}

// === impl UnderWay ===

impl UnderWay {
    fn claim(&self, request: &Repeatable) -> Result<Claim, NotRepeatable> {
        let mut under_way = self.lock();
        match under_way.get(&request.scope) {
            Some(asked) if *asked == request.asked => return Err(NotRepeatable::UnderWay),
            Some(_) => return Err(NotRepeatable::OtherRequest),
            None => under_way.insert(request.scope, request.asked),
        };
        Ok(Claim {
            scope: request.scope,
            under_way: self.clone(),
        })
    }

    /// The map is changed by single inserts and removes, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, HashMap<RecordKey, [u8; 32]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Claim ===

impl Drop for Claim {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.scope);
    }
}

// === impl KeptAnswer ===

impl KeptAnswer {
    fn encode(&self, asked: [u8; 32]) -> Option<Bytes> {
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let head = Head {
            asked,
            status: self.status.as_u16(),
            headers: self.headers.iter().filter_map(text).collect(),
        };
        let mut bytes = serde_json::to_vec(&head).ok()?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        Some(bytes.into())
    }

    fn decode(bytes: &Bytes) -> Option<([u8; 32], Self)> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(bytes.get(..end)?).ok()?;
        let header = |(name, value): &(String, String)| {
            Some((name.parse::<HeaderName>().ok()?, value.parse().ok()?))
        };
        let kept = Self {
            status: StatusCode::from_u16(head.status).ok()?,
            headers: head.headers.iter().filter_map(header).collect(),
            body: bytes.slice(end + 1..),
        };
        Some((head.asked, kept))
    }
}

async fn recall(cache: &Cache<Products>, scope: &RecordKey) -> Option<([u8; 32], KeptAnswer)> {
    // Without a store nothing is known of older ones.
    KeptAnswer::decode(&cache.recorded(*scope).await.ok()??)
}

async fn keep(
    cache: &Cache<Products>,
    clock: Clock,
    scope: RecordKey,
    asked: [u8; 32],
    kept: &KeptAnswer,
) {
    if let Some(bytes) = kept.encode(asked) {
        cache.record(scope, bytes, clock.now() + KEPT_FOR).await;
    }
}

/// A digest of parts, of which none can be taken for the end of another.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(caller: &str, route: &str, key: u128, body: &[u8]) -> Repeatable {
        Repeatable::new(
            caller,
            route,
            Uuid::from_u128(key),
            b"application/json",
            body,
        )
    }

    #[test]
    fn callers_routes_and_keys_never_meet() {
        let base = request("shop", "POST /products", 1, b"{}");
        assert_eq!(
            base.scope,
            request("shop", "POST /products", 1, b"[]").scope
        );
        for other in [
            request("erp", "POST /products", 1, b"{}"),
            request("shop", "POST /products/batch", 1, b"{}"),
            request("shop", "POST /products", 2, b"{}"),
            request("shopPOST", " /products", 1, b"{}"),
        ] {
            assert_ne!(base.scope, other.scope);
            assert_ne!(base.write_key(0), other.write_key(0));
        }
        assert_ne!(base.write_key(0), base.write_key(1));
        assert_eq!(base.write_key(7).get_version_num(), 8);
        assert_ne!(
            base.asked,
            request("shop", "POST /products", 1, b"[]").asked
        );
    }

    #[test]
    fn a_key_is_taken_while_its_request_is_under_way() {
        let under_way = UnderWay::default();
        let first = request("shop", "r", 1, b"{}");
        let claim = under_way.claim(&first).ok().unwrap();
        let refused = |request: &Repeatable| under_way.claim(request).err();
        assert_eq!(refused(&first), Some(NotRepeatable::UnderWay));
        let other = request("shop", "r", 1, b"[]");
        assert_eq!(refused(&other), Some(NotRepeatable::OtherRequest));
        assert_eq!(refused(&request("erp", "r", 1, b"{}")), None);
        drop(claim);
        assert_eq!(refused(&other), None);
        assert!(under_way.lock().is_empty());
    }

    proptest! {
        #[test]
        fn a_kept_answer_survives_its_encoding(
            asked: [u8; 32],
            status in 200u16..500,
            body: Vec<u8>,
            values in proptest::collection::vec("[ -~]{0,40}", 0..4),
        ) {
            let headers = values.iter().enumerate().map(|(at, value)| {
                let name: HeaderName = format!("x-{at}").parse().unwrap();
                (name, HeaderValue::try_from(value.as_str()).unwrap())
            });
            let kept = KeptAnswer {
                status: StatusCode::from_u16(status).unwrap(),
                headers: headers.collect(),
                body: body.into(),
            };
            let bytes = kept.encode(asked).unwrap();
            prop_assert_eq!(KeptAnswer::decode(&bytes), Some((asked, kept)));
        }

        #[test]
        fn any_other_bytes_are_no_answer_and_no_panic(bytes: Vec<u8>) {
            prop_assert_eq!(KeptAnswer::decode(&bytes.into()), None);
        }
    }
}

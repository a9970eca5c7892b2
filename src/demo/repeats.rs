//! Writes that carried an `Idempotency-Key`: the same again is answered like the first time.

use super::shelf::Kept;
use crate::product::ProductId;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};

/// How many are remembered; the oldest make room.
const MOST: usize = 10_000;

/// What was done under which key.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    by_key: HashMap<Box<str>, Done>,
    oldest_first: VecDeque<Box<str>>,
}

#[derive(Debug)]
struct Done {
    asked: [u8; 32],
    id: ProductId,
    kept: Kept,
}

/// The key was used for another body.
#[derive(Debug)]
pub(super) struct OtherBody;

// === impl Repeats ===

impl Repeats {
    /// What was done under this key for this body.
    pub(super) fn find(
        &self,
        key: &str,
        body: &[u8],
    ) -> Result<Option<(ProductId, Kept)>, OtherBody> {
        match self.by_key.get(key) {
            None => Ok(None),
            Some(done) if done.asked == digest(body) => {
                Ok(Some((done.id.clone(), done.kept.clone())))
            }
            Some(_) => Err(OtherBody),
        }
    }

    /// Remembers what was done.
    pub(super) fn remember(&mut self, key: &str, body: &[u8], id: ProductId, kept: Kept) {
        let key: Box<str> = key.into();
        let asked = digest(body);
        self.by_key.insert(key.clone(), Done { asked, id, kept });
        self.oldest_first.push_back(key);
        if self.oldest_first.len() > MOST
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }
}

fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

//! The issuer of bearer tokens: its keys, fetched, kept and replaced as it replaces them.
//!
//! One background task does all fetching. Whoever has a token with a key that is not known wakes it,
//! at most every [`PAUSE`], and waits for what it brings. The last good set stays in use while
//! fetching fails.

use super::jwk::KeySet;
use super::token::{self, Expected, TokenError};
use super::{Caller, Denial};
use crate::clock::{Clock, Moment};
use crate::secrets::Fetch;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, Request, StatusCode, Uri};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tower::ServiceExt;
use tracing::{info, warn};

/// How long one fetch may take, and how long a request waits for one.
const PATIENCE: Duration = Duration::from_secs(5);
/// The shortest pause between two fetches, however many unknown keys there are.
const PAUSE: Duration = Duration::from_secs(30);
/// The pause after the first fetch that fails; it doubles up to [`PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long a set is used that does not say how long it is good, and the bounds of one that does.
const USUAL_LIFE: Duration = Duration::from_secs(600);
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

/// Why a token can not be judged.
const NO_ANSWER: &str = "the keys of JWKS_URL can not be fetched";

/// What is told about bearer tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// `JWT_ISSUER`: what `iss` has to be.
    pub issuer: String,
    /// `JWT_AUDIENCE`: what `aud` has to name.
    pub audience: String,
    /// `JWKS_URL`: where the issuer's keys are.
    pub keys: Uri,
    /// What they are fetched through.
    pub fetch: Fetch,
}

/// The issuer, as far as it is known.
#[derive(Debug)]
pub struct Issuer {
    told: Tokens,
    clock: Clock,
    known: watch::Sender<Known>,
    wanted: Notify,
}

/// What is known of the issuer's keys.
#[derive(Debug, Default)]
struct Known {
    /// The last good set; none before there was one.
    keys: KeySet,
    fetches: u64,
    has_failed: bool,
    /// Before this the next fetch does not begin.
    not_before: Moment,
}

// === impl Issuer ===

impl Issuer {
    /// Nothing is known of it until [`keep_keys`](Self::keep_keys) runs.
    pub fn new(told: Tokens, clock: Clock) -> Self {
        Self {
            told,
            clock,
            known: watch::Sender::default(),
            wanted: Notify::new(),
        }
    }

    /// Whom `token` names, with the keys at hand.
    pub fn recognise(&self, token: &str) -> Result<Caller, TokenError> {
        let expected = Expected {
            issuer: &self.told.issuer,
            audience: &self.told.audience,
        };
        token::verify(token, expected, &self.known.borrow().keys, self.clock.now())
    }

    /// Whom `token` names, if need be with keys that have yet to be fetched.
    pub async fn authenticate(&self, token: &str) -> Result<Caller, Denial> {
        match self.recognise(token) {
            Err(TokenError::UnknownKey) => {}
            settled => return settled.map_err(Denial::Token),
        }
        let mut known = self.known.subscribe();
        let (fetches, not_before) = {
            let known = known.borrow_and_update();
            (known.fetches, known.not_before)
        };
        if self.clock.now() >= not_before {
            self.wanted.notify_one();
            let fetched = known.wait_for(|known| known.fetches > fetches);
            if tokio::time::timeout(PATIENCE, fetched).await.is_err() {
                return Err(Denial::NotYet(FIRST_PAUSE, NO_ANSWER));
            }
        }
        match self.recognise(token) {
            Err(TokenError::UnknownKey) => Err(self.unknown_key()),
            settled => settled.map_err(Denial::Token),
        }
    }

    /// Fetches the keys, and again before they are too old or when somebody needs one that is not
    /// there. Does not end.
    pub async fn keep_keys(&self) {
        let mut failures = 0;
        loop {
            let fetched = self.fetch().await;
            // Whoever woke us meanwhile waits for this very fetch.
            let _ = self.wanted.notified().now_or_never();
            let (life, pause) = match fetched {
                Ok((keys, life)) => {
                    failures = 0;
                    self.learn(Some(keys), PAUSE);
                    (life, PAUSE)
                }
                Err(problem) => {
                    let pause = FIRST_PAUSE.saturating_mul(1 << failures).min(PAUSE);
                    failures = (failures + 1).min(5);
                    warn!(
                        problem,
                        "The keys of JWKS_URL can not be fetched, will retry"
                    );
                    self.learn(None, pause);
                    (pause, pause)
                }
            };
            tokio::time::sleep(pause).await;
            let _ = tokio::time::timeout(life.saturating_sub(pause), self.wanted.notified()).await;
        }
    }

    /// What a token means whose key is not among those known now.
    fn unknown_key(&self) -> Denial {
        let known = self.known.borrow();
        if known.has_failed {
            let pause = known.not_before.since(self.clock.now());
            return Denial::NotYet(pause, NO_ANSWER);
        }
        Denial::Token(TokenError::UnknownKey)
    }

    fn learn(&self, keys: Option<KeySet>, pause: Duration) {
        self.known.send_modify(|known| {
            known.fetches += 1;
            known.has_failed = keys.is_none();
            known.not_before = self.clock.now() + pause;
            if let Some(keys) = keys.filter(|keys| *keys != known.keys) {
                info!(
                    keys = keys.len(),
                    "The issuer of bearer tokens has new keys"
                );
                known.keys = keys;
            }
        });
    }

    /// The keys as they are published now, and how long they are good; else what went wrong.
    async fn fetch(&self) -> Result<(KeySet, Duration), String> {
        let request = Request::get(&self.told.keys)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let answer = tokio::time::timeout(PATIENCE, self.told.fetch.clone().oneshot(request))
            .await
            .map_err(|_| format!("no answer in {PATIENCE:?}"))?
            .map_err(|error| error.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("the answer was {}", answer.status()));
        }
        let keys = KeySet::parse(answer.body())
            .ok_or("the answer is no set of keys, or has none for RS256, ES256 or EdDSA")?;
        Ok((keys, life(answer.headers())))
    }
}

/// How long a set that came with `headers` is good.
fn life(headers: &HeaderMap) -> Duration {
    let said = headers.get_all(CACHE_CONTROL).iter();
    let directives = said
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let seconds = directives
        .filter_map(|directive| directive.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("max-age"))
        .and_then(|(_, seconds)| seconds.trim_matches('"').parse().ok());
    seconds
        .map_or(USUAL_LIFE, Duration::from_secs)
        .clamp(SHORTEST_LIFE, LONGEST_LIFE)
}

#[cfg(test)]
mod tests;

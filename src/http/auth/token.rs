//! One bearer token: a JSON Web Token in compact form ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)),
//! read by the rules of [RFC 8725](https://www.rfc-editor.org/rfc/rfc8725) and as an access token
//! ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)).
//!
//! Nothing in a token says how it is to be verified, except which of the issuer's keys: the algorithm
//! is the key's, and the token has to agree.

use super::jwk::{Algorithm, KeySet};
use super::{Caller, Scope};
use crate::clock::Moment;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

/// The longest token that is read, in bytes.
const LONGEST: usize = 8 * 1024;

/// How far the issuer's clock may be ahead of ours where a token says from when it is good. Where it
/// says until when, there is no leeway: its holder gets another.
const AHEAD: f64 = 30.0;

/// How much of the digest of a subject names a caller, in bytes: enough that no two meet.
const NAME_BYTES: usize = 16;

/// Why a token is not good, in words that its holder may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It is longer than any that is read.
    TooLong,
    /// It is no JSON Web Token.
    Malformed,
    /// It is signed in a way that is not accepted, or not at all.
    UnknownAlgorithm,
    /// It asks for an extension to be understood.
    Critical,
    /// It is a token for something else.
    WrongType,
    /// It comes from somebody else.
    WrongIssuer,
    /// It is meant for somebody else.
    WrongAudience,
    /// It does not say until when it is good, or whom it is about.
    Incomplete,
    /// It is no longer good.
    Expired,
    /// It is not good yet.
    TooEarly,
    /// It is signed with a key that the issuer does not publish.
    UnknownKey,
    /// Its signature is not the key's.
    BadSignature,
}

/// What a token has to say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// `JWT_ISSUER`.
    pub issuer: &'a str,
    /// `JWT_AUDIENCE`.
    pub audience: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// Whether it is there, whatever it is: `null` too.
    #[serde(default, rename = "crit", deserialize_with = "is_there")]
    has_crit: bool,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Texts>,
    exp: Option<f64>,
    nbf: Option<f64>,
    scope: Option<Texts>,
    scp: Option<Texts>,
}

/// One text or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

// === impl TokenError ===

impl TokenError {
    /// A sentence for the token's holder; plain ASCII without quotes, so that a header can carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "The token is longer than 8 KiB.",
            Self::Malformed => "The token is not a JSON Web Token.",
            Self::UnknownAlgorithm => "The token is not signed with RS256, ES256 or EdDSA.",
            Self::Critical => "The token has critical header parameters.",
            Self::WrongType => "The token is not an access token.",
            Self::WrongIssuer => "The token has another issuer.",
            Self::WrongAudience => "The token is meant for another audience.",
            Self::Incomplete => "The token has no exp or no sub.",
            Self::Expired => "The token has expired.",
            Self::TooEarly => "The token is not valid yet.",
            Self::UnknownKey => "The token is signed with a key that the issuer does not publish.",
            Self::BadSignature => "The signature does not fit the token.",
        }
    }
}

// === impl Texts ===

impl Texts {
    /// All of them, those between spaces each on its own.
    fn words(&self) -> impl Iterator<Item = &str> {
        self.whole().flat_map(|text| text.split(' '))
    }

    fn whole(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
        .iter()
        .map(String::as_str)
    }
}

/// Whom `token` names, at `now`, if one of `keys` signed it.
///
/// Everything that needs no key is looked at first, so that [`TokenError::UnknownKey`] means that
/// nothing else is wrong with it.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn verify(
    token: &str,
    expected: Expected<'_>,
    keys: &KeySet,
    now: Moment,
) -> Result<Caller, TokenError> {
    if token.len() > LONGEST {
        return Err(TokenError::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
    let header: Header = decoded(header)?;
    let algorithm = header.algorithm()?;
    let claims: Claims = decoded(payload)?;
    let signature = bytes(signature)?;
    claims.check(expected, now)?;

    let key = keys
        .find(algorithm, header.kid.as_deref())
        .ok_or(TokenError::UnknownKey)?;
    if !key.signed(message.as_bytes(), &signature) {
        return Err(TokenError::BadSignature);
    }
    claims.caller()
}

// === impl Header ===

impl Header {
    fn algorithm(&self) -> Result<Algorithm, TokenError> {
        if self.has_crit {
            return Err(TokenError::Critical);
        }
        // Media types, the first part of which may be left out (RFC 7515 section 4.1.9).
        let is_access_token = self.typ.as_deref().is_none_or(|typ| {
            let typ = typ.to_ascii_lowercase();
            let typ = typ.strip_prefix("application/").unwrap_or(&typ);
            matches!(typ, "jwt" | "at+jwt")
        });
        if !is_access_token {
            return Err(TokenError::WrongType);
        }
        Algorithm::parse(&self.alg).ok_or(TokenError::UnknownAlgorithm)
    }
}

// === impl Claims ===

impl Claims {
    fn check(&self, expected: Expected<'_>, now: Moment) -> Result<(), TokenError> {
        #[allow(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 take 41 bits"
        )]
        let now = now.as_millis() as f64 / 1000.0;
        if self.iss.as_deref() != Some(expected.issuer) {
            return Err(TokenError::WrongIssuer);
        }
        let audiences = self.aud.as_ref();
        if !audiences.is_some_and(|aud| aud.whole().any(|one| one == expected.audience)) {
            return Err(TokenError::WrongAudience);
        }
        let (Some(until), Some(_)) = (self.exp, &self.sub) else {
            return Err(TokenError::Incomplete);
        };
        if now >= until {
            return Err(TokenError::Expired);
        }
        if self.nbf.is_some_and(|from| now + AHEAD < from) {
            return Err(TokenError::TooEarly);
        }
        Ok(())
    }

    /// A subject may be a person's address: the log gets a digest of it.
    fn caller(&self) -> Result<Caller, TokenError> {
        let subject = self.sub.as_deref().ok_or(TokenError::Incomplete)?;
        let digest = Sha256::digest(subject);
        let digits = digest.iter().take(NAME_BYTES);
        let name = digits.fold("jwt:".to_owned(), |name, byte| format!("{name}{byte:02x}"));
        let has = |scope: Scope| {
            let claims = self.scope.iter().chain(&self.scp);
            claims
                .flat_map(Texts::words)
                .any(|word| word == scope.as_str())
        };
        Ok(Caller {
            name,
            may_read: has(Scope::Read),
            may_write: has(Scope::Write),
        })
    }
}

fn is_there<'de, D: Deserializer<'de>>(member: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(member).map(|_| true)
}

fn bytes(text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TokenError::Malformed)
}

fn decoded<T: DeserializeOwned>(text: &str) -> Result<T, TokenError> {
    serde_json::from_slice(&bytes(text)?).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests;

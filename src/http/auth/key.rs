//! Keys in `x-api-key`.

use super::{Caller, Denial};
use crate::http::WriteKey;
use crate::secrets::Late;
use sha2::{Digest, Sha256};
use std::time::Duration;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// The header that carries a key.
pub const X_API_KEY: &str = "x-api-key";

/// What a caller without a valid key is told to send.
pub const CHALLENGE: &str = "ApiKey realm=\"product-catalog\"";

/// How long a caller should wait for keys that have not arrived yet.
const KEYS_ARRIVE: Duration = Duration::from_secs(5);

/// A credential as it was presented, ready to be compared: only its digest is kept.
pub struct Presented([u8; 32]);

/// Everybody who has a key.
#[derive(Debug)]
pub struct Keys(Late<Vec<WriteKey>>);

// === impl Presented ===

impl Presented {
    /// A credential by its bytes.
    pub fn new(credential: &[u8]) -> Self {
        Self(Sha256::digest(credential).into())
    }

    /// Whether it is the one with `digest`, in time that tells nothing about either.
    pub fn is(&self, digest: &[u8; 32]) -> Choice {
        self.0.ct_eq(digest)
    }
}

// === impl Keys ===

impl Keys {
    /// The holders of `keys`, now or later.
    pub fn new(keys: Late<Vec<WriteKey>>) -> Self {
        Self(keys)
    }

    /// Whether they are known already.
    pub fn have_arrived(&self) -> Result<(), Denial> {
        self.known().map(drop)
    }

    /// Whose key it is.
    pub fn holder(&self, presented: &Presented) -> Result<Caller, Denial> {
        let name = holder(presented, self.known()?).ok_or(Denial::WrongKey)?;
        Ok(Caller {
            name: name.to_owned(),
            may_read: true,
            may_write: true,
        })
    }

    fn known(&self) -> Result<&[WriteKey], Denial> {
        self.0.get().map(Vec::as_slice).ok_or(Denial::NotYet(
            KEYS_ARRIVE,
            "WRITE_API_KEYS has not been resolved yet",
        ))
    }
}

/// Whose key it is. Compares with every digest, so that the time taken does not tell which one fits.
fn holder<'a>(presented: &Presented, keys: &'a [WriteKey]) -> Option<&'a str> {
    let mut found = u64::MAX;
    for (at, key) in (0_u64..).zip(keys) {
        found.conditional_assign(&at, presented.is(&key.digest));
    }
    let at = usize::try_from(found).ok()?;
    keys.get(at).map(|key| key.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, secret: &str) -> WriteKey {
        WriteKey {
            name: name.to_owned(),
            digest: Sha256::digest(secret).into(),
        }
    }

    #[test]
    fn a_key_shows_its_name_and_nothing_else() {
        let shown = format!("{:?}", key("shop", "one"));
        assert_eq!(shown, r#"WriteKey { name: "shop", .. }"#);
    }

    #[test]
    fn a_key_names_its_holder_and_anything_else_names_nobody() {
        let keys = [key("shop", "one"), key("erp", "two")];
        for (given, expected) in [
            ("one", Some("shop")),
            ("two", Some("erp")),
            ("three", None),
            ("One", None),
            ("one ", None),
            ("", None),
        ] {
            let name = holder(&Presented::new(given.as_bytes()), &keys);
            assert_eq!(name, expected, "{given}");
        }
    }
}

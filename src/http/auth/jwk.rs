//! The keys an issuer publishes ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)), and whether one
//! of them signed something. The only place that does signatures.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

/// The most keys of one issuer that are kept.
const MOST_KEYS: usize = 64;

/// How a token may be signed. No `none`, and nothing with a shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// The keys of an issuer that can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

/// A key. It can do one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    /// Modulus and exponent, without leading zeros.
    Rsa(Vec<u8>, Vec<u8>),
    /// An uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// A key as it is published.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

// === impl Algorithm ===

impl Algorithm {
    /// The algorithm that a header calls `text`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Rs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
    }

    /// Its registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

// === impl KeySet ===

impl KeySet {
    /// Reads a published set. Keys for something else, and such as are not understood, are left out;
    /// `None` where no key is left.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let set: Set = serde_json::from_slice(text).ok()?;
        let keys: Vec<_> = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.usable())
            .take(MOST_KEYS)
            .collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The key that a token names. One that names none means the only one there is for its algorithm.
    pub fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Option<&Key> {
        let mut fitting = self.0.iter().filter(|key| {
            key.material.algorithm() == algorithm && (id.is_none() || key.id.as_deref() == id)
        });
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(key),
            (Some(key), Some(_)) if id.is_some() => Some(key),
            _ => None,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

// === impl Key ===

impl Key {
    /// Whether `signature` is this key's over `message`.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa(n, e) => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(key) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

// === impl Material ===

impl Material {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(..) => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }
}

// === impl Jwk ===

impl Jwk {
    /// The key, if it is one to verify signatures with, by an algorithm that is known here.
    fn usable(self) -> Option<Key> {
        let is_for_signatures = self
            .purpose
            .as_deref()
            .is_none_or(|purpose| purpose == "sig")
            && (self.key_ops.as_ref()).is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", None) => Material::Rsa(number(self.n)?, number(self.e)?),
            ("EC", Some("P-256")) => {
                let (x, y) = (coordinate(self.x)?, coordinate(self.y)?);
                Material::P256([&[4][..], &x, &y].concat())
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(coordinate(self.x)?),
            _ => return None,
        };
        let algorithm = material.algorithm().as_str();
        let is_its_own = self.alg.is_none_or(|alg| alg == algorithm);
        (is_for_signatures && is_its_own).then_some(Key {
            id: self.kid,
            material,
        })
    }
}

/// A whole number; some publish it with a leading zero.
fn number(text: Option<String>) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text?).ok()?;
    let start = bytes.iter().position(|&byte| byte != 0)?;
    bytes.get(start..).map(<[u8]>::to_vec)
}

fn coordinate(text: Option<String>) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text?).ok()?;
    (bytes.len() == 32).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(keys: &[&str]) -> Option<KeySet> {
        KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
    }

    fn okp(more: &str) -> String {
        let x = URL_SAFE_NO_PAD.encode([7; 32]);
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"{more}}}"#)
    }

    /// Keys, messages and signatures made by others: OpenSSL; RFC 7515 appendix A.3; RFC 8037 appendix A.4.
    const SIGNED: [(&str, &str, &str); 3] = [
        (
            r#"{"kty":"RSA","e":"AQAB","n":"wD3abj2tXSifsWh0KDGtBUBFkTKbGgyc8GiUVbKRxWHVyKxP_puwqsZkGaHMhsLEEj0rZrWv1gg-8l9RroIa3D3_y1-mBS2P8eRU0CVZaADntHXHarPBJ8A5ovRprxpEqDu71KdhPC988oAjcCbtafZ2MZlrkKGJXD4R3-4qexujc72Gd_Vf_r3TxBCkD-YPRpcAHgcj-7CBPRmsGbyOdz9Ta133lDb0R-PZjN2aocqZyAY4A6KjVdv-YXFej6BdV6bbOGZojXEc08ZaS6Z4NsNlMZBZcnl1oiumca2LqGA9Am-pkeUqU0JvJludEswWwUArqOFq5MqPloGpXK7mqQ"}"#,
            "eyJhbGciOiJSUzI1NiJ9.RXhhbXBsZSBvZiBSUzI1NiBzaWduaW5n",
            "iVMxUrcaNH_NfcFmj6whN7IQfmcdJ66CFaFsm2vwxZq1P8mADtBz5fb0Tg7orD7DWqZWUAta98-zKdAeeed-hwxaZ4nludAU3XseJTJQuJc_CUJPHH6X097ZDfh4LlcKo8JcTrGUh2Bl7mFZeN816B13HnxHB4vtGg5oiee-NnNvKC3McsnAPOQ7lIULE4j34Y8H86mK-s29ZsZ899s75VFB-ExdpKTtf1xEYBLSjTNJF6j8n-EnFHJItOX8NhKjI9OpzdzcJlBZByLrZgSQ5JHK7Lrw8QjuHhVA2sfLdhv3Pit3W8niWD6uxK84e_N7jbGeimqu5lwsu4MyHIA_gA",
        ),
        (
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];

    #[test]
    fn a_signature_is_the_keys_over_every_byte_or_it_is_not() {
        for (key, message, signature) in SIGNED {
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let keys = set(&[key]).unwrap();
            let key = &keys.0[0];
            assert!(key.signed(message.as_bytes(), &signature), "{key:?}");
            for at in 0..message.len() {
                let mut other = message.as_bytes().to_vec();
                other[at] ^= 1;
                assert!(!key.signed(&other, &signature), "byte {at}");
            }
            for at in 0..signature.len() {
                let mut other = signature.clone();
                other[at] ^= 1;
                assert!(!key.signed(message.as_bytes(), &other), "byte {at}");
            }
            for length in [0, 1, signature.len() - 1] {
                assert!(!key.signed(message.as_bytes(), &signature[..length]));
            }
            // Zeros as r and s fool a careless verifier of ECDSA (CVE-2022-21449).
            assert!(!key.signed(message.as_bytes(), &vec![0; signature.len()]));
        }
    }

    #[test]
    fn a_short_modulus_is_no_key_to_rely_on() {
        let n = URL_SAFE_NO_PAD.encode([0xff; 128]);
        let keys = set(&[&format!(r#"{{"kty":"RSA","e":"AQAB","n":"{n}"}}"#)]).unwrap();
        assert!(!keys.0[0].signed(b"message", &[1; 128]));
    }

    #[test]
    fn keys_for_something_else_are_left_out() {
        for more in [
            r#","use":"enc""#,
            r#","key_ops":["sign"]"#,
            r#","alg":"RS256""#,
            r#","alg":"none""#,
            r#","kid":7"#,
        ] {
            assert_eq!(set(&[&okp(more)]), None, "{more}");
            assert_eq!(set(&[&okp(more), &okp("")]).unwrap().len(), 1, "{more}");
        }
        for more in [
            "",
            r#","use":"sig","alg":"EdDSA","kid":"k""#,
            r#","key_ops":["verify"],"unknown":[]"#,
        ] {
            assert!(set(&[&okp(more)]).is_some(), "{more}");
        }
        for key in [
            r#"{"kty":"oct","k":"AAAA"}"#,
            r#"{"kty":"RSA","n":"AA","e":"AQAB"}"#,
            r#"{"kty":"RSA","e":"AQAB"}"#,
            r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#,
            r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#,
            r#""text""#,
        ] {
            assert_eq!(set(&[key]), None, "{key}");
        }
    }

    #[test]
    fn what_is_no_set_has_no_keys() {
        for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[]}"#, "null"] {
            assert_eq!(KeySet::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_set_has_no_end_of_keys() {
        let keys = vec![okp(""); 200];
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        assert_eq!(set(&keys).unwrap().len(), MOST_KEYS);
    }

    #[test]
    fn a_token_without_a_key_id_means_the_only_key_there_is() {
        let (one, two) = (okp(r#","kid":"one""#), okp(r#","kid":"two""#));
        let single = set(&[&one]).unwrap();
        let both = set(&[&one, &two]).unwrap();
        let is_found = |keys: &KeySet, id| keys.find(Algorithm::EdDsa, id).is_some();
        assert!(is_found(&single, None) && is_found(&single, Some("one")));
        assert!(!is_found(&single, Some("two")));
        assert!(is_found(&both, Some("two")) && !is_found(&both, None));
        assert!(both.find(Algorithm::Es256, Some("one")).is_none());
    }
}

//! An issuer of bearer tokens, for tests: it signs them, and publishes its keys.

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

pub const ISSUER: &str = "https://issuer.test/";
pub const AUDIENCE: &str = "product-catalog";
pub const JWKS_URL: &str = "https://issuer.test/keys";

/// A TEST KEY, made for this file and used nowhere else: ring makes no RSA keys.
const RSA_TEST_KEY: &[&str] = &[
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDXC5BImjldWPA7vKcqqDwONl7rzyjSkTcg85jR84",
    "AGWHzBHHegq2hLSBYa14vfEBe/4DDj3jNVdodXHbKR+rnZhlbYmm+8zBK/BuynLR9XyMAn5UjuSEHnPS2XOjtd1o4d",
    "uT34z00G0J1gxXzqRL5mc1K33EXTvenvHCmeVtuGh65q01HxNUHfJj2RnauPuqPJP1D8g5NnEf0LBEjOERV2jAdetn",
    "P0qhloSFsagfhmfAsc45nVGaLvKBo6aIf9VG74Yl4nGITUXF1GjjsFIQP3V/ZFltLJXvhJ28n6TpS1jEe+vIPiQsXz",
    "uxO/aD/ZYngok3z1VHjqHAvfjbFB+UT9AgMBAAECggEADJwl+svoXzvu4mHen5a75s1zZXqBV0+invEJ3g3cTQL1Vd",
    "GYhjhm5js06KAJGKx16A96bnJCKlnH9+jK5tp/+WxyPUNZGAYTd1YtnGP9+YTRF8XPMAHWs3uX581HW+pP7RhGtQda",
    "6fJjuB/8gjRDwfgzOorVIWR6ikXpftpzBwFkN9liiBVATsDiWeYZwKenGAznZGlflezOgLm8ZaXh4GuYuGcoos/N0U",
    "fXqbUic1j68sgz6Wv/H0dYFab69YNvm5vFOc5f4BS5OFrghHKN55qmeH9SPnFmFpDU83kNG9Av3kW3I2mpYEq21w8b",
    "P5SoNYl6U6Du1yzFFcPjZ8oFFQKBgQD71Z7tC+fA2CqrCpOYQeY3Mr4nPJzojcXSokfUtL71xwPXeb7L7F/o4IDS+t",
    "dDpewoxwVIMUuK7fPuf92ENcffrm2LQ52Q1IK9yYt9hbtuT8ii2kJl4A34iUp3bvKFkpZdkpCSMB2viQ48d6lkG58x",
    "B8BvzUMuYQBeFY+MT/MOtwKBgQDamikcY0kU2EXoRmSgvj+OpdN4Ik50AU6JCHZM1lq/rIC3hZVUogHN3lWf3lTUS5",
    "/rJPaWRyZ0g5qqoTmjONWPr4S47+Ww412iFMCZtDep5RMmtgTFhkjFIjrji0r3kGOEWtRimWCntM+r7eLPTh98ikvV",
    "MXFignj9F2aVrchV6wKBgHPouqE4HY7w75KR56Toj+FQBZ1hlIak2iw8bPtFxa6xzt7aNir9vJce3aw9r95++9c44w",
    "F7Tt2+78sSJw63Aiu9yMWUdW03ooVfwkgfyUjYh+wMsQrauRNvfUrDUfSQp4yh7NCcPM2SM285VEmzPO4AN14+B3HN",
    "S7ICEnPuSFy5AoGAVPyQNRgohnEapJYRcyjjvsqbb14vEAyeAsqGa5L+jvw6wp6tksy1VNs2gMPISQzprFqff4dD3R",
    "J5JBMwPFPRO15qhBfIPb/3XBcjVd5psaR8kJU9P6nYSsPnDyXNTHgXKJLDdV3Z5Pl3r4j5n8zoktuVZdomEb1V2lep",
    "q1F3zGcCgYEAxUjvCSgjuYCCiz3EkdovbLlEm/L/cpeoRcd2gWPA8NgQifuU1ldlfWPrE/0B9leMuB/iywhtw17N+u",
    "oal7lkStY2+n04if0SWmUAciQWPppNbNfgbgA12DUSvhGur+hCWleKQRqkO1zunUsTYCPLYDNe+4Jk4x3fROF+Dk2a",
    "lTc=",
];

/// Somebody who signs.
pub struct Signer {
    algorithm: &'static str,
    id: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Where keys are published. All clones are one.
#[derive(Clone)]
pub struct Published(Arc<Mutex<State>>);

struct State {
    keys: Vec<Value>,
    status: StatusCode,
    hangs: bool,
    asked: usize,
}

impl Signer {
    /// A signer of `RS256`, `ES256` or `EdDSA`, with a new key except for the first.
    pub fn new(algorithm: &'static str, id: &str) -> Self {
        let random = SystemRandom::new();
        let pair = match algorithm {
            "RS256" => {
                let der = STANDARD.decode(RSA_TEST_KEY.concat()).unwrap();
                Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(&der).unwrap()))
            }
            "ES256" => {
                let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let der = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
                Pair::P256(EcdsaKeyPair::from_pkcs8(how, der.as_ref(), &random).unwrap())
            }
            _ => {
                let der = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap())
            }
        };
        Self {
            algorithm,
            id: id.to_owned(),
            pair,
        }
    }

    /// The public key, as it is published.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match &self.pair {
            Pair::Rsa(pair) => {
                let parts: PublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({"kty": "RSA", "n": text(&parts.n), "e": text(&parts.e)})
            }
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())})
            }
        };
        key["kid"] = json!(self.id);
        key["alg"] = json!(self.algorithm);
        key["use"] = json!("sig");
        key
    }

    /// A token with the header there should be.
    pub fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm, "kid": self.id, "typ": "at+jwt"});
        self.sign(&header, claims)
    }

    /// A token with any header.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let bytes = message.as_bytes();
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature)
                    .unwrap();
                signature
            }
            Pair::P256(pair) => pair.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(bytes).as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Published {
    pub fn of(signers: &[&Signer]) -> Self {
        Self(Arc::new(Mutex::new(State {
            keys: signers.iter().map(|signer| signer.jwk()).collect(),
            status: StatusCode::OK,
            hangs: false,
            asked: 0,
        })))
    }

    /// From now on, these are the keys.
    pub fn publish(&self, signers: &[&Signer]) {
        self.0.lock().unwrap().keys = signers.iter().map(|signer| signer.jwk()).collect();
    }

    /// From now on, this is the status.
    pub fn answer(&self, status: u16) {
        self.0.lock().unwrap().status = StatusCode::from_u16(status).unwrap();
    }

    /// From now on, nothing is answered, or it is again.
    pub fn hang(&self, hangs: bool) {
        self.0.lock().unwrap().hangs = hangs;
    }

    /// How often the keys were asked for.
    pub fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    pub fn router(&self) -> Router {
        let state = Arc::clone(&self.0);
        let keys = get(async move || {
            let (hangs, answer) = {
                let mut state = state.lock().unwrap();
                state.asked += 1;
                let headers = [(CONTENT_TYPE, "application/jwk-set+json")];
                let body = json!({ "keys": state.keys }).to_string();
                (state.hangs, (state.status, headers, body))
            };
            if hangs {
                std::future::pending::<()>().await;
            }
            answer
        });
        Router::new().route("/keys", keys)
    }
}

/// What a good token says at `now`, in seconds since the Unix epoch.
pub fn claims(now: u64, scope: &str) -> Value {
    json!({
        "iss": ISSUER,
        "sub": "somebody@shop.example",
        "aud": AUDIENCE,
        "exp": now + 300,
        "nbf": now,
        "scope": scope,
    })
}

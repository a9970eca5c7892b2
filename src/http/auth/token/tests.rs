use super::*;
use crate::http::auth::tests::issuer::{AUDIENCE, ISSUER, Signer, claims};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;

fn published(signers: &[&Signer]) -> KeySet {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn judged(token: &str, keys: &KeySet) -> Result<Caller, TokenError> {
    let expected = Expected {
        issuer: ISSUER,
        audience: AUDIENCE,
    };
    verify(token, expected, keys, Moment::from_millis(NOW * 1000))
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims(NOW, "products:write");
    claims[name] = value;
    claims
}

#[test]
fn a_token_of_each_algorithm_names_its_caller_without_telling_who_it_is() {
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let signer = Signer::new(algorithm, "one");
        let caller = judged(
            &signer.token(&claims(NOW, "products:write")),
            &published(&[&signer]),
        )
        .unwrap();
        // printf %s somebody@shop.example | sha256sum
        assert_eq!(caller.name, "jwt:979d25288b422463180c0cd55cc99d23");
        assert!(caller.may_write && !caller.may_read);
    }
}

#[test]
fn scopes_are_words_of_either_claim_in_either_form() {
    let signer = Signer::new("EdDSA", "one");
    let keys = published(&[&signer]);
    for (name, value, may_read, may_write) in [
        ("scope", json!("products:read products:write"), true, true),
        ("scope", json!("openid products:read"), true, false),
        (
            "scope",
            json!("products:readx xproducts:write"),
            false,
            false,
        ),
        ("scope", json!("products:*"), false, false),
        ("scope", json!("PRODUCTS:READ"), false, false),
        ("scope", json!(""), false, false),
        ("scope", json!(["products:write"]), false, true),
        (
            "scp",
            json!(["products:read", "products:write"]),
            true,
            true,
        ),
        ("scp", json!("products:read"), true, false),
        ("roles", json!(["products:read"]), false, false),
    ] {
        let mut claims = claims(NOW, "");
        claims[name] = value.clone();
        let caller = judged(&signer.token(&claims), &keys).unwrap();
        let may = (caller.may_read, caller.may_write);
        assert_eq!(may, (may_read, may_write), "{name} {value}");
    }
}

#[test]
fn what_a_token_says_of_itself_has_to_hold() {
    let signer = Signer::new("EdDSA", "one");
    let keys = published(&[&signer]);
    for (claims, expected) in [
        (
            with("iss", json!("https://issuer.test")),
            Some(TokenError::WrongIssuer),
        ),
        (with("iss", Value::Null), Some(TokenError::WrongIssuer)),
        (
            with("aud", json!("product-catalog2")),
            Some(TokenError::WrongAudience),
        ),
        (
            with("aud", json!("other product-catalog")),
            Some(TokenError::WrongAudience),
        ),
        (with("aud", json!([])), Some(TokenError::WrongAudience)),
        (with("aud", Value::Null), Some(TokenError::WrongAudience)),
        (with("aud", json!(["other", AUDIENCE])), None),
        (with("exp", Value::Null), Some(TokenError::Incomplete)),
        (with("sub", Value::Null), Some(TokenError::Incomplete)),
        (with("exp", json!(NOW)), Some(TokenError::Expired)),
        (with("exp", json!(NOW - 1)), Some(TokenError::Expired)),
        (with("exp", json!(-1)), Some(TokenError::Expired)),
        (with("exp", json!(NOW as f64 + 0.5)), None),
        (with("exp", json!(NOW + 1)), None),
        (with("exp", json!(1e300)), None),
        (with("exp", json!("soon")), Some(TokenError::Malformed)),
        (with("exp", json!([NOW + 1])), Some(TokenError::Malformed)),
        (with("iss", json!([ISSUER])), Some(TokenError::Malformed)),
        (with("sub", json!(7)), Some(TokenError::Malformed)),
        (with("nbf", json!(NOW + 30)), None),
        (with("nbf", json!(NOW + 31)), Some(TokenError::TooEarly)),
        (with("nbf", json!("now")), Some(TokenError::Malformed)),
        (with("nbf", Value::Null), None),
        (with("more", json!({"nested": [1]})), None),
        (json!([]), Some(TokenError::Malformed)),
        (json!("text"), Some(TokenError::Malformed)),
    ] {
        assert_eq!(
            judged(&signer.token(&claims), &keys).err(),
            expected,
            "{claims}"
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn a_header_chooses_a_key_and_nothing_else() {
    let signer = Signer::new("ES256", "one");
    let keys = published(&[&signer]);
    let good = claims(NOW, "products:write");
    for (header, expected) in [
        (json!({"alg": "ES256", "kid": "one"}), None),
        (json!({"alg": "ES256"}), None),
        (json!({"alg": "ES256", "kid": "one", "typ": "JWT"}), None),
        (
            json!({"alg": "ES256", "kid": "one", "typ": "application/at+jwt"}),
            None,
        ),
        (json!({"alg": "ES256", "kid": "one", "typ": "AT+JWT"}), None),
        // Places to find a key that are not ours to look at.
        (
            json!({"alg": "ES256", "kid": "one", "jwk": signer.jwk(), "jku": "https://evil.test"}),
            None,
        ),
        (
            json!({"alg": "ES256", "kid": "one", "typ": "dpop+jwt"}),
            Some(TokenError::WrongType),
        ),
        (
            json!({"alg": "ES256", "kid": "one", "typ": "logout+jwt"}),
            Some(TokenError::WrongType),
        ),
        (
            json!({"alg": "ES256", "kid": "two"}),
            Some(TokenError::UnknownKey),
        ),
        (
            json!({"alg": "ES256", "kid": "two", "jwk": signer.jwk()}),
            Some(TokenError::UnknownKey),
        ),
        (
            json!({"alg": "EdDSA", "kid": "one"}),
            Some(TokenError::UnknownKey),
        ),
        (
            json!({"alg": "RS256", "kid": "one"}),
            Some(TokenError::UnknownKey),
        ),
        (
            json!({"alg": "none", "kid": "one"}),
            Some(TokenError::UnknownAlgorithm),
        ),
        (json!({"alg": "None"}), Some(TokenError::UnknownAlgorithm)),
        (
            json!({"alg": "es256", "kid": "one"}),
            Some(TokenError::UnknownAlgorithm),
        ),
        (
            json!({"alg": "HS256", "kid": "one"}),
            Some(TokenError::UnknownAlgorithm),
        ),
        (
            json!({"alg": "ES384", "kid": "one"}),
            Some(TokenError::UnknownAlgorithm),
        ),
        (
            json!({"alg": "PS256", "kid": "one"}),
            Some(TokenError::UnknownAlgorithm),
        ),
        (
            json!({"alg": "", "kid": "one"}),
            Some(TokenError::UnknownAlgorithm),
        ),
        (json!({"kid": "one"}), Some(TokenError::Malformed)),
        (
            json!({"alg": ["ES256"], "kid": "one"}),
            Some(TokenError::Malformed),
        ),
        (
            json!({"alg": "ES256", "kid": 1}),
            Some(TokenError::Malformed),
        ),
        (
            json!({"alg": "ES256", "kid": "one", "crit": null}),
            Some(TokenError::Critical),
        ),
        (
            json!({"alg": "ES256", "kid": "one", "crit": ["exp"]}),
            Some(TokenError::Critical),
        ),
        (
            json!({"alg": "ES256", "kid": "one", "crit": ["b64"], "b64": false}),
            Some(TokenError::Critical),
        ),
        (json!([]), Some(TokenError::Malformed)),
    ] {
        let token = signer.sign(&header, &good);
        assert_eq!(judged(&token, &keys).err(), expected, "{header}");
    }
}

#[test]
fn nobody_else_signs_for_the_issuer() {
    let signer = Signer::new("EdDSA", "one");
    let keys = published(&[&signer]);
    let good = claims(NOW, "products:write");
    let token = signer.token(&good);
    assert!(judged(&token, &keys).is_ok());

    let impostor = Signer::new("EdDSA", "one").token(&good);
    assert_eq!(judged(&impostor, &keys), Err(TokenError::BadSignature));

    let other = signer.token(&claims(NOW, "products:read"));
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (mine, others) = (parts(&token), parts(&other));
    let mixed = format!("{}.{}.{}", mine[0], others[1], mine[2]);
    assert_eq!(judged(&mixed, &keys), Err(TokenError::BadSignature));
    let unsigned = format!("{}.{}.", mine[0], mine[1]);
    assert_eq!(judged(&unsigned, &keys), Err(TokenError::BadSignature));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    // The classic confusion: HS256 over the text of the public key.
    let signer = Signer::new("RS256", "one");
    let keys = published(&[&signer]);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!(
        "{}.{}",
        part(&json!({"alg": "HS256", "kid": "one"})),
        part(&claims(NOW, "products:write"))
    );
    let secret = signer.jwk()["n"].as_str().unwrap().to_owned();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes()));
    assert_eq!(
        judged(&format!("{message}.{tag}"), &keys),
        Err(TokenError::UnknownAlgorithm)
    );
}

#[test]
fn what_is_no_compact_token_is_malformed() {
    let signer = Signer::new("EdDSA", "one");
    let keys = published(&[&signer]);
    let token = signer.token(&claims(NOW, ""));
    let five = format!("{token}.a.b");
    let padded = format!("{token}=");
    let spaced = token.replace('.', " .");
    for text in [
        "", ".", "..", "a.b.c", "a", &five, &padded, &spaced, "ä.ö.ü",
    ] {
        assert_eq!(judged(text, &keys), Err(TokenError::Malformed), "{text}");
    }
    let twice = r#"{"alg":"EdDSA","alg":"none","kid":"one"}"#;
    let rest = token.split_once('.').unwrap().1;
    let twice = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(twice));
    assert_eq!(judged(&twice, &keys), Err(TokenError::Malformed));
}

#[test]
fn eight_kibibytes_are_read_and_no_more() {
    let signer = Signer::new("EdDSA", "one");
    let keys = published(&[&signer]);
    for (filler, expected) in [(4000, None), (8000, Some(TokenError::TooLong))] {
        let token = signer.token(&with("filler", json!("x".repeat(filler))));
        assert_eq!(judged(&token, &keys).err(), expected, "{}", token.len());
    }
}

proptest! {
    #[test]
    fn no_change_of_a_single_character_is_let_through(at in 0_usize..600, by in 1_u8..64) {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let signer = Signer::new("EdDSA", "one");
        let mut token = signer.token(&claims(NOW, "products:write")).into_bytes();
        let at = at % token.len();
        let place = ALPHABET.iter().position(|&byte| byte == token[at]);
        token[at] = match place {
            Some(place) => ALPHABET[(place + usize::from(by)) % 64],
            None => b'A',
        };
        let token = String::from_utf8(token).unwrap();
        prop_assert!(judged(&token, &published(&[&signer])).is_err(), "{}", token);
    }

    #[test]
    fn no_text_is_a_token_and_none_panics(text in "[ -~]{0,300}") {
        let signer = Signer::new("EdDSA", "one");
        prop_assert!(judged(&text, &published(&[&signer])).is_err());
    }
}

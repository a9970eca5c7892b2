//! Who may do what: keys, bearer tokens, scopes, and reads that take a credential.

use crate::harness::{Answer, Setup, TestApp, WRITE_KEY};
use crate::issuer::{Published, Signer, claims};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const PRODUCT: &str = "/products/P-000001";

/// A service that takes keys and tokens, and somebody who signs them.
async fn service(setup: Setup) -> (TestApp, Published, Signer) {
    let signer = Signer::new("ES256", "one");
    let published = Published::of(&[&signer]);
    let app = setup.tokens(&published).warm().await;
    (app, published, signer)
}

fn bearer(app: &TestApp, signer: &Signer, scope: &str) -> String {
    let claims = claims(app.clock.now().as_secs(), scope);
    format!("Bearer {}", signer.token(&claims))
}

fn draft(name: &str) -> Value {
    json!({"name": name, "price": {"amount": 1, "currency": "EUR"}})
}

async fn put(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    let headers = [headers, &[("content-type", "application/json")]].concat();
    let body = draft("A product").to_string();
    app.send(Method::PUT, path, &headers, body).await
}

#[tokio::test(start_paused = true)]
async fn a_token_with_the_scope_writes_and_one_without_it_does_not_whatever_exists() {
    let (app, _, signer) = service(Setup::products(2)).await;
    let writer = bearer(&app, &signer, "products:write");
    let both = bearer(&app, &signer, "products:read products:write");
    for token in [&writer, &both] {
        let answer = put(&app, PRODUCT, &[("authorization", token)]).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    for scope in ["products:read", "", "cache:admin"] {
        let token = bearer(&app, &signer, scope);
        for path in [PRODUCT, "/products/unknown", "/products/-"] {
            for method in [Method::PUT, Method::DELETE] {
                let headers = [("authorization", token.as_str())];
                let answer = app.send(method, path, &headers, "").await;
                assert_eq!(answer.status(), 403, "{scope} {path}");
                assert_eq!(answer.codes(), ["INSUFFICIENT_SCOPE"]);
                assert_eq!(
                    answer.header("www-authenticate"),
                    "ApiKey realm=\"product-catalog\", Bearer realm=\"product-catalog\", \
                     error=\"insufficient_scope\", scope=\"products:write\""
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_good_is_401_and_says_why_without_repeating_it() {
    let (app, _, signer) = service(Setup::products(1)).await;
    let now = app.clock.now().as_secs();
    let with = |name: &str, value: Value| {
        let mut claims = claims(now, "products:write");
        claims[name] = value;
        signer.token(&claims)
    };
    let impostor = Signer::new("ES256", "one");
    let none = signer.sign(&json!({"alg": "none"}), &claims(now, "products:write"));
    for (token, said) in [
        (with("exp", json!(now - 1)), "The token has expired."),
        (
            with("aud", json!("x")),
            "The token is meant for another audience.",
        ),
        (with("iss", json!("x")), "The token has another issuer."),
        (none, "The token is not signed with RS256, ES256 or EdDSA."),
        (
            impostor.token(&claims(now, "products:write")),
            "The signature does not fit the token.",
        ),
        ("nonsense".to_owned(), "The token is not a JSON Web Token."),
    ] {
        let answer = put(
            &app,
            PRODUCT,
            &[("authorization", &format!("Bearer {token}"))],
        )
        .await;
        assert_eq!(answer.status(), 401, "{said}");
        assert_eq!(answer.codes(), ["UNAUTHORIZED"]);
        let fault = answer.json();
        assert_eq!(fault["fault"]["errors"][0]["description"], said);
        assert_eq!(
            answer.header("www-authenticate"),
            format!(
                "ApiKey realm=\"product-catalog\", Bearer realm=\"product-catalog\", \
                 error=\"invalid_token\", error_description=\"{said}\""
            )
        );
        assert!(!answer.text().contains(&token));
    }
    // Without a token there is nothing to say about one.
    for headers in [
        &[][..],
        &[("authorization", "Basic eDp5")],
        &[("x-api-key", "wrong")],
    ] {
        let answer = put(&app, PRODUCT, headers).await;
        assert_eq!(answer.status(), 401, "{headers:?}");
        assert_eq!(
            answer.header("www-authenticate"),
            "ApiKey realm=\"product-catalog\", Bearer realm=\"product-catalog\""
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_while_the_service_runs() {
    let (app, _, signer) = service(Setup::products(1)).await;
    let token = bearer(&app, &signer, "products:write");
    let headers = [("authorization", token.as_str())];
    app.later(Duration::from_secs(299)).await;
    assert_eq!(put(&app, PRODUCT, &headers).await.status(), 200);
    app.later(Duration::from_secs(2)).await;
    assert_eq!(put(&app, PRODUCT, &headers).await.status(), 401);
}

#[tokio::test(start_paused = true)]
async fn keys_and_tokens_are_taken_side_by_side_and_not_together() {
    let (app, _, signer) = service(Setup::products(1)).await;
    let token = bearer(&app, &signer, "products:write");
    let key = ("x-api-key", WRITE_KEY);
    assert_eq!(put(&app, PRODUCT, &[key]).await.status(), 200);
    for key in [key, ("x-api-key", "wrong")] {
        let answer = put(&app, PRODUCT, &[key, ("authorization", &token)]).await;
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.codes(), ["CONFLICTING_CREDENTIALS"]);
    }
    let token = ("authorization", token.as_str());
    for both in [[key, key, token], [key, token, token]] {
        assert_eq!(put(&app, PRODUCT, &both).await.status(), 400);
    }
    for twice in [[key; 2], [token; 2]] {
        assert_eq!(put(&app, PRODUCT, &twice).await.status(), 401);
    }
}

#[tokio::test(start_paused = true)]
async fn a_scheme_is_any_case_and_has_spaces_before_its_token() {
    let (app, _, signer) = service(Setup::products(1)).await;
    let token = bearer(&app, &signer, "products:write");
    let token = token.strip_prefix("Bearer ").unwrap();
    for (scheme, expected) in [
        ("bearer ", 200),
        ("BEARER   ", 200),
        ("Bearer", 401),
        ("Token ", 401),
    ] {
        let value = format!("{scheme}{token}");
        let answer = put(&app, PRODUCT, &[("authorization", &value)]).await;
        assert_eq!(answer.status(), expected, "{scheme}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_alone_open_writes_and_neither_keeps_them_shut() {
    let (app, _, signer) = service(Setup::products(1).unset("WRITE_API_KEYS")).await;
    let token = bearer(&app, &signer, "products:write");
    let answer = put(&app, PRODUCT, &[("authorization", &token)]).await;
    assert_eq!(answer.status(), 200);
    // A key means nothing here: nobody has one.
    let answer = put(&app, PRODUCT, &[("x-api-key", WRITE_KEY)]).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"product-catalog\""
    );

    let app = Setup::products(1).unset("WRITE_API_KEYS").warm().await;
    for headers in [&[][..], &[("authorization", token.as_str())]] {
        let answer = put(&app, PRODUCT, headers).await;
        assert_eq!(answer.codes(), ["WRITES_DISABLED"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_can_not_be_judged_yet_is_503_and_reads_go_on() {
    let signer = Signer::new("ES256", "one");
    let published = Published::of(&[&signer]);
    published.answer(500);
    let app = Setup::products(1).tokens(&published).warm().await;
    let token = bearer(&app, &signer, "products:write");
    let headers = [("authorization", token.as_str())];
    let answer = put(&app, PRODUCT, &headers).await;
    assert_eq!(answer.status(), 503);
    assert_ne!(answer.header("retry-after"), "");
    assert!(app.get(PRODUCT).await.is_ok());
    assert_eq!(
        put(&app, PRODUCT, &[("x-api-key", WRITE_KEY)])
            .await
            .status(),
        200
    );

    published.answer(200);
    app.later(Duration::from_secs(31)).await;
    let token = bearer(&app, &signer, "products:write");
    let answer = put(&app, PRODUCT, &[("authorization", &token)]).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn open_reads_look_at_no_credential_and_ask_the_issuer_nothing() {
    let (app, published, _) = service(Setup::products(1)).await;
    app.later(Duration::from_secs(60)).await;
    let asked = published.asked();
    for token in ["Bearer nonsense", "Basic eDp5"] {
        let answer = app.get_with(PRODUCT, &[("authorization", token)]).await;
        assert!(answer.is_ok());
        assert!(answer.header("cache-control").starts_with("public"));
    }
    assert_eq!(published.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn reads_that_take_a_credential_are_private() {
    let setup = Setup::products(2).set("READ_REQUIRES_AUTH", "true");
    let (app, _, signer) = service(setup).await;
    let reader = bearer(&app, &signer, "products:read");
    let writer = bearer(&app, &signer, "products:write");
    for path in [
        PRODUCT,
        "/products",
        "/products?limit=1",
        "/products/unknown",
    ] {
        for method in [Method::GET, Method::HEAD] {
            let send =
                async |headers: &[(&str, &str)]| app.send(method.clone(), path, headers, "").await;
            let nobody = send(&[]).await;
            assert_eq!(nobody.status(), 401, "{path}");
            assert_eq!(nobody.header("cache-control"), "no-store");
            assert_ne!(nobody.header("www-authenticate"), "");
            assert_eq!(send(&[("authorization", &writer)]).await.status(), 403);
            for credential in [("authorization", reader.as_str()), ("x-api-key", WRITE_KEY)] {
                let answer = send(&[credential]).await;
                let expected = if path == "/products/unknown" {
                    404
                } else {
                    200
                };
                assert_eq!(answer.status(), expected, "{path}");
                let kept = answer.header("cache-control");
                assert!(!kept.contains("public"), "{path}: {kept}");
                assert_eq!(kept.starts_with("private, max-age="), expected == 200);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_reads_take_a_credential_a_304_is_private_and_what_is_no_product_stays_open() {
    let setup = Setup::products(2).set("READ_REQUIRES_AUTH", "true");
    let (app, _, signer) = service(setup).await;
    let reader = bearer(&app, &signer, "products:read");
    let writer = bearer(&app, &signer, "products:write");
    let key = ("x-api-key", WRITE_KEY);
    let etag = app
        .get_with(PRODUCT, &[key])
        .await
        .header("etag")
        .to_owned();
    let again = app
        .get_with(PRODUCT, &[key, ("if-none-match", &etag)])
        .await;
    assert_eq!(again.status(), 304);
    assert!(again.header("cache-control").starts_with("private"));
    let nobody = app.get_with(PRODUCT, &[("if-none-match", &etag)]).await;
    assert_eq!(nobody.status(), 401);

    for path in [
        "/health",
        "/health/live",
        "/health/ready",
        "/openapi",
        "/docs",
    ] {
        assert_eq!(app.get(path).await.status(), 200, "{path}");
    }
    assert_eq!(app.get("/nowhere").await.status(), 404);
    assert_eq!(
        put(&app, PRODUCT, &[("authorization", &writer)])
            .await
            .status(),
        200
    );
    let answer = put(&app, PRODUCT, &[("authorization", &reader)]).await;
    assert_eq!(answer.codes(), ["INSUFFICIENT_SCOPE"]);
}

#[tokio::test(start_paused = true)]
async fn where_reads_take_a_credential_a_patch_takes_one_for_reading_too() {
    let test = json!([{"op": "test", "path": "/name", "value": "A guess"}]);
    let batch = json!({"items": [{"id": "P-000001", "patch": test}]});
    let nothing = json!([]);
    for (path, media_type, body, good) in [
        (PRODUCT, "application/json-patch+json", &nothing, 200),
        (PRODUCT, "application/json-patch+json", &test, 409),
        ("/products/batch", "application/json", &batch, 207),
    ] {
        for guarded in ["true", "false"] {
            let setup = Setup::products(2).set("READ_REQUIRES_AUTH", guarded);
            let (app, _, signer) = service(setup).await;
            let send = async |name: &str, value: &str| {
                let headers = [(name, value), ("content-type", media_type)];
                app.send(Method::PATCH, path, &headers, body.to_string())
                    .await
            };
            let both = bearer(&app, &signer, "products:write products:read");
            assert_eq!(send("authorization", &both).await.status(), good);
            assert_eq!(send("x-api-key", WRITE_KEY).await.status(), good);
            let reader = bearer(&app, &signer, "products:read");
            assert_eq!(send("authorization", &reader).await.status(), 403);
            let writer = bearer(&app, &signer, "products:write");
            let answer = send("authorization", &writer).await;
            if guarded == "false" {
                assert_eq!(answer.status(), good);
                continue;
            }
            assert_eq!(answer.codes(), ["INSUFFICIENT_SCOPE"]);
            let challenge = answer.header("www-authenticate");
            assert!(challenge.contains("scope=\"products:read\""), "{challenge}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reads_credential_is_looked_at_before_anything_it_asks_for() {
    let setup = Setup::products(1).set("READ_REQUIRES_AUTH", "true");
    let app = setup.warm().await;
    for path in ["/products/-", "/products?limit=x", "/products/unknown"] {
        assert_eq!(app.get(path).await.status(), 401, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_issuer_replaces_is_followed_without_a_restart() {
    let (app, published, old) = service(Setup::products(1)).await;
    let new = Signer::new("RS256", "two");
    let status = async |signer: &Signer| {
        let token = bearer(&app, signer, "products:write");
        let headers = [("authorization", token.as_str())];
        put(&app, PRODUCT, &headers).await.status()
    };
    assert_eq!(status(&old).await, 200);
    app.later(Duration::from_secs(31)).await;
    published.hang(true);
    assert_eq!(status(&new).await, 503, "nobody knows yet");
    assert_eq!(status(&old).await, 200);
    published.hang(false);
    published.publish(&[&new]);
    app.later(Duration::from_secs(31)).await;
    assert_eq!(status(&new).await, 200);
    assert_eq!(status(&old).await, 401);
}

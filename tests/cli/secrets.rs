//! `secret://vault/…`: resolved at start, waited for, refused; and shown nowhere.

use crate::client::{self, Connection};
use crate::process::{Launch, Process};
use crate::upstream::Upstream;
use crate::vault::{TOKEN, Vault};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use product_catalog::demo::{Catalogue, Inventory};

const REFERENCE: &str = "secret://vault/product-catalog/upstream-api-key";
const KEY: &str = "planted-upstream-key-7d40";

/// An inventory that answers only those who know the key.
async fn guarded() -> Upstream {
    let inventory = Inventory::new(Catalogue::generated(40, 1));
    Upstream::serving(inventory.with_key(KEY)).await
}

fn launch(upstream: &Upstream, vault: &Vault) -> Launch {
    Launch::serve(upstream)
        .set("API_KEY", REFERENCE)
        .set("VAULT_ADDR", &vault.url())
        .set("VAULT_TOKEN", TOKEN)
        .set("RUST_LOG", "trace")
}

/// The secrets are in nothing that anybody can read.
async fn shows_no_secret(service: Process) {
    let mut seen = Vec::new();
    for path in [
        "/health",
        "/health/ready",
        "/products?limit=100",
        "/products/none",
        "/openapi",
    ] {
        seen.push(service.get(path).await.text());
    }
    for path in ["/metrics", "/cache/stats", "/cache/entries/none"] {
        seen.push(client::get(service.internal(), path).await.text());
    }
    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0));
    seen.push(ended.all());
    for text in seen {
        assert!(!text.contains(KEY), "{text}");
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[tokio::test]
async fn a_key_from_vault_opens_the_inventory_and_is_shown_nowhere() {
    let upstream = guarded().await;
    let vault = Vault::keeping("product-catalog", "upstream-api-key", KEY).await;
    let service = launch(&upstream, &vault).warm().await;
    service.health("Healthy").await;
    assert_eq!(client::ids(service.http()).await.len(), 40);
    shows_no_secret(service).await;

    let checked = Launch::new(&["config", "check", "--resolve"])
        .set("VAULT_ADDR", &vault.url())
        .set("VAULT_TOKEN", TOKEN)
        .run()
        .await;
    assert_eq!(checked.code(), Some(0), "{}", checked.all());
    assert!(checked.stdout.contains("API_KEY = "), "{}", checked.stdout);
    assert!(!checked.all().contains(KEY) && !checked.all().contains(TOKEN));
}

#[tokio::test]
async fn while_vault_does_not_answer_the_warm_store_serves_and_the_key_arrives_later() {
    let upstream = guarded().await;
    let store = tempfile::tempdir().unwrap();
    let vault = Vault::keeping("product-catalog", "upstream-api-key", KEY).await;
    let service = launch(&upstream, &vault).store(store.path()).warm().await;
    let ids = client::ids(service.http()).await;
    assert_eq!(service.stop().await.code(), Some(0));

    let vault = Vault::sealed().await;
    let service = launch(&upstream, &vault)
        .store(store.path())
        .listening()
        .await;
    service
        .logged("API_KEY is not here yet", |_| Some(()))
        .await;
    let health = service.health("Degraded").await;
    assert_eq!(health.status, 200, "{}", health.text());
    let mut connection = Connection::open(service.http()).await.unwrap();
    for id in &ids {
        let answer = connection.get(&format!("/products/{id}")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    vault.unseal("product-catalog", "upstream-api-key", KEY);
    service.logged("API_KEY has arrived", |_| Some(())).await;
    service.warmed().await;
    service.health("Healthy").await;
    shows_no_secret(service).await;
}

#[tokio::test]
async fn a_vault_that_refuses_stops_the_start_and_says_what_to_look_at() {
    let upstream = guarded().await;
    let vault = Vault::keeping("product-catalog", "upstream-api-key", KEY).await;
    let elsewhere = Vault::keeping("elsewhere", "upstream-api-key", KEY).await;
    let other = Vault::keeping("product-catalog", "other", KEY).await;
    let wrong_token = || launch(&upstream, &vault).set("VAULT_TOKEN", "hvs.planted-wrong-token");
    for (launch, complaint) in [
        (wrong_token(), "403"),
        (launch(&upstream, &elsewhere), "404"),
        (launch(&upstream, &other), "no member `upstream-api-key`"),
    ] {
        let ended = launch.run().await;
        assert_eq!(ended.code(), Some(2), "{}", ended.all());
        let line = ended.stderr.lines().last().unwrap();
        assert!(line.starts_with("API_KEY is secret://vault/"), "{line}");
        assert!(line.contains(complaint), "{line}");
        for secret in [KEY, TOKEN, "hvs.planted-wrong-token"] {
            assert!(!ended.all().contains(secret));
        }
    }
}

#[tokio::test]
async fn a_key_that_the_inventory_refuses_is_said_and_kept() {
    let upstream = guarded().await;
    let service = Launch::serve(&upstream).set("API_KEY", "planted-wrong-key");
    let service = service.listening().await;
    service
        .logged("refuses our credential", |line| {
            (line["Level"] == "ERROR").then_some(())
        })
        .await;
    service.health("Unhealthy").await;
    let answer = service.get("/products/p-1").await;
    assert_eq!(answer.status, 503, "never a 401 for our own credential");
    let ended = service.stop().await;
    assert!(!ended.all().contains("planted-wrong-key"));
}

#[tokio::test]
async fn what_a_caller_presents_is_in_no_log_line_however_wrong_it_is() {
    const PLANTED: &str = "planted-credential-51f9";
    let upstream = Upstream::serving(Inventory::new(Catalogue::generated(2, 1))).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let keys = format!("http://{}/keys", nobody.local_addr().unwrap());
    drop(nobody);
    let service = Launch::serve(&upstream)
        .set("WRITE_API_KEYS", &format!("shop:{}", "0".repeat(64)))
        .set("JWT_ISSUER", "https://issuer.test")
        .set("JWT_AUDIENCE", "shop")
        .set("JWKS_URL", &keys)
        .set("READ_REQUIRES_AUTH", "true")
        .set("RATE_LIMIT_PER_SECOND", "100")
        .set("RUST_LOG", "trace")
        .warm()
        .await;
    // A whole token but for its signature, whose header and claims are as they should be.
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = part(r#"{"alg":"EdDSA","kid":"planted-credential-51f9"}"#);
    let claims = part(
        r#"{"iss":"https://issuer.test","aud":"shop","exp":9999999999,"sub":"planted-credential-51f9"}"#,
    );
    let token = format!("{header}.{claims}.{}", part(PLANTED));
    let mut connection = Connection::open(service.http()).await.unwrap();
    let mut seen = Vec::new();
    for (name, value, status) in [
        ("x-api-key", PLANTED.to_owned(), 401),
        ("authorization", format!("Bearer {PLANTED}"), 401),
        ("authorization", format!("Basic {PLANTED}"), 401),
        ("authorization", format!("Bearer {token}"), 503),
    ] {
        let presented = [(name, value.as_str())];
        let answer = connection.call("GET", "/products", &presented, "").await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        seen.push(answer.text());
    }
    let ended = service.stop().await;
    seen.push(ended.all());
    for text in seen {
        for secret in [PLANTED, &header, &claims, &part(PLANTED)] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

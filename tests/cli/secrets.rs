//! `secret://vault/…`: resolved at start, waited for, refused; and shown nowhere.

use crate::client::{self, Connection};
use crate::process::{Launch, Process};
use crate::upstream::Upstream;
use crate::vault::{TOKEN, Vault};
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

//! [`Vault`]: a server that speaks as much of HashiCorp Vault's HTTP API as secrets need.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, http::HeaderMap, http::StatusCode};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

/// The token that may read.
pub const TOKEN: &str = "hvs.token-of-the-tests";

/// A Vault with a key-value engine, version 2, mounted at `secret`.
pub struct Vault {
    addr: SocketAddr,
    kept: Kept,
}

/// What it keeps, by path; none while it is sealed.
type Kept = Arc<Mutex<Option<BTreeMap<String, serde_json::Value>>>>;

// === impl Vault ===

impl Vault {
    /// A Vault that nobody has unsealed yet.
    pub async fn sealed() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let kept = Kept::default();
        let router = Router::new()
            .route("/v1/secret/data/{*path}", get(read))
            .with_state(Arc::clone(&kept));
        // Ends with the test's runtime.
        TaskTracker::new().spawn(axum::serve(listener, router).into_future());
        Self { addr, kept }
    }

    /// A Vault that keeps one secret.
    pub async fn keeping(path: &str, key: &str, value: &str) -> Self {
        let vault = Self::sealed().await;
        vault.unseal(path, key, value);
        vault
    }

    /// Unseals it, with one secret in it.
    pub fn unseal(&self, path: &str, key: &str, value: &str) {
        let secret = (path.to_owned(), json!({ key: value }));
        *self.kept.lock().unwrap() = Some(BTreeMap::from([secret]));
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

async fn read(State(kept): State<Kept>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    let errors =
        |status, errors: &[&str]| (status, Json(json!({"errors": errors}))).into_response();
    let kept = kept.lock().unwrap();
    let Some(kept) = &*kept else {
        return errors(StatusCode::SERVICE_UNAVAILABLE, &["Vault is sealed"]);
    };
    if headers
        .get("x-vault-token")
        .is_none_or(|token| token != TOKEN)
    {
        return errors(StatusCode::FORBIDDEN, &["permission denied"]);
    }
    let Some(secret) = kept.get(&path) else {
        return errors(StatusCode::NOT_FOUND, &[]);
    };
    let metadata = json!({
        "created_time": "2026-01-02T03:04:05.678Z", "custom_metadata": null,
        "deletion_time": "", "destroyed": false, "version": 1
    });
    let answer = json!({
        "request_id": "6a1f0e4c-0000-4000-8000-000000000000", "lease_id": "", "renewable": false,
        "lease_duration": 0, "data": {"data": secret, "metadata": metadata},
        "wrap_info": null, "warnings": null, "auth": null
    });
    Json(answer).into_response()
}

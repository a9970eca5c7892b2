//! The client against a stand-in that speaks Vault's HTTP API.

use super::*;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the stand-in does.
#[derive(Default)]
struct Knobs {
    logins: AtomicUsize,
    reads: AtomicUsize,
    /// The number of the login whose token is taken; other tokens get a 403.
    good_login: AtomicUsize,
    status: Mutex<Option<StatusCode>>,
}

const PATH: &str = "product-catalog";
const JWT: &str = "header.claims.signature";

impl Knobs {
    fn answer(&self, request: &Request<Bytes>) -> (StatusCode, String) {
        let path = request.uri().path();
        match path.strip_prefix("/v1/secret/data/") {
            Some(path) if request.method() == Method::GET => self.read(path, request),
            None if path == "/v1/auth/kubernetes/login" && request.method() == Method::POST => {
                self.log_in(request)
            }
            _ => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
        }
    }

    fn read(&self, path: &str, request: &Request<Bytes>) -> (StatusCode, String) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if let Some(status) = *self.status.lock().unwrap() {
            return (status, json!({"errors": ["hunter2"]}).to_string());
        }
        let good = format!("login-{}", self.good_login.load(Ordering::Relaxed));
        let token = &request.headers()["x-vault-token"];
        if token != "root" && token != good.as_str() {
            return denied();
        }
        let members = json!({"key": "hunter2", "ttl": 60, "on": true, "list": ["hunter2"]});
        let body = match path {
            PATH => json!({"data": {"data": members, "metadata": {"version": 3}}}).to_string(),
            "html" => "<html>hunter2</html>".to_owned(),
            "v1" => json!({ "data": members }).to_string(),
            _ => return (StatusCode::NOT_FOUND, json!({"errors": []}).to_string()),
        };
        (StatusCode::OK, body)
    }

    fn log_in(&self, request: &Request<Bytes>) -> (StatusCode, String) {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        if body != json!({"role": "catalog", "jwt": JWT}) {
            return denied();
        }
        let number = self.logins.fetch_add(1, Ordering::Relaxed) + 1;
        let token = format!("login-{number}");
        let body = json!({"auth": {"client_token": token, "lease_duration": 60}});
        (StatusCode::OK, body.to_string())
    }
}

fn denied() -> (StatusCode, String) {
    let body = json!({"errors": ["permission denied"]});
    (StatusCode::FORBIDDEN, body.to_string())
}

fn serve(knobs: &Arc<Knobs>) -> Fetch {
    let knobs = Arc::clone(knobs);
    Fetch::new(tower::service_fn(move |request: Request<Bytes>| {
        let (status, body) = knobs.answer(&request);
        let mut answer = Response::new(body.into());
        *answer.status_mut() = status;
        std::future::ready(Ok(answer))
    }))
}

fn vault(login: Login, knobs: &Arc<Knobs>) -> Vault {
    Vault::new("http://vault:8200/", "secret", login, serve(knobs))
}

fn with_token(knobs: &Arc<Knobs>) -> Vault {
    vault(Login::Token(Secret::new("root")), knobs)
}

fn in_pod(directory: &tempfile::TempDir, role: &str, knobs: &Arc<Knobs>) -> Vault {
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, JWT).unwrap();
    let role = role.to_owned();
    vault(Login::Kubernetes { role, token_file }, knobs)
}

#[tokio::test]
async fn a_member_of_a_secret_is_read_as_text() {
    let vault = with_token(&Arc::default());
    for (key, value) in [("key", "hunter2"), ("ttl", "60"), ("on", "true")] {
        assert_eq!(vault.read(PATH, key).await.unwrap().expose(), value);
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_repeats_nothing_of_the_answer() {
    let vault = with_token(&Arc::default());
    for (path, key, complaint) in [
        ("other", "key", "404 Not Found: put the secret there"),
        (PATH, "other", "has no member `other`"),
        (PATH, "list", "`list` in Vault is not text"),
        ("html", "key", "not an answer of Vault"),
        ("v1", "key", "not an answer of Vault"),
    ] {
        let error = vault.read(path, key).await.unwrap_err();
        assert!(matches!(error, SecretError::Refused { .. }), "{path}/{key}");
        assert!(error.to_string().contains(complaint), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_says_later_is_passing_and_one_that_says_no_is_not() {
    let knobs = Arc::new(Knobs::default());
    let vault = with_token(&knobs);
    for (status, is_passing) in [
        (StatusCode::SERVICE_UNAVAILABLE, true),
        (StatusCode::INTERNAL_SERVER_ERROR, true),
        (StatusCode::BAD_GATEWAY, true),
        (StatusCode::TOO_MANY_REQUESTS, true),
        (StatusCode::PRECONDITION_FAILED, true),
        (StatusCode::FORBIDDEN, false),
        (StatusCode::UNAUTHORIZED, false),
        (StatusCode::BAD_REQUEST, false),
        (StatusCode::TEMPORARY_REDIRECT, false),
        (StatusCode::NO_CONTENT, false),
    ] {
        *knobs.status.lock().unwrap() = Some(status);
        let error = vault.read(PATH, "key").await.unwrap_err();
        assert_eq!(error.is_passing(), is_passing, "{status}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_vault_that_can_not_be_reached_may_be_tried_again() {
    let fetch = Fetch::new(tower::service_fn(|_| async { Err("refused".into()) }));
    let vault = Vault::new(
        "http://vault",
        "secret",
        Login::Token(Secret::new("root")),
        fetch,
    );
    let error = vault.read(PATH, "key").await.unwrap_err();
    assert!(error.is_passing());
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_hangs_is_given_up_after_five_seconds() {
    let fetch = Fetch::new(tower::service_fn(|_| std::future::pending()));
    let vault = Vault::new(
        "http://vault",
        "secret",
        Login::Token(Secret::new("root")),
        fetch,
    );
    let reading = vault.read(PATH, "key");
    tokio::pin!(reading);
    let almost = Duration::from_millis(4_999);
    assert!(tokio::time::timeout(almost, &mut reading).await.is_err());
    let soon = Duration::from_millis(2);
    let error = tokio::time::timeout(soon, reading).await.unwrap();
    assert!(error.unwrap_err().is_passing());
}

#[tokio::test]
async fn a_pod_logs_in_once_and_again_when_its_token_is_no_longer_taken() {
    let knobs = Arc::new(Knobs::default());
    let directory = tempfile::tempdir().unwrap();
    let vault = in_pod(&directory, "catalog", &knobs);

    knobs.good_login.store(1, Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(vault.read(PATH, "key").await.unwrap().expose(), "hunter2");
    }
    assert_eq!(knobs.logins.load(Ordering::Relaxed), 1);

    knobs.good_login.store(2, Ordering::Relaxed);
    assert_eq!(vault.read(PATH, "key").await.unwrap().expose(), "hunter2");
    assert_eq!(knobs.logins.load(Ordering::Relaxed), 2);

    knobs.good_login.store(99, Ordering::Relaxed);
    let reads = knobs.reads.load(Ordering::Relaxed);
    let error = vault.read(PATH, "key").await.unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
    assert_eq!(knobs.reads.load(Ordering::Relaxed), reads + 2);
}

#[tokio::test]
async fn a_login_that_is_refused_or_has_nothing_to_show_says_so() {
    let knobs = Arc::default();
    let directory = tempfile::tempdir().unwrap();
    let error = in_pod(&directory, "stranger", &knobs)
        .read(PATH, "key")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("login as stranger with 403"),
        "{error}"
    );
    assert!(!error.is_passing());

    let vault = in_pod(&directory, "catalog", &knobs);
    std::fs::remove_file(directory.path().join("token")).unwrap();
    let error = vault.read(PATH, "key").await.unwrap_err();
    assert!(error.to_string().contains("set VAULT_TOKEN"), "{error}");
    assert!(!error.is_passing());
}

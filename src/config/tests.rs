//! The whole way from environment to configuration. Tables run over the schema itself, so a new
//! variable is tested, or its absence from a table fails, the day it is added.

use super::*;
use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

mod contracts;
mod late;
mod sections;
mod variables;

const DIGEST: &str = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
const PLANTED: &str = "hunter2-planted";

/// A Vault that keeps one text under each path (as two members), and notes what it is asked.
#[derive(Clone, Default)]
struct FakeVault {
    answers: Arc<Mutex<BTreeMap<String, String>>>,
    is_down: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeVault {
    fn keeping(answers: &[(&str, &str)]) -> Self {
        let vault = Self::default();
        for (path, value) in answers {
            vault.keep(path, value);
        }
        vault
    }

    fn keep(&self, path: &str, value: &str) {
        self.answers
            .lock()
            .unwrap()
            .insert(path.into(), value.into());
    }

    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    fn fetch(&self) -> Fetch {
        let vault = self.clone();
        Fetch::new(tower::service_fn(move |request: Request<Bytes>| {
            std::future::ready(Ok(vault.answer(&request)))
        }))
    }

    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let token = request.headers().get("x-vault-token");
        let token = token.map(|token| token.to_str().unwrap());
        let asked = format!("{} {token:?}", request.uri());
        self.asked.lock().unwrap().push(asked);

        let path = request.uri().path().rsplit('/').next().unwrap();
        let (status, body) = match self.answers.lock().unwrap().get(path) {
            _ if self.is_down.load(Ordering::Relaxed) => {
                (StatusCode::SERVICE_UNAVAILABLE, json!({}))
            }
            Some(value) => {
                let members = json!({"key": value, "upstream-api-key": value});
                (StatusCode::OK, json!({"data": {"data": members}}))
            }
            None => (StatusCode::NOT_FOUND, json!({"errors": []})),
        };
        let mut answer = Response::new(body.to_string().into());
        *answer.status_mut() = status;
        answer
    }
}

fn contract() -> Contract {
    Contract::embedded().unwrap()
}

async fn load(variables: &[(&str, &str)]) -> Result<Config, Problems> {
    load_with(variables, &FakeVault::default()).await
}

async fn load_with(variables: &[(&str, &str)], vault: &FakeVault) -> Result<Config, Problems> {
    let environment = variables.iter().copied().collect();
    Config::load(&contract(), &environment, &Profile::Serve, vault.fetch()).await
}

/// What a start with an API key and `variables` ends in: exactly one problem.
async fn problem(variables: &[(&str, &str)]) -> String {
    let mut all = vec![("API_KEY", PLANTED)];
    all.retain(|(name, _)| variables.iter().all(|(other, _)| !other.starts_with(name)));
    all.extend(variables);
    let problems = load(&all)
        .await
        .err()
        .unwrap_or_else(|| panic!("{variables:?} is accepted"));
    assert_eq!(problems.iter().count(), 1, "{problems}");
    assert!(!problems.to_string().contains(PLANTED), "{problems}");
    problems.to_string()
}

#[tokio::test]
async fn with_nothing_set_the_start_says_what_to_do_about_the_key() {
    let problems = load(&[]).await.unwrap_err();
    assert_eq!(
        problems.to_string(),
        "API_KEY is secret://vault/product-catalog/upstream-api-key: there is no Vault to read it \
         from; set VAULT_ADDR, and VAULT_TOKEN or VAULT_ROLE; or set API_KEY itself, or API_KEY_FILE"
    );
}

#[tokio::test]
async fn all_problems_are_reported_at_once() {
    let problems = load(&[
        ("CACHE_TTL_SECONDS", "an hour"),
        ("WARMUP_ON_START", "yes"),
        ("UPSTREAM_API", "https://shop:hunter2-planted@inventory"),
        ("HTTP_ADDR", ":9000"),
        ("METRICS_ADDR", "127.0.0.1:9000"),
        ("WRITE_API_KEYS", PLANTED),
        ("TLS_CERT_FILE", "/tls.pem"),
        ("LOG_FORMAT", "xml"),
    ])
    .await
    .unwrap_err()
    .to_string();
    let lines: Vec<&str> = problems.lines().collect();
    for line in [
        "CACHE_TTL_SECONDS is \"an hour\": must be a whole number from 0 to 31536000",
        "WARMUP_ON_START is \"yes\": must be true or false",
        "LOG_FORMAT is \"xml\": must be one of json, pretty",
        "METRICS_ADDR is 127.0.0.1:9000: must differ from HTTP_ADDR (0.0.0.0:9000)",
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{problems}");
    }
    for start in [
        "API_KEY is secret://vault/",
        "UPSTREAM_API is \"…@inventory\": must not contain credentials",
        "WRITE_API_KEYS is (secret): entry 1 must be name:digest",
        "TLS_CERT_FILE is \"/tls.pem\": must not be set, because this version does not offer it. This listener speaks plain HTTP",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(start)),
            "{start} is not in\n{problems}"
        );
    }
    assert_eq!(lines.len(), 8, "{problems}");
    assert!(!problems.contains(PLANTED));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
async fn variables_that_do_not_go_together_are_one_problem() {
    for (variables, complaint) in [
        (
            &[
                ("GRACEFUL_SHUTDOWN_SECONDS", "5"),
                ("DRAIN_DELAY_SECONDS", "5"),
            ][..],
            "DRAIN_DELAY_SECONDS is 5: must be less than GRACEFUL_SHUTDOWN_SECONDS (5)",
        ),
        (
            &[("HTTP_ADDR", "[::]:9090")],
            "METRICS_ADDR is 0.0.0.0:9090: must differ from HTTP_ADDR",
        ),
        (
            &[
                ("UPSTREAM_TIMEOUT_MS", "10001"),
                ("UPSTREAM_DEADLINE_MS", "10000"),
            ],
            "UPSTREAM_DEADLINE_MS is 10000: must be UPSTREAM_TIMEOUT_MS (10001) or more",
        ),
        (
            &[("CACHE_MAX_SIZE_MB", "1"), ("CACHE_MAX_ENTRY_KB", "1024")],
            "CACHE_MAX_ENTRY_KB is 1024: must be at most 512, half of CACHE_MAX_SIZE_MB (1)",
        ),
        (
            &[("CACHE_MAX_ENTRY_KB", "300000")],
            "CACHE_MAX_ENTRY_KB is 300000: must be at most 262144",
        ),
        (
            &[("VAULT_TOKEN", "t"), ("VAULT_ROLE", "r")],
            "VAULT_ROLE: must not be set together",
        ),
        (
            &[("JWKS_URL", "https://issuer/keys")],
            "JWT_ISSUER: must be set where JWKS_URL is: bearer tokens need JWT_ISSUER, JWT_AUDIENCE, JWKS_URL",
        ),
        (
            &[("JWT_ISSUER", "https://issuer"), ("JWT_AUDIENCE", "shop")],
            "JWKS_URL: must be set where JWT_ISSUER is",
        ),
        (
            &[("READ_REQUIRES_AUTH", "true")],
            "READ_REQUIRES_AUTH is true: must be false where nobody could read",
        ),
        (
            &[("CACHE_DIR", "a"), ("CACHE_DIR_FILE", "b")],
            "CACHE_DIR: must not be set together with CACHE_DIR_FILE",
        ),
    ] {
        let line = problem(variables).await;
        assert!(line.starts_with(complaint), "{line}");
    }
    for fine in [
        &[("GRACEFUL_SHUTDOWN_SECONDS", "2"), ("API_KEY", "k")][..],
        &[
            ("HTTP_ADDR", "127.0.0.1:0"),
            ("METRICS_ADDR", "127.0.0.1:0"),
            ("API_KEY", "k"),
        ],
        &[
            ("HTTP_ADDR", "127.0.0.1:80"),
            ("METRICS_ADDR", "127.0.0.2:80"),
            ("API_KEY", "k"),
        ],
        &[("UPSTREAM_TIMEOUT_MS", "10000"), ("API_KEY", "k")],
        &[("CACHE_MAX_SIZE_MB", "2"), ("API_KEY", "k")],
        &[("CACHE_MAX_SIZE_MB", "0"), ("API_KEY", "k")],
    ] {
        assert!(load(fine).await.is_ok(), "{fine:?}");
    }
}

#[tokio::test]
async fn a_default_follows_the_variable_that_was_set() {
    for (name, value, follower, shown) in [
        ("GRACEFUL_SHUTDOWN_SECONDS", "1", "DRAIN_DELAY_SECONDS", "0"),
        (
            "DRAIN_DELAY_SECONDS",
            "15",
            "GRACEFUL_SHUTDOWN_SECONDS",
            "16",
        ),
        (
            "UPSTREAM_TIMEOUT_MS",
            "15000",
            "UPSTREAM_DEADLINE_MS",
            "15000",
        ),
        ("UPSTREAM_DEADLINE_MS", "500", "UPSTREAM_TIMEOUT_MS", "500"),
        ("CACHE_MAX_SIZE_MB", "1", "CACHE_MAX_ENTRY_KB", "512"),
    ] {
        let config = load(&[(name, value), ("API_KEY", "k")]).await.unwrap();
        let line = format!("{follower} = {shown}  # follows {name}");
        let mut lines = config.settings.iter().map(ToString::to_string);
        assert!(lines.any(|shown| shown == line), "{line}");
    }
}

#[tokio::test]
async fn a_file_gives_its_variable_a_value() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, "k\n").unwrap();
    let name = path.to_str().unwrap();
    let config = load(&[("API_KEY_FILE", name)]).await.unwrap();
    assert_eq!(config.upstream.api_key.get().unwrap().expose(), "k");

    std::fs::write(&path, "\n").unwrap();
    let line = problem(&[("API_KEY_FILE", name)]).await;
    assert!(
        line.ends_with("must name a file that is not empty"),
        "{line}"
    );
    std::fs::remove_file(&path).unwrap();
    let line = problem(&[("API_KEY_FILE", name)]).await;
    assert!(
        line.starts_with(&format!(
            "API_KEY_FILE is \"{name}\": must name a readable file"
        )),
        "{line}"
    );
}

#[tokio::test]
async fn what_a_file_holds_is_not_shown_when_it_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shadow");
    let name = path.to_str().unwrap();
    for text in ["root:planted-elsewhere", "secret://planted-elsewhere"] {
        std::fs::write(&path, text).unwrap();
        let line = problem(&[("CACHE_TTL_SECONDS_FILE", name)]).await;
        assert!(line.starts_with("CACHE_TTL_SECONDS"), "{line}");
        assert!(!line.contains("planted"), "{line}");
    }
}

#[tokio::test]
async fn any_variable_may_be_a_reference_and_its_value_keeps_the_same_rules() {
    let vault = [
        ("VAULT_ADDR", "http://vault"),
        ("VAULT_TOKEN", "t"),
        ("API_KEY", "k"),
    ];
    let kept = FakeVault::keeping(&[("ttl", "60"), ("bad", PLANTED)]);
    let with = |value: &'static str| [&vault[..], &[("CACHE_TTL_SECONDS", value)]].concat();

    let config = load_with(&with("secret://vault/ttl/key"), &kept)
        .await
        .unwrap();
    assert_eq!(config.cache.ttl, Duration::from_secs(60));

    let problems = load_with(&with("secret://vault/bad/key"), &kept)
        .await
        .unwrap_err();
    assert_eq!(
        problems.to_string(),
        "CACHE_TTL_SECONDS is secret://vault/bad/key: must be a whole number from 0 to 31536000"
    );
}

#[tokio::test]
async fn a_reference_that_can_not_be_used_is_never_used_as_the_key() {
    for (value, complaint) in [
        (
            "secret://env/MISSING",
            "the environment has no MISSING; set it; or set API_KEY itself",
        ),
        (
            "secret://file/does/not/exist",
            "/does/not/exist can not be read",
        ),
        (
            "secret://aws/hunter2-planted",
            "API_KEY: must be secret://env/NAME, secret://file/PATH or secret://vault/PATH/KEY",
        ),
        ("Secret://env/X", "API_KEY: must be secret://env/NAME"),
        ("secret://env/NESTED", "itself a reference"),
    ] {
        let nested = ("NESTED", "secret://env/X");
        let problems = load(&[("API_KEY", value), nested])
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(problems.lines().count(), 1, "{problems}");
        assert!(problems.contains(complaint), "{problems}");
        assert!(!problems.contains(PLANTED), "{problems}");
    }
}

#[tokio::test]
async fn a_misspelt_variable_is_a_warning() {
    let config = load(&[("CACHE_TTL", "60"), ("API_KEY", "k")])
        .await
        .unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert!(
        config.warnings[0].starts_with("CACHE_TTL is not a variable"),
        "{:?}",
        config.warnings
    );
}

#[tokio::test]
async fn no_planted_secret_is_shown_anywhere() {
    let keys = format!("{PLANTED}:{DIGEST}");
    let vault = FakeVault::keeping(&[("upstream-api-key", PLANTED), ("dir", PLANTED)]);
    let config = load_with(
        &[
            ("API_KEY", "secret://vault/upstream-api-key/key"),
            ("CACHE_DIR", "secret://vault/dir/key"),
            ("WRITE_API_KEYS", &keys),
            ("ADMIN_TOKEN", PLANTED),
            ("VAULT_ADDR", "http://vault"),
            ("VAULT_TOKEN", PLANTED),
        ],
        &vault,
    )
    .await
    .unwrap();
    assert_eq!(
        config.cache.dir.as_deref(),
        Some(std::path::Path::new(PLANTED))
    );
    let mut output = format!("{config:?} {:?} {:?}", config.pending, config.warnings);
    for setting in &config.settings {
        output.push_str(&format!("{setting} {setting:?}"));
    }
    assert!(
        !output.contains(PLANTED) && !output.contains(DIGEST),
        "{output}"
    );
    assert!(
        output.contains(
            "API_KEY = (secret, from secret://vault/upstream-api-key/key)  # environment"
        ),
        "{output}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_value_that_is_not_text_is_a_problem() {
    use std::os::unix::ffi::OsStringExt;
    let environment = Environment::of([
        ("API_KEY".into(), "k".into()),
        ("CACHE_DIR".into(), std::ffi::OsString::from_vec(vec![0xff])),
    ]);
    let problems = Config::check(&contract(), &environment, &Profile::Serve).unwrap_err();
    assert_eq!(problems.to_string(), "CACHE_DIR: must be UTF-8 text");
}

#[test]
fn the_configuration_can_be_loaded_and_awaited_on_any_thread() {
    fn is_send<T: Send>(_: T) {}
    let (contract, environment) = (contract(), Environment::default());
    let fetch = FakeVault::default().fetch();
    is_send(Config::load(
        &contract,
        &environment,
        &Profile::Serve,
        fetch,
    ));
    is_send(|pending: Pending| async move { is_send(pending.arrive()) });
}

//! HashiCorp Vault, as far as secrets need it: reading from the key-value engine, version 2
//! (<https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version>), and the
//! Kubernetes login (<https://developer.hashicorp.com/vault/api-docs/auth/kubernetes#login>).

use super::{Secret, SecretError, not_configured, read_file, refused};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

/// Where a pod finds the token of its service account.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// The header that carries the token.
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-vault-token");
/// How long one exchange with Vault may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What carries a request to Vault: one exchange, with a whole and bounded answer.
pub type Fetch =
    BoxCloneSyncService<Request<Bytes>, Response<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

/// A client of one Vault.
pub struct Vault {
    address: String,
    mount: String,
    login: Login,
    fetch: Fetch,
    /// What the last login gave; `None` before it, and when Vault no longer takes it.
    session: Mutex<Option<Secret>>,
}

/// How to become known to Vault.
#[derive(Clone, Debug)]
pub enum Login {
    /// With a token.
    Token(Secret),
    /// With the service account of the pod.
    Kubernetes {
        /// The role to ask for.
        role: String,
        /// The file with the account's token.
        token_file: PathBuf,
    },
}

#[derive(Deserialize)]
struct Read {
    data: ReadData,
}

#[derive(Deserialize)]
struct ReadData {
    data: Map<String, Value>,
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
}

// === impl Login ===

impl Login {
    /// Kubernetes login as `role`, with the token every pod is given.
    pub fn kubernetes(role: impl Into<String>) -> Self {
        Self::Kubernetes {
            role: role.into(),
            token_file: SERVICE_ACCOUNT_TOKEN.into(),
        }
    }
}

// === impl Vault ===

impl Vault {
    /// The Vault at the base URL `address` whose engine is mounted at `mount`.
    pub fn new(address: &str, mount: &str, login: Login, fetch: Fetch) -> Self {
        Self {
            address: address.trim_end_matches('/').to_owned(),
            mount: mount.to_owned(),
            login,
            fetch,
            session: Mutex::new(None),
        }
    }

    /// The member `key` of the secret at `path`. A number or boolean is given as its JSON text.
    /// Takes at most 5 s, and as long again for each login (two at most).
    ///
    /// # Errors
    /// - [`SecretError::NotConfigured`]: no service account token, or an unusable address.
    /// - [`SecretError::Refused`]: 403, 404, no such member, or an answer that is not Vault's.
    /// - [`SecretError::Unavailable`]: no connection, no answer in time, sealed, 429 or 5xx.
    pub async fn read(&self, path: &str, key: &str) -> Result<Secret, SecretError> {
        let remembered = self.session().clone();
        let is_remembered = remembered.is_some();
        let token = match remembered {
            Some(token) => token,
            None => self.log_in().await?,
        };
        let mut answer = self.get(path, &token).await?;
        if is_remembered && answer.status() == StatusCode::FORBIDDEN {
            // The lease of an earlier login may have run out: what counts is a new one's answer.
            let token = self.log_in().await?;
            answer = self.get(path, &token).await?;
        }
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(refused(format!(
                "Vault answered {status}: {}",
                advice(status)
            )));
        }
        let secret: Read = decode(&answer)?;
        match secret.data.data.get(key) {
            Some(Value::String(text)) => Ok(Secret::new(text.as_str())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Secret::new(value.to_string())),
            Some(_) => Err(refused(format!("the member `{key}` in Vault is not text"))),
            None => Err(refused(format!(
                "the secret in Vault has no member `{key}`"
            ))),
        }
    }

    async fn get(&self, path: &str, token: &Secret) -> Result<Response<Bytes>, SecretError> {
        let mut header = HeaderValue::from_str(token.expose())
            .map_err(|_| not_configured("the token for Vault has unusable characters".into()))?;
        header.set_sensitive(true);
        let request = self
            .request(Method::GET, &format!("{}/data/{path}", self.mount))
            .header(TOKEN_HEADER, header);
        self.exchange(request, Bytes::new()).await
    }

    /// A token to read with; one that was logged in for is remembered.
    async fn log_in(&self) -> Result<Secret, SecretError> {
        let (role, token_file) = match &self.login {
            Login::Token(token) => return Ok(token.clone()),
            Login::Kubernetes { role, token_file } => (role, token_file),
        };
        *self.session() = None;
        let jwt = read_file(token_file).map_err(|error| {
            not_configured(format!(
                "VAULT_ROLE needs the token of a service account: {error}; outside Kubernetes set VAULT_TOKEN"
            ))
        })?;
        let body = serde_json::json!({ "role": role, "jwt": jwt }).to_string();
        let request = self
            .request(Method::POST, "auth/kubernetes/login")
            .header(CONTENT_TYPE, "application/json");
        let answer = self.exchange(request, body.into()).await?;
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(refused(format!(
                "Vault answered the login as {role} with {status}; check VAULT_ROLE and what it is bound to"
            )));
        }
        let logged_in: LoggedIn = decode(&answer)?;
        let token = Secret::new(logged_in.auth.client_token);
        *self.session() = Some(token.clone());
        Ok(token)
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.address))
    }

    /// One exchange. An answer that says "later" is an error here already.
    async fn exchange(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Bytes>, SecretError> {
        let request = request
            .body(body)
            .map_err(|error| not_configured(format!("VAULT_ADDR does not make a URL: {error}")))?;
        let answer = tokio::time::timeout(PATIENCE, self.fetch.clone().oneshot(request))
            .await
            .map_err(|_| unavailable(format!("Vault did not answer in {PATIENCE:?}"), None))?
            .map_err(|cause| unavailable("Vault can not be reached".into(), Some(cause)))?;
        let status = answer.status();
        // 412: a replica of Vault that has not caught up yet, to be tried again.
        let is_passing = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::PRECONDITION_FAILED;
        if is_passing {
            return Err(unavailable(format!("Vault answered {status}"), None));
        }
        Ok(answer)
    }

    /// A panic while holding the lock leaves a whole token or none, so poison is moot.
    fn session(&self) -> MutexGuard<'_, Option<Secret>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an operator does about a refusal.
fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            "give the token a policy that may read it"
        }
        StatusCode::NOT_FOUND => "put the secret there, or check its path and VAULT_MOUNT",
        _ => "check VAULT_ADDR and VAULT_MOUNT",
    }
}

/// Says nothing of the body: it may hold the secret.
fn decode<T: serde::de::DeserializeOwned>(answer: &Response<Bytes>) -> Result<T, SecretError> {
    serde_json::from_slice(answer.body()).map_err(|_| {
        refused(
            "what VAULT_ADDR answers is not an answer of Vault's key-value engine, version 2"
                .into(),
        )
    })
}

fn unavailable(what: String, cause: Option<tower::BoxError>) -> SecretError {
    SecretError::Unavailable { what, cause }
}

#[cfg(test)]
mod tests;

//! Secrets: values that can not be printed, and the references they come from.
//!
//! A reference is text such as `secret://vault/PATH/KEY` that stands for a value kept elsewhere;
//! [`Resolver`] goes and gets it. To add a provider, add a variant to [`Reference`]: the compiler
//! names the places that have to know it.

mod reference;
mod vault;

pub use reference::{MalformedReference, Reference};
pub use vault::{Fetch, Login, Vault};

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use subtle::ConstantTimeEq;

/// The longest secret read from a file, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// A secret value. Has no `Display` and no `Serialize`; its `Debug` shows nothing.
///
/// Comparing two takes as long wherever they differ; only their lengths can be told apart.
#[derive(Clone, Eq)]
pub struct Secret(Arc<str>);

/// A value that may arrive after the start, because the place it comes from did not answer yet.
#[derive(Debug)]
pub struct Late<T>(Arc<OnceLock<T>>);

/// Why a reference gave no value. No variant carries any part of a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Nothing is configured that the value could come from. Configure it, start again.
    #[error("{what}")]
    NotConfigured {
        /// What is missing, and what to set.
        what: String,
    },
    /// The place it comes from has an answer, and it is no. Correct it there, start again.
    #[error("{what}")]
    Refused {
        /// What was refused.
        what: String,
    },
    /// The place it comes from does not answer. Retry later.
    #[error("{what}")]
    Unavailable {
        /// What did not answer.
        what: String,
        /// What the attempt ran into.
        #[source]
        cause: Option<tower::BoxError>,
    },
}

/// Gets the values that references stand for.
pub struct Resolver {
    environment: BTreeMap<String, String>,
    vault: Option<Vault>,
}

// === impl Secret ===

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The value itself: for the wire, never for output.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

// === impl Late ===

impl<T> Late<T> {
    /// A value that is here already.
    pub fn ready(value: T) -> Self {
        let cell = OnceLock::new();
        let _ = cell.set(value);
        Self(Arc::new(cell))
    }

    /// A value still to come.
    pub fn pending() -> Self {
        Self(Arc::new(OnceLock::new()))
    }

    /// The value, once it is here.
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// Delivers the value; the first delivery counts.
    pub fn deliver(&self, value: T) {
        let _ = self.0.set(value);
    }
}

impl<T> Clone for Late<T> {
    /// Another handle to the same value.
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

// === impl Resolver ===

impl Resolver {
    /// Resolves from `environment`, from files, and from `vault` where there is one.
    pub fn new(environment: BTreeMap<String, String>, vault: Option<Vault>) -> Self {
        Self { environment, vault }
    }

    /// The value `reference` stands for. Takes at most a few seconds (see [`Vault::read`]).
    ///
    /// # Errors
    /// - [`SecretError::NotConfigured`]: no such environment variable or file, or no Vault.
    /// - [`SecretError::Refused`]: Vault says no, or the value is empty or another reference.
    /// - [`SecretError::Unavailable`]: Vault does not answer.
    pub async fn resolve(&self, reference: &Reference) -> Result<Secret, SecretError> {
        let value = match reference {
            Reference::Env(name) => self
                .environment
                .get(name)
                .map(|value| Secret::new(value.as_str()))
                .ok_or_else(|| not_configured(format!("the environment has no {name}; set it")))?,
            Reference::File(path) => Secret::new(read_file(path)?),
            Reference::Vault { path, key } => self
                .vault
                .as_ref()
                .ok_or_else(|| {
                    not_configured(
                        "there is no Vault to read it from; set VAULT_ADDR, and VAULT_TOKEN or VAULT_ROLE"
                            .into(),
                    )
                })?
                .read(path, key)
                .await?,
        };
        if value.expose().is_empty() {
            return Err(refused("the value kept there is empty".into()));
        }
        if Reference::is_meant_by(value.expose()) {
            return Err(refused(
                "the value kept there is itself a reference; refer to its target directly".into(),
            ));
        }
        Ok(value)
    }
}

// === impl SecretError ===

impl SecretError {
    /// Whether trying again may help without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::NotConfigured { .. } | Self::Refused { .. } => false,
        }
    }
}

/// The text of a file that holds one value; one trailing line end is dropped.
///
/// # Errors
/// [`SecretError::NotConfigured`]: it can not be read, is not UTF-8, or is longer than 64 KiB.
pub fn read_file(path: &Path) -> Result<String, SecretError> {
    let shown = path.display();
    let unreadable =
        |error: std::io::Error| not_configured(format!("{shown} can not be read: {error}"));
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(unreadable)?
        .take(LONGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(not_configured(format!("{shown} is longer than 64 KiB")));
    }
    let mut text = String::from_utf8(bytes)
        .map_err(|_| not_configured(format!("{shown} is not UTF-8 text")))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn not_configured(what: String) -> SecretError {
    SecretError::NotConfigured { what }
}

fn refused(what: String) -> SecretError {
    SecretError::Refused { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(variables: &[(&str, &str)]) -> Resolver {
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Resolver::new(environment, None)
    }

    async fn resolve(resolver: &Resolver, reference: &str) -> Result<String, SecretError> {
        let secret = resolver.resolve(&reference.parse().unwrap()).await?;
        Ok(secret.expose().to_owned())
    }

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(!format!("{:?}", Late::ready(secret)).contains("hunter2"));
    }

    #[test]
    fn secrets_are_equal_when_their_values_are() {
        assert_eq!(Secret::new("a"), Secret::new("a"));
        assert_ne!(Secret::new("a"), Secret::new("b"));
        assert_ne!(Secret::new("a"), Secret::new("aa"));
    }

    #[test]
    fn a_late_value_is_seen_by_every_clone_and_the_first_delivery_counts() {
        let late = Late::pending();
        let seen = late.clone();
        assert_eq!(seen.get(), None);
        late.deliver(1);
        late.deliver(2);
        assert_eq!(seen.get(), Some(&1));
    }

    #[tokio::test]
    async fn a_reference_to_the_environment_gives_the_variables_value() {
        let resolver = resolver(&[("KEY", "hunter2"), ("EMPTY", "")]);
        assert_eq!(
            resolve(&resolver, "secret://env/KEY").await.unwrap(),
            "hunter2"
        );
        for (reference, complaint) in [
            ("secret://env/OTHER", "the environment has no OTHER"),
            ("secret://env/EMPTY", "empty"),
        ] {
            let error = resolve(&resolver, reference).await.unwrap_err();
            assert!(error.to_string().contains(complaint), "{error}");
            assert!(!error.is_passing());
        }
    }

    #[tokio::test]
    async fn a_reference_to_a_file_gives_its_text_without_one_line_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let reference = format!("secret://file{}", path.display());
        for (text, value) in [
            ("hunter2", "hunter2"),
            ("hunter2\n", "hunter2"),
            ("hunter2\r\n", "hunter2"),
            ("hunter2\n\n", "hunter2\n"),
            (" hunter2", " hunter2"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(resolve(&resolver(&[]), &reference).await.unwrap(), value);
        }
    }

    #[tokio::test]
    async fn a_file_that_gives_no_value_is_named_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let reference = format!("secret://file{}", path.display());
        let error = resolve(&resolver(&[]), &reference).await.unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");

        for (bytes, complaint) in [
            (vec![b'a'; 64 * 1024 + 1], "longer than 64 KiB"),
            (vec![0xff, 0xfe], "not UTF-8"),
            (vec![b'\n'], "empty"),
            (b"secret://env/KEY".to_vec(), "itself a reference"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = resolve(&resolver(&[]), &reference).await.unwrap_err();
            assert!(error.to_string().contains(complaint), "{error}");
        }
    }

    #[tokio::test]
    async fn without_a_vault_a_reference_to_it_says_what_to_set() {
        let error = resolve(&resolver(&[]), "secret://vault/a/b")
            .await
            .unwrap_err();
        assert!(error.to_string().contains("set VAULT_ADDR"), "{error}");
        assert!(!error.is_passing());
    }
}

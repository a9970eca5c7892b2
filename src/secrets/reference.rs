//! The grammar of references: `secret://env/NAME`, `secret://file/PATH`, `secret://vault/PATH/KEY`.

use std::path::PathBuf;
use std::str::FromStr;

/// What every reference begins with.
const SCHEME: &str = "secret://";

/// Where a value is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `secret://env/NAME`: an environment variable.
    Env(String),
    /// `secret://file/run/secrets/x`: the file `/run/secrets/x`.
    File(PathBuf),
    /// `secret://vault/PATH/KEY`: a member of a secret in HashiCorp Vault's key-value engine.
    Vault {
        /// The secret's path below the mount; one segment or more.
        path: String,
        /// The member.
        key: String,
    },
}

/// Text that begins like a reference and is none. Never repeats the text: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedReference {
    /// Not `secret://`, or followed by a provider that is not known.
    #[error("must be secret://env/NAME, secret://file/PATH or secret://vault/PATH/KEY")]
    Provider,
    /// `env`, but no name of a variable.
    #[error("must be secret://env/NAME, with a name of letters, digits and _")]
    Env,
    /// `file`, but no path.
    #[error("must be secret://file/PATH, e.g. secret://file/run/secrets/x for /run/secrets/x")]
    File,
    /// `vault`, but no path and key.
    #[error(
        "must be secret://vault/PATH/KEY, with segments of letters, digits and - . _ ~ @ : + = ,"
    )]
    Vault,
}

// === impl Reference ===

impl Reference {
    /// Whether `text` is meant as a reference, be it a correct one or not: such text is never
    /// used as a value.
    pub fn is_meant_by(text: &str) -> bool {
        let text = text.trim_start().as_bytes();
        text.get(..SCHEME.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(SCHEME.as_bytes()))
    }
}

impl FromStr for Reference {
    type Err = MalformedReference;

    fn from_str(text: &str) -> Result<Self, MalformedReference> {
        let (provider, rest) = text
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.split_once('/'))
            .ok_or(MalformedReference::Provider)?;
        match provider {
            "env" if is_variable(rest) => Ok(Self::Env(rest.into())),
            "env" => Err(MalformedReference::Env),
            "file" if is_file(rest) => Ok(Self::File(format!("/{rest}").into())),
            "file" => Err(MalformedReference::File),
            "vault" => match rest.rsplit_once('/') {
                Some((path, key)) if path.split('/').all(is_segment) && is_segment(key) => {
                    Ok(Self::Vault {
                        path: path.into(),
                        key: key.into(),
                    })
                }
                _ => Err(MalformedReference::Vault),
            },
            _ => Err(MalformedReference::Provider),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(f, "{SCHEME}env/{name}"),
            Self::File(path) => write!(f, "{SCHEME}file{}", path.display()),
            Self::Vault { path, key } => write!(f, "{SCHEME}vault/{path}/{key}"),
        }
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_file(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && !path.ends_with('/') && !path.contains('\0')
}

/// Characters that stand for themselves in the path of a URL, so that nothing is ever escaped.
fn is_segment(segment: &str) -> bool {
    !segment.is_empty()
        && segment != "."
        && segment != ".."
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~@:+=,".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vault(path: &str, key: &str) -> Reference {
        Reference::Vault {
            path: path.into(),
            key: key.into(),
        }
    }

    #[test]
    fn each_provider_is_understood() {
        for (text, reference) in [
            ("secret://env/API_KEY", Reference::Env("API_KEY".into())),
            (
                "secret://file/run/secrets/x",
                Reference::File("/run/secrets/x".into()),
            ),
            (
                "secret://vault/product-catalog/upstream-api-key",
                vault("product-catalog", "upstream-api-key"),
            ),
            ("secret://vault/a/b/c", vault("a/b", "c")),
        ] {
            assert_eq!(text.parse(), Ok(reference.clone()), "{text}");
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn a_malformed_reference_is_told_how_it_must_be_and_never_repeated() {
        use MalformedReference::{Env, File, Provider, Vault};
        for (text, error) in [
            ("secret://", Provider),
            ("secret://hunter2", Provider),
            ("secret://aws/hunter2/x", Provider),
            ("SECRET://env/X", Provider),
            (" secret://env/X", Provider),
            ("secret://env/", Env),
            ("secret://env/hunter2!", Env),
            ("secret://env/2X", Env),
            ("secret://file/", File),
            ("secret://file//hunter2", File),
            ("secret://file/hunter2/", File),
            ("secret://vault/hunter2", Vault),
            ("secret://vault//hunter2", Vault),
            ("secret://vault/hunter2/", Vault),
            ("secret://vault/a/../hunter2", Vault),
            ("secret://vault/a?b/hunter2", Vault),
            ("secret://vault/a%2f/hunter2", Vault),
        ] {
            assert_eq!(text.parse::<Reference>(), Err(error), "{text}");
            assert!(Reference::is_meant_by(text), "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn other_text_is_not_meant_as_a_reference() {
        for text in [
            "",
            "secret",
            "secret:/",
            "https://a",
            "sécret://x",
            "xsecret://env/X",
        ] {
            assert!(!Reference::is_meant_by(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            name in "[A-Za-z_][A-Za-z0-9_]{0,20}",
            file in "[^/\0]{1,9}(/[^/\0]{1,9}){0,3}",
            path in "[A-Za-z0-9_~@:+=,-]{1,9}(/[A-Za-z0-9_~@:+=,-]{1,9}){0,3}",
            key in "[A-Za-z0-9_~@:+=,-]{1,9}",
        ) {
            for reference in [
                Reference::Env(name),
                Reference::File(format!("/{file}").into()),
                vault(&path, &key),
            ] {
                prop_assert_eq!(reference.to_string().parse(), Ok(reference));
            }
        }

        #[test]
        fn whatever_is_accepted_is_written_the_same_way(text in "secret://(env|file|vault)/.{0,20}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _ = text.parse::<Reference>();
            let _ = Reference::is_meant_by(&text);
        }
    }
}

//! What the service is started as, as far as that changes the configuration.

use crate::secrets::Secret;
use ::http::Uri;
use std::path::PathBuf;

/// What the service is started as.
#[derive(Clone, Debug)]
pub enum Profile {
    /// The service itself.
    Serve,
    /// The demo, which brings its own inventory.
    Demo(Demo),
}

/// What the demo brings.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Its inventory, in place of `UPSTREAM_API`.
    pub upstream: Uri,
    /// The key of its inventory, in place of `API_KEY`.
    pub api_key: Secret,
    /// Where the persistent tier lies where `CACHE_DIR` does not say.
    pub cache_dir: Option<PathBuf>,
    /// What its catalogue is made from; a store of another catalogue is discarded. It stands in
    /// for the URL of the inventory, whose port is another at every start.
    pub catalogue: String,
    /// Who may write unless `WRITE_API_KEYS` says otherwise, in its form.
    pub write_keys: String,
    /// Who may operate it unless `ADMIN_TOKEN` says otherwise.
    pub admin_token: Secret,
}

// === impl Profile ===

impl Profile {
    /// The value that counts whatever the environment says.
    pub fn fixed(&self, variable: &str) -> Option<String> {
        match (self, variable) {
            (Self::Demo(demo), "UPSTREAM_API") => Some(demo.upstream.to_string()),
            (Self::Demo(demo), "API_KEY") => Some(demo.api_key.expose().to_owned()),
            _ => None,
        }
    }

    /// The value that counts unless the environment says otherwise.
    pub fn default(&self, variable: &str) -> Option<String> {
        match (self, variable) {
            (Self::Demo(demo), "CACHE_DIR") => Some(demo.cache_dir.as_ref()?.display().to_string()),
            (Self::Demo(_), "PUBLISHED_MEMBERS") => Some("*".into()),
            // Whoever takes the inventory away wants to see it at once.
            (Self::Demo(_), "HEALTH_PROBE_SECONDS") => Some("1".into()),
            (Self::Demo(demo), "WRITE_API_KEYS") => Some(demo.write_keys.clone()),
            (Self::Demo(demo), "ADMIN_TOKEN") => Some(demo.admin_token.expose().to_owned()),
            _ => None,
        }
    }

    /// What the stored products come from.
    pub fn origin(&self, upstream: &Uri) -> String {
        match self {
            Self::Serve => upstream.to_string(),
            Self::Demo(demo) => format!("demo {}", demo.catalogue),
        }
    }
}

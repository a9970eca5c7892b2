//! Configuration: what every part is told, read once, with all problems reported at once.
//!
//! A value comes from the environment (`NAME`, or `NAME_FILE` for a file that holds it), else from
//! `pacto.yaml`, else from `configuration/schema.json`. Wherever it comes from, it may be a
//! `secret://` reference, which is resolved first; then the schema's rules apply to it, then the
//! rules between variables. Nothing is started on a configuration that breaks one.

mod contracts;
mod environment;
mod format;
mod pending;
mod problem;
mod profile;
mod rules;
mod schema;
mod sections;
mod settings;

pub use environment::Environment;
pub use pending::Pending;
pub use problem::{Problem, Problems};
pub use profile::{Demo, Profile};
pub use settings::{Origin, Setting};

use crate::contract::Contract;
use crate::secrets::{Fetch, Login, Resolver, Secret, Vault};
use crate::{cache, catalog, http, ops, telemetry, upstream};
use schema::Schema;
use settings::Settings;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Why the way to Vault may not lead through Vault.
const VAULT_FROM_VAULT: &str = "what leads to Vault can not itself be kept in Vault";
/// Why a reference to Vault leads nowhere.
const NO_VAULT: &str =
    "there is no Vault to read it from; set VAULT_ADDR, and VAULT_TOKEN or VAULT_ROLE";

/// Everything the service is told. Its `Debug` shows the settings, and so no secret.
pub struct Config {
    /// `HTTP_ADDR`: where the public API listens.
    pub http_addr: SocketAddr,
    /// `METRICS_ADDR`: where the internal listener listens.
    pub metrics_addr: SocketAddr,
    /// `GRACEFUL_SHUTDOWN_SECONDS`: how long stopping may take, all in all.
    pub graceful_shutdown: Duration,
    /// `DRAIN_DELAY_SECONDS`: how long new requests are still served after the signal to stop.
    pub drain_delay: Duration,
    /// The service's version, from the contract.
    pub version: String,
    /// What the cache is told.
    pub cache: cache::Config,
    /// What the catalogue is told.
    pub catalog: catalog::Config,
    /// What the client of the inventory is told.
    pub upstream: upstream::Config,
    /// What the public API is told.
    pub http: http::Config,
    /// What the internal listener is told.
    pub ops: ops::Config,
    /// What logging is told.
    pub telemetry: telemetry::Config,
    /// Every variable's effective value and where it comes from, fit to be shown.
    pub settings: Vec<Setting>,
    /// What stops nothing and is probably not meant: a line each.
    pub warnings: Vec<String>,
    /// Values that are still to come; someone has to wait for them ([`Pending::arrive`]).
    pub pending: Vec<Pending>,
}

/// What `config check` finds where nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Every variable's effective value and where it comes from, fit to be shown.
    pub settings: Vec<Setting>,
    /// What stops nothing and is probably not meant: a line each.
    pub warnings: Vec<String>,
}

// === impl Config ===

impl Config {
    /// Reads the configuration, with every reference resolved. `fetch` is what Vault is asked
    /// through, and later the issuer of bearer tokens for its keys; here it is not used unless a
    /// reference needs it.
    ///
    /// Takes as long as Vault does, 15 s at most. Where Vault does not answer, `API_KEY`,
    /// `WRITE_API_KEYS` and `ADMIN_TOKEN` are left [`pending`](Config::pending).
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub async fn load(
        contract: &Contract,
        environment: &Environment,
        profile: &Profile,
        fetch: Fetch,
    ) -> Result<Self, Problems> {
        let schema = embedded_schema()?;
        let mut settings = Settings::gather(&schema, contract, environment, profile);
        settings.refuse_vault(is_of_vault, Some(VAULT_FROM_VAULT));
        let resolver = Resolver::new(environment.variables().clone(), None);
        settings.resolve(&resolver, is_of_vault).await;
        settings.judge();
        refuse_unless_configured(&mut settings);

        let vault = vault(&settings, fetch.clone());
        let resolver = Arc::new(Resolver::new(environment.variables().clone(), vault));
        settings.resolve(&resolver, |_| true).await;
        settings.judge();
        rules::check(&mut settings);
        let declared = contracts::declared(&mut settings);
        let settings = settings.sound()?;

        let mut warnings = warnings(&schema, environment, profile);
        warnings.extend(contracts::warnings(&settings, &declared)?);
        let mut config =
            sections::assemble(settings, warnings, contract, profile, &resolver, fetch)?;
        config.catalog.contracts.file = declared;
        Ok(config)
    }

    /// Checks the configuration as far as that goes without resolving references.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub fn check(
        contract: &Contract,
        environment: &Environment,
        profile: &Profile,
    ) -> Result<Report, Problems> {
        let schema = embedded_schema()?;
        let mut settings = Settings::gather(&schema, contract, environment, profile);
        settings.refuse_vault(is_of_vault, Some(VAULT_FROM_VAULT));
        settings.judge();
        refuse_unless_configured(&mut settings);
        rules::check(&mut settings);
        let declared = contracts::declared(&mut settings);
        let settings = settings.sound()?;

        let mut warnings = warnings(&schema, environment, profile);
        warnings.extend(contracts::warnings(&settings, &declared)?);
        Ok(Report {
            settings: settings.list(),
            warnings,
        })
    }
}

impl Config {
    /// Where the public API listens, whatever else is wrong: for whoever only wants to ask it.
    ///
    /// # Errors
    /// What is wrong with `HTTP_ADDR`.
    pub fn http_addr(
        contract: &Contract,
        environment: &Environment,
    ) -> Result<SocketAddr, Problems> {
        let schema = embedded_schema()?;
        let mut settings = Settings::gather(&schema, contract, environment, &Profile::Serve);
        settings.judge();
        let addr = settings.read("HTTP_ADDR", format::socket_address)?;
        Ok(addr.ok_or_else(|| settings::missing("HTTP_ADDR"))?)
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.settings.iter().map(|s| (&s.variable, &s.shown));
        f.debug_map().entries(shown).finish()
    }
}

fn embedded_schema() -> Result<Schema, Problem> {
    Schema::embedded().map_err(|error| Problem::new("configuration/schema.json", error.to_string()))
}

fn is_of_vault(variable: &str) -> bool {
    variable.starts_with("VAULT_")
}

/// References to Vault need a way there. Where the way itself has a problem, that is enough said.
fn refuse_unless_configured(settings: &mut Settings) {
    let way = ["VAULT_ADDR", "VAULT_MOUNT", "VAULT_TOKEN", "VAULT_ROLE"];
    let has_way = settings.is_set("VAULT_ADDR")
        && (settings.is_set("VAULT_TOKEN") || settings.is_set("VAULT_ROLE"));
    if way.iter().any(|name| settings.is_broken(name)) {
        settings.refuse_vault(|_| true, None);
    } else if !has_way {
        settings.refuse_vault(|_| true, Some(NO_VAULT));
    }
}

fn vault(settings: &Settings, fetch: Fetch) -> Option<Vault> {
    let address = settings.text("VAULT_ADDR")?;
    let mount = settings.text("VAULT_MOUNT")?;
    let login = match settings.text("VAULT_TOKEN") {
        Some(token) => Login::Token(Secret::new(token)),
        None => Login::kubernetes(settings.text("VAULT_ROLE")?),
    };
    Some(Vault::new(address, mount, login, fetch))
}

fn warnings(schema: &Schema, environment: &Environment, profile: &Profile) -> Vec<String> {
    let names = schema.variables().iter().map(|v| v.name.as_str());
    let known: BTreeSet<&str> = names.collect();
    let ignored = known.iter().filter(|name| {
        let is_given =
            environment.get(name).is_some() || environment.get(&format!("{name}_FILE")).is_some();
        is_given && profile.fixed(name).is_some()
    });
    let mut lines: Vec<String> = ignored
        .map(|name| format!("{name} has no effect: the demo brings its own inventory"))
        .collect();
    lines.extend(environment.misspelt(&known));
    lines
}

#[cfg(test)]
mod tests;

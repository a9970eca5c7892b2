//! The service contract, `pacto.yaml`: compiled in, parsed, and the source of the defaults.
//!
//! Everything in it is typed and nothing else is admitted, so a contract that says something this
//! service does not understand fails a test rather than being ignored.

mod document;

pub use document::{
    Configuration, Dependency, Document, Endpoint, Image, Interface, Lifecycle, Persistence,
    Runtime, Scaling, Service, State, Value,
};

use semver::{Version, VersionReq};
use std::time::Duration;

/// The contract as it stands in the repository.
const EMBEDDED: &str = include_str!("../pacto.yaml");

/// The interface of the public API.
const PUBLIC: &str = "rest-api";
/// The interface of the internal listener.
const INTERNAL: &str = "metrics";
/// The dependency that is the source of truth.
const INVENTORY: &str = "inventory";
/// The configuration whose values are the defaults.
const DEFAULT: &str = "default";

/// A contract that names everything this service relies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    document: Document,
    public_port: u16,
    internal_port: u16,
    inventory_versions: VersionReq,
}

/// Why a contract can not be used: it must be corrected, and the binary built again.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// It is not YAML, lacks a member, or has one that is not known.
    #[error("pacto.yaml can not be read: {0}")]
    Unreadable(#[from] yaml_serde::Error),
    /// It does not name something this service relies on.
    #[error("pacto.yaml has no {kind} named `{name}`")]
    Missing {
        /// interface, configuration or dependency.
        kind: &'static str,
        /// Its name.
        name: String,
    },
}

// === impl Contract ===

impl Contract {
    /// The contract this binary was built with.
    ///
    /// # Errors
    /// As [`Contract::parse`]; a test keeps the contract in the repository free of them.
    pub fn embedded() -> Result<Self, ContractError> {
        Self::parse(EMBEDDED)
    }

    /// Reads a contract.
    ///
    /// # Errors
    /// - [`ContractError::Unreadable`]: not YAML, or not exactly the members of [`Document`].
    /// - [`ContractError::Missing`]: without the public or internal interface, those its health
    ///   and metrics are on, the default configuration, or the inventory.
    pub fn parse(yaml: &str) -> Result<Self, ContractError> {
        let document: Document = yaml_serde::from_str(yaml)?;
        let public_port = port(&document, PUBLIC)?;
        let internal_port = port(&document, INTERNAL)?;
        port(&document, &document.runtime.health.interface)?;
        port(&document, &document.runtime.metrics.interface)?;
        if document.configurations.iter().all(|c| c.name != DEFAULT) {
            return Err(missing("configuration", DEFAULT));
        }
        let inventory_versions = document
            .dependencies
            .iter()
            .find(|dependency| dependency.name == INVENTORY)
            .map(|dependency| dependency.compatibility.clone())
            .ok_or_else(|| missing("dependency", INVENTORY))?;
        Ok(Self {
            document,
            public_port,
            internal_port,
            inventory_versions,
        })
    }

    /// The document, member by member.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The service's name.
    pub fn name(&self) -> &str {
        &self.document.service.name
    }

    /// The service's version.
    pub fn version(&self) -> &Version {
        &self.document.service.version
    }

    /// The port of the public API.
    pub fn public_port(&self) -> u16 {
        self.public_port
    }

    /// The port of the internal listener.
    pub fn internal_port(&self) -> u16 {
        self.internal_port
    }

    /// The default the contract gives a variable, if it gives one.
    pub fn value(&self, variable: &str) -> Option<&Value> {
        self.values()
            .find(|(name, _)| *name == variable)
            .map(|(_, value)| value)
    }

    /// All the defaults the contract gives, by variable.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.document
            .configurations
            .iter()
            .filter(|configuration| configuration.name == DEFAULT)
            .flat_map(|configuration| &configuration.values)
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Which versions of the inventory will do.
    pub fn inventory_versions(&self) -> &VersionReq {
        &self.inventory_versions
    }

    /// How long the service may take to stop.
    pub fn graceful_shutdown(&self) -> Duration {
        Duration::from_secs(self.document.runtime.lifecycle.graceful_shutdown_seconds)
    }

    /// The path of the health answer, on the public API.
    pub fn health_path(&self) -> &str {
        &self.document.runtime.health.path
    }

    /// The path of the metrics, on the internal listener.
    pub fn metrics_path(&self) -> &str {
        &self.document.runtime.metrics.path
    }
}

fn port(document: &Document, name: &str) -> Result<u16, ContractError> {
    document
        .interfaces
        .iter()
        .find(|interface| interface.name == name)
        .map(|interface| interface.port)
        .ok_or_else(|| missing("interface", name))
}

fn missing(kind: &'static str, name: &str) -> ContractError {
    ContractError::Missing {
        kind,
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded() -> Contract {
        Contract::embedded().unwrap()
    }

    #[test]
    fn the_contracts_version_is_the_crates() {
        assert_eq!(embedded().version().to_string(), env!("CARGO_PKG_VERSION"));
        assert_eq!(embedded().name(), env!("CARGO_PKG_NAME"));
    }

    #[test]
    fn the_accessors_read_what_the_contract_says() {
        let contract = embedded();
        assert_eq!(contract.public_port(), 8080);
        assert_eq!(contract.internal_port(), 9090);
        assert_eq!(contract.graceful_shutdown(), Duration::from_secs(10));
        assert_eq!(contract.health_path(), "/health");
        assert_eq!(contract.metrics_path(), "/metrics");
        assert_eq!(
            contract.value("CACHE_TTL_SECONDS"),
            Some(&Value::Integer(3600))
        );
        assert_eq!(contract.value("CACHE_DIR"), None);
        for (version, will_do) in [("1.0.0", true), ("1.9.3", true), ("2.0.0", false)] {
            let version = Version::parse(version).unwrap();
            assert_eq!(contract.inventory_versions().matches(&version), will_do);
        }
    }

    #[test]
    fn a_contract_that_lacks_what_the_service_relies_on_is_refused() {
        for (what, by, complaint) in [
            (
                "- name: rest-api",
                "- name: rest",
                "no interface named `rest-api`",
            ),
            (
                "- name: metrics",
                "- name: admin",
                "no interface named `metrics`",
            ),
            (
                "interface: rest-api",
                "interface: grpc",
                "no interface named `grpc`",
            ),
            (
                "- name: default",
                "- name: other",
                "no configuration named `default`",
            ),
            (
                "- name: inventory",
                "- name: stock",
                "no dependency named `inventory`",
            ),
        ] {
            let error = Contract::parse(&EMBEDDED.replacen(what, by, 1)).unwrap_err();
            assert!(error.to_string().contains(complaint), "{what}: {error}");
        }
    }

    #[test]
    fn a_member_that_is_unknown_missing_or_of_another_type_is_refused() {
        for (what, by) in [
            ("  owner: team/catalog\n", ""),
            ("  owner: team/catalog", "  owners: team/catalog"),
            ("port: 8080", "port: 80800"),
            ("version: 2.0.1", "version: two"),
            ("\"^1.0.0\"", "\"about 1\""),
            ("private: true", "private: perhaps"),
        ] {
            let error = Contract::parse(&EMBEDDED.replacen(what, by, 1)).unwrap_err();
            assert!(matches!(error, ContractError::Unreadable(_)), "{what}");
        }
    }
}

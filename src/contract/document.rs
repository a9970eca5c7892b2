//! The members of `pacto.yaml`, all of them and typed.

use semver::{Version, VersionReq};
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;

/// The whole document, member by member.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Version of the contract language.
    pub pacto_version: String,
    /// What is described.
    pub service: Service,
    /// What it listens on.
    pub interfaces: Vec<Interface>,
    /// What it can be told.
    pub configurations: Vec<Configuration>,
    /// What it needs.
    pub dependencies: Vec<Dependency>,
    /// How it behaves.
    pub runtime: Runtime,
    /// How many replicas.
    pub scaling: Scaling,
    /// Free labels.
    pub metadata: BTreeMap<String, String>,
}

/// The service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its version; equals the crate's.
    #[serde(deserialize_with = "from_text")]
    pub version: Version,
    /// Who answers for it.
    pub owner: String,
    /// What is deployed.
    pub image: Image,
}

/// The container image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Registry, repository and tag.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether pulling it needs a credential.
    pub private: bool,
}

/// Something the service listens on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its protocol.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its TCP port.
    pub port: u16,
    /// Who may reach it: public or internal.
    pub visibility: String,
    /// Its description, as a path in the bundle.
    #[serde(default)]
    pub contract: Option<String>,
}

/// A set of values and the rules for them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Its name.
    pub name: String,
    /// The rules, as a path in the bundle.
    pub schema: String,
    /// The values, by variable.
    pub values: BTreeMap<String, Value>,
}

/// A value of a variable, with the type YAML gives it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// true or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Text; may be a `secret://` reference.
    Text(String),
}

/// Something the service needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Where its own contract lies.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether the service is of use without it.
    pub required: bool,
    /// Which of its versions will do.
    #[serde(deserialize_with = "from_text")]
    pub compatibility: VersionReq,
}

/// How the service behaves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// service, job or scheduled.
    pub workload: String,
    /// What it keeps.
    pub state: State,
    /// How it is replaced.
    pub lifecycle: Lifecycle,
    /// Where its health is asked for.
    pub health: Endpoint,
    /// Where its metrics are scraped.
    pub metrics: Endpoint,
}

/// What the service keeps between requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// stateless, stateful or hybrid.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where and how long.
    pub persistence: Persistence,
    /// What its loss costs.
    pub data_criticality: String,
}

/// Where state is kept, and how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Persistence {
    /// local or shared.
    pub scope: String,
    /// ephemeral or persistent.
    pub durability: String,
}

/// How the service is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lifecycle {
    /// rolling, recreate or ordered.
    pub upgrade_strategy: String,
    /// How long it may take to stop, in seconds.
    pub graceful_shutdown_seconds: u64,
}

/// A path on one of the interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The interface's name.
    pub interface: String,
    /// The path.
    pub path: String,
}

/// How many replicas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
}

// === impl Value ===

impl std::fmt::Display for Value {
    /// The value as an environment variable would hold it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

/// semver's types come without serde here; their text form is what the contract holds anyway.
fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    String::deserialize(deserializer)?
        .parse()
        .map_err(de::Error::custom)
}

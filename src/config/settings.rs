//! What every variable is set to: gathered from its sources, resolved, and judged by its rules.

mod entry;
mod source;

use super::environment::Environment;
use super::problem::{Problem, Problems};
use super::profile::Profile;
use super::schema::{Schema, Value, Variable};
use crate::contract::Contract;
use crate::secrets::{Reference, Resolver};
use entry::{Content, Entry};
use source::Source;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The variables whose value may arrive after the start, when a Vault does not answer at once.
const MAY_BE_LATE: [&str; 3] = ["API_KEY", "WRITE_API_KEYS", "ADMIN_TOKEN"];

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `pacto.yaml`.
    Contract,
    /// `configuration/schema.json`.
    Schema,
    /// Standard output is a terminal.
    Terminal,
    /// The demo's own.
    Demo,
    /// The variable itself.
    Environment,
    /// The file that `NAME_FILE` names.
    File(PathBuf),
    /// A default that did not fit the value somebody set for this other variable.
    Follows(&'static str),
}

/// One variable's effective value, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable.
    pub variable: String,
    /// Its value; `(secret)` in place of one, `(none)` where it has none.
    pub shown: String,
    /// Where it comes from; `None` where it has none.
    pub origin: Option<Origin>,
}

/// All variables.
pub struct Settings {
    entries: BTreeMap<String, Entry>,
    problems: Vec<Problem>,
}

// === impl Origin ===

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Contract => f.write_str("pacto.yaml"),
            Self::Schema => f.write_str("default"),
            Self::Terminal => f.write_str("default on a terminal"),
            Self::Demo => f.write_str("demo"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Follows(leader) => write!(f, "follows {leader}"),
        }
    }
}

// === impl Setting ===

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.variable, self.shown)?;
        match &self.origin {
            Some(origin) => write!(f, "  # {origin}"),
            None => Ok(()),
        }
    }
}

// === impl Settings ===

impl Settings {
    /// Looks every variable up: what the profile fixes, the environment, the profile's defaults,
    /// the contract, the schema. References stay unresolved.
    pub fn gather(
        schema: &Schema,
        contract: &Contract,
        environment: &Environment,
        profile: &Profile,
    ) -> Self {
        let mut entries = BTreeMap::new();
        let mut problems = Vec::new();
        for variable in schema.variables() {
            let source = Source {
                variable,
                contract,
                environment,
                profile,
            };
            let entry = source.entry().unwrap_or_else(|problem| {
                problems.push(problem);
                Entry::new(variable, None, Content::Broken)
            });
            entries.insert(variable.name.clone(), entry);
        }
        Self { entries, problems }
    }

    /// Resolves the references of the variables that `select` selects, all at once. What can not
    /// be resolved becomes a problem, or late where that may be.
    pub async fn resolve(&mut self, resolver: &Resolver, select: impl Fn(&str) -> bool) {
        let selected = self.entries.iter_mut().filter(|(name, _)| select(name));
        let lookups = selected.filter_map(|(name, entry)| match &entry.content {
            Content::Referred(reference) => {
                let reference = reference.clone();
                Some(async move {
                    let result = resolver.resolve(&reference).await;
                    (name, entry, reference, result)
                })
            }
            _ => None,
        });
        for (name, entry, reference, result) in futures_util::future::join_all(lookups).await {
            match result {
                Ok(secret) => entry.content = Content::Raw(secret),
                Err(error) if error.is_passing() && MAY_BE_LATE.contains(&name.as_str()) => {
                    entry.content = Content::Late(reference);
                }
                Err(error) => entry.refuse(&error.to_string(), &mut self.problems),
            }
        }
    }

    /// Gives up the references to Vault of the variables that `select` selects; `rule` says why,
    /// unless that has been reported already.
    pub fn refuse_vault(&mut self, select: impl Fn(&str) -> bool, rule: Option<&str>) {
        for (name, entry) in &mut self.entries {
            let is_vault = matches!(entry.content, Content::Referred(Reference::Vault { .. }));
            if !is_vault || !select(name) {
                continue;
            }
            match rule {
                Some(rule) => entry.refuse(rule, &mut self.problems),
                None => entry.content = Content::Broken,
            }
        }
    }

    /// Applies the rules to every text that is here and was not judged yet.
    pub fn judge(&mut self) {
        for entry in self.entries.values_mut() {
            entry.judge(&mut self.problems);
        }
    }

    /// The settings, if there is nothing wrong with them.
    ///
    /// # Errors
    /// Everything that is.
    pub fn sound(mut self) -> Result<Self, Problems> {
        Problems::of(std::mem::take(&mut self.problems))?;
        Ok(self)
    }

    /// Whether the value of `name` is one that nobody set.
    pub fn is_default(&self, name: &str) -> bool {
        self.entries
            .get(name)
            .is_some_and(Entry::is_unset_by_people)
    }

    /// Gives the default of `name` up for `number`, which goes with what `leader` is set to.
    pub fn follow(&mut self, name: &str, number: i64, leader: &'static str) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.follow(number, leader);
        }
    }

    /// Adds a problem found elsewhere.
    pub fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// What is in effect, for people. Leaves out what this version does not offer.
    pub fn list(&self) -> Vec<Setting> {
        self.entries
            .values()
            .filter(|entry| entry.variable.is_available())
            .map(Entry::setting)
            .collect()
    }

    /// Whether `name` holds anything, be it a reference or a problem.
    pub fn is_set(&self, name: &str) -> bool {
        !matches!(self.content(name), None | Some(Content::Unset))
    }

    /// Whether a problem with `name` was reported.
    pub fn is_broken(&self, name: &str) -> bool {
        matches!(self.content(name), Some(Content::Broken))
    }

    /// The reference of `name` whose Vault did not answer, and the rules for what will come.
    pub fn late(&self, name: &str) -> Option<(&Reference, &Variable)> {
        let entry = self.entries.get(name)?;
        match &entry.content {
            Content::Late(reference) => Some((reference, &entry.variable)),
            _ => None,
        }
    }

    /// The text of `name`, where it has one.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.content(name)? {
            Content::Valid(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The text of `name` as `read` reads it, where it has one.
    ///
    /// # Errors
    /// `read` refuses it.
    pub fn read<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| read(text).map_err(|rule| Problem::new(name, rule)))
            .transpose()
    }

    /// The whole number of `name`.
    ///
    /// # Errors
    /// It has none.
    pub fn integer<T: TryFrom<i64>>(&self, name: &str) -> Result<T, Problem> {
        match self.content(name) {
            Some(Content::Valid(Value::Integer(number))) => T::try_from(*number).ok(),
            _ => None,
        }
        .ok_or_else(|| missing(name))
    }

    /// The number of `name`, whole or not.
    ///
    /// # Errors
    /// It has none.
    pub fn number(&self, name: &str) -> Result<f64, Problem> {
        match self.content(name) {
            Some(Content::Valid(Value::Number(number))) => Ok(*number),
            _ => Err(missing(name)),
        }
    }

    /// The truth of `name`.
    ///
    /// # Errors
    /// It has none.
    pub fn boolean(&self, name: &str) -> Result<bool, Problem> {
        match self.content(name) {
            Some(Content::Valid(Value::Boolean(truth))) => Ok(*truth),
            _ => Err(missing(name)),
        }
    }

    /// The whole number of `name` as seconds.
    ///
    /// # Errors
    /// It has none.
    pub fn seconds(&self, name: &str) -> Result<Duration, Problem> {
        self.integer(name).map(Duration::from_secs)
    }

    /// The whole number of `name` as milliseconds.
    ///
    /// # Errors
    /// It has none.
    pub fn millis(&self, name: &str) -> Result<Duration, Problem> {
        self.integer(name).map(Duration::from_millis)
    }

    fn content(&self, name: &str) -> Option<&Content> {
        self.entries.get(name).map(|entry| &entry.content)
    }
}

/// The problem of a variable that holds nothing although the service can not do without it.
pub fn missing(name: &str) -> Problem {
    Problem::new(name, "must be set")
}

//! What the process was given: its environment variables, and whether a person is watching.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::IsTerminal;

/// Beginnings that nobody else uses: a variable with one of them is meant for this service.
const OURS: [&str; 8] = [
    "CACHE_",
    "CIRCUIT_",
    "CONTRACTS_",
    "GRACEFUL_SHUTDOWN_",
    "HTTP_MAX_",
    "PUBLISHED_",
    "UPSTREAM_",
    "WARMUP_",
];

/// Shorter names are near to too much that is somebody else's.
const SHORTEST_NEAR: usize = 9;

/// The environment, as it was when it was looked at. An empty variable counts as unset.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    unreadable: BTreeSet<String>,
    is_terminal: bool,
}

// === impl Environment ===

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os()).on_terminal(std::io::stdout().is_terminal())
    }

    /// An environment of these variables, without a terminal.
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => environment.set(name, value),
                Err(_) => drop(environment.unreadable.insert(name)),
            }
        }
        environment
    }

    /// The same, with standard output on a terminal or not.
    #[must_use]
    pub fn on_terminal(mut self, is_terminal: bool) -> Self {
        self.is_terminal = is_terminal;
        self
    }

    /// The value of a variable, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Whether a variable is set to something that is not UTF-8 text.
    pub fn is_unreadable(&self, name: &str) -> bool {
        self.unreadable.contains(name)
    }

    /// Whether standard output is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// All variables that are set.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// A line for each variable that looks like one of `known` and is none: it has no effect.
    pub fn misspelt(&self, known: &BTreeSet<&str>) -> Vec<String> {
        let all = self.variables.keys().chain(&self.unreadable);
        all.filter(|name| !is_known(name, known) && !is_injected(name))
            .filter_map(|name| {
                let (near, distance) = nearest(name, known)?;
                let is_ours = OURS.iter().any(|start| name.starts_with(start));
                let is_near = name.len() >= SHORTEST_NEAR && distance <= 2;
                (is_ours || is_near).then(|| {
                    format!("{name} is not a variable of this service and has no effect; did you mean {near}?")
                })
            })
            .collect()
    }

    fn set(&mut self, name: String, value: String) {
        if !value.is_empty() {
            self.variables.insert(name, value);
        }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    /// An environment of these variables, without a terminal.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            environment.set(name.into(), value.into());
        }
        environment
    }
}

fn is_known(name: &str, known: &BTreeSet<&str>) -> bool {
    known.contains(name)
        || name
            .strip_suffix("_FILE")
            .is_some_and(|name| known.contains(name))
}

/// Kubernetes and linked containers describe their neighbours in such variables.
fn is_injected(name: &str) -> bool {
    name.ends_with("_PORT") || name.contains("_SERVICE_") || name.contains("_PORT_")
}

fn nearest<'a>(name: &str, known: &BTreeSet<&'a str>) -> Option<(&'a str, usize)> {
    known
        .iter()
        .map(|&candidate| (candidate, distance(name, candidate)))
        // Whoever left off the end of a name meant that name.
        .min_by_key(|&(candidate, distance)| (!candidate.starts_with(name), distance))
}

/// How many letters have to be added, dropped or changed (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (above, candidate) in row.iter().skip(1).zip(other.chars()) {
            left = (diagonal + usize::from(letter != candidate))
                .min(left + 1)
                .min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_unset() {
        let environment = Environment::from_iter([("CACHE_DIR", ""), ("API_KEY", "k")]);
        assert_eq!(environment.get("CACHE_DIR"), None);
        assert_eq!(environment.get("API_KEY"), Some("k"));
    }

    #[test]
    fn the_distance_counts_letters() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("CACHE_TTL", "CACHE_TTL_SECONDS", 8),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn a_misspelt_variable_is_reported_with_the_nearest_name() {
        let known = BTreeSet::from([
            "CACHE_TTL_SECONDS",
            "API_KEY",
            "WRITE_API_KEYS",
            "VAULT_ADDR",
        ]);
        for (name, near) in [
            ("CACHE_TTL_SECOND", Some("CACHE_TTL_SECONDS")),
            ("CACHE_TTL", Some("CACHE_TTL_SECONDS")),
            ("CACHE_TTL_SECONDS", None),
            ("CACHE_TTL_SECONDS_FILE", None),
            ("WRITE_API_KEY", Some("WRITE_API_KEYS")),
            ("VAULT_ADDRESS", None),
            ("APP_KEY", None),
            ("CACHE_SERVICE_HOST", None),
            ("CACHE_PORT_6379_TCP", None),
            ("PATH", None),
        ] {
            let warnings = Environment::from_iter([(name, "x")]).misspelt(&known);
            match near {
                Some(near) => assert!(
                    warnings[0].ends_with(&format!("did you mean {near}?")),
                    "{name}"
                ),
                None => assert!(warnings.is_empty(), "{name}: {warnings:?}"),
            }
        }
    }

    #[test]
    fn the_processs_own_environment_can_be_read() {
        assert!(Environment::of_process().get("PATH").is_some());
    }
}

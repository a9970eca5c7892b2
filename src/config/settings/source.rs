//! Where one variable's value is looked up, in order of precedence.

use super::Origin;
use super::entry::{Content, Entry, not_offered};
use crate::config::environment::Environment;
use crate::config::problem::{Problem, shown};
use crate::config::profile::Profile;
use crate::config::schema::Variable;
use crate::contract::Contract;
use crate::secrets::{self, Reference, Secret};
use std::path::PathBuf;

/// One variable, and everything that may set it.
pub struct Source<'a> {
    /// The variable.
    pub variable: &'a Variable,
    /// Defaults.
    pub contract: &'a Contract,
    /// What was set.
    pub environment: &'a Environment,
    /// What the service is started as.
    pub profile: &'a Profile,
}

// === impl Source ===

impl Source<'_> {
    /// What the variable is set to; a reference stays one.
    ///
    /// # Errors
    /// Two sources at once, one that can not be read, or a malformed reference.
    pub fn entry(&self) -> Result<Entry, Problem> {
        let Some((text, origin)) = self.lookup()? else {
            return Ok(Entry::new(self.variable, None, Content::Unset));
        };
        let content = if Reference::is_meant_by(&text) {
            Content::Referred(self.reference(&text, &origin)?)
        } else {
            Content::Raw(Secret::new(text))
        };
        Ok(Entry::new(self.variable, Some(origin), content))
    }

    fn lookup(&self) -> Result<Option<(String, Origin)>, Problem> {
        let name = self.variable.name.as_str();
        if let Some(text) = self.profile.fixed(name) {
            return Ok(Some((text, Origin::Demo)));
        }
        let in_file = format!("{name}_FILE");
        for name in [name, &in_file] {
            if self.environment.is_unreadable(name) {
                return Err(Problem::new(name, "must be UTF-8 text"));
            }
        }
        match (self.environment.get(name), self.environment.get(&in_file)) {
            (Some(_), Some(_)) => Err(Problem::new(
                name,
                format!("must not be set together with {in_file}; unset one of them"),
            )),
            (Some(text), None) => Ok(Some((text.to_owned(), Origin::Environment))),
            (None, Some(path)) => self.file(&in_file, path).map(Some),
            (None, None) => Ok(self.default()),
        }
    }

    fn file(&self, variable: &str, path: &str) -> Result<(String, Origin), Problem> {
        let problem = |rule: String| Problem::new(variable, rule).holding(shown(path));
        let path = PathBuf::from(path);
        let text = secrets::read_file(&path)
            .map_err(|error| problem(format!("must name a readable file: {error}")))?;
        if text.is_empty() {
            return Err(problem("must name a file that is not empty".into()));
        }
        Ok((text, Origin::File(path)))
    }

    fn default(&self) -> Option<(String, Origin)> {
        let name = self.variable.name.as_str();
        if let Some(text) = self.profile.default(name) {
            return Some((text, Origin::Demo));
        }
        let from_contract = match name {
            "HTTP_ADDR" => Some(format!("0.0.0.0:{}", self.contract.public_port())),
            "METRICS_ADDR" => Some(format!("0.0.0.0:{}", self.contract.internal_port())),
            "GRACEFUL_SHUTDOWN_SECONDS" => {
                Some(self.contract.graceful_shutdown().as_secs().to_string())
            }
            "LOG_FORMAT" if self.environment.is_terminal() => {
                return Some(("pretty".into(), Origin::Terminal));
            }
            name => self.contract.value(name).map(ToString::to_string),
        };
        from_contract
            .map(|text| (text, Origin::Contract))
            .or_else(|| Some((self.variable.default_text()?, Origin::Schema)))
    }

    fn reference(&self, text: &str, origin: &Origin) -> Result<Reference, Problem> {
        let name = &self.variable.name;
        if !self.variable.is_available() {
            return Err(not_offered(self.variable));
        }
        text.parse().map_err(|error: secrets::MalformedReference| {
            let problem = Problem::new(name, error.to_string());
            if self.variable.is_secret() || matches!(origin, Origin::File(_)) {
                problem
            } else {
                problem.holding(shown(text))
            }
        })
    }
}

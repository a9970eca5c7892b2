//! What is wrong with the configuration, in lines for the person who can correct it.

/// One thing that is wrong: the variable, what it holds, and the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    variable: String,
    holds: Option<String>,
    rule: String,
}

/// Everything that is wrong, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

// === impl Problem ===

impl Problem {
    /// `variable` breaks `rule`, whatever it holds.
    pub fn new(variable: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            variable: variable.into(),
            holds: None,
            rule: rule.into(),
        }
    }

    /// The same, and it holds `shown`: text that is fit to be shown.
    #[must_use]
    pub fn holding(mut self, shown: impl Into<String>) -> Self {
        self.holds = Some(shown.into());
        self
    }

    /// The variable.
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// The rule it breaks.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.holds {
            Some(shown) => write!(f, "{} is {shown}: {}", self.variable, self.rule),
            None => write!(f, "{}: {}", self.variable, self.rule),
        }
    }
}

// === impl Problems ===

impl Problems {
    /// `Err` with all of them, if there are any.
    ///
    /// # Errors
    /// The problems.
    pub fn of(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self(problems))
        }
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A value that is no secret, fit for one line: without what a URL may carry beside its place,
/// without control characters, and not long.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let place = text.rsplit_once('@').map_or(text, |(_, place)| place);
    let end = place.find(['?', '#']).unwrap_or(place.len());
    let kept = place.get(..end).unwrap_or_default();
    let before = if place.len() < text.len() { "…@" } else { "" };
    let mut line: String = kept.chars().take(LONGEST).collect();
    if line.len() < kept.len() || end < place.len() {
        line.push('…');
    }
    format!("\"{before}{}\"", line.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_with_variable_value_and_rule() {
        let problem = Problem::new("CACHE_DIR", "must be a directory");
        assert_eq!(problem.to_string(), "CACHE_DIR: must be a directory");
        let problem = problem.holding(shown("a\nb"));
        assert_eq!(
            problem.to_string(),
            "CACHE_DIR is \"a\\nb\": must be a directory"
        );
    }

    #[test]
    fn problems_are_printed_one_a_line() {
        let problems = Problems::of(vec![Problem::new("A", "x"), Problem::new("B", "y")]);
        assert_eq!(problems.unwrap_err().to_string(), "A: x\nB: y");
        assert_eq!(Problems::of(Vec::new()), Ok(()));
    }

    #[test]
    fn what_a_url_carries_beside_its_place_is_not_shown() {
        for (text, line) in [
            ("https://h/api", "\"https://h/api\""),
            ("https://user:hunter2@h/api", "\"…@h/api\""),
            ("https://user:hunt@er2@h", "\"…@h\""),
            ("user:hunter2@h", "\"…@h\""),
            ("https://h/?token=hunter2", "\"https://h/…\""),
            ("https://h/#hunter2", "\"https://h/…\""),
            ("", "\"\""),
        ] {
            assert_eq!(shown(text), line);
        }
        assert!(shown(&"ä".repeat(1000)).chars().count() < 90);
    }
}

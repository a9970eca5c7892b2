//! The metrics of freshness contracts. Their series come and go with the contracts, which the recorder has no
//! way for; so they are kept here, as they were told last, and written beside it.

use super::ALL;
use super::table::name;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How one contract was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ContractFigures {
    /// Its name: words of lower case letters and digits, joined by hyphens.
    pub contract: Arc<str>,
    /// Looks at its keys.
    pub checks: u64,
    /// Those that found them fresh.
    pub fresh: u64,
    /// Refreshes begun.
    pub triggered: u64,
    /// Those that failed.
    pub failed: u64,
    /// Keys that passed window and grace.
    pub exhausted: u64,
    /// The share of the checks that found a key fresh, 0 to 1.
    pub compliance: f64,
}

static FIGURES: Mutex<Vec<ContractFigures>> = Mutex::new(Vec::new());

/// Tells how all contracts there are were kept.
pub fn contracts(figures: Vec<ContractFigures>) {
    *lock() = figures;
}

/// Writes the series, in Prometheus' text format.
pub(super) fn render(out: &mut String) {
    write_series(&lock(), out);
}

fn write_series(figures: &[ContractFigures], out: &mut String) {
    for (metric, value) in VALUES {
        let Some(described) = ALL.iter().find(|known| known.name == *metric) else {
            continue;
        };
        if figures.is_empty() {
            return;
        }
        let (help, kind) = (described.help, described.kind.as_str());
        // Writing to a `String` does not fail; nor does it below.
        let _ = write!(out, "# HELP {metric} {help}\n# TYPE {metric} {kind}\n");
        for contract in figures {
            let (label, value) = (&contract.contract, value(contract));
            let _ = writeln!(out, "{metric}{{contract=\"{label}\"}} {value}");
        }
        out.push('\n');
    }
}

/// A metric, and its value for one contract.
type Series = (&'static str, fn(&ContractFigures) -> String);

const VALUES: &[Series] = &[
    (name::CONTRACT_CHECKS, |of| of.checks.to_string()),
    (name::CONTRACT_FRESH, |of| of.fresh.to_string()),
    (name::CONTRACT_TRIGGERED, |of| of.triggered.to_string()),
    (name::CONTRACT_FAILED, |of| of.failed.to_string()),
    (name::CONTRACT_EXHAUSTED, |of| of.exhausted.to_string()),
    (name::CONTRACT_COMPLIANCE, |of| of.compliance.to_string()),
];

/// Whether the recorder knows nothing of a metric, because it is written here.
pub(super) fn writes(metric: &str) -> bool {
    VALUES.iter().any(|(name, _)| *name == metric)
}

/// The figures are replaced whole, so poison is ignored.
fn lock() -> MutexGuard<'static, Vec<ContractFigures>> {
    FIGURES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_a_contract_go_with_it() {
        let of = |name: &str, checks| ContractFigures {
            contract: name.into(),
            checks,
            fresh: 1,
            triggered: 2,
            failed: 3,
            exhausted: 4,
            compliance: 0.5,
        };
        let rendered = |figures: Vec<_>| {
            let mut out = String::new();
            write_series(&figures, &mut out);
            out
        };
        let both = rendered(vec![of("one", 7), of("two", 8)]);
        for line in [
            "# TYPE catalog_contract_checks_total counter\ncatalog_contract_checks_total{contract=\"one\"} 7\ncatalog_contract_checks_total{contract=\"two\"} 8\n",
            "\ncatalog_contract_checks_fresh_total{contract=\"one\"} 1\n",
            "\ncatalog_contract_refreshes_triggered_total{contract=\"one\"} 2\n",
            "\ncatalog_contract_refreshes_failed_total{contract=\"one\"} 3\n",
            "\ncatalog_contract_grace_exhausted_total{contract=\"one\"} 4\n",
            "# TYPE catalog_contract_compliance_ratio gauge\ncatalog_contract_compliance_ratio{contract=\"one\"} 0.5\n",
        ] {
            assert!(both.contains(line), "{line} is missing in\n{both}");
        }
        let one = rendered(vec![of("two", 9)]);
        assert!(!one.contains("\"one\"") && one.contains("{contract=\"two\"} 9\n"));
        assert_eq!(rendered(Vec::new()), "");
    }
}

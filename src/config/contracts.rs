//! `CONTRACTS_…`: freshness contracts, and the file that declares them.

use super::format;
use super::problem::{Problem, Problems, shown};
use super::settings::Settings;
use crate::cache::ContractsConfig;
use crate::catalog::contracts::{self, Declared, judge_url, parse_file};
use crate::upstream::Origin;
use std::io::Read;

/// The variable that names the file.
const FILE: &str = "CONTRACTS_FILE";

/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 16 << 20;

/// How contracts are kept; `None` where they are switched off.
///
/// # Errors
/// The first variable without a value, which the schema's defaults rule out.
pub fn engine(settings: &Settings) -> Result<Option<ContractsConfig>, Problem> {
    let engine = ContractsConfig {
        tick_interval: settings.millis("CONTRACTS_TICK_INTERVAL_MS")?,
        refresh_threshold: settings.number("CONTRACTS_REFRESH_THRESHOLD")?,
        max_concurrent_refreshes: settings.integer("CONTRACTS_MAX_CONCURRENT_REFRESHES")?,
        refresh_timeout: settings.millis("CONTRACTS_REFRESH_TIMEOUT_MS")?,
    };
    Ok(settings.boolean("CONTRACTS_ENABLED")?.then_some(engine))
}

/// Reads the contracts of the file, if there is one, and reports everything that is wrong with them.
pub fn declared(settings: &mut Settings) -> Vec<Declared> {
    let Some(path) = settings.text(FILE).map(str::to_owned) else {
        return Vec::new();
    };
    let base = settings.read("UPSTREAM_API", format::http_url);
    let others = settings.read("CONTRACTS_REFRESH_ORIGINS", Origin::list);
    // Where these are wrong themselves, that is enough said.
    let judge = |text: &str| match (&base, &others) {
        (Ok(Some(base)), Ok(others)) => judge_url(text, base, others.as_deref().unwrap_or(&[])),
        _ => Ok(true),
    };
    read(&path)
        .and_then(|text| parse_file(&text, &judge))
        .unwrap_or_else(|rules| {
            for rule in rules {
                settings.report(Problem::new(FILE, rule).holding(shown(&path)));
            }
            Vec::new()
        })
}

/// What stops nothing and is probably not meant: a line each.
///
/// # Errors
/// As [`engine`].
pub fn warnings(settings: &Settings, declared: &[Declared]) -> Result<Vec<String>, Problems> {
    let config = contracts::Config {
        engine: engine(settings)?,
        file: declared.to_vec(),
    };
    let mut lines = contracts::remarks(&config);
    if config.engine.is_none() && !declared.is_empty() {
        lines.push("CONTRACTS_FILE is listed and not kept: CONTRACTS_ENABLED is false".to_owned());
    }
    Ok(lines)
}

fn read(path: &str) -> Result<String, Vec<String>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes));
    let rule = match read {
        Err(error) => format!("must name a readable file: {error}"),
        Ok(_) if bytes.len() as u64 > LARGEST_FILE => {
            "must name a file of at most 16 MiB".to_owned()
        }
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) => return Ok(text),
            Err(_) => "must name a file of UTF-8 text".to_owned(),
        },
    };
    Err(vec![rule])
}

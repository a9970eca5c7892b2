//! Rules between variables, which the schema can not express.

use super::format;
use super::problem::Problem;
use super::settings::Settings;

/// Reports every pair of variables that do not go together. A variable that has a problem of its
/// own, or whose value is not here yet, is left alone.
pub fn check(settings: &mut Settings) {
    for rule in [
        drain_within_shutdown,
        two_listeners,
        attempt_within_deadline,
        entry_within_cap,
        one_way_into_vault,
    ] {
        if let Some(problem) = rule(settings) {
            settings.report(problem);
        }
    }
}

fn drain_within_shutdown(settings: &Settings) -> Option<Problem> {
    let drain: u64 = number(settings, "DRAIN_DELAY_SECONDS")?;
    let shutdown: u64 = number(settings, "GRACEFUL_SHUTDOWN_SECONDS")?;
    (drain >= shutdown).then(|| {
        Problem::new(
            "DRAIN_DELAY_SECONDS",
            format!("must be less than GRACEFUL_SHUTDOWN_SECONDS ({shutdown})"),
        )
        .holding(drain.to_string())
    })
}

/// Two sockets on one port go together only if both have an address of their own.
fn two_listeners(settings: &Settings) -> Option<Problem> {
    let address = |name| format::socket_address(settings.text(name)?).ok();
    let (public, internal) = (address("HTTP_ADDR")?, address("METRICS_ADDR")?);
    let is_same_host = public.ip() == internal.ip()
        || public.ip().is_unspecified()
        || internal.ip().is_unspecified();
    (public.port() != 0 && public.port() == internal.port() && is_same_host).then(|| {
        Problem::new(
            "METRICS_ADDR",
            format!("must differ from HTTP_ADDR ({public})"),
        )
        .holding(internal.to_string())
    })
}

fn attempt_within_deadline(settings: &Settings) -> Option<Problem> {
    let attempt: u64 = number(settings, "UPSTREAM_TIMEOUT_MS")?;
    let deadline: u64 = number(settings, "UPSTREAM_DEADLINE_MS")?;
    (deadline < attempt).then(|| {
        Problem::new(
            "UPSTREAM_DEADLINE_MS",
            format!("must be UPSTREAM_TIMEOUT_MS ({attempt}) or more"),
        )
        .holding(deadline.to_string())
    })
}

fn entry_within_cap(settings: &Settings) -> Option<Problem> {
    let entry_kb: u64 = number(settings, "CACHE_MAX_ENTRY_KB")?;
    let cap_mb: u64 = number(settings, "CACHE_MAX_SIZE_MB")?;
    let most = cap_mb * 1024 / 2;
    (cap_mb > 0 && entry_kb > most).then(|| {
        Problem::new(
            "CACHE_MAX_ENTRY_KB",
            format!("must be at most {most}, half of CACHE_MAX_SIZE_MB ({cap_mb})"),
        )
        .holding(entry_kb.to_string())
    })
}

fn one_way_into_vault(settings: &Settings) -> Option<Problem> {
    (settings.is_set("VAULT_TOKEN") && settings.is_set("VAULT_ROLE")).then(|| {
        Problem::new(
            "VAULT_ROLE",
            "must not be set together with VAULT_TOKEN; unset one of them",
        )
    })
}

fn number<T: TryFrom<i64>>(settings: &Settings, name: &str) -> Option<T> {
    settings.integer(name).ok()
}

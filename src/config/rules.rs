//! Rules between variables, which the schema can not express.

use super::format;
use super::problem::Problem;
use super::settings::Settings;

/// Reports every pair of variables that do not go together. A default gives way to what was set, so
/// only what was set is reported. A variable that has a problem of its own, or whose value is not
/// here yet, is left alone.
pub fn check(settings: &mut Settings) {
    for rule in [
        drain_within_shutdown,
        two_listeners,
        attempt_within_deadline,
        entry_within_cap,
        one_way_into_vault,
        whole_issuer,
        somebody_may_read,
        contracts_over_a_cache,
    ] {
        if let Some(problem) = rule(settings) {
            settings.report(problem);
        }
    }
}

fn drain_within_shutdown(settings: &mut Settings) -> Option<Problem> {
    const DRAIN: &str = "DRAIN_DELAY_SECONDS";
    const SHUTDOWN: &str = "GRACEFUL_SHUTDOWN_SECONDS";
    let drain: i64 = number(settings, DRAIN)?;
    let shutdown: i64 = number(settings, SHUTDOWN)?;
    if drain < shutdown {
        return None;
    }
    let ways = [
        (DRAIN, shutdown - 1, SHUTDOWN),
        (SHUTDOWN, drain + 1, DRAIN),
    ];
    let rule = format!("must be less than {SHUTDOWN} ({shutdown})");
    settle(settings, &ways, || {
        Problem::new(DRAIN, rule).holding(drain.to_string())
    })
}

/// Two sockets on one port go together only if both have an address of their own.
fn two_listeners(settings: &mut Settings) -> Option<Problem> {
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

fn attempt_within_deadline(settings: &mut Settings) -> Option<Problem> {
    const ATTEMPT: &str = "UPSTREAM_TIMEOUT_MS";
    const DEADLINE: &str = "UPSTREAM_DEADLINE_MS";
    let attempt: i64 = number(settings, ATTEMPT)?;
    let deadline: i64 = number(settings, DEADLINE)?;
    if deadline >= attempt {
        return None;
    }
    let ways = [(ATTEMPT, deadline, DEADLINE), (DEADLINE, attempt, ATTEMPT)];
    let rule = format!("must be {ATTEMPT} ({attempt}) or more");
    settle(settings, &ways, || {
        Problem::new(DEADLINE, rule).holding(deadline.to_string())
    })
}

/// The cap never follows: it is what the memory of the machine was sized for.
fn entry_within_cap(settings: &mut Settings) -> Option<Problem> {
    const ENTRY: &str = "CACHE_MAX_ENTRY_KB";
    const CAP: &str = "CACHE_MAX_SIZE_MB";
    let entry_kb: i64 = number(settings, ENTRY)?;
    let cap_mb: i64 = number(settings, CAP)?;
    let most = cap_mb * 1024 / 2;
    if cap_mb == 0 || entry_kb <= most {
        return None;
    }
    let rule = format!("must be at most {most}, half of {CAP} ({cap_mb})");
    settle(settings, &[(ENTRY, most, CAP)], || {
        Problem::new(ENTRY, rule).holding(entry_kb.to_string())
    })
}

fn one_way_into_vault(settings: &mut Settings) -> Option<Problem> {
    (settings.is_set("VAULT_TOKEN") && settings.is_set("VAULT_ROLE")).then(|| {
        Problem::new(
            "VAULT_ROLE",
            "must not be set together with VAULT_TOKEN; unset one of them",
        )
    })
}

/// A token is good only if all three say so.
fn whole_issuer(settings: &mut Settings) -> Option<Problem> {
    const WHOLE: [&str; 3] = ["JWT_ISSUER", "JWT_AUDIENCE", "JWKS_URL"];
    if WHOLE.iter().any(|name| settings.is_broken(name)) {
        return None;
    }
    let (set, unset): (Vec<_>, Vec<_>) = WHOLE.into_iter().partition(|name| settings.is_set(name));
    let (missing, given) = (unset.first()?, set.first()?);
    Some(Problem::new(
        *missing,
        format!(
            "must be set where {given} is: bearer tokens need {}",
            WHOLE.join(", ")
        ),
    ))
}

/// What is never kept can not be kept fresh.
fn contracts_over_a_cache(settings: &mut Settings) -> Option<Problem> {
    const SWITCH: &str = "CONTRACTS_ENABLED";
    let is_on = settings.boolean(SWITCH).is_ok_and(|is_on| is_on);
    let is_off = number(settings, "CACHE_MAX_SIZE_MB") == Some(0);
    (is_on && is_off).then(|| {
        let rule = "must be false where CACHE_MAX_SIZE_MB is 0: there is nothing to keep fresh";
        Problem::new(SWITCH, rule).holding("true")
    })
}

fn somebody_may_read(settings: &mut Settings) -> Option<Problem> {
    const SWITCH: &str = "READ_REQUIRES_AUTH";
    let is_on = settings.boolean(SWITCH).is_ok_and(|is_on| is_on);
    let has_callers = settings.is_set("WRITE_API_KEYS") || settings.is_set("JWKS_URL");
    (is_on && !has_callers).then(|| {
        Problem::new(
            SWITCH,
            "must be false where nobody could read: set WRITE_API_KEYS, or JWKS_URL and its companions",
        )
        .holding("true")
    })
}

/// Lets the first default of `ways` follow: a variable, what it becomes, and which one it follows.
/// The problem where all of them were set.
fn settle(
    settings: &mut Settings,
    ways: &[(&str, i64, &'static str)],
    problem: impl FnOnce() -> Problem,
) -> Option<Problem> {
    match ways.iter().find(|(name, ..)| settings.is_default(name)) {
        Some((name, number, leader)) => {
            settings.follow(name, *number, leader);
            None
        }
        None => Some(problem()),
    }
}

fn number(settings: &Settings, name: &str) -> Option<i64> {
    settings.integer(name).ok()
}

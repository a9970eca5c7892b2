//! From settings that keep the rules to what each part is told.

use super::Config;
use super::contracts;
use super::format;
use super::pending::Pending;
use super::problem::{Problem, Problems};
use super::profile::Profile;
use super::settings::{Settings, missing};
use crate::contract::Contract;
use crate::product::PublishedMembers;
use crate::secrets::{Fetch, Late, Resolver, Secret};
use crate::{cache, catalog, http, ops, telemetry, upstream};
use sha2::{Digest, Sha256};
use std::num::NonZeroU32;
use std::sync::Arc;

/// The longest lineage that is kept as text, in bytes.
const LONGEST_LINEAGE: usize = 120;

/// Tells every part what it has to know.
///
/// # Errors
/// The first variable without a value, which the schema's defaults rule out.
pub fn assemble(
    settings: Settings,
    warnings: Vec<String>,
    contract: &Contract,
    profile: &Profile,
    resolver: &Arc<Resolver>,
    fetch: Fetch,
) -> Result<Config, Problems> {
    let mut secrets = Secrets {
        settings: &settings,
        resolver,
        pending: Vec::new(),
    };
    let upstream = upstream(&settings, contract, &mut secrets)?;
    let http = http(&settings, &mut secrets, fetch)?;
    let ops = ops::Config {
        admin_token: secrets.late("ADMIN_TOKEN", secret)?,
    };
    let pending = secrets.pending;
    Ok(Config {
        http_addr: address(&settings, "HTTP_ADDR")?,
        metrics_addr: address(&settings, "METRICS_ADDR")?,
        graceful_shutdown: settings.seconds("GRACEFUL_SHUTDOWN_SECONDS")?,
        drain_delay: settings.seconds("DRAIN_DELAY_SECONDS")?,
        version: contract.version().to_string(),
        cache: cache(&settings, lineage(&upstream, profile))?,
        catalog: catalog(&settings)?,
        upstream,
        http,
        ops,
        telemetry: telemetry(&settings)?,
        settings: settings.list(),
        warnings,
        pending,
    })
}

/// Hands out secrets, and remembers those still to come.
struct Secrets<'a> {
    settings: &'a Settings,
    resolver: &'a Arc<Resolver>,
    pending: Vec<Pending>,
}

// === impl Secrets ===

impl Secrets<'_> {
    /// The value of `name` as `read` reads it, now or later; `None` where it is not set.
    fn late<T: Send + Sync + 'static>(
        &mut self,
        name: &str,
        read: fn(&str) -> Result<T, String>,
    ) -> Result<Option<Late<T>>, Problem> {
        let Some(awaited) = self.settings.late(name) else {
            return Ok(self.settings.read(name, read)?.map(Late::ready));
        };
        let late = Late::pending();
        self.pending
            .push(Pending::new(awaited, self.resolver, &late, read));
        Ok(Some(late))
    }
}

fn cache(settings: &Settings, lineage: String) -> Result<cache::Config, Problem> {
    let megabytes: u64 = settings.integer("CACHE_MAX_SIZE_MB")?;
    let kilobytes: usize = settings.integer("CACHE_MAX_ENTRY_KB")?;
    Ok(cache::Config {
        ttl: settings.seconds("CACHE_TTL_SECONDS")?,
        grace: settings.seconds("CACHE_GRACE_SECONDS")?,
        stale_while_revalidate: settings.seconds("CACHE_STALE_WHILE_REVALIDATE_SECONDS")?,
        soft_timeout: Some(settings.millis("UPSTREAM_SOFT_TIMEOUT_MS")?)
            .filter(|timeout| !timeout.is_zero()),
        shadow_rate: settings.number("SHADOW_CHECK_RATE")?,
        negative_ttl: settings.seconds("CACHE_NEGATIVE_TTL_SECONDS")?,
        fail_throttle: settings.millis("CACHE_FAIL_THROTTLE_MS")?,
        max_bytes: megabytes << 20,
        max_entry_bytes: kilobytes << 10,
        contracts: contracts::engine(settings)?,
        dir: settings.text("CACHE_DIR").map(Into::into),
        lineage,
    })
}

fn catalog(settings: &Settings) -> Result<catalog::Config, Problem> {
    let sync_interval = settings.seconds("SYNC_INTERVAL_SECONDS")?;
    Ok(catalog::Config {
        warmup_on_start: settings.boolean("WARMUP_ON_START")?,
        ttl: settings.seconds("CACHE_TTL_SECONDS")?,
        sync_interval: (!sync_interval.is_zero()).then_some(sync_interval),
        contracts: catalog::contracts::Config {
            engine: contracts::engine(settings)?,
            file: Vec::new(),
        },
        probe_interval: settings.seconds("HEALTH_PROBE_SECONDS")?,
    })
}

fn upstream(
    settings: &Settings,
    contract: &Contract,
    secrets: &mut Secrets<'_>,
) -> Result<upstream::Config, Problem> {
    let base = settings.read("UPSTREAM_API", format::http_url)?;
    let api_key = secrets.late("API_KEY", secret)?;
    let published = settings.read("PUBLISHED_MEMBERS", format::members)?;
    Ok(upstream::Config {
        base: base.ok_or_else(|| missing("UPSTREAM_API"))?,
        api_key: api_key.ok_or_else(|| missing("API_KEY"))?,
        attempt_timeout: settings.millis("UPSTREAM_TIMEOUT_MS")?,
        deadline: settings.millis("UPSTREAM_DEADLINE_MS")?,
        max_attempts: settings.integer("UPSTREAM_MAX_ATTEMPTS")?,
        max_concurrent: settings.integer("UPSTREAM_MAX_CONCURRENT")?,
        rate_limit: NonZeroU32::new(settings.integer("UPSTREAM_RATE_LIMIT_PER_SECOND")?),
        refresh_origins: settings
            .read("CONTRACTS_REFRESH_ORIGINS", upstream::Origin::list)?
            .unwrap_or_default(),
        circuit_failures: settings.integer("CIRCUIT_FAILURE_THRESHOLD")?,
        circuit_recovery: settings.seconds("CIRCUIT_RECOVERY_SECONDS")?,
        page_size: settings.integer("UPSTREAM_PAGE_SIZE")?,
        published: published.unwrap_or_default(),
        compatible: contract.inventory_versions().clone(),
    })
}

fn http(
    settings: &Settings,
    secrets: &mut Secrets<'_>,
    fetch: Fetch,
) -> Result<http::Config, Problem> {
    let text = |name| settings.text(name).map(str::to_owned);
    let keys = settings.read("JWKS_URL", format::secure_url)?;
    let issuer = text("JWT_ISSUER").zip(text("JWT_AUDIENCE")).zip(keys);
    let origins = settings.read("CORS_ALLOWED_ORIGINS", format::origins)?;
    Ok(http::Config {
        max_age: settings.seconds("HTTP_MAX_AGE_SECONDS")?,
        write_keys: secrets.late("WRITE_API_KEYS", format::write_keys)?,
        tokens: issuer.map(|((issuer, audience), keys)| http::auth::Tokens {
            issuer,
            audience,
            keys,
            fetch,
        }),
        read_requires_auth: settings.boolean("READ_REQUIRES_AUTH")?,
        cors_origins: origins.unwrap_or_default(),
        revalidation_budget: NonZeroU32::new(settings.integer("REVALIDATION_BUDGET_PER_SECOND")?),
        rate_limit: NonZeroU32::new(settings.integer("RATE_LIMIT_PER_SECOND")?),
        cdn: settings
            .boolean("CDN_HEADERS")?
            .then_some(http::caching::Cdn {
                stale_if_error: settings.seconds("CACHE_GRACE_SECONDS")?,
            }),
        speaks_tls: settings.is_set("TLS_CERT_FILE"),
    })
}

fn telemetry(settings: &Settings) -> Result<telemetry::Config, Problem> {
    let format = match settings.text("LOG_FORMAT") {
        Some("pretty") => telemetry::Format::Pretty,
        Some("json") => telemetry::Format::Json,
        _ => return Err(missing("LOG_FORMAT")),
    };
    let filter = settings
        .text("RUST_LOG")
        .ok_or_else(|| missing("RUST_LOG"))?;
    Ok(telemetry::Config {
        format,
        filter: filter.to_owned(),
        environment: settings
            .text("LOG_ENVIRONMENT")
            .ok_or_else(|| missing("LOG_ENVIRONMENT"))?
            .to_owned(),
    })
}

fn address(settings: &Settings, name: &str) -> Result<std::net::SocketAddr, Problem> {
    settings
        .read(name, format::socket_address)?
        .ok_or_else(|| missing(name))
}

fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

/// What the stored products depend on beside their ids: where they come from, and which of their
/// members are published. Without credentials, since a base URL has none.
fn lineage(upstream: &upstream::Config, profile: &Profile) -> String {
    let members = match &upstream.published {
        PublishedMembers::None => "-".to_owned(),
        PublishedMembers::All => "*".to_owned(),
        PublishedMembers::Named(names) => names.iter().cloned().collect::<Vec<_>>().join(","),
    };
    let text = format!("{} {members}", profile.origin(&upstream.base));
    if text.len() <= LONGEST_LINEAGE {
        return text;
    }
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Every variable of the schema, one by one.

use super::*;

/// A file of contracts.
const EXAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/configuration/contracts.example.yaml"
);

/// A value other than the default for every variable that this version offers.
fn others() -> BTreeMap<&'static str, String> {
    let own = |(name, value): &(&'static str, &str)| (*name, (*value).to_owned());
    let mut others: BTreeMap<_, _> = [
        ("UPSTREAM_API", "http://other:81/x"),
        ("API_KEY", "other"),
        ("CACHE_TTL_SECONDS", "61"),
        ("CACHE_MAX_SIZE_MB", "61"),
        ("WARMUP_ON_START", "false"),
        ("HTTP_ADDR", "127.0.0.1:81"),
        ("METRICS_ADDR", "127.0.0.1:91"),
        ("CACHE_DIR", "/elsewhere"),
        ("CACHE_MAX_ENTRY_KB", "61"),
        ("CACHE_GRACE_SECONDS", "61"),
        ("CACHE_STALE_WHILE_REVALIDATE_SECONDS", "61"),
        ("CACHE_NEGATIVE_TTL_SECONDS", "61"),
        ("CACHE_FAIL_THROTTLE_MS", "61"),
        ("HTTP_MAX_AGE_SECONDS", "61"),
        ("PUBLISHED_MEMBERS", "stock"),
        ("UPSTREAM_TIMEOUT_MS", "61"),
        ("UPSTREAM_DEADLINE_MS", "61000"),
        ("UPSTREAM_SOFT_TIMEOUT_MS", "61"),
        ("UPSTREAM_MAX_ATTEMPTS", "6"),
        ("UPSTREAM_MAX_CONCURRENT", "61"),
        ("UPSTREAM_RATE_LIMIT_PER_SECOND", "61"),
        ("UPSTREAM_PAGE_SIZE", "61"),
        ("CIRCUIT_FAILURE_THRESHOLD", "61"),
        ("CIRCUIT_RECOVERY_SECONDS", "61"),
        ("HEALTH_PROBE_SECONDS", "61"),
        ("DRAIN_DELAY_SECONDS", "6"),
        ("GRACEFUL_SHUTDOWN_SECONDS", "61"),
        ("SYNC_INTERVAL_SECONDS", "61"),
        ("SHADOW_CHECK_RATE", "0.61"),
        ("JWT_ISSUER", "https://other"),
        ("JWT_AUDIENCE", "other"),
        ("JWKS_URL", "https://other/keys"),
        ("CDN_HEADERS", "true"),
        ("READ_REQUIRES_AUTH", "true"),
        ("CORS_ALLOWED_ORIGINS", "https://other"),
        ("RATE_LIMIT_PER_SECOND", "6"),
        ("CONTRACTS_ENABLED", "false"),
        ("CONTRACTS_FILE", EXAMPLE),
        ("CONTRACTS_REFRESH_ORIGINS", "https://other"),
        ("CONTRACTS_TICK_INTERVAL_MS", "61"),
        ("CONTRACTS_REFRESH_THRESHOLD", "0.61"),
        ("CONTRACTS_MAX_CONCURRENT_REFRESHES", "61"),
        ("CONTRACTS_REFRESH_TIMEOUT_MS", "61"),
        ("REVALIDATION_BUDGET_PER_SECOND", "6"),
        ("ADMIN_TOKEN", "other"),
        ("VAULT_ADDR", "http://other-vault"),
        ("VAULT_TOKEN", "other"),
        ("VAULT_ROLE", "other"),
        ("VAULT_MOUNT", "other"),
        ("LOG_ENVIRONMENT", "staging"),
        ("LOG_FORMAT", "pretty"),
        ("RUST_LOG", "debug"),
    ]
    .iter()
    .map(own)
    .collect();
    others.insert("WRITE_API_KEYS", format!("other:{DIGEST}"));
    others
}

/// Everything the configuration does, secrets included, so that two can be compared.
async fn effect(changed: Option<(&str, &str)>) -> String {
    let vault = FakeVault::keeping(&[("product-catalog", "k")]);
    let mut variables = BTreeMap::from([
        ("VAULT_ADDR", "http://vault"),
        ("VAULT_TOKEN", "t"),
        ("CONTRACTS_ENABLED", "true"),
    ]);
    if let Some((name, value)) = changed {
        if name == "VAULT_ROLE" {
            variables.remove("VAULT_TOKEN");
        }
        variables.insert(name, value);
    }
    let variables: Vec<_> = variables.into_iter().collect();
    let config = match load_with(&variables, &vault).await {
        Ok(config) => config,
        Err(problems) => return problems.to_string(),
    };
    let asked = vault.asked.lock().unwrap().clone();
    let secrets = [
        Some(config.upstream.api_key.clone()),
        config.ops.admin_token.clone(),
    ];
    let secrets =
        secrets.map(|late| late.and_then(|late| late.get().map(|s| s.expose().to_owned())));
    let addresses = (config.http_addr, config.metrics_addr);
    let durations = (config.graceful_shutdown, config.drain_delay);
    // Without the lineage, which follows others.
    let cache = cache::Config {
        lineage: String::new(),
        ..config.cache
    };
    format!(
        "{secrets:?} {asked:?} {addresses:?} {durations:?} {cache:?} {:?} {:?} {:?} {:?}",
        config.catalog, config.upstream, config.http, config.telemetry
    )
}

fn variables() -> Vec<schema::Variable> {
    Schema::embedded().unwrap().variables().to_vec()
}

#[tokio::test]
async fn every_variable_that_is_offered_has_an_effect() {
    let offered: BTreeSet<String> = variables()
        .into_iter()
        .filter(schema::Variable::is_available)
        .map(|variable| variable.name)
        .collect();
    let table: BTreeSet<String> = others().keys().map(ToString::to_string).collect();
    assert_eq!(offered, table);

    let plain = effect(None).await;
    assert!(plain.contains(r#"[Some("k"), None]"#), "{plain}");
    for (name, value) in others() {
        assert_ne!(effect(Some((name, &value))).await, plain, "{name}");
    }
}

#[tokio::test]
async fn every_variable_that_is_not_offered_may_only_be_set_to_its_default() {
    let mut seen = 0;
    for variable in variables().into_iter().filter(|v| !v.is_available()) {
        let name = variable.name.as_str();
        if let Some(default) = variable.default_text() {
            assert!(
                load(&[(name, &default), ("API_KEY", "k")]).await.is_ok(),
                "{name}"
            );
        }
        for value in [
            "7",
            "https://x",
            "nonsense",
            "secret://env/PATH",
            "secret://nonsense",
        ] {
            let line = problem(&[(name, value)]).await;
            assert!(line.starts_with(name), "{line}");
            assert!(
                line.ends_with(&format!(
                    "this version does not offer it. {}",
                    variable.instead()
                )),
                "{line}"
            );
        }
        seen += 1;
    }
    assert!(seen > 0);
}

#[tokio::test]
async fn a_value_outside_the_rules_is_one_problem_with_name_value_and_rule() {
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../../../configuration/schema.json")).unwrap();
    for variable in variables()
        .into_iter()
        .filter(schema::Variable::is_available)
    {
        let name = variable.name.as_str();
        let rules = &document["properties"][name];
        let wrong: Vec<String> = match rules["type"].as_str().unwrap() {
            "boolean" => vec!["1".into(), "TRUE".into()],
            "integer" => vec![
                (rules["minimum"].as_i64().unwrap() - 1).to_string(),
                (rules["maximum"].as_i64().unwrap() + 1).to_string(),
                "many".into(),
                "1.5".into(),
            ],
            _ if rules.get("enum").is_some() => vec!["none-of-these".into()],
            _ if rules.get("format").is_some() => vec!["\u{1}=, ".into()],
            _ => continue,
        };
        for value in wrong {
            let line = problem(&[(name, &value)]).await;
            let held = if variable.is_secret() {
                "(secret)".to_owned()
            } else {
                problem::shown(&value)
            };
            let rule = variable.judge(&value).err().unwrap();
            assert_eq!(line, format!("{name} is {held}: {rule}"));
        }
    }
}

#[test]
fn the_schemas_defaults_are_the_contracts() {
    let contract = contract();
    let find = |name: &str| variables().into_iter().find(|v| v.name == name).unwrap();
    for (name, value) in contract.values() {
        assert_eq!(find(name).default_text(), Some(value.to_string()), "{name}");
    }
    for (name, value) in [
        ("HTTP_ADDR", format!("0.0.0.0:{}", contract.public_port())),
        (
            "METRICS_ADDR",
            format!("0.0.0.0:{}", contract.internal_port()),
        ),
        (
            "GRACEFUL_SHUTDOWN_SECONDS",
            contract.graceful_shutdown().as_secs().to_string(),
        ),
    ] {
        assert_eq!(find(name).default_text(), Some(value), "{name}");
    }
}

#[test]
fn the_secrets_are_marked() {
    let secrets: Vec<String> = variables()
        .into_iter()
        .filter(schema::Variable::is_secret)
        .map(|variable| variable.name)
        .collect();
    assert_eq!(
        secrets,
        [
            "ADMIN_TOKEN",
            "API_KEY",
            "REDIS_URL",
            "VAULT_TOKEN",
            "WRITE_API_KEYS"
        ]
    );
}

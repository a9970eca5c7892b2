//! What the parts are told.

use super::*;

#[tokio::test]
async fn with_only_the_inventory_and_its_key_everything_else_is_as_the_contract_says() {
    let config = load(&[
        ("UPSTREAM_API", "http://localhost:9/api/"),
        ("API_KEY", "k"),
    ])
    .await
    .unwrap();
    assert_eq!(config.upstream.base, "http://localhost:9/api");
    assert_eq!(config.upstream.api_key.get().unwrap().expose(), "k");
    assert_eq!(config.cache.max_bytes, 512 << 20);
    assert_eq!(config.cache.ttl, Duration::from_secs(3600));
    assert_eq!(config.catalog.ttl, Duration::from_secs(3600));
    assert!(config.catalog.warmup_on_start);
    assert_eq!(config.http_addr, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(config.metrics_addr, "0.0.0.0:9090".parse().unwrap());
    assert_eq!(config.graceful_shutdown, Duration::from_secs(10));
    assert_eq!(config.version, env!("CARGO_PKG_VERSION"));
    assert!(config.http.write_keys.is_none());
    assert!(config.http.tokens.is_none() && !config.http.read_requires_auth);
    assert!(config.http.cors_origins.is_empty() && config.http.rate_limit.is_none());
    assert!(!config.http.speaks_tls);
    assert!(config.ops.admin_token.is_none());
    assert!(config.warnings.is_empty());
    assert!(config.pending.is_empty());
}

#[tokio::test]
async fn the_public_api_is_told_whom_it_serves() {
    let config = load(&[
        ("API_KEY", "k"),
        ("JWT_ISSUER", "https://issuer.example/"),
        ("JWT_AUDIENCE", "shop"),
        ("JWKS_URL", "https://issuer.example/keys"),
        ("READ_REQUIRES_AUTH", "true"),
        (
            "CORS_ALLOWED_ORIGINS",
            "https://a.example, http://localhost:3000",
        ),
        ("RATE_LIMIT_PER_SECOND", "50"),
    ])
    .await
    .unwrap();
    let tokens = config.http.tokens.unwrap();
    assert_eq!(tokens.issuer, "https://issuer.example/");
    assert_eq!(tokens.audience, "shop");
    assert_eq!(tokens.keys, "https://issuer.example/keys");
    assert!(config.http.read_requires_auth);
    let origins = config.http.cors_origins;
    assert_eq!(origins, ["https://a.example", "http://localhost:3000"]);
    assert_eq!(config.http.rate_limit.unwrap().get(), 50);
}

#[tokio::test]
async fn the_demo_has_its_own_inventory_and_says_what_it_ignores() {
    let demo = Profile::Demo(Demo {
        upstream: "http://127.0.0.1:4711/api".parse().unwrap(),
        api_key: Secret::new("demo-key"),
        cache_dir: Some("/tmp/demo".into()),
        catalogue: "seed 42".into(),
        write_keys: format!("demo:{}", "ab".repeat(32)),
        admin_token: Secret::new("demo-token"),
    });
    let given = [
        ("UPSTREAM_API", "nonsense"),
        ("API_KEY_FILE", "/nowhere"),
        ("METRICS_ADDR", ":9999"),
    ];
    let environment = given.into_iter().collect::<Environment>().on_terminal(true);
    let config = Config::load(
        &contract(),
        &environment,
        &demo,
        FakeVault::default().fetch(),
    )
    .await
    .unwrap();
    assert_eq!(config.upstream.base, "http://127.0.0.1:4711/api");
    assert_eq!(config.upstream.api_key.get().unwrap().expose(), "demo-key");
    assert_eq!(
        config.cache.dir.as_deref(),
        Some(std::path::Path::new("/tmp/demo"))
    );
    assert_eq!(config.cache.lineage, "demo seed 42 *");
    assert_eq!(
        config.upstream.published,
        crate::product::PublishedMembers::All
    );
    assert_eq!(config.metrics_addr.port(), 9999);
    assert_eq!(config.telemetry.format, telemetry::Format::Pretty);
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);

    let environment = [("CACHE_DIR", "/var/x"), ("PUBLISHED_MEMBERS", "stock")]
        .into_iter()
        .collect();
    let config = Config::load(
        &contract(),
        &environment,
        &demo,
        FakeVault::default().fetch(),
    )
    .await
    .unwrap();
    assert_eq!(
        config.cache.dir.as_deref(),
        Some(std::path::Path::new("/var/x"))
    );
    assert_eq!(config.cache.lineage, "demo seed 42 stock");
}

#[tokio::test]
async fn log_lines_are_pretty_on_a_terminal_unless_told_otherwise() {
    for (format, is_terminal, expected) in [
        ("", true, telemetry::Format::Pretty),
        ("", false, telemetry::Format::Json),
        ("json", true, telemetry::Format::Json),
        ("pretty", false, telemetry::Format::Pretty),
    ] {
        let variables = [("LOG_FORMAT", format), ("API_KEY", "k")];
        let environment = variables
            .into_iter()
            .collect::<Environment>()
            .on_terminal(is_terminal);
        let fetch = FakeVault::default().fetch();
        let config = Config::load(&contract(), &environment, &Profile::Serve, fetch).await;
        assert_eq!(config.unwrap().telemetry.format, expected);
    }
}

#[tokio::test]
async fn another_inventory_or_other_members_are_another_lineage() {
    let mut seen = BTreeSet::new();
    for (upstream, members) in [
        ("https://one/api", ""),
        ("https://two/api", ""),
        ("https://one/api", "*"),
        ("https://one/api", "a,b"),
    ] {
        let variables = [
            ("UPSTREAM_API", upstream),
            ("PUBLISHED_MEMBERS", members),
            ("API_KEY", "k"),
        ];
        assert!(
            seen.insert(load(&variables).await.unwrap().cache.lineage),
            "{upstream} {members}"
        );
    }
    let same = [
        ("UPSTREAM_API", "https://one/api/"),
        ("PUBLISHED_MEMBERS", "b, a"),
        ("API_KEY", "other"),
    ];
    assert!(!seen.insert(load(&same).await.unwrap().cache.lineage));

    let long = "m".repeat(500);
    let variables = [("PUBLISHED_MEMBERS", long.as_str()), ("API_KEY", "k")];
    assert_eq!(load(&variables).await.unwrap().cache.lineage.len(), 64);
}

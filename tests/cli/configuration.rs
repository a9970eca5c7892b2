//! A configuration that can not be used: everything that is wrong, at once, and no secret.

use crate::process::{Ended, Launch};

const PLANTED: &str = "planted-secret-f2c1";

/// Problems are one line each, after a heading.
fn problems(ended: &Ended) -> Vec<&str> {
    assert_eq!(ended.code(), Some(2), "{}", ended.all());
    assert_eq!(ended.stdout, "", "nothing was started");
    ended.stderr.lines().skip(1).collect()
}

#[tokio::test]
async fn all_that_is_wrong_is_reported_at_once_with_variable_value_and_rule() {
    let wrong = [
        ("CACHE_TTL_SECONDS", "soon", "a whole number"),
        ("CACHE_MAX_SIZE_MB", "-1", "0"),
        ("WARMUP_ON_START", "maybe", "true or false"),
        ("HTTP_ADDR", "localhost", "port"),
        ("UPSTREAM_API", "ftp://inventory.example", "http"),
        ("LOG_FORMAT", "xml", "json, pretty"),
        ("RUST_LOG", "product_catalog=loud", "filter"),
    ];
    for args in [&["serve"][..], &["config", "check"], &[]] {
        let mut launch = Launch::new(args)
            .set("API_KEY", PLANTED)
            .set("WRITE_API_KEYS", PLANTED);
        for (variable, value, _) in wrong {
            launch = launch.set(variable, value);
        }
        let ended = launch.run().await;
        let lines = problems(&ended);
        assert_eq!(lines.len(), wrong.len() + 1, "{}", ended.stderr);
        for (variable, value, rule) in wrong {
            let line = lines.iter().find(|line| line.starts_with(variable));
            let line = line.unwrap_or_else(|| panic!("{variable}: {}", ended.stderr));
            assert!(line.contains(value), "{line}");
            assert!(line.contains(rule), "{line}");
        }
        // Of a secret, only the rule.
        assert!(lines.iter().any(|line| line.starts_with("WRITE_API_KEYS")));
        assert!(!ended.all().contains(PLANTED), "{}", ended.all());
    }
}

#[tokio::test]
async fn with_nothing_set_the_start_says_that_the_key_has_no_vault_and_what_to_set() {
    let ended = Launch::new(&["serve"]).run().await;
    let lines = problems(&ended);
    assert_eq!(lines.len(), 1, "{}", ended.stderr);
    assert!(lines[0].starts_with("API_KEY is secret://vault/product-catalog/upstream-api-key"));
    for way_out in ["VAULT_ADDR", "VAULT_TOKEN", "API_KEY_FILE"] {
        assert!(lines[0].contains(way_out), "{}", lines[0]);
    }
}

#[tokio::test]
async fn references_that_lead_nowhere_are_refused_with_what_to_do() {
    for (reference, complaint) in [
        ("secret://gcp/project/key", "secret://vault/PATH/KEY"),
        ("secret://env/NOT_THERE", "set it"),
        ("secret://file/not/there", "/not/there can not be read"),
        ("secret://vault/only-a-key", "secret://vault/"),
        ("secret://", "secret://"),
    ] {
        let ended = Launch::new(&["serve"])
            .set("API_KEY", reference)
            .run()
            .await;
        let lines = problems(&ended);
        assert_eq!(lines.len(), 1, "{reference}: {}", ended.stderr);
        assert!(lines[0].starts_with("API_KEY"), "{}", lines[0]);
        assert!(lines[0].contains(complaint), "{reference}: {}", lines[0]);
    }
}

#[tokio::test]
async fn a_malformed_reference_shows_nothing_that_may_be_a_secret() {
    let reference = format!("secret://gcp/{PLANTED}");
    let ended = Launch::new(&["serve"])
        .set("API_KEY", &reference)
        .run()
        .await;
    assert_eq!(problems(&ended).len(), 1, "{}", ended.stderr);
}

#[tokio::test]
async fn a_variable_and_its_file_together_are_refused() {
    let launch = Launch::new(&["serve"]).set("API_KEY", PLANTED);
    let ended = launch.set("API_KEY_FILE", "/run/secrets/key").run().await;
    let lines = problems(&ended);
    assert!(lines[0].starts_with("API_KEY"), "{}", ended.stderr);
    assert!(lines[0].contains("API_KEY_FILE"), "{}", ended.stderr);
    assert!(!ended.all().contains(PLANTED));
}

#[tokio::test]
async fn config_check_lists_every_variable_with_its_origin_and_no_secret() {
    let place = tempfile::tempdir().unwrap();
    let token = place.path().join("token");
    std::fs::write(&token, format!("{PLANTED}\n")).unwrap();
    let ended = Launch::new(&["config", "check"])
        .set("API_KEY", PLANTED)
        .set("ADMIN_TOKEN_FILE", token.to_str().unwrap())
        .set("CACHE_TTL_SECONDS", "61")
        .set("CACHE_TTL", "61")
        .run()
        .await;
    assert_eq!(ended.code(), Some(0), "{}", ended.all());
    for line in [
        "API_KEY = (secret)  # environment".to_owned(),
        format!("ADMIN_TOKEN = (secret)  # file {}", token.display()),
        "CACHE_TTL_SECONDS = 61  # environment".to_owned(),
        "CACHE_MAX_SIZE_MB = 512  # pacto.yaml".to_owned(),
        "UPSTREAM_API = \"https://inventory.internal/api\"  # pacto.yaml".to_owned(),
        "WARMUP_ON_START = true  # pacto.yaml".to_owned(),
        "CACHE_GRACE_SECONDS = 86400  # default".to_owned(),
        "WRITE_API_KEYS = (none)".to_owned(),
    ] {
        let found = ended.stdout.lines().any(|other| other == line);
        assert!(found, "{line}\n{}", ended.stdout);
    }
    let warning = "CACHE_TTL is not a variable of this service";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
    assert!(!ended.all().contains(PLANTED), "{}", ended.all());
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_variable_and_how_to_choose_another() {
    let holding = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holding.local_addr().unwrap().to_string();
    for variable in ["HTTP_ADDR", "METRICS_ADDR"] {
        for args in [&["demo"][..], &["serve"]] {
            let launch = Launch::new(args)
                .set("UPSTREAM_API", "http://127.0.0.1:9")
                .set("API_KEY", PLANTED);
            let ended = launch.set(variable, &taken).run().await;
            assert_eq!(ended.code(), Some(1), "{}", ended.all());
            let line = ended.stderr.lines().last().unwrap();
            assert!(line.contains(&taken), "{line}");
            assert!(line.contains("the port is taken"), "{line}");
            let advice = format!("choose another, e.g. {variable}=127.0.0.1:");
            assert!(line.contains(&advice), "{line}");
            assert!(!ended.all().contains(PLANTED));
        }
    }
}

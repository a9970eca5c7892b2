//! A Vault that does not answer during the start.

use super::*;

const WAY: [(&str, &str); 2] = [("VAULT_ADDR", "http://vault"), ("VAULT_TOKEN", "t")];

fn with(variables: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&WAY[..], variables].concat()
}

#[tokio::test]
async fn the_start_does_not_wait_for_the_credentials() {
    let vault = FakeVault::default();
    vault.set_down(true);
    let config = load_with(
        &with(&[
            ("WRITE_API_KEYS", "secret://vault/writers/key"),
            ("ADMIN_TOKEN", "secret://vault/admin/key"),
        ]),
        &vault,
    )
    .await
    .unwrap();
    let names: Vec<&str> = config.pending.iter().map(Pending::variable).collect();
    assert_eq!(names, ["API_KEY", "WRITE_API_KEYS", "ADMIN_TOKEN"]);
    let (api_key, writers) = (&config.upstream.api_key, config.http.write_keys.unwrap());
    let admin = config.ops.admin_token.unwrap();
    assert!(api_key.get().is_none() && writers.get().is_none() && admin.get().is_none());
    for pending in &config.pending {
        assert!(pending.retry().await.unwrap_err().is_passing());
    }

    vault.set_down(false);
    vault.keep("product-catalog", "k");
    vault.keep("writers", &format!("shop:{DIGEST}"));
    vault.keep("admin", "a");
    for pending in &config.pending {
        pending.retry().await.unwrap();
    }
    assert_eq!(api_key.get().unwrap().expose(), "k");
    assert_eq!(writers.get().unwrap()[0].name, "shop");
    assert_eq!(admin.get().unwrap().expose(), "a");
}

#[tokio::test]
async fn any_other_variable_is_a_problem() {
    let vault = FakeVault::default();
    vault.set_down(true);
    let variables = with(&[("API_KEY", "k"), ("RUST_LOG", "secret://vault/log/key")]);
    let problems = load_with(&variables, &vault).await.unwrap_err();
    assert_eq!(
        problems.to_string(),
        "RUST_LOG is secret://vault/log/key: Vault answered 503 Service Unavailable; \
         or set RUST_LOG itself, or RUST_LOG_FILE"
    );
}

#[tokio::test]
async fn a_refusal_stops_the_start() {
    let problems = load_with(&with(&[]), &FakeVault::default())
        .await
        .unwrap_err();
    assert!(
        problems
            .to_string()
            .contains("404 Not Found: put the secret there"),
        "{problems}"
    );
}

#[tokio::test]
async fn a_value_that_arrives_late_keeps_the_same_rules() {
    let vault = FakeVault::default();
    vault.set_down(true);
    let variables = with(&[
        ("API_KEY", "k"),
        ("WRITE_API_KEYS", "secret://vault/writers/key"),
    ]);
    let config = load_with(&variables, &vault).await.unwrap();
    vault.set_down(false);
    vault.keep("writers", PLANTED);
    let error = config.pending[0].retry().await.unwrap_err();
    assert!(
        !error.is_passing() && error.to_string().starts_with("entry 1 must be"),
        "{error}"
    );
    assert!(config.http.write_keys.unwrap().get().is_none());
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_again_until_it_has_arrived() {
    let vault = FakeVault::default();
    vault.set_down(true);
    let config = load_with(&with(&[]), &vault).await.unwrap();
    let asked = || vault.asked.lock().unwrap().len();
    let before = asked();

    let waiting = config.pending[0].arrive();
    tokio::pin!(waiting);
    let minutes = Duration::from_secs(300);
    assert!(tokio::time::timeout(minutes, &mut waiting).await.is_err());
    let attempts = asked() - before;
    assert!(
        (12..=28).contains(&attempts),
        "{attempts} attempts in {minutes:?}"
    );

    vault.set_down(false);
    vault.keep("product-catalog", "k");
    tokio::time::timeout(Duration::from_secs(31), waiting)
        .await
        .unwrap();
    assert_eq!(config.upstream.api_key.get().unwrap().expose(), "k");
}

#[tokio::test]
async fn what_leads_to_vault_is_not_kept_there() {
    let line = problem(&[
        ("VAULT_ADDR", "http://v"),
        ("VAULT_TOKEN", "secret://vault/a/b"),
    ])
    .await;
    assert!(line.contains("can not itself be kept in Vault"), "{line}");
    let asked = FakeVault::keeping(&[("product-catalog", "k")]);
    let variables = [
        ("VAULT_ADDR", "http://v/"),
        ("VAULT_TOKEN", "secret://env/T"),
        ("T", "tok"),
        ("VAULT_MOUNT", "kv/team"),
    ];
    load_with(&variables, &asked).await.unwrap();
    assert_eq!(
        *asked.asked.lock().unwrap(),
        [r#"http://v/v1/kv/team/data/product-catalog Some("tok")"#]
    );
}

#[tokio::test]
async fn a_broken_way_to_vault_is_reported_once() {
    let problems = load(&[("VAULT_ADDR", "vault:8200"), ("VAULT_TOKEN", "t")])
        .await
        .unwrap_err();
    assert_eq!(problems.iter().count(), 1, "{problems}");
    assert_eq!(problems.iter().next().unwrap().variable(), "VAULT_ADDR");
}

#[test]
fn a_check_asks_nobody_and_still_sees_that_there_is_no_vault() {
    let check = |variables: &[(&str, &str)]| {
        let environment = variables.iter().copied().collect();
        Config::check(&contract(), &environment, &Profile::Serve)
    };
    let report = check(&WAY).unwrap();
    let key = report
        .settings
        .iter()
        .find(|s| s.variable == "API_KEY")
        .unwrap();
    assert_eq!(
        key.shown,
        "(secret, from secret://vault/product-catalog/upstream-api-key)"
    );
    assert_eq!(key.origin, Some(Origin::Contract));
    assert!(check(&[("API_KEY", "secret://env/NOT_HERE_YET")]).is_ok());

    let problems = check(&[("CACHE_TTL_SECONDS", "-1")]).unwrap_err();
    let names: Vec<&str> = problems.iter().map(Problem::variable).collect();
    assert_eq!(names, ["CACHE_TTL_SECONDS", "API_KEY"]);
}

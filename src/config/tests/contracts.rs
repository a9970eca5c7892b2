//! `CONTRACTS_FILE`: what is wrong in it stops the start.

use super::*;

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("contracts.yaml");
    std::fs::write(&path, text).unwrap();
    (dir, path.to_str().unwrap().to_owned())
}

const WRONG: &str = "- name: tea\n  key_pattern: TEA-*\n  fresh_within: 0\n  grace_period: 0\n  on_degrade: ServeStale\n- hunter2\n";

#[tokio::test]
async fn each_problem_of_a_contract_file_is_a_line_whether_contracts_are_on_or_off() {
    let (_dir, path) = file(WRONG);
    for is_on in ["true", "false"] {
        let given = [
            ("API_KEY", "k"),
            ("CONTRACTS_ENABLED", is_on),
            ("CONTRACTS_FILE", path.as_str()),
            ("CACHE_TTL_SECONDS", "soon"),
        ];
        let loaded = load(&given).await.unwrap_err();
        let environment = given.into_iter().collect();
        let checked = Config::check(&contract(), &environment, &Profile::Serve).unwrap_err();
        assert_eq!(loaded, checked);
        let lines: Vec<_> = loaded.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 4, "{loaded}");
        assert!(lines[0].starts_with("CACHE_TTL_SECONDS is"), "{loaded}");
        for (line, rule) in lines[1..].iter().zip([
            "contract 1 (tea): `key_pattern` must be",
            "contract 1 (tea): `fresh_within` must be",
            "contract 2 must be an object",
        ]) {
            let start = format!("CONTRACTS_FILE is {}: {rule}", problem::shown(&path));
            assert!(line.starts_with(&start), "{line}");
        }
        assert!(!loaded.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn a_file_that_can_not_be_read_is_one_problem() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    for path in ["/nowhere/contracts.yaml", folder] {
        let line = problem(&[("CONTRACTS_FILE", path)]).await;
        assert!(line.contains("must name a readable file"), "{line}");
    }
    let binary = dir.path().join("binary");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    let line = problem(&[("CONTRACTS_FILE", binary.to_str().unwrap())]).await;
    assert!(line.ends_with("must name a file of UTF-8 text"), "{line}");
}

#[tokio::test]
async fn contracts_need_a_cache() {
    let line = problem(&[("CONTRACTS_ENABLED", "true"), ("CACHE_MAX_SIZE_MB", "0")]).await;
    assert!(
        line.starts_with("CONTRACTS_ENABLED is true: must be false"),
        "{line}"
    );
}

#[tokio::test]
async fn a_good_file_is_told_to_the_catalogue_with_what_may_not_be_meant() {
    let (_dir, path) = file(
        &WRONG
            .replace("TEA-*", "product:TEA-*")
            .replace("within: 0", "within: 100")
            .replace("- hunter2\n", ""),
    );
    for (is_on, said) in [
        ("true", "CONTRACTS_REFRESH_TIMEOUT_MS"),
        ("false", "listed and not kept"),
    ] {
        let given = [
            ("API_KEY", "k"),
            ("CONTRACTS_ENABLED", is_on),
            ("CONTRACTS_FILE", path.as_str()),
        ];
        let config = load(&given).await.unwrap();
        assert_eq!(config.catalog.contracts.file.len(), 1);
        assert_eq!(config.catalog.contracts.engine.is_some(), is_on == "true");
        assert_eq!(config.cache.contracts, config.catalog.contracts.engine);
        assert!(
            config.warnings.iter().any(|line| line.contains(said)),
            "{:?}",
            config.warnings
        );
    }
}

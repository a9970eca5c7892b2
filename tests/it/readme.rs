//! The README: its tables say what the code says, its links lead somewhere, and its commands are the
//! ones that are checked.

use product_catalog::telemetry::metrics;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The cells of the rows of the table whose first heading is `heading`, without backticks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let readme = read("README.md");
    let start = format!("| {heading} |");
    let lines = readme.lines().skip_while(|line| !line.starts_with(&start));
    let rows: Vec<Vec<String>> = lines
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().replace('`', "")).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "no table begins with {start}");
    rows
}

/// The schema's variables, those that are offered or those that are not.
fn variables(offered: bool) -> Vec<(String, serde_json::Value)> {
    let schema: serde_json::Value =
        serde_json::from_str(&read("configuration/schema.json")).unwrap();
    let variables = schema["properties"].as_object().unwrap().clone();
    let is_offered = |rules: &serde_json::Value| rules["x-available"] != false;
    variables
        .into_iter()
        .filter(|(_, rules)| is_offered(rules) == offered)
        .collect()
}

#[test]
fn the_configuration_table_is_the_schema() {
    let expected: BTreeSet<_> = variables(true)
        .into_iter()
        .map(|(name, rules)| {
            let default = match &rules["default"] {
                serde_json::Value::Null => "none".to_owned(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let description = rules["description"].as_str().unwrap().to_owned();
            vec![name, default, description]
        })
        .collect();
    let rows: BTreeSet<_> = table("variable").into_iter().collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_table_of_what_is_not_offered_is_the_schema() {
    let expected: BTreeSet<_> = variables(false)
        .into_iter()
        .map(|(name, rules)| (name, rules["x-instead"].as_str().unwrap().to_owned()))
        .collect();
    let rows: BTreeSet<_> = table("not offered")
        .into_iter()
        .flat_map(|row| {
            let names: Vec<_> = row[0].split(' ').map(str::to_owned).collect();
            names.into_iter().map(move |name| (name, row[1].clone()))
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_metrics_table_is_what_is_exported() {
    let expected: BTreeSet<_> = metrics::ALL
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric.labels.iter().map(|label| label.name).collect();
            vec![
                metric.name.to_owned(),
                metric.kind.as_str().to_owned(),
                labels.join(", "),
                metric.help.to_owned(),
            ]
        })
        .collect();
    let rows: BTreeSet<_> = table("metric").into_iter().collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_commands_it_gives_are_the_ones_that_are_checked() {
    let readme = read("README.md");
    let checks = read(".ci/run");
    assert!(readme.contains("\ncargo run --release -- demo\n"));
    assert!(readme.contains("\ncargo test\n"));
    assert!(checks.contains("\n    cargo test\n"));
    assert!(checks.contains("cargo build --release"));
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    for document in [
        "README.md",
        "docs/ARCHITECTURE.md",
        "docs/errors.md",
        "docs/faults.md",
    ] {
        let text = read(document);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let folder = folder.parent().unwrap();
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            let file = link.split('#').next().unwrap();
            if !link.contains("://") && !file.is_empty() {
                assert!(folder.join(file).exists(), "{document}: {link}");
            }
        }
    }
}

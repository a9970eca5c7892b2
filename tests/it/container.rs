//! The image: that the Dockerfile agrees with the contract and with what the build reads.

use product_catalog::contract::Contract;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Dockerfile's instructions, continued lines joined, comments left out.
fn instructions() -> Vec<String> {
    let text = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let instructions = joined.lines().map(str::trim);
    instructions
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The arguments of the only instruction of this kind in the final stage.
fn last_stage(instruction: &str) -> String {
    let all = instructions();
    let stage = all.rsplit(|line| line.starts_with("FROM ")).next().unwrap();
    let prefix = format!("{instruction} ");
    let found: Vec<_> = stage
        .iter()
        .filter_map(|line| line.strip_prefix(&prefix))
        .collect();
    assert_eq!(found.len(), 1, "{instruction}: {found:?}");
    found[0].to_owned()
}

/// What `COPY` takes from the build context.
fn copied() -> BTreeSet<String> {
    instructions()
        .iter()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|arguments| !arguments.starts_with("--from"))
        .flat_map(|arguments| {
            let mut paths: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
            paths.pop();
            paths
        })
        .collect()
}

/// Every file the source includes at compile time, from the root of the repository.
fn included() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            // Tests lie at the end of a file, and are not built for the image.
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let marks = ["include_str!(\"", "include_bytes!(\""];
            for name in marks.iter().flat_map(|mark| text.split(mark).skip(1)) {
                let name = name.split('"').next().unwrap();
                let file = folder.join(name).canonicalize().unwrap();
                let root = root().canonicalize().unwrap();
                found.insert(file.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn the_build_has_every_file_that_is_compiled_in() {
    let copied = copied();
    let included = included();
    assert!(included.contains(Path::new("pacto.yaml")), "{included:?}");
    for file in included {
        let is_copied = copied.iter().any(|path| file.starts_with(path));
        assert!(is_copied, "{} is not copied", file.display());
    }
}

#[test]
fn what_is_copied_exists_and_is_not_ignored() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let let_through: BTreeSet<_> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .map(str::to_owned)
        .collect();
    assert!(ignored.lines().any(|line| line == "*"));
    assert_eq!(copied(), let_through);
    for path in let_through {
        assert!(root().join(&path).exists(), "{path}");
    }
}

#[test]
fn the_image_says_what_the_contract_says() {
    let contract = Contract::embedded().unwrap();
    let document = contract.document();
    let ports: Vec<_> = document
        .interfaces
        .iter()
        .map(|interface| interface.port.to_string())
        .collect();
    assert_eq!(last_stage("EXPOSE"), ports.join(" "));
    let version = format!("image.version=\"{}\"", document.service.version);
    assert!(last_stage("LABEL").contains(&version));
}

#[test]
fn signals_reach_the_process_and_it_is_nobody_special() {
    let binary = r#"["/usr/local/bin/product-catalog"]"#;
    assert_eq!(last_stage("ENTRYPOINT"), binary);
    assert_eq!(last_stage("STOPSIGNAL"), "SIGTERM");
    assert_eq!(last_stage("USER"), "nonroot:nonroot");
    let probe = r#"CMD ["/usr/local/bin/product-catalog", "healthcheck"]"#;
    assert!(last_stage("HEALTHCHECK").ends_with(probe));
}

#[test]
fn the_store_lies_in_a_volume_that_the_user_may_write() {
    let volume = last_stage("VOLUME");
    assert_eq!(last_stage("ENV"), format!("CACHE_DIR={volume}"));
    let given = format!("COPY --from=build --chown=nonroot:nonroot /store {volume}");
    assert!(instructions().contains(&given));
}

//! The house rules that no compiler keeps: which part may know which, which crate belongs where, and
//! how long a file may be. `docs/ARCHITECTURE.md` says why; where the two differ, both have to change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What each part may use of this crate, itself apart. A path stands for all that lies in it.
const BORDERS: &[(&str, &[&str])] = &[
    // leaves
    ("clock", &[]),
    ("pace", &[]),
    ("header", &[]),
    ("telemetry", &["header"]),
    ("secrets", &[]),
    ("contract", &[]),
    ("product", &["header"]),
    // engine: generic, knows no product and no HTTP
    ("cache", &["clock", "pace", "telemetry"]),
    // edge out
    ("upstream", &["product", "secrets", "telemetry", "clock"]),
    // service
    (
        "catalog",
        &["product", "cache", "upstream", "clock", "pace", "telemetry"],
    ),
    // edges in
    (
        "http",
        &[
            "catalog",
            "product",
            "secrets",
            "telemetry",
            "clock",
            "header",
        ],
    ),
    ("ops", &["catalog", "http", "secrets", "telemetry"]),
    // stand-in
    ("demo", &["upstream::wire", "product"]),
    // assembly
    (
        "config",
        &[
            "contract",
            "secrets",
            "product",
            "cache",
            "catalog",
            "upstream",
            "http",
            "ops",
            "telemetry",
        ],
    ),
    (
        "app",
        &[
            "cache",
            "catalog",
            "clock",
            "config",
            "contract",
            "demo",
            "http",
            "ops",
            "product",
            "secrets",
            "telemetry",
            "upstream",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "clock",
            "config",
            "contract",
            "demo",
            "http::openapi",
            "secrets",
            "telemetry",
            "upstream::transport",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Crates that only these files (or all files of a part) may name.
const FOREIGN: &[(&str, &[&str])] = &[
    ("reqwest", &["upstream/transport.rs"]),
    ("rustls", &["upstream/transport.rs"]),
    ("sled", &["cache/store.rs"]),
    (
        "json_patch",
        &["product/patch.rs", "product/patch/operation.rs"],
    ),
    ("quick_cache", &["cache/absence.rs", "catalog/pages.rs"]),
    ("smol_str", &["product/model.rs"]),
    ("clap", &["cli", "main.rs"]),
    ("anyhow", &["app.rs", "cli"]),
    (
        "axum",
        &["http", "ops", "demo", "app", "upstream/transport.rs"],
    ),
    (
        "hyper",
        &["app/listener.rs", "http/caching.rs", "http/front.rs"],
    ),
    ("indicatif", &["app/progress.rs"]),
    ("rustix", &["catalog/warmup/quiet.rs"]),
    ("tikv_jemallocator", &["main.rs"]),
    ("tempfile", &["cli"]),
    ("flate2", &["product/coding.rs"]),
    ("brotli", &["product/coding.rs"]),
    ("zstd", &["product/coding.rs"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("metrics_process", &["telemetry"]),
    ("tracing_subscriber", &["telemetry", "config/format.rs"]),
    ("tracing_appender", &["telemetry"]),
    ("redis", &[]),
    ("ring", &["http/auth/jwk.rs"]),
];

/// The longest a source file may be, tests excluded.
const MOST_LINES: usize = 450;

/// Names that say nothing of what lies behind them.
const FORBIDDEN_NAMES: &[&str] = &[
    "mod", "utils", "util", "common", "helpers", "helper", "manager", "types", "models", "prelude",
];

/// A source file without its tests, comments and strings.
struct Source {
    /// Relative to `src/`.
    path: PathBuf,
    /// Its place in the crate: `cache::store` for `cache/store.rs`.
    module: Vec<String>,
    tokens: Vec<Token>,
    lines: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Path,
    Mark(char),
}

/// Where a rule is broken, in words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    file: PathBuf,
    what: String,
}

// === impl Breach ===

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}: {}", self.file.display(), self.what)
    }
}

// === impl Source ===

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(root.join(path)).unwrap();
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Self {
        let text = without_tests(&blanked(text));
        let module = path.with_extension("");
        Self {
            path: path.to_owned(),
            module: module
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect(),
            tokens: tokens(&text),
            lines: text.trim_end().lines().count(),
        }
    }

    /// The part of the house it belongs to.
    fn part(&self) -> &str {
        &self.module[0]
    }

    /// The paths into this crate that it names, from the crate's root.
    fn uses(&self) -> BTreeSet<Vec<String>> {
        let mut paths = BTreeSet::new();
        let root = ["crate", "product_catalog"];
        for (at, token) in self.tokens.iter().enumerate() {
            let Token::Word(word) = token else { continue };
            if at > 0 && self.tokens[at - 1] == Token::Path {
                continue;
            }
            if root.contains(&word.as_str()) {
                self.tree(at + 1, &mut Vec::new(), &mut paths);
            } else if word == "super" {
                self.climb(at, &mut paths);
            }
        }
        paths.retain(|path| !path.is_empty());
        paths
    }

    /// Follows `super::super::…` where it leaves the part.
    fn climb(&self, mut at: usize, paths: &mut BTreeSet<Vec<String>>) {
        let mut place = self.module.clone();
        while self.word(at) == Some("super") && place.pop().is_some() {
            at += 1;
            if self.tokens.get(at) == Some(&Token::Path) && self.word(at + 1) == Some("super") {
                at += 1;
            }
        }
        if place.is_empty() {
            self.tree(at, &mut Vec::new(), paths);
        }
    }

    /// Collects the paths of a use tree; `at` is after the word that begins it. Returns where it ends.
    fn tree(
        &self,
        mut at: usize,
        prefix: &mut Vec<String>,
        paths: &mut BTreeSet<Vec<String>>,
    ) -> usize {
        let depth = prefix.len();
        while self.tokens.get(at) == Some(&Token::Path) {
            at += 1;
            if let Some(word) = self.word(at) {
                prefix.push(word.to_owned());
                at += 1;
            } else if self.tokens.get(at) == Some(&Token::Mark('{')) {
                at = self.group(at + 1, prefix, paths);
                prefix.truncate(depth);
                return at;
            } else {
                break;
            }
        }
        paths.insert(prefix.clone());
        prefix.truncate(depth);
        at
    }

    /// Collects the paths of `{…}`; `at` is after the brace.
    fn group(
        &self,
        mut at: usize,
        prefix: &mut Vec<String>,
        paths: &mut BTreeSet<Vec<String>>,
    ) -> usize {
        while let Some(token) = self.tokens.get(at) {
            match token {
                Token::Mark('}') => return at + 1,
                // A new name for what has been collected already.
                Token::Word(word) if word == "as" => at += 2,
                Token::Word(word) if word == "self" => {
                    paths.insert(prefix.clone());
                    at += 1;
                }
                Token::Word(word) => {
                    prefix.push(word.clone());
                    at = self.tree(at + 1, prefix, paths);
                    prefix.pop();
                }
                _ => at += 1,
            }
        }
        at
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Whether it names a crate: at the beginning of a path, or as the whole of a `use`.
    fn names_crate(&self, name: &str) -> bool {
        self.tokens.iter().enumerate().any(|(at, token)| {
            let before = |by| at.checked_sub(by).and_then(|at| self.tokens.get(at));
            let is_use = before(1) == Some(&Token::Word("use".to_owned()));
            let is_absolute = !matches!(before(2), Some(Token::Word(_) | Token::Mark('>')));
            *token == Token::Word(name.to_owned())
                && (before(1) != Some(&Token::Path) || is_absolute)
                && (is_use || self.tokens.get(at + 1) == Some(&Token::Path))
        })
    }

    /// Whether it only exists for tests.
    fn is_test(&self) -> bool {
        self.module.iter().any(|part| part == "tests")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file under `src/`, tests excluded.
fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = Source::read(&root, path.strip_prefix(&root).unwrap());
                if !source.is_test() {
                    found.push(source);
                }
            }
        }
    }
    assert!(found.len() > 50, "only {} files under src/", found.len());
    found
}

/// `text` with comments, strings and characters blanked out, line by line as long as before.
fn blanked(text: &str) -> String {
    let mut blank = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if next == '"' {
            string_end(rest)
        } else if !blank.ends_with(|c: char| c.is_alphanumeric() || c == '_') && is_raw(rest) {
            raw_end(rest)
        } else if next == '\'' {
            character_end(rest)
        } else {
            0
        };
        if skipped == 0 {
            blank.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            let (gone, left) = rest.split_at(skipped);
            blank.push(' ');
            blank.extend(gone.chars().filter(|&c| c == '\n'));
            rest = left;
        }
    }
    blank
}

fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_raw(text: &str) -> bool {
    let text = text.strip_prefix('b').unwrap_or(text);
    text.strip_prefix('r')
        .is_some_and(|text| text.trim_start_matches('#').starts_with('"'))
}

fn raw_end(text: &str) -> usize {
    let open = text.find('"').unwrap();
    let close = format!("\"{}", "#".repeat(text[..open].matches('#').count()));
    text[open + 1..]
        .find(&close)
        .map_or(text.len(), |end| open + 1 + end + close.len())
}

/// Where a character literal ends; zero for a lifetime.
fn character_end(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        // What is escaped may be a quote itself.
        Some((_, '\\')) => text[3..].find('\'').map_or(text.len(), |end| end + 4),
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

/// `text` without the modules that are compiled for tests only.
fn without_tests(text: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let (before, item) = rest.split_at(at);
        kept.push_str(before);
        let mut depth = 0_usize;
        let end = item.char_indices().find_map(|(at, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            (depth == 0 && matches!(c, ';' | '}')).then_some(at + 1)
        });
        rest = &item[end.unwrap_or(item.len())..];
    }
    kept.push_str(rest);
    kept
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(next) = rest.chars().next() {
        let word = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let taken = if word > 0 {
            tokens.push(Token::Word(rest[..word].to_owned()));
            word
        } else if rest.starts_with("::") {
            tokens.push(Token::Path);
            2
        } else {
            tokens.push(Token::Mark(next));
            next.len_utf8()
        };
        rest = rest[taken..].trim_start();
    }
    tokens
}

/// Uses that `source`'s row in [`BORDERS`] does not name.
fn border_breaches(source: &Source) -> Vec<Breach> {
    let rows: BTreeMap<_, _> = BORDERS.iter().copied().collect();
    let part = source.part();
    let Some(allowed) = rows.get(part) else {
        return vec![Breach {
            file: source.path.clone(),
            what: format!("the part `{part}` has no row in BORDERS"),
        }];
    };
    let known: BTreeSet<&str> = rows.keys().copied().collect();
    source
        .uses()
        .into_iter()
        .filter(|path| path[0] != part && known.contains(path[0].as_str()))
        .filter(|path| {
            let path = path.join("::") + "::";
            !allowed
                .iter()
                .any(|allowed| path.starts_with(&format!("{allowed}::")))
        })
        .map(|path| Breach {
            file: source.path.clone(),
            what: format!("{part} → {} crosses a border", path.join("::")),
        })
        .collect()
}

/// Crates named where they do not belong.
fn foreign_breaches(source: &Source) -> Vec<Breach> {
    let at_home = |homes: &[&str]| {
        homes
            .iter()
            .any(|home| source.path == Path::new(home) || source.part() == *home)
    };
    FOREIGN
        .iter()
        .filter(|(name, homes)| !at_home(homes) && source.names_crate(name))
        .map(|(name, homes)| Breach {
            file: source.path.clone(),
            what: format!("names the crate `{name}`, which belongs in {homes:?}"),
        })
        .collect()
}

fn assert_none(mut breaches: Vec<Breach>) {
    breaches.sort();
    let lines: Vec<_> = breaches.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

#[test]
fn every_part_uses_only_what_its_row_names() {
    assert_none(sources().iter().flat_map(border_breaches).collect());
}

#[test]
fn every_row_has_its_part() {
    let parts: BTreeSet<_> = sources().iter().map(|s| s.part().to_owned()).collect();
    let rows: BTreeSet<_> = BORDERS.iter().map(|(part, _)| (*part).to_owned()).collect();
    assert_eq!(parts, rows);
}

#[test]
fn every_foreign_crate_stays_where_it_belongs() {
    let sources = sources();
    assert_none(sources.iter().flat_map(foreign_breaches).collect());
    for (name, homes) in FOREIGN {
        for home in *homes {
            let file = root().join(home);
            let part = file.with_extension("rs");
            assert!(
                file.is_file() || part.is_file(),
                "{name}: {home} is not there"
            );
        }
    }
}

#[test]
fn no_file_is_too_long() {
    let long = sources().into_iter().filter(|s| s.lines > MOST_LINES);
    let breach = |source: Source| Breach {
        what: format!("{} lines; {MOST_LINES} are the most", source.lines),
        file: source.path,
    };
    assert_none(long.map(breach).collect());
}

#[test]
fn every_module_has_a_name_that_says_something() {
    let breaches = sources().into_iter().filter_map(|source| {
        let name = source.module.last().cloned().unwrap_or_default();
        FORBIDDEN_NAMES.contains(&name.as_str()).then(|| Breach {
            what: format!("`{name}` says nothing"),
            file: source.path,
        })
    });
    assert_none(breaches.collect());
}

#[test]
fn a_border_is_seen_however_it_is_crossed() {
    let crossed = |path: &str, text: &str| {
        let source = Source::parse(Path::new(path), text);
        let breaches = border_breaches(&source).into_iter();
        breaches.map(|breach| breach.what).collect::<Vec<_>>()
    };
    for text in [
        "use crate::catalog::Catalog;",
        "pub use crate::{clock::Clock, catalog::{self, Catalog as C}};",
        "fn f() { crate::catalog::read(); }",
        "use super::super::catalog::Catalog;",
        "const C: char = '\\''; const S: &str = \"//\"; use crate::catalog;",
        "fn f<'a>(x: &'a str) -> char { 'x' } use crate::catalog;",
        "const S: &str = r#\"\"\"#; use crate::catalog;",
        "#[cfg(test)] mod tests { fn f() {} } use crate::catalog;",
    ] {
        let found = crossed("cache/store.rs", text);
        assert!(!found.is_empty(), "{text}");
        for what in found {
            assert!(what.starts_with("cache → catalog"), "{text}: {what}");
        }
    }
    for text in [
        "use crate::clock::Clock; use super::tiers::Tiers; use crate::cache::Entry;",
        "// crate::catalog\n/* crate::catalog */",
        "/// [`crate::catalog`]\nfn f() {}",
        "const S: &str = \"crate::catalog\"; const R: &str = r\"crate::catalog\";",
        "#[cfg(test)]\nmod tests { use crate::catalog; }",
        "use other::crate_like::catalog;",
    ] {
        assert_eq!(crossed("cache/store.rs", text), [""; 0], "{text}");
    }
    assert!(crossed("demo/api.rs", "use crate::upstream::wire;").is_empty());
    assert_eq!(
        crossed("demo/api.rs", "use crate::upstream::{wire, Inventory};"),
        ["demo → upstream::Inventory crosses a border"]
    );
    assert_eq!(
        crossed("helpers.rs", ""),
        ["the part `helpers` has no row in BORDERS"]
    );
}

#[test]
fn a_foreign_crate_is_seen_however_it_is_named() {
    let named =
        |path: &str, text: &str| foreign_breaches(&Source::parse(Path::new(path), text)).len();
    for text in [
        "use sled;",
        "use sled::Db;",
        "fn f(_: ::sled::Db) {}",
        "type D = sled::Db;",
    ] {
        assert_eq!(named("cache/writer.rs", text), 1, "{text}");
        assert_eq!(named("cache/store.rs", text), 0, "{text}");
    }
    for text in [
        "// sled::Db\nlet sled = 1;",
        "use crate::sled::Db;",
        "\"sled::Db\"",
    ] {
        assert_eq!(named("cache/writer.rs", text), 0, "{text}");
    }
}

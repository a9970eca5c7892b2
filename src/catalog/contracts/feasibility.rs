//! Whether a contract can be kept: what it will ask of the inventory, and what the inventory allows.

use super::book::Book;
use crate::cache::{Contract, ContractsConfig, Pattern};
use crate::product::Product;
use crate::upstream::Latency;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// What is known of the inventory, and of how contracts are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Means {
    /// How contracts are kept.
    pub engine: ContractsConfig,
    /// How long the inventory takes over one product; `None` before it was asked for any.
    pub latency: Option<Latency>,
    /// Calls that it may have at a time.
    pub calls_at_once: usize,
    /// Calls that it may have in a second, where they are limited.
    pub calls_a_second: Option<f64>,
    /// Whether all products are known, so that counting keys counts all.
    pub knows_all: bool,
}

/// What one contract covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cover {
    /// Keys that its pattern matches.
    pub matched: u64,
    /// Those of them that no other contract matches more closely.
    pub governed: u64,
}

/// Whether a contract can be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Feasibility {
    /// Products that its pattern matches, as far as they are known.
    pub keys_matched: u64,
    /// Refreshes a second that it asks for while all keys under it are in use.
    pub refreshes_per_second: f64,
    /// The same for those that are in use now; `None` where all are refreshed, or that is not known.
    pub refreshes_in_use_per_second: Option<f64>,
    /// How long the inventory takes over one product.
    pub latency: Option<Latency>,
    /// Refreshes a second that are possible beside those of the other contracts; `None`: not known.
    pub allowed_per_second: Option<f64>,
    /// Whether the promise can be kept; `None`: not known.
    pub feasible: Option<bool>,
    /// What to know, and to do about it: sentences.
    pub advice: Vec<String>,
}

/// Finds the contract that a key is under.
struct Matcher<'a> {
    exact: HashMap<&'a [u8], &'a Arc<str>>,
    /// By length, the longest first.
    prefixes: BTreeMap<std::cmp::Reverse<usize>, HashMap<&'a [u8], &'a Arc<str>>>,
}

// === impl Means ===

impl Means {
    /// Refreshes a second that are possible at all.
    fn refreshes_a_second(&self) -> Option<f64> {
        let at_once = self.engine.max_concurrent_refreshes.min(self.calls_at_once);
        let of_latency = self.latency.map(|latency| {
            let seconds = latency.p50.max(Duration::from_micros(1)).as_secs_f64();
            count(at_once as u64) / seconds
        });
        match (of_latency, self.calls_a_second) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// What is left of a window when a refresh begins.
    fn left_of(&self, window: Duration) -> Duration {
        window.mul_f64((1.0 - self.engine.refresh_threshold).clamp(0.0, 1.0))
    }

    /// Refreshes a second of so many keys with this window.
    fn asked(&self, keys: u64, window: Duration) -> f64 {
        let every = window.mul_f64(self.engine.refresh_threshold.clamp(0.01, 1.0));
        count(keys) / every.as_secs_f64().max(0.001)
    }

    /// Whether the inventory's latency leaves the promise a chance; `None`: not known.
    fn is_fast_enough(&self, window: Duration) -> Option<bool> {
        let taken = self.latency?.p95 + self.engine.tick_interval;
        Some(taken <= self.left_of(window))
    }
}

/// What is to be known without asking the inventory: whether the engine's own times fit the window.
pub(super) fn remarks(contract: &Contract<Product>, engine: &ContractsConfig) -> Vec<String> {
    let window = contract.fresh_within;
    let left = window.mul_f64((1.0 - engine.refresh_threshold).clamp(0.0, 1.0));
    let mut advice = Vec::new();
    if engine.refresh_timeout > left {
        advice.push(format!(
            "A refresh may take {:?} (CONTRACTS_REFRESH_TIMEOUT_MS), but begins when {left:?} of the window are left: one that takes longer breaks the promise.",
            engine.refresh_timeout
        ));
    }
    if engine.tick_interval > left {
        advice.push(format!(
            "It is looked every {:?} (CONTRACTS_TICK_INTERVAL_MS) which products are due, and a refresh has {left:?} (CONTRACTS_REFRESH_THRESHOLD): lower one of them.",
            engine.tick_interval
        ));
    }
    advice
}

/// Weighs what `contract` asks for, beside the others of `book`, against the means. `in_use` is how many
/// of the keys under it are in use, where that is known.
pub(super) fn weigh(
    contract: &Contract<Product>,
    book: &Book,
    covers: &HashMap<Arc<str>, Cover>,
    in_use: Option<u64>,
    means: &Means,
) -> Feasibility {
    let cover = |name: &Arc<str>| covers.get(name).copied().unwrap_or_default();
    let own = cover(&contract.name);
    let (window, has_idle) = (contract.fresh_within, !contract.idle_after.is_zero());
    let all = means.asked(own.governed, window);
    let used = in_use.filter(|_| has_idle);
    let used = used.map(|keys| means.asked(keys.min(own.governed), window));
    let others = book.iter().map(|kept| kept.declared.contract());
    let others = others.filter(|other| other.name != contract.name);
    let others: f64 = others
        .map(|other| means.asked(cover(&other.name).governed, other.fresh_within))
        .sum();
    let allowed = means
        .refreshes_a_second()
        .map(|most| (most - others).max(0.0));

    let enough = allowed.map(|allowed| used.unwrap_or(all) <= allowed);
    // Those not in use are not refreshed, and how many are is not known yet.
    let enough = enough.filter(|enough| *enough || !has_idle || used.is_some());
    let fast = means.is_fast_enough(window);
    let whole = means.knows_all.then_some(true);
    let verdicts = [enough, fast, whole];
    let feasible = match verdicts.contains(&Some(false)) {
        true => Some(false),
        false => verdicts
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .map(|_| true),
    };
    let mut found = Feasibility {
        keys_matched: own.matched,
        refreshes_per_second: all,
        refreshes_in_use_per_second: used,
        latency: means.latency,
        allowed_per_second: allowed,
        feasible,
        advice: remarks(contract, &means.engine),
    };
    found.advise(contract, own, means);
    found
}

impl Feasibility {
    /// Says what stands in the way of the promise, and what helps.
    fn advise(&mut self, contract: &Contract<Product>, own: Cover, means: &Means) {
        let (all, window) = (self.refreshes_per_second, contract.fresh_within);
        if let Some(allowed) = self.allowed_per_second.filter(|allowed| all > *allowed) {
            self.advice.push(format!(
                "It asks for {all:.1} refreshes a second while all its products are in use; {allowed:.1} are possible beside the other contracts."
            ));
            if contract.idle_after.is_zero() {
                self.advice.push(
                    "Set idle_after, so that products nobody reads are not refreshed; or widen fresh_within, or narrow key_pattern."
                        .to_owned(),
                );
            }
        }
        if let (Some(false), Some(latency)) = (means.is_fast_enough(window), self.latency) {
            self.advice.push(format!(
                "The inventory takes {:?} (95 of 100 calls) over one product, and a refresh has {:?} of the window: widen fresh_within, or lower CONTRACTS_REFRESH_THRESHOLD.",
                latency.p95,
                means.left_of(window)
            ));
        }
        if own.matched == 0 {
            let line = "No product that is known matches key_pattern.";
            self.advice.push(line.to_owned());
        } else if own.governed < own.matched {
            self.advice.push(format!(
                "{} of the products that match are under a contract that matches them more closely.",
                own.matched - own.governed
            ));
        }
        if !means.knows_all {
            let line = "Not all products are known yet; the figures may grow.";
            self.advice.push(line.to_owned());
        }
    }
}

/// What the contracts of a book cover of all keys that `each` visits. Also the matches of `of`, which the
/// book has.
pub(super) fn covers(
    book: &Book,
    of: &Contract<Product>,
    each: impl FnOnce(&mut dyn FnMut(&[u8])),
) -> HashMap<Arc<str>, Cover> {
    let matcher = Matcher::of(book);
    let mut covers: HashMap<Arc<str>, Cover> = HashMap::new();
    let mut matched = 0;
    each(&mut |key| {
        matched += u64::from(of.pattern.matches(key));
        if let Some(name) = matcher.find(key) {
            match covers.get_mut(name) {
                Some(cover) => cover.governed += 1,
                None => drop(covers.insert(
                    Arc::clone(name),
                    Cover {
                        matched: 0,
                        governed: 1,
                    },
                )),
            }
        }
    });
    covers.entry(Arc::clone(&of.name)).or_default().matched = matched;
    covers
}

// === impl Matcher ===

impl<'a> Matcher<'a> {
    fn of(book: &'a Book) -> Self {
        let (mut exact, mut prefixes) = (HashMap::new(), BTreeMap::<_, HashMap<_, _>>::new());
        for kept in book.iter() {
            let contract = kept.declared.contract();
            match &contract.pattern {
                Pattern::Exact(key) => drop(exact.insert(&**key, &contract.name)),
                Pattern::Prefix(prefix) => {
                    let same = prefixes.entry(std::cmp::Reverse(prefix.len())).or_default();
                    same.insert(&**prefix, &contract.name);
                }
            }
        }
        Self { exact, prefixes }
    }

    fn find(&self, key: &[u8]) -> Option<&'a Arc<str>> {
        let exact = self.exact.get(key).copied();
        exact.or_else(|| {
            let mut prefixes = self.prefixes.iter();
            prefixes.find_map(|(length, same)| same.get(key.get(..length.0)?).copied())
        })
    }
}

/// Counts of keys and calls fit 2^53.
#[allow(clippy::cast_precision_loss, reason = "see above")]
const fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::super::book::Origin;
    use super::super::file::parse_file;
    use super::*;
    use serde_json::json;

    fn book(contracts: serde_json::Value) -> Book {
        let mut book = Book::default();
        for declared in parse_file(&contracts.to_string(), &|_| Ok(true)).unwrap() {
            book.add(declared, Origin::File).unwrap();
        }
        book
    }

    fn means(latency_ms: Option<u64>) -> Means {
        Means {
            engine: ContractsConfig {
                tick_interval: Duration::from_millis(50),
                refresh_threshold: 0.8,
                max_concurrent_refreshes: 32,
                refresh_timeout: Duration::from_millis(300),
            },
            latency: latency_ms.map(|millis| Latency {
                p50: Duration::from_millis(millis),
                p95: Duration::from_millis(millis * 2),
                samples: 100,
            }),
            calls_at_once: 64,
            calls_a_second: None,
            knows_all: true,
        }
    }

    fn judged(
        book: &Book,
        name: &str,
        keys: u32,
        in_use: Option<u64>,
        means: &Means,
    ) -> Feasibility {
        let contract = book.get(name).unwrap().declared.contract();
        let covers = covers(book, contract, |visit| {
            for key in 0..keys {
                visit(format!("P-{key:06}").as_bytes());
            }
        });
        weigh(contract, book, &covers, in_use, means)
    }

    fn contract(name: &str, pattern: &str, window: u64) -> serde_json::Value {
        json!({"name": name, "key_pattern": pattern, "fresh_within": window, "grace_period": 0,
               "on_degrade": "ServeStale"})
    }

    #[test]
    fn what_is_asked_for_is_weighed_against_what_latency_allows() {
        let book = book(json!([contract("all", "product:*", 2000)]));
        // 32 at a time of 20 ms each: 1,600 a second. One in 1.6 s each: 2,560 keys.
        for (keys, feasible) in [(0, true), (2560, true), (2600, false)] {
            let said = judged(&book, "all", keys, None, &means(Some(20)));
            assert_eq!(said.feasible, Some(feasible), "{keys}: {said:?}");
            assert_eq!(said.keys_matched, u64::from(keys));
            assert_eq!(said.allowed_per_second, Some(1600.0));
            assert_eq!(said.refreshes_per_second, f64::from(keys) / 1.6);
        }
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unknown_unless_it_is_refused_anyway() {
        let book = book(json!([contract("all", "product:*", 2000)]));
        assert_eq!(judged(&book, "all", 1, None, &means(None)).feasible, None);
        let limited = Means {
            calls_a_second: Some(10.0),
            ..means(None)
        };
        let said = judged(&book, "all", 17, None, &limited);
        assert_eq!(
            (said.feasible, said.allowed_per_second),
            (Some(false), Some(10.0))
        );
        let partial = Means {
            knows_all: false,
            ..means(Some(20))
        };
        assert_eq!(judged(&book, "all", 1, None, &partial).feasible, None);
    }

    #[test]
    fn a_window_that_the_latency_nearly_fills_can_not_be_kept() {
        let book = book(json!([contract("all", "product:*", 2000)]));
        // A fifth of the window, less a tick, is left to 95 of 100 calls: 350 ms.
        for (latency, feasible) in [(175, true), (176, false)] {
            let said = judged(&book, "all", 1, None, &means(Some(latency)));
            assert_eq!(said.feasible, Some(feasible));
            let is_told = said.advice.iter().any(|line| line.contains("95 of 100"));
            assert_eq!(is_told, !feasible, "{said:?}");
        }
    }

    #[test]
    fn of_two_hundred_contracts_beside_ten_calls_a_second_each_is_told() {
        let contracts =
            (0..200).map(|at| contract(&format!("c-{at}"), &format!("product:P-{at:06}"), 2000));
        let book = book(contracts.collect());
        let limited = Means {
            calls_a_second: Some(10.0),
            ..means(Some(20))
        };
        let said = judged(&book, "c-7", 1000, None, &limited);
        assert_eq!((said.keys_matched, said.feasible), (1, Some(false)));
        assert_eq!(said.allowed_per_second, Some(0.0));
    }

    #[test]
    fn keys_count_for_the_contract_that_matches_them_most_closely() {
        let book = book(json!([
            contract("all", "product:*", 1000),
            contract("ten", "product:P-00001*", 1000),
            contract("one", "product:P-000011", 1000),
        ]));
        for (name, matched, governed) in [("all", 100, 90.0), ("ten", 10, 9.0), ("one", 1, 1.0)] {
            let said = judged(&book, name, 100, None, &means(Some(1)));
            assert_eq!(said.keys_matched, matched);
            assert_eq!(said.refreshes_per_second, governed / 0.8, "{name}");
            let is_told = said.advice.iter().any(|line| line.contains("more closely"));
            assert_eq!(is_told, name != "one");
        }
    }

    #[test]
    fn with_idle_after_those_in_use_count() {
        let mut declared = contract("all", "product:*", 1000);
        declared["idle_after"] = 60_000.into();
        let book = book(json!([declared]));
        let judged = |in_use| judged(&book, "all", 100_000, in_use, &means(Some(20)));
        for (in_use, feasible) in [
            (None, None),
            (Some(1000), Some(true)),
            (Some(2000), Some(false)),
        ] {
            assert_eq!(judged(in_use).feasible, feasible, "{in_use:?}");
        }
        assert_eq!(judged(Some(800)).refreshes_in_use_per_second, Some(1000.0));
    }

    #[test]
    fn times_of_the_engine_that_do_not_fit_the_window_are_told() {
        let book = book(json!([
            contract("slow", "product:*", 10_000),
            contract("fast", "product:a", 200)
        ]));
        let engine = means(None).engine;
        let remarks = |name| remarks(book.get(name).unwrap().declared.contract(), &engine).len();
        assert_eq!((remarks("slow"), remarks("fast")), (0, 2));
    }
}

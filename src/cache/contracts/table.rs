//! The contracts in force, and which of them a key is under.

use crate::cache::contract::{Contract, Pattern};
use crate::cache::freshness::Rule;
use rustc_hash::FxHashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The number of a contract; zero is none.
pub type ContractNumber = u16;

/// A contract in force.
#[derive(Debug)]
pub struct Governing<F> {
    /// What was promised.
    pub contract: Contract<F>,
    /// The same as a rule for single values.
    pub rule: Rule,
    /// How old a value is that is to be refreshed.
    pub due_after: Duration,
}

/// The contracts in force. Read for every hit under a contract, changed when somebody declares one.
#[derive(Debug)]
pub struct Table<F>(RwLock<Arc<InForce<F>>>);

#[derive(Debug)]
struct InForce<F> {
    /// By number, less one.
    by_number: Vec<Option<Arc<Governing<F>>>>,
    exact: FxHashMap<Box<[u8]>, ContractNumber>,
    prefixes: FxHashMap<Box<[u8]>, ContractNumber>,
    /// How long the prefixes are, the longest first.
    lengths: Vec<usize>,
}

// === impl Governing ===

impl<F> Governing<F> {
    /// `contract` in force, where values are refreshed after `threshold` of their window, 0 to 1.
    pub fn new(contract: Contract<F>, threshold: f64) -> Self {
        Self {
            rule: Rule {
                window: Some(contract.fresh_within),
                stale_while_revalidate: Duration::ZERO,
                grace: contract.grace_period,
            },
            due_after: contract.fresh_within.mul_f64(threshold.clamp(0.0, 1.0)),
            contract,
        }
    }
}

// === impl Table ===

impl<F: PartialEq> Table<F> {
    /// Puts `contracts` in force in place of all others. Contracts that are as before keep their
    /// numbers. Returns the numbers that mean something else now, or nothing any more.
    pub fn replace(&self, contracts: Vec<Contract<F>>, threshold: f64) -> Vec<ContractNumber> {
        let before = self.in_force();
        let mut by_number = before.by_number.clone();
        let mut changed = Vec::new();
        for (place, number) in by_number.iter_mut().zip(1..) {
            let is_kept = place
                .as_ref()
                .is_some_and(|kept| contracts.contains(&kept.contract));
            if place.is_some() && !is_kept {
                *place = None;
                changed.push(number);
            }
        }
        let is_new = |contract: &Contract<F>| {
            let mut kept = by_number.iter().flatten();
            !kept.any(|kept| kept.contract == *contract)
        };
        let added: Vec<_> = contracts.into_iter().filter(is_new).collect();
        for contract in added {
            let governing = Some(Arc::new(Governing::new(contract, threshold)));
            // A number that has just become free is still on values, until they are looked at again.
            let free = by_number
                .iter_mut()
                .zip(1..)
                .find(|(place, number)| place.is_none() && !changed.contains(number));
            match free {
                Some((place, number)) => {
                    *place = governing;
                    changed.push(number);
                }
                None => {
                    by_number.push(governing);
                    changed.extend(ContractNumber::try_from(by_number.len()));
                }
            }
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(InForce::new(by_number));
        changed
    }
}

impl<F> Table<F> {
    /// The contract with this number.
    pub fn get(&self, number: ContractNumber) -> Option<Arc<Governing<F>>> {
        let at = usize::from(number.checked_sub(1)?);
        self.read(|in_force| in_force.by_number.get(at)?.clone())
    }

    /// The number of the contract that a key is under; zero if there is none.
    pub fn number_of(&self, key: impl FnOnce() -> Vec<u8>) -> ContractNumber {
        let in_force = self.in_force();
        if in_force.exact.is_empty() && in_force.prefixes.is_empty() {
            return 0;
        }
        in_force.number_of(&key())
    }

    /// All contracts with their numbers.
    pub fn all(&self) -> Vec<(ContractNumber, Arc<Governing<F>>)> {
        let in_force = self.in_force();
        let numbered = in_force.by_number.iter().zip(1..);
        numbered
            .filter_map(|(governing, number)| Some((number, governing.clone()?)))
            .collect()
    }

    fn in_force(&self) -> Arc<InForce<F>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is behind the lock is swapped whole, so poison is ignored.
    fn read<R>(&self, read: impl FnOnce(&InForce<F>) -> R) -> R {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<F> Default for Table<F> {
    fn default() -> Self {
        Self(RwLock::new(Arc::new(InForce::new(Vec::new()))))
    }
}

// === impl InForce ===

impl<F> InForce<F> {
    fn new(by_number: Vec<Option<Arc<Governing<F>>>>) -> Self {
        let mut in_force = Self {
            by_number: Vec::new(),
            exact: FxHashMap::default(),
            prefixes: FxHashMap::default(),
            lengths: Vec::new(),
        };
        for (governing, number) in by_number.iter().zip(1..) {
            match governing.as_ref().map(|held| &held.contract.pattern) {
                Some(Pattern::Exact(key)) => in_force.exact.insert(key.clone(), number),
                Some(Pattern::Prefix(prefix)) => in_force.prefixes.insert(prefix.clone(), number),
                None => None,
            };
        }
        let lengths = in_force.prefixes.keys().map(|prefix| prefix.len());
        in_force.lengths = lengths.collect();
        in_force
            .lengths
            .sort_unstable_by_key(|length| std::cmp::Reverse(*length));
        in_force.lengths.dedup();
        Self {
            by_number,
            ..in_force
        }
    }

    fn number_of(&self, key: &[u8]) -> ContractNumber {
        if let Some(number) = self.exact.get(key) {
            return *number;
        }
        let prefixes = self.lengths.iter().filter_map(|length| key.get(..*length));
        prefixes
            .filter_map(|prefix| self.prefixes.get(prefix))
            .next()
            .copied()
            .unwrap_or(0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cache::contract::Degrade;
    use proptest::prelude::*;

    pub fn contract(pattern: &str, fresh_within: u64) -> Contract<String> {
        Contract {
            name: pattern.into(),
            pattern: match pattern.strip_suffix('*') {
                Some(prefix) => Pattern::Prefix(prefix.as_bytes().into()),
                None => Pattern::Exact(pattern.as_bytes().into()),
            },
            fresh_within: Duration::from_millis(fresh_within),
            grace_period: Duration::from_millis(10 * fresh_within),
            on_degrade: Degrade::ServeStale,
            refresh_from: None,
            fallback: None,
            idle_after: Duration::ZERO,
        }
    }

    fn name(table: &Table<String>, key: &str) -> Option<Arc<str>> {
        let number = table.number_of(|| key.as_bytes().to_vec());
        Some(Arc::clone(&table.get(number)?.contract.name))
    }

    #[test]
    fn contracts_that_stay_keep_their_numbers_and_freed_numbers_rest_for_one_change() {
        let table = Table::default();
        let of = |table: &Table<String>, key: &str| table.number_of(|| key.as_bytes().to_vec());
        assert_eq!(of(&table, "a"), 0);
        assert_eq!(
            table.replace(vec![contract("a", 1), contract("b", 1)], 0.8),
            [1, 2]
        );
        let b = of(&table, "b");
        assert_eq!(
            table.replace(vec![contract("b", 1), contract("c", 1)], 0.8),
            [1, 3]
        );
        assert_eq!(
            (of(&table, "a"), of(&table, "b"), of(&table, "c")),
            (0, b, 3)
        );
        // The same name with other terms is another promise.
        assert_eq!(
            table.replace(vec![contract("b", 2), contract("c", 1)], 0.8),
            [2, 1]
        );
        assert_eq!(of(&table, "b"), 1);
        assert_eq!(table.replace(Vec::new(), 0.8), [1, 3]);
        assert_eq!(of(&table, "b"), 0);
    }

    proptest! {
        #[test]
        fn the_longest_match_wins_and_an_exact_one_over_all(
            patterns in proptest::collection::btree_set("[ab]{0,4}\\*?", 0..12), key in "[ab]{0,5}",
        ) {
            let table = Table::default();
            table.replace(patterns.iter().map(|pattern| contract(pattern, 1)).collect(), 0.8);
            let expected = patterns
                .iter()
                .filter(|pattern| contract(pattern, 1).pattern.matches(key.as_bytes()))
                .max_by_key(|pattern| (!pattern.ends_with('*'), pattern.len()));
            let found = name(&table, &key);
            prop_assert_eq!(found.as_deref(), expected.map(String::as_str));
        }
    }
}

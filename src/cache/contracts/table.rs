//! The contracts in force, and which of them a key is under.

use crate::cache::contract::{Contract, Pattern};
use crate::cache::freshness::Rule;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
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
    /// Those of them that are not in force any more.
    retired: BTreeSet<ContractNumber>,
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
    /// Puts `contracts` in force in place of all others. Contracts that are as before keep their numbers;
    /// those that are not any more stay readable by theirs until [`Table::retire`], because values
    /// are still under them. `open` is called with what is new before it is in force. Returns whether
    /// anything has changed.
    pub fn replace(
        &self,
        contracts: Vec<Contract<F>>,
        threshold: f64,
        open: impl FnOnce(&[(ContractNumber, Arc<Governing<F>>)]),
    ) -> bool {
        let before = self.in_force();
        let mut by_number = before.by_number.clone();
        let is_kept = |held: &Arc<Governing<F>>| contracts.contains(&held.contract);
        let numbered = by_number.iter().zip(1..);
        let retired: BTreeSet<ContractNumber> = numbered
            .filter(|(place, _)| place.as_ref().is_some_and(|held| !is_kept(held)))
            .map(|(_, number)| number)
            .collect();
        let is_new = |contract: &Contract<F>| {
            let mut kept = by_number.iter().flatten();
            !kept.any(|kept| kept.contract == *contract)
        };
        let new: Vec<_> = contracts.into_iter().filter(is_new).collect();
        let mut opened = Vec::new();
        for contract in new {
            let governing = Arc::new(Governing::new(contract, threshold));
            let free = by_number.iter().position(Option::is_none);
            let at = free.unwrap_or_else(|| {
                by_number.push(None);
                by_number.len() - 1
            });
            if let (Some(place), Ok(number)) = (by_number.get_mut(at), u16::try_from(at + 1)) {
                *place = Some(Arc::clone(&governing));
                opened.push((number, governing));
            }
        }
        let is_changed = !opened.is_empty() || !retired.is_empty();
        open(&opened);
        self.put(InForce::new(by_number, retired));
        is_changed
    }
}

impl<F> Table<F> {
    /// Forgets the contracts that are not in force any more: no value is under them. Returns their
    /// numbers, which are free.
    pub fn retire(&self) -> Vec<ContractNumber> {
        let before = self.in_force();
        let mut by_number = before.by_number.clone();
        for (place, number) in by_number.iter_mut().zip(1..) {
            if before.retired.contains(&number) {
                *place = None;
            }
        }
        self.put(InForce::new(by_number, BTreeSet::new()));
        before.retired.iter().copied().collect()
    }

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

    /// All contracts in force with their numbers.
    pub fn all(&self) -> Vec<(ContractNumber, Arc<Governing<F>>)> {
        let in_force = self.in_force();
        let numbered = in_force.by_number.iter().zip(1..);
        numbered
            .filter(|(_, number)| !in_force.retired.contains(number))
            .filter_map(|(governing, number)| Some((number, governing.clone()?)))
            .collect()
    }

    fn put(&self, in_force: InForce<F>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(in_force);
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
        Self(RwLock::new(Arc::new(InForce::new(
            Vec::new(),
            BTreeSet::new(),
        ))))
    }
}

// === impl InForce ===

impl<F> InForce<F> {
    fn new(by_number: Vec<Option<Arc<Governing<F>>>>, retired: BTreeSet<ContractNumber>) -> Self {
        let mut in_force = Self {
            by_number: Vec::new(),
            retired: BTreeSet::new(),
            exact: FxHashMap::default(),
            prefixes: FxHashMap::default(),
            lengths: Vec::new(),
        };
        for (governing, number) in by_number.iter().zip(1..) {
            let governing = governing.as_ref().filter(|_| !retired.contains(&number));
            match governing.map(|held| &held.contract.pattern) {
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
            retired,
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

    /// Puts contracts in force; returns the numbers that were opened.
    fn put(table: &Table<String>, contracts: Vec<Contract<String>>) -> Vec<ContractNumber> {
        let mut numbers = Vec::new();
        table.replace(contracts, 0.8, |opened| {
            numbers.extend(opened.iter().map(|(number, _)| *number));
        });
        numbers
    }

    #[test]
    fn contracts_that_stay_keep_their_numbers_and_those_that_go_are_read_until_nothing_is_under_them()
     {
        let table = Table::default();
        let of = |key: &str| table.number_of(|| key.as_bytes().to_vec());
        assert_eq!(of("a"), 0);
        assert_eq!(
            put(&table, vec![contract("a", 1), contract("b", 1)]),
            [1, 2]
        );
        let b = of("b");
        assert_eq!(put(&table, vec![contract("b", 1), contract("c", 1)]), [3]);
        assert_eq!((of("a"), of("b"), of("c")), (0, b, 3));
        assert!(table.get(1).is_some() && table.all().len() == 2);
        assert_eq!(table.retire(), [1]);
        assert!(table.get(1).is_none());
        // The same name with other terms is another promise.
        assert_eq!(put(&table, vec![contract("b", 2), contract("c", 1)]), [1]);
        assert_eq!(of("b"), 1);
        assert_eq!(table.get(2).unwrap().contract, contract("b", 1));
        assert_eq!(table.retire(), [2]);
        assert!(!table.replace(vec![contract("c", 1), contract("b", 2)], 0.8, |_| ()));
        assert!(put(&table, Vec::new()).is_empty());
        assert_eq!((of("b"), table.retire()), (0, vec![1, 3]));
    }

    proptest! {
        #[test]
        fn the_longest_match_wins_and_an_exact_one_over_all(
            patterns in proptest::collection::btree_set("[ab]{0,4}\\*?", 0..12), key in "[ab]{0,5}",
        ) {
            let table = Table::default();
            put(&table, patterns.iter().map(|pattern| contract(pattern, 1)).collect());
            let expected = patterns
                .iter()
                .filter(|pattern| contract(pattern, 1).pattern.matches(key.as_bytes()))
                .max_by_key(|pattern| (!pattern.ends_with('*'), pattern.len()));
            let found = name(&table, &key);
            prop_assert_eq!(found.as_deref(), expected.map(String::as_str));
        }
    }
}

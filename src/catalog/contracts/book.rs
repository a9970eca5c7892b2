//! The contracts there are, whoever declared them.

use super::MOST_CONTRACTS;
use super::declared::Declared;
use crate::cache::Contract;
use crate::product::Product;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who declared a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `CONTRACTS_FILE`: only changing that changes it.
    File,
    /// An operator, through the internal listener.
    Operator,
}

/// A contract that is kept, or would be.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What was declared.
    pub declared: Arc<Declared>,
    /// By whom.
    pub origin: Origin,
}

/// Why a contract can not be declared, replaced or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Contracts are switched off.
    #[error("contracts are switched off (CONTRACTS_ENABLED)")]
    Disabled,
    /// There is none of this name.
    #[error("there is no contract of this name")]
    NotFound,
    /// Another has its name.
    #[error("there is a contract of this name already")]
    NameTaken,
    /// Another has its pattern.
    #[error("the contract {by} has this key_pattern")]
    PatternTaken {
        /// The other's name.
        by: Arc<str>,
    },
    /// It is the file's.
    #[error("the contract is declared in CONTRACTS_FILE; change it there")]
    OfFile,
    /// There are as many as there may be, or together they are too large to be kept.
    #[error("there are as many contracts as can be kept")]
    TooMany,
    /// Something is broken here.
    #[error("changing the contracts broke off")]
    Broken,
}

/// All contracts, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Book(BTreeMap<Arc<str>, Kept>);

// === impl Origin ===

impl Origin {
    /// The word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Operator => "operator",
        }
    }
}

// === impl Book ===

impl Book {
    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.0.values()
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Kept> {
        self.0.get(name)
    }

    /// Adds a contract whose name and pattern nobody has.
    ///
    /// # Errors
    /// [`Refused::NameTaken`], [`Refused::PatternTaken`], [`Refused::TooMany`].
    pub fn add(&mut self, declared: Declared, origin: Origin) -> Result<(), Refused> {
        if self.0.contains_key(declared.name()) {
            return Err(Refused::NameTaken);
        }
        if self.0.len() >= MOST_CONTRACTS {
            return Err(Refused::TooMany);
        }
        self.put(declared, origin)
    }

    /// Adds an operator's contract, or replaces it. Says whether there was none.
    ///
    /// # Errors
    /// [`Refused::OfFile`], [`Refused::PatternTaken`], [`Refused::TooMany`].
    pub fn replace(&mut self, declared: Declared) -> Result<bool, Refused> {
        match self.0.get(declared.name()).map(|kept| kept.origin) {
            Some(Origin::File) => Err(Refused::OfFile),
            Some(Origin::Operator) => self.put(declared, Origin::Operator).map(|()| false),
            None => self.add(declared, Origin::Operator).map(|()| true),
        }
    }

    /// Removes an operator's contract.
    ///
    /// # Errors
    /// [`Refused::OfFile`], [`Refused::NotFound`].
    pub fn remove(&mut self, name: &str) -> Result<(), Refused> {
        match self.0.get(name).map(|kept| kept.origin) {
            Some(Origin::File) => Err(Refused::OfFile),
            Some(Origin::Operator) => {
                self.0.remove(name);
                Ok(())
            }
            None => Err(Refused::NotFound),
        }
    }

    /// What is promised, for whoever keeps it.
    pub fn contracts(&self) -> Vec<Contract<Product>> {
        let all = self.iter().map(|kept| kept.declared.contract().clone());
        all.collect()
    }

    fn put(&mut self, declared: Declared, origin: Origin) -> Result<(), Refused> {
        let name = Arc::clone(&declared.contract().name);
        let pattern = &declared.contract().pattern;
        let others = self.0.iter().filter(|(other, _)| **other != name);
        let mut others = others.map(|(other, kept)| (other, &kept.declared.contract().pattern));
        if let Some((by, _)) = others.find(|(_, other)| *other == pattern) {
            return Err(Refused::PatternTaken { by: Arc::clone(by) });
        }
        let declared = Arc::new(declared);
        self.0.insert(name, Kept { declared, origin });
        Ok(())
    }
}

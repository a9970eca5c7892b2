//! Freshness contracts, as they are declared, kept on disk and managed. How they are kept as promises is the
//! cache's matter.
//!
//! Those of `CONTRACTS_FILE` are there from the start, and cannot be changed here. Those of operators lie
//! together in one record beside the cached values.

mod book;
mod declared;
mod feasibility;
mod file;
mod recall;

pub use crate::cache::ContractStats;
pub use crate::upstream::{Latency, Origin as RefreshOrigin};
pub use book::{Kept, Origin, Refused};
pub use declared::{Declared, JudgeUrl};
pub use feasibility::Feasibility;
pub use file::parse_file;

use super::Catalog;
use crate::cache::{Contract, ContractsConfig};
use crate::product::{Problem, Product};
use crate::telemetry::metrics::{self, ContractFigures};
use crate::upstream::RefreshFrom;
use book::Book;
use feasibility::Means;
use http::Uri;
use recall::record;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::{info, warn};

/// The most contracts there may be.
const MOST_CONTRACTS: usize = 1000;

/// The most that operators' contracts may take together, in bytes of JSON.
const MOST_BYTES: usize = 4 << 20;

/// What the catalogue is told about freshness contracts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// How contracts are kept; `None` where `CONTRACTS_ENABLED` is false, and nobody keeps them.
    pub engine: Option<ContractsConfig>,
    /// Those of `CONTRACTS_FILE`.
    pub file: Vec<Declared>,
}

/// A contract, and how it was kept.
#[derive(Clone, Debug)]
pub struct ContractView {
    /// The contract.
    pub kept: Kept,
    /// How it was kept; `None` where contracts are switched off.
    pub stats: Option<ContractStats>,
}

/// What a change came to.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The contract as it is now.
    pub view: ContractView,
    /// Whether there was none before.
    pub created: bool,
    /// Whether it is on disk, and will be there after a restart.
    pub durable: bool,
    /// Whether it can be kept.
    pub feasibility: Feasibility,
}

/// How an operator's contract is put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placing {
    /// Where there is none of its name.
    Add,
    /// In any case.
    Replace,
}

/// The contracts there are.
pub(super) struct Contracts {
    engine: Option<ContractsConfig>,
    known: Mutex<Known>,
    /// One change at a time: from looking to being in force.
    changing: tokio::sync::Mutex<()>,
}

struct Known {
    book: Book,
    /// Whether operators' contracts on disk are in the book. Before that, nothing is put there, so as not to
    /// replace what is not known yet.
    recalled: bool,
    /// The names that were removed before that, and are not to come back with it.
    removed: BTreeSet<Box<str>>,
}

// === impl Contracts ===

impl Contracts {
    /// Those of the file.
    pub fn new(config: Config) -> Self {
        let mut book = Book::default();
        for declared in config.file {
            // Whoever read the file has seen to it that they go together.
            let _ = book.add(declared, Origin::File);
        }
        Self {
            engine: config.engine,
            known: Mutex::new(Known {
                book,
                recalled: false,
                removed: BTreeSet::new(),
            }),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// What is promised from the start.
    pub fn of_file(&self) -> Vec<Contract<Product>> {
        self.lock().book.contracts()
    }

    fn engine(&self) -> Result<ContractsConfig, Refused> {
        self.engine.ok_or(Refused::Disabled)
    }

    /// The book is replaced whole, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Known ===

impl Known {
    /// Puts a book in the place of the one there was.
    fn replace(&mut self, book: Book) {
        if !self.recalled {
            let gone = self.book.iter().map(|kept| kept.declared.name());
            let gone = gone.filter(|name| book.get(name).is_none());
            self.removed.extend(gone.map(Box::from));
        }
        self.book = book;
    }
}

impl Catalog {
    /// Whether contracts are kept.
    pub fn keeps_contracts(&self) -> bool {
        self.contracts.engine.is_some()
    }

    /// All contracts, by name.
    pub fn contracts(&self) -> Vec<ContractView> {
        let book = self.contracts.lock().book.clone();
        book.iter().map(|kept| self.view(kept.clone())).collect()
    }

    /// The contract of this name.
    pub fn contract(&self, name: &str) -> Option<ContractView> {
        let kept = self.contracts.lock().book.get(name).cloned();
        kept.map(|kept| self.view(kept))
    }

    /// Whether the contract of this name can be kept, as things are now.
    ///
    /// # Errors
    /// [`Refused::Disabled`], [`Refused::NotFound`].
    pub async fn contract_feasibility(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<Feasibility, Refused> {
        self.contracts.engine()?;
        let book = self.contracts.lock().book.clone();
        self.weigh(book, name.to_owned()).await
    }

    /// Reads an operator's contract; `name` is the one it is to have, where that is known.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read_contract(
        &self,
        members: Map<String, Value>,
        name: Option<&str>,
    ) -> Result<Declared, Vec<Problem>> {
        let config = self.inventory().config();
        let judge = |text: &str| judge_url(text, &config.base, &config.refresh_origins);
        Declared::read(members, name, &judge)
    }

    /// Puts an operator's contract in force. Goes on to its end whatever becomes of the caller.
    ///
    /// # Errors
    /// Any [`Refused`] but [`Refused::NotFound`]. Nothing has changed then.
    pub async fn declare(
        self: &Arc<Self>,
        declared: Declared,
        placing: Placing,
    ) -> Result<Changed, Refused> {
        let name = declared.name().to_owned();
        let (created, durable) = self
            .change(move |book| match placing {
                Placing::Add => book.add(declared, Origin::Operator).map(|()| true),
                Placing::Replace => book.replace(declared),
            })
            .await?;
        let view = self.contract(&name).ok_or(Refused::NotFound)?;
        let feasibility = self.contract_feasibility(&name).await?;
        info!(
            contract = name,
            created,
            durable,
            feasible = feasibility.feasible,
            "Contract {name} declared by an operator"
        );
        Ok(Changed {
            view,
            created,
            durable,
            feasibility,
        })
    }

    /// Removes an operator's contract; says whether that is on disk.
    ///
    /// # Errors
    /// [`Refused::Disabled`], [`Refused::NotFound`], [`Refused::OfFile`].
    pub async fn withdraw(self: &Arc<Self>, name: &str) -> Result<bool, Refused> {
        let gone = name.to_owned();
        let ((), durable) = self.change(move |book| book.remove(&gone)).await?;
        info!(
            contract = name,
            durable, "Contract {name} removed by an operator"
        );
        if !durable && self.has_store() {
            warn!(
                contract = name,
                "That {name} is removed is not on disk yet: after a restart before it is, it may be back"
            );
        }
        Ok(durable)
    }

    /// Brings the figures of all contracts up to date.
    pub(super) fn publish_contracts(&self) {
        let figures = self.contracts().into_iter().filter_map(|view| {
            let stats = view.stats?;
            Some(ContractFigures {
                contract: Arc::clone(&view.kept.declared.contract().name),
                checks: stats.checks_total,
                fresh: stats.checks_fresh,
                triggered: stats.refreshes_triggered,
                failed: stats.refreshes_failed,
                exhausted: stats.grace_exhausted,
                compliance: stats.compliance_pct() / 100.0,
            })
        });
        metrics::contracts(figures.collect());
    }

    fn view(&self, kept: Kept) -> ContractView {
        let name = kept.declared.name();
        let stats = self
            .keeps_contracts()
            .then(|| self.cache.contract_stats(name));
        ContractView {
            stats: stats.flatten(),
            kept,
        }
    }

    /// Changes the book, puts what it says in force, and keeps it. Says whether it is on disk.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Book) -> Result<T, Refused> + Send + 'static,
    ) -> Result<(T, bool), Refused> {
        self.contracts.engine()?;
        let catalog = Arc::clone(self);
        // A caller that hangs up must not leave it half done.
        let changing = self.tasks.spawn(async move {
            let _turn = catalog.contracts.changing.lock().await;
            let mut book = catalog.contracts.lock().book.clone();
            let done = change(&mut book)?;
            let record = record(&book)?;
            catalog.govern(book).await;
            Ok((done, catalog.keep(record).await))
        });
        changing.await.unwrap_or(Err(Refused::Broken))
    }

    /// Puts a book's contracts in force.
    async fn govern(&self, book: Book) {
        let (cache, contracts) = (self.cache.clone(), book.contracts());
        self.contracts.lock().replace(book);
        // Looks at everything that is held.
        let governing = tokio::task::spawn_blocking(move || cache.govern(contracts));
        if governing.await.is_err() {
            warn!("Putting contracts in force broke off; it is done anew with the next change");
        }
    }

    /// Says in the log which contracts can not be kept.
    async fn advise(self: &Arc<Self>) {
        for view in self.contracts() {
            let name = view.kept.declared.name();
            if let Ok(found) = self.contract_feasibility(name).await
                && found.feasible == Some(false)
            {
                let advice = found.advice.join(" ");
                warn!(
                    contract = name,
                    "The contract {name} can not be kept: {advice}"
                );
            }
        }
    }

    /// Weighs the contract of this name. Looks at every key there is.
    async fn weigh(self: &Arc<Self>, book: Book, name: String) -> Result<Feasibility, Refused> {
        let engine = self.contracts.engine()?;
        let config = self.inventory().config();
        let means = Means {
            engine,
            latency: self.inventory().latency(),
            calls_at_once: config.max_concurrent,
            calls_a_second: config.rate_limit.map(|limit| limit.get().into()),
            knows_all: self.index().is_complete(),
        };
        let catalog = Arc::clone(self);
        let weighing = tokio::task::spawn_blocking(move || {
            let kept = book.get(&name)?.clone();
            let contract = kept.declared.contract();
            let covers = feasibility::covers(&book, contract, |visit| {
                let index = catalog.index();
                index.for_each(&mut |id, _| visit(id.as_str().as_bytes()));
            });
            let in_use = catalog.cache.contract_in_use(&contract.name);
            Some(feasibility::weigh(contract, &book, &covers, in_use, &means))
        });
        weighing.await.ok().flatten().ok_or(Refused::NotFound)
    }
}

/// Judges a `refresh_from` where the inventory is at `base`, and `others` are allowed too.
///
/// # Errors
/// The rule that it breaks.
pub fn judge_url(text: &str, base: &Uri, others: &[RefreshOrigin]) -> Result<bool, String> {
    let found = RefreshFrom::parse(text, base, others);
    found
        .map(|found| found.has_id())
        .map_err(|problem| problem.to_string())
}

/// What is said of the file's contracts at the start, before anything is known of the inventory: a line each.
pub fn remarks(config: &Config) -> Vec<String> {
    let Some(engine) = &config.engine else {
        return Vec::new();
    };
    let of = |declared: &Declared| {
        let name = declared.name().to_owned();
        let lines = feasibility::remarks(declared.contract(), engine);
        lines
            .into_iter()
            .map(move |line| format!("CONTRACTS_FILE, {name}: {line}"))
    };
    config.file.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests;

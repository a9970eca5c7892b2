//! The write fence: decides which of several facts about a key is the newest.
//!
//! Every load takes a [`Ticket`] before it asks; every write, purge or invalidation is a *fact*
//! that needs no asking. A load may settle only if no newer fact about its key has been recorded
//! since its ticket was drawn, where a fact is newer if it is a write that finished later, or
//! a load that began later. All changes to the tiers happen inside the closures given to
//! [`Fence::fact`] and [`Fence::settle`], under one lock, so memory, index and store change in one
//! order. Hits never come here.
//!
//! Facts are remembered only while a ticket older than they are is out, so an idle fence is empty.
//! `tests/model.rs` compiles this very file against loom and explores its interleavings.

use super::sync::{Mutex, MutexGuard};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, PoisonError};

/// Orders what is learned about keys. `F` is what followers of a load hold on to.
pub struct Fence<K, F> {
    state: Mutex<State<K, F>>,
}

/// A load under way; dropping it ends the load, whatever became of it.
pub struct Ticket<K: Clone + Eq + Hash, F> {
    fence: Arc<Fence<K, F>>,
    began: u64,
    leads: Option<K>,
}

/// What [`Fence::join`] makes of its caller.
pub enum Role<K: Clone + Eq + Hash, F> {
    /// Somebody is loading the key already: wait on this.
    Follow(F),
    /// Nobody was: load it.
    Lead(Ticket<K, F>),
}

/// Why a load may not settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Something newer is known about this very key.
    Superseded,
    /// Everything was declared changed since: its value must not be trusted any more.
    Outdated,
}

/// Room for so many facts is kept where there are none.
const KEPT_ROOM: usize = 1024;

struct State<K, F> {
    /// Counts tickets and facts; each gets a number of its own.
    now: u64,
    /// Tickets that are out.
    out: BTreeSet<u64>,
    /// The newest fact of each key that some ticket that is out might contradict.
    facts: HashMap<K, u64>,
    /// The same in the order they were recorded, for forgetting.
    recorded: VecDeque<(u64, K)>,
    /// When everything was last declared changed.
    all: u64,
    /// Who leads the load of a key, and what followers wait on.
    flights: HashMap<K, (u64, F)>,
}

// === impl Fence ===

impl<K: Clone + Eq + Hash, F: Clone> Fence<K, F> {
    /// A fence with nothing under way.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                now: 0,
                out: BTreeSet::new(),
                facts: HashMap::new(),
                recorded: VecDeque::new(),
                all: 0,
                flights: HashMap::new(),
            }),
        })
    }

    /// Draws a ticket for a load of many keys, such as a page of a listing.
    pub fn begin(self: &Arc<Self>) -> Ticket<K, F> {
        let began = self.lock().draw();
        Ticket {
            fence: Arc::clone(self),
            began,
            leads: None,
        }
    }

    /// Joins the load of `key`, or becomes its leader; `follow` makes what later comers wait on.
    pub fn join(self: &Arc<Self>, key: &K, follow: impl FnOnce() -> F) -> Role<K, F> {
        let mut state = self.lock();
        if let Some((_, followers)) = state.flights.get(key) {
            return Role::Follow(followers.clone());
        }
        let began = state.draw();
        state.flights.insert(key.clone(), (began, follow()));
        Role::Lead(Ticket {
            fence: Arc::clone(self),
            began,
            leads: Some(key.clone()),
        })
    }

    /// Records a fact about `key` (a write, a purge) and applies it. Loads that began before will
    /// not settle, and nobody joins them any more.
    pub fn fact<R>(&self, key: &K, apply: impl FnOnce() -> R) -> R {
        let mut state = self.lock();
        state.happen(key);
        apply()
    }

    /// Records a fact about every key and applies it.
    pub fn fact_about_all<R>(&self, apply: impl FnOnce() -> R) -> R {
        let mut state = self.lock();
        state.now += 1;
        state.all = state.now;
        state.flights.clear();
        apply()
    }

    /// Applies what is no fact about any key, in the order of facts.
    pub fn in_order<R>(&self, apply: impl FnOnce() -> R) -> R {
        let _state = self.lock();
        apply()
    }

    /// Applies what the load behind `ticket` found out about `key`, and makes it a fact as of when the
    /// load began.
    ///
    /// # Errors
    /// [`Refused`] where something newer is known; nothing was applied.
    pub fn settle<R>(
        &self,
        ticket: &Ticket<K, F>,
        key: &K,
        apply: impl FnOnce() -> R,
    ) -> Result<R, Refused> {
        self.settle_or(ticket, key, apply, || ())
    }

    /// Like [`Fence::settle`], but applies `otherwise` where something newer is known: what still
    /// follows then, in the same order of facts.
    ///
    /// # Errors
    /// [`Refused`] where `otherwise` was applied.
    pub fn settle_or<R>(
        &self,
        ticket: &Ticket<K, F>,
        key: &K,
        apply: impl FnOnce() -> R,
        otherwise: impl FnOnce(),
    ) -> Result<R, Refused> {
        let began = ticket.began;
        self.admit(
            ticket,
            key,
            |state| state.record(key, began),
            apply,
            otherwise,
        )
    }

    /// Records a fact that is as old as `ticket` where something newer is known, and as new as now
    /// where nothing is: a write whose key was not known before it was done.
    ///
    /// # Errors
    /// [`Refused`] where `otherwise` was applied.
    pub fn fact_since<R>(
        &self,
        ticket: &Ticket<K, F>,
        key: &K,
        apply: impl FnOnce() -> R,
        otherwise: impl FnOnce(),
    ) -> Result<R, Refused> {
        self.admit(ticket, key, |state| state.happen(key), apply, otherwise)
    }

    /// Applies what follows from a load that learned nothing about `key`: it failed. Unlike what is
    /// settled this is no fact, and keeps no other load from settling.
    ///
    /// # Errors
    /// [`Refused`] where something newer is known; nothing was applied.
    pub fn unless_newer<R>(
        &self,
        ticket: &Ticket<K, F>,
        key: &K,
        apply: impl FnOnce() -> R,
    ) -> Result<R, Refused> {
        self.admit(ticket, key, |_| (), apply, || ())
    }

    /// Whether somebody is loading `key`.
    pub fn is_loading(&self, key: &K) -> bool {
        self.lock().flights.contains_key(key)
    }

    /// How many facts are remembered.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.lock().facts.len()
    }

    /// For how many facts there is room.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        let state = self.lock();
        state.facts.capacity().max(state.recorded.capacity())
    }
}

impl<K: Clone + Eq + Hash, F> Fence<K, F> {
    /// Under the lock: `record` and `apply` where the load behind `ticket` has a say about `key`,
    /// `otherwise` where it has not.
    fn admit<R>(
        &self,
        ticket: &Ticket<K, F>,
        key: &K,
        record: impl FnOnce(&mut State<K, F>),
        apply: impl FnOnce() -> R,
        otherwise: impl FnOnce(),
    ) -> Result<R, Refused> {
        let mut state = self.lock();
        match state.admit(ticket.began, key) {
            Ok(()) => {
                record(&mut state);
                Ok(apply())
            }
            Err(refused) => {
                otherwise();
                Err(refused)
            }
        }
    }
}

impl<K, F> Fence<K, F> {
    /// The closures given to the fence only touch maps; if one panics, the numbers drawn so far
    /// are still right, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, State<K, F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ticket ===

impl<K: Clone + Eq + Hash, F> Drop for Ticket<K, F> {
    fn drop(&mut self) {
        let mut state = self.fence.lock();
        state.out.remove(&self.began);
        if let Some(key) = &self.leads
            && state
                .flights
                .get(key)
                .is_some_and(|(began, _)| *began == self.began)
        {
            state.flights.remove(key);
        }
        state.forget();
    }
}

// === impl State ===

impl<K: Clone + Eq + Hash, F> State<K, F> {
    /// Whether a load that began then still has a say about `key`.
    fn admit(&self, began: u64, key: &K) -> Result<(), Refused> {
        if self.facts.get(key).is_some_and(|newest| *newest > began) {
            return Err(Refused::Superseded);
        }
        if self.all > began {
            return Err(Refused::Outdated);
        }
        Ok(())
    }

    /// Something happened to `key` just now: nobody joins a load that began before.
    fn happen(&mut self, key: &K) {
        self.now += 1;
        self.flights.remove(key);
        self.record(key, self.now);
    }

    fn draw(&mut self) -> u64 {
        self.now += 1;
        self.out.insert(self.now);
        self.now
    }

    /// Remembers a fact for as long as a ticket older than it is out.
    fn record(&mut self, key: &K, at: u64) {
        if self.out.first().is_some_and(|oldest| *oldest < at) {
            self.facts.insert(key.clone(), at);
            self.recorded.push_back((at, key.clone()));
        }
    }

    fn forget(&mut self) {
        let Some(oldest) = self.out.first().copied() else {
            self.facts.clear();
            self.recorded.clear();
            // What was remembered beside a listing of everything is not needed again soon.
            self.facts.shrink_to(KEPT_ROOM);
            self.recorded.shrink_to(KEPT_ROOM);
            return;
        };
        while let Some((at, key)) = self.recorded.pop_front_if(|(at, _)| *at <= oldest) {
            if self.facts.get(&key) == Some(&at) {
                self.facts.remove(&key);
            }
        }
    }
}

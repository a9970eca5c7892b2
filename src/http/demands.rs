//! What callers may demand of the cache: a product no older than they say, or none that has to be asked
//! for. Heeded for those with a credential, and as far as their budget goes
//! (`REVALIDATION_BUDGET_PER_SECOND`); nobody else can make this service call the inventory.

use super::Shared;
use super::auth::{Authority, Caller};
use super::caching::Heed;
use super::directives::Directives;
use super::guard::Quotas;
use crate::catalog::{Catalog, Demand, ProductId};
use crate::clock::Clock;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;

/// How many calls to the inventory each caller may force in a second.
#[derive(Debug)]
pub struct Budget {
    quotas: Quotas,
    clock: Clock,
}

/// What the request demands of the cache, if its caller may demand anything.
#[derive(Debug)]
pub struct Demanded(Option<Demanding>);

#[derive(Debug)]
struct Demanding {
    directives: Directives,
    caller: Caller,
    budget: Arc<Budget>,
}

// === impl Budget ===

impl Budget {
    /// So many a second for each caller.
    pub fn new(calls: NonZeroU32, clock: Clock) -> Self {
        Self {
            quotas: Quotas::new(calls),
            clock,
        }
    }

    /// Takes one call off what the caller has left; false where there is none.
    fn spend(&self, caller: &Caller) -> bool {
        let quota = self.quotas.charge(&caller.name, self.clock.now());
        quota.refused_for.is_none()
    }
}

// === impl Demanded ===

impl Demanded {
    /// What is demanded of one product, and what becomes of it: a demand that takes a call which nobody
    /// would make otherwise is charged.
    pub fn of(&self, catalog: &Catalog, id: &ProductId) -> (Demand, Heed) {
        let Some(demanding) = &self.0 else {
            return (Demand::default(), Heed::Nothing);
        };
        let Directives {
            max_age,
            only_if_cached,
        } = demanding.directives;
        let demand = Demand {
            max_age,
            only_if_cached,
        };
        let forces = !only_if_cached && max_age.is_some_and(|age| catalog.is_older(id, age));
        match forces {
            false => (demand, Heed::Nothing),
            true if demanding.budget.spend(&demanding.caller) => (demand, Heed::Forced),
            true => (Demand::default(), Heed::OverBudget),
        }
    }

    fn read(
        headers: &HeaderMap,
        known: Option<&Caller>,
        authority: &Authority,
        budget: Option<&Arc<Budget>>,
    ) -> Option<Demanding> {
        let budget = budget?;
        let directives = Directives::of(headers);
        if directives.is_empty() {
            return None;
        }
        let caller = known.cloned().or_else(|| authority.recognise(headers))?;
        Some(Demanding {
            directives,
            caller,
            budget: Arc::clone(budget),
        })
    }
}

impl FromRequestParts<Shared> for Demanded {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Caller>();
        let (authority, budget) = (&state.authority, state.budget.as_ref());
        Ok(Self(Self::read(&parts.headers, known, authority, budget)))
    }
}

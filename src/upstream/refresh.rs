//! Getting products again before somebody asks: from the inventory, or from where a contract says.

use super::asked::Asked;
use super::call::Operation;
use super::outlet::Outlet;
use super::{CircuitState, Fetched, Inventory, RefreshFrom, UpstreamError, Validators};
use crate::product::ProductId;
use crate::telemetry::Conversation;
use std::time::Duration;

impl Inventory {
    /// Gets one product like [`Inventory::get`], in one attempt and `within` so long; `from` this URL
    /// where there is one, see [`RefreshFrom`]. Another URL's validators are not the product's own, so it
    /// is asked without conditions, and the product comes without validators.
    ///
    /// # Errors
    /// As [`Inventory::get`]; [`UpstreamError::Unreachable`] also where `from` is not allowed.
    pub async fn refresh(
        &self,
        id: &ProductId,
        known: Option<&Validators>,
        from: Option<&str>,
        within: Duration,
        cause: Conversation,
    ) -> Result<Fetched, UpstreamError> {
        let own = self.addresses.product(id);
        let (url, outlet) = match from {
            Some(from) => self.way(from, id)?,
            None => (own.clone(), &self.outlet),
        };
        let is_own_url = url == own;
        let asked = Asked::new(Operation::Get, url);
        let asked = asked.unless_changed(known.filter(|_| is_own_url));
        let is_conditional = asked.is_conditional();
        let key = match outlet.is_main {
            true => Some(self.key(Operation::Get)?),
            false => None,
        };
        let tried = outlet.try_once(asked, within, key, cause).await;
        let mut fetched = self.fetched(tried, id, is_conditional)?;
        if let Fetched::Product(confirmed) = &mut fetched
            && !is_own_url
        {
            confirmed.validators = Validators::default();
        }
        Ok(fetched)
    }

    /// The URL that `from` makes for `id`, and the way there. What was allowed when a contract was made
    /// need not be so any more.
    fn way(&self, from: &str, id: &ProductId) -> Result<(String, &Outlet), UpstreamError> {
        let config = &self.config;
        let from = RefreshFrom::parse(from, &config.base, &config.refresh_origins)
            .map_err(|problem| UpstreamError::Unreachable(problem.into()))?;
        let mut others = self.elsewhere.iter();
        let other = others.find(|(origin, _)| origin == from.origin());
        Ok((from.url(id), other.map_or(&self.outlet, |(_, way)| way)))
    }

    /// How many refreshes may begin now without waiting, and without taking from readers the last slots.
    /// None while the circuit is open, and one where it is time to try again.
    pub fn room(&self) -> usize {
        let circuit = self.circuit();
        let room = self.limits.bulkhead.room().min(self.limits.rate.room());
        match circuit.state {
            CircuitState::Closed => room,
            CircuitState::Open | CircuitState::HalfOpen => {
                room.min(usize::from(self.outlet.breaker.check().is_ok()))
            }
        }
    }
}

//! Reading: one product, a page of them, or how many there are.

use super::index::{Edge, Found, Index, Lengthy, Patience, Run};
use super::{
    Catalog, CatalogError, Group, GroupRun, Grouping, Outcome, Page, Seal, Served, Standing,
};
use crate::cache::{Demand, ReadError, Trust};
use crate::catalog::stored::Stored;
use crate::clock::Moment;
use crate::product::{Criteria, Cursor, GroupQuery, PageQuery, Place, Position, ProductId};
use crate::telemetry::Conversation;
use crate::upstream::{Confirmed, UpstreamError, Validators};
use futures_util::future::join_all;
use http::StatusCode;
use std::time::Duration;

/// When a caller may try again where nobody said anything better.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// When a caller may try again a query that only the complete index can answer.
pub(super) const RETRY_AFTER_INDEX: Duration = Duration::from_secs(5);

impl Catalog {
    /// One product, from memory wherever its window allows.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`], [`CatalogError::Gone`], [`CatalogError::Unavailable`].
    pub async fn get(&self, id: &ProductId, cause: Conversation) -> Result<Served, CatalogError> {
        Ok(self.cache.get(id, cause).await?.into())
    }

    /// One product, where [`Catalog::get`] would have nothing to wait for and nothing to start: a fresh hit.
    /// To be counted with [`Catalog::answered`] by whoever answers with it.
    pub fn at_hand(&self, id: &ProductId) -> Option<Served> {
        self.cache.at_hand(id).map(Served::from)
    }

    /// Counts what [`Catalog::at_hand`] found, and a request was answered with.
    pub fn answered(&self, id: &ProductId, served: &Served, cause: Conversation) {
        self.cache.answered(id, &served.stored, cause);
    }

    /// One product like [`Catalog::get`], for somebody who demands more of it than to be fresh.
    ///
    /// # Errors
    /// As [`Catalog::get`]; [`CatalogError::NotCached`] where the inventory was not to be asked.
    pub async fn get_with(
        &self,
        id: &ProductId,
        cause: Conversation,
        demand: Demand,
    ) -> Result<Served, CatalogError> {
        Ok(self.cache.get_with(id, cause, demand).await?.into())
    }

    /// Whether something is known of a product that is older than `age`, or not to be relied on: to have it
    /// newer takes a call that nobody would make otherwise.
    pub fn is_older(&self, id: &ProductId, age: Duration) -> bool {
        match self.cache.peek(id) {
            Some(held) => {
                held.trusted() != Trust::Confirmed || self.clock.now().since(held.as_of()) > age
            }
            None => !self.cache.absent_for(id).is_zero(),
        }
    }

    /// One page, from the local index; a plain one from the inventory until that is complete.
    ///
    /// # Errors
    /// [`CatalogError::BadCursor`], [`CatalogError::Unavailable`].
    pub async fn page(&self, query: &PageQuery, cause: Conversation) -> Result<Page, CatalogError> {
        self.page_to_keep(query, cause).await.map(|(page, _)| page)
    }

    /// One page, likewise; with a seal if it may be kept for those who ask for the same.
    ///
    /// # Errors
    /// As [`Catalog::page`].
    pub async fn page_to_keep(
        &self,
        query: &PageQuery,
        cause: Conversation,
    ) -> Result<(Page, Option<Seal>), CatalogError> {
        let forward = async |cursor| Ok((self.forward(query.limit, cursor, cause).await?, None));
        match &query.position {
            Position::After(Cursor::Upstream(cursor)) => return forward(Some(cursor)).await,
            Position::Before(Cursor::Upstream(_)) => return Err(CatalogError::BadCursor),
            _ => {}
        }
        match self.standing() {
            Ok(standing) => self.walk_index(query, standing, cause).await,
            Err(_) if query.position == Position::Start && query.criteria.is_plain() => {
                forward(None).await
            }
            Err(unavailable) => Err(unavailable),
        }
    }

    /// Where the products of a page are by now; `None` where that can not be said.
    pub(super) async fn run_of(&self, query: &PageQuery) -> Option<Run> {
        let (at, backward) = edge_in(query);
        let run = self.run(&query.criteria, at.as_ref(), backward, query.limit);
        run.await.ok()
    }

    /// How many products meet `criteria`.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] until the index is complete.
    pub async fn count(&self, criteria: &Criteria) -> Result<u64, CatalogError> {
        self.complete_index()?;
        if let Ok(count) = self.index().count(criteria, Patience::Short) {
            return Ok(count);
        }
        let criteria = criteria.clone();
        let count = move |index: &Index| index.count(&criteria, Patience::Long);
        self.at_leisure(count).await
    }

    /// The category or brand called `name`, with how many products have it; `None` where none has.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] until the index is complete.
    pub fn group(&self, by: Grouping, name: &str) -> Result<Option<Group>, CatalogError> {
        Ok(self.complete_index()?.group(by, name))
    }

    /// One page of the categories or brands there are, by name, with how many products have each.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] until the index is complete.
    pub fn groups(&self, by: Grouping, query: &GroupQuery) -> Result<GroupRun, CatalogError> {
        Ok(self.complete_index()?.groups(by, query))
    }

    /// Several products at once, in the order asked; for one that does not exist, how long that is known.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where one of them can not be had now.
    pub async fn many(
        &self,
        ids: &[ProductId],
        cause: Conversation,
    ) -> Result<Vec<(ProductId, Result<Served, Standing>)>, CatalogError> {
        self.look_up(ids.to_vec(), cause).await
    }

    /// The page that the query asks for. Products that turn out to be gone make room for the next ones.
    async fn walk_index(
        &self,
        query: &PageQuery,
        standing: Standing,
        cause: Conversation,
    ) -> Result<(Page, Option<Seal>), CatalogError> {
        let began = (self.index().changes(), self.cache.doubts());
        let began_at = self.clock.now();
        let (mut at, backward) = edge_in(query);
        let (criteria, mut items, mut behind) = (&query.criteria, Vec::new(), None);
        let mut first = None;
        loop {
            let limit = query.limit - items.len();
            let run = self.run(criteria, at.as_ref(), backward, limit).await?;
            let (farthest, more, rest) = if backward {
                (run.found.first(), run.has_before, run.has_after)
            } else {
                (run.found.last(), run.has_after, run.has_before)
            };
            let behind = *behind.get_or_insert(rest);
            at = farthest.map(|farthest| farthest.place.clone()).or(at);
            let mut found = self.load_all(run.found.clone(), criteria, cause).await?;
            let first = &*first.get_or_insert(run);
            if backward {
                found.append(&mut items);
                items = found;
            } else {
                items.append(&mut found);
            }
            if !more || items.len() >= query.limit {
                let (before, after) = if backward {
                    (more, behind)
                } else {
                    (behind, more)
                };
                let until = fresh_until(first, &items, began_at).filter(|_| standing.is_fresh());
                let seal = until.map(|until| Seal::new(query.clone(), first.clone(), began, until));
                let page = Page::local(criteria, items, before, after, standing);
                return Ok((page, seal));
            }
        }
    }

    /// Part of a page, from the index: at once, or on a thread that can wait.
    async fn run(
        &self,
        criteria: &Criteria,
        at: Option<&Place>,
        backward: bool,
        limit: usize,
    ) -> Result<Run, CatalogError> {
        let edge = edge_of(at, backward);
        if let Ok(run) = self.index().page(criteria, edge, limit, Patience::Short) {
            return Ok(run);
        }
        let (criteria, at) = (criteria.clone(), at.cloned());
        let page = move |index: &Index| {
            let edge = edge_of(at.as_ref(), backward);
            index.page(&criteria, edge, limit, Patience::Long)
        };
        self.at_leisure(page).await
    }

    /// Asks the index what takes its time, off the threads that serve.
    async fn at_leisure<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Index) -> Result<T, Lengthy> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let cache = self.cache.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&cache.source().index));
        match asked.await {
            Ok(Ok(answer)) => Ok(answer),
            // Who has patience is not told that it takes long; so the thread broke off.
            Ok(Err(Lengthy)) | Err(_) => Err(CatalogError::Unavailable {
                retry_after: RETRY_AFTER,
                cause: "the search broke off".to_owned(),
            }),
        }
    }

    /// The index, if it is complete; asks for it to become so if not.
    pub(super) fn complete_index(&self) -> Result<&Index, CatalogError> {
        if self.index().is_complete() {
            return Ok(self.index());
        }
        self.want_index();
        Err(index_is_not_complete())
    }

    /// Reads products side by side, leaving out those that are gone, and those whose content is another
    /// by now and does not stand where it was found: it meets the conditions no more, or has its place
    /// elsewhere.
    async fn load_all(
        &self,
        found: Vec<Found>,
        criteria: &Criteria,
        cause: Conversation,
    ) -> Result<Vec<(Place, Served)>, CatalogError> {
        let ids = found.iter().map(|found| found.place.id.clone()).collect();
        let served = self.look_up(ids, cause).await?;
        let stands = |found: &Found, served: &Served| {
            let content = served.stored.content();
            content.version == found.version
                || criteria.is_plain()
                || Index::place_of(&found.place.id, content, criteria).as_ref()
                    == Some(&found.place)
        };
        let found = found.into_iter().zip(served);
        Ok(found
            .filter_map(|(found, (_, served))| Some((found, served.ok()?)))
            .filter(|(found, served)| stands(found, served))
            .map(|(found, served)| (found.place, served))
            .collect())
    }

    /// Reads products side by side. A list is no product read: nothing is counted.
    async fn look_up(
        &self,
        ids: Vec<ProductId>,
        cause: Conversation,
    ) -> Result<Vec<(ProductId, Result<Served, Standing>)>, CatalogError> {
        let reads = ids.into_iter().map(|id| async move {
            match self.cache.look(&id, cause).await {
                Ok(served) => Ok((id, Ok(Served::from(served)))),
                Err(ReadError::Gone(_, outcome)) => {
                    let remaining = self.cache.absent_for(&id);
                    Ok((id, Err(Standing { outcome, remaining })))
                }
                Err(error) => Err(CatalogError::from(error)),
            }
        });
        join_all(reads).await.into_iter().collect()
    }

    /// The inventory's own page: where there is no complete index to answer from, and where a walk goes on
    /// that began like that.
    ///
    /// A cursor may be one that nobody gave: it is not signed, because all replicas would have to know a
    /// secret for that, over restarts, and those there are have other purposes. So it is worth no more than
    /// any id that somebody makes up: one call, in the bounds of all calls.
    async fn forward(
        &self,
        limit: usize,
        after: Option<&str>,
        cause: Conversation,
    ) -> Result<Page, CatalogError> {
        let listing = self.cache.begin_listing();
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let raw =
            self.inventory()
                .list(limit, after, cause)
                .await
                .map_err(|error| match error {
                    UpstreamError::BadCursor { .. } => CatalogError::BadCursor,
                    error => unavailable(&error),
                })?;
        let decoded = raw.decode(&self.inventory().config().published, || {});
        let now_secs = self.clock.now().as_secs();
        let items = decoded.products.into_iter().map(|product| {
            let id = product.id.clone();
            let confirmed = Confirmed {
                product,
                validators: Validators::default(),
                sent_at: raw.sent_at,
            };
            let stored = Stored::render(&confirmed, now_secs);
            Served::from(self.cache.confirm(&listing, &id, stored, raw.sent_at))
        });
        Ok(Page {
            items: items.collect(),
            before: None,
            after: raw.after.and_then(Cursor::upstream),
            standing: self.just_asked(raw.sent_at),
        })
    }
}

// === impl Page ===

impl Page {
    /// A page from the index, with cursors at its ends where there is more.
    fn local(
        criteria: &Criteria,
        items: Vec<(Place, Served)>,
        has_before: bool,
        has_after: bool,
        standing: Standing,
    ) -> Self {
        let at = |item: Option<&(Place, Served)>| Some(Cursor::at(criteria, item?.0.clone()));
        Self {
            before: at(items.first()).filter(|_| has_before),
            after: at(items.last()).filter(|_| has_after),
            items: items.into_iter().map(|(_, served)| served).collect(),
            standing,
        }
    }
}

// === impl CatalogError ===

impl From<ReadError<StatusCode, UpstreamError>> for CatalogError {
    fn from(error: ReadError<StatusCode, UpstreamError>) -> Self {
        match error {
            ReadError::Gone(StatusCode::GONE, _) => Self::Gone,
            ReadError::Gone(_, outcome) => Self::NotFound { outcome },
            ReadError::Failed(error) => unavailable(&error),
            ReadError::NotCached => Self::NotCached,
            ReadError::Late => Self::Unavailable {
                retry_after: RETRY_AFTER,
                cause: "no value that is new enough came in time".to_owned(),
            },
            ReadError::Crashed => Self::Unavailable {
                retry_after: RETRY_AFTER,
                cause: "the load broke off".to_owned(),
            },
        }
    }
}

/// Where the products of a query's page begin, and whether they end there instead.
fn edge_in(query: &PageQuery) -> (Option<Place>, bool) {
    match &query.position {
        Position::After(Cursor::Local { place, .. }) => (Some(place.clone()), false),
        Position::Before(Cursor::Local { place, .. }) => (Some(place.clone()), true),
        _ => (None, false),
    }
}

/// Until when the products of a page are fresh that were read since `began`; `None` where they are not what was
/// found in the index, or not all fresh, or one is under a contract.
fn fresh_until(run: &Run, items: &[(Place, Served)], began: Moment) -> Option<Moment> {
    let as_found = |(found, (place, served)): (&Found, &(Place, Served))| {
        found.place == *place
            && found.version == served.stored.content().version
            && served.outcome == Outcome::Hit
            && served.contract.is_none()
    };
    let is_whole = run.found.len() == items.len();
    let remaining = items.iter().map(|(_, served)| served.remaining).min();
    (is_whole && run.found.iter().zip(items).all(as_found))
        .then(|| began + remaining.unwrap_or(Duration::MAX))
}

fn edge_of(at: Option<&Place>, backward: bool) -> Edge<'_> {
    match at {
        None => Edge::Start,
        Some(place) if backward => Edge::Before(place),
        Some(place) => Edge::After(place),
    }
}

/// What only the complete index can answer.
fn index_is_not_complete() -> CatalogError {
    CatalogError::Unavailable {
        retry_after: RETRY_AFTER_INDEX,
        cause: "the index is not complete yet".to_owned(),
    }
}

/// What a failed read means to its caller.
pub(super) fn unavailable(error: &UpstreamError) -> CatalogError {
    CatalogError::Unavailable {
        retry_after: error.retry_after().unwrap_or(RETRY_AFTER),
        cause: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::{Config, Environment, Profile};
    use crate::contract::Contract;
    use crate::product::{Comparison, Field, Operand, Representation, SortKey, Term};
    use crate::telemetry::events::Events;
    use crate::upstream::Inventory;
    use crate::upstream::transport::in_process;
    use serde_json::{Value, json};
    use tokio_util::task::TaskTracker;

    async fn catalog() -> Catalog {
        let given = [
            ("UPSTREAM_API", "http://inventory.test"),
            ("API_KEY", "planted-api-key"),
        ];
        let environment: Environment = given.into_iter().collect();
        let contract = Contract::embedded().unwrap();
        let nobody = || in_process(axum::Router::new());
        let config = Config::load(&contract, &environment, &Profile::Serve, nobody())
            .await
            .unwrap();
        let clock = Clock::start();
        let inventory = Inventory::new(config.upstream, nobody(), clock, Events::new());
        Catalog::new(
            config.catalog,
            config.cache,
            inventory,
            clock,
            TaskTracker::new(),
            Events::new(),
        )
    }

    fn put(catalog: &Catalog, id: &str, product: &Value) {
        let rest = product.to_string().split_off(1);
        let body = format!("{{\"id\":\"{id}\",{rest}");
        let stored = Representation::new(body.as_bytes(), None, &[]).into();
        let (listing, id) = (catalog.cache.begin_listing(), ProductId::parse(id).unwrap());
        let now = catalog.clock.now();
        catalog.cache.confirm(&listing, &id, stored, now);
    }

    fn product(name: &str, category: &str, amount: u32) -> Value {
        json!({"name": name, "category": category, "price": {"amount": amount, "currency": "EUR"}})
    }

    #[tokio::test]
    async fn what_changed_since_it_was_found_is_served_only_where_it_belongs() {
        let tea = Term {
            field: Field::Category,
            comparison: Comparison::Equal,
            operand: Operand::Text("tea".into()),
        };
        let by_price = SortKey {
            field: Field::Price,
            descending: false,
        };
        let (tea, by_price) = ([tea], [by_price]);
        let asked = |text: Option<&str>, filter: &[Term], sort: &[SortKey]| Criteria {
            text: text.map(Into::into),
            filter: filter.to_vec(),
            sort: sort.to_vec(),
        };
        for (criteria, expected) in [
            (&asked(None, &[], &[]), ["a", "b", "c", "d"].as_slice()),
            (&asked(None, &tea, &[]), &["b", "c", "d"]),
            (&asked(None, &[], &by_price), &["a", "c", "d"]),
            (&asked(None, &tea, &by_price), &["c", "d"]),
            (&asked(Some("green"), &[], &[]), &["a", "b", "d"]),
            (&asked(Some("green"), &tea, &[]), &["b", "d"]),
        ] {
            let catalog = catalog().await;
            for (amount, id) in (0..).zip(["a", "b", "c", "d"]) {
                put(&catalog, id, &product("Green", "tea", amount));
            }
            catalog.index().complete();
            let run = catalog.run(criteria, None, false, 4).await.unwrap();
            assert_eq!(run.found.len(), 4);
            put(&catalog, "a", &product("Green", "coffee", 0));
            put(&catalog, "b", &product("Green", "tea", 9));
            put(&catalog, "c", &product("Black", "tea", 2));
            let served = catalog
                .load_all(run.found, criteria, Conversation::new())
                .await;
            let served = served.unwrap();
            let ids: Vec<_> = served.iter().map(|(place, _)| place.id.as_str()).collect();
            assert_eq!(ids, expected, "{criteria:?}");
        }
    }
}

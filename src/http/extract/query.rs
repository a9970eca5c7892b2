//! Queries, parsed: in URLs, and in the body of a search.

use super::JsonBody;
use crate::catalog::{self, GroupQuery, QueryProblem, Select};
use crate::http::fault::{Fault, Reason};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use http::request::Parts;

/// The query of the collection of products.
#[derive(Clone, Debug)]
pub struct Query(pub catalog::Query);

/// The query of one product: which of its members.
#[derive(Clone, Copy, Debug)]
pub struct Selected(pub Option<Select>);

/// No query, where there are no parameters.
#[derive(Clone, Copy, Debug)]
pub struct NoQuery;

/// The query of the categories, or brands.
#[derive(Clone, Debug)]
pub struct Groups(pub GroupQuery);

/// The name of a category or brand in the path; nobody's name where it is no text.
#[derive(Clone, Debug)]
pub struct GroupName(pub Box<str>);

/// A query in a body.
#[derive(Clone, Debug)]
pub struct SearchBody(pub catalog::Query);

// === impl Query ===

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let query = parts.uri.query().unwrap_or_default();
        catalog::Query::parse(query)
            .map(Self)
            .map_err(refused(Reason::from))
    }
}

// === impl Selected ===

impl<S: Sync> FromRequestParts<S> for Selected {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        match parts.uri.query() {
            None => Ok(Self(None)),
            Some(query) => Select::parse(query)
                .map(Self)
                .map_err(refused(Reason::from)),
        }
    }
}

// === impl NoQuery ===

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        match parts.uri.query() {
            None => Ok(Self),
            Some(query) => catalog::Query::parse_none(query)
                .map(|()| Self)
                .map_err(refused(Reason::from)),
        }
    }
}

// === impl Groups ===

impl<S: Sync> FromRequestParts<S> for Groups {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let query = parts.uri.query().unwrap_or_default();
        GroupQuery::parse(query)
            .map(Self)
            .map_err(refused(Reason::from))
    }
}

// === impl GroupName ===

impl<S: Send + Sync> FromRequestParts<S> for GroupName {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let params = RawPathParams::from_request_parts(parts, state).await.ok();
        let name = params.as_ref().and_then(|params| params.iter().next());
        Ok(Self(name.map_or("", |(_, name)| name).into()))
    }
}

// === impl SearchBody ===

impl<S: Sync> FromRequest<S> for SearchBody {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let body = JsonBody::from_request(request, state).await?;
        catalog::Query::search(&body.0)
            .map(Self)
            .map_err(refused(Reason::member))
    }
}

/// A fault with everything that is wrong with a query.
fn refused(reason: fn(QueryProblem) -> Reason) -> impl FnOnce(Vec<QueryProblem>) -> Fault {
    move |problems| Fault::all(problems.into_iter().map(reason).collect())
}

//! Invalidations: telling the cache that what it holds is no longer so, and watching what comes of it.

mod job;

pub(super) use job::{find, list};

use super::admin::Admin;
use crate::catalog::{Catalog, Invalidated, Mode, ProductId, Selector};
use crate::http::extract::JsonBody;
use crate::http::fault::{ErrorCode, Fault, Reason};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// Ids that one order may name.
const MOST_IDS: usize = 1000;

/// An order with more ids that are none is answered with the first of them.
const MOST_PROBLEMS: usize = 100;

/// The longest text that products can be selected by, in bytes.
const LONGEST_TEXT: usize = 1024;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    selector: Selector,
    mode: Mode,
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrderBody {
    ids: Option<Vec<String>>,
    prefix: Option<String>,
    category: Option<String>,
    brand: Option<String>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    mode: ModeWord,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ModeWord {
    #[default]
    Soft,
    Hard,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OutcomeBody {
    products: usize,
    bytes: u64,
    refill_calls: u64,
    estimated_seconds: u64,
    dry_run: bool,
}

pub(super) async fn invalidate(
    _: Admin,
    State(catalog): State<Arc<Catalog>>,
    body: JsonBody,
) -> Result<Response, Fault> {
    let Order {
        selector,
        mode,
        dry_run,
    } = Order::parse(&body.0)?;
    let by = selector.as_str();
    let count = match &selector {
        Selector::Ids(ids) => ids.len(),
        _ => 1,
    };
    let mode_word = mode.as_str();
    tracing::info!(
        by,
        count,
        mode = mode_word,
        dry_run,
        "Invalidation by {by} ordered by an operator"
    );
    let (outcome, job) = catalog.invalidate(selector, mode, dry_run).await;
    Ok(match job {
        Some(job) => job::accepted(&catalog, &job),
        None => super::json(StatusCode::OK, &OutcomeBody::new(&outcome, dry_run)),
    })
}

// === impl Order ===

impl Order {
    fn parse(body: &[u8]) -> Result<Self, Fault> {
        let body: OrderBody = serde_json::from_slice(body).map_err(|error| {
            Fault::new(if error.is_data() {
                ErrorCode::InvalidField
            } else {
                ErrorCode::MalformedBody
            })
        })?;
        let (mode, dry_run) = (body.mode.into(), body.dry_run);
        Ok(Self {
            selector: body.selector()?,
            mode,
            dry_run,
        })
    }
}

// === impl OrderBody ===

impl OrderBody {
    /// The one selector there is.
    fn selector(self) -> Result<Selector, Fault> {
        let ids = self.ids.map(ids).transpose()?;
        let mut given = [
            ids.map(Selector::Ids),
            text("prefix", self.prefix)?.map(Selector::Prefix),
            text("category", self.category)?.map(Selector::Category),
            text("brand", self.brand)?.map(Selector::Brand),
            self.all.then_some(Selector::All),
        ]
        .into_iter()
        .flatten();
        match (given.next(), given.next()) {
            (Some(selector), None) => Ok(selector),
            _ => Err(Fault::new(ErrorCode::InvalidSelector)),
        }
    }
}

// === impl ModeWord ===

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Self {
        match word {
            ModeWord::Soft => Self::Soft,
            ModeWord::Hard => Self::Hard,
        }
    }
}

// === impl OutcomeBody ===

impl OutcomeBody {
    fn new(outcome: &Invalidated, dry_run: bool) -> Self {
        Self {
            products: outcome.products,
            bytes: outcome.bytes,
            refill_calls: outcome.refill_calls,
            estimated_seconds: outcome.estimated_seconds,
            dry_run,
        }
    }
}

/// A text to select by, if it is not too long to be one.
fn text(member: &'static str, text: Option<String>) -> Result<Option<String>, Fault> {
    match text {
        Some(text) if text.len() > LONGEST_TEXT => Err(Fault::all(vec![Reason {
            description: Cow::Borrowed("At most 1,024 bytes."),
            field: Some(member.to_owned()),
            ..Reason::new(ErrorCode::InvalidField)
        }])),
        text => Ok(text),
    }
}

/// Ids of products; those that are none are named by their place.
fn ids(texts: Vec<String>) -> Result<Vec<ProductId>, Fault> {
    if texts.len() > MOST_IDS {
        return Err(Fault::all(vec![Reason {
            description: Cow::Borrowed("At most 1,000 ids at once."),
            field: Some("ids".to_owned()),
            ..Reason::new(ErrorCode::InvalidField)
        }]));
    }
    let invalid: Vec<_> = texts
        .iter()
        .enumerate()
        .filter(|(_, text)| ProductId::parse(text).is_err())
        .take(MOST_PROBLEMS)
        .map(|(at, _)| Reason {
            description: Cow::Borrowed("This is not a product id."),
            field: Some(format!("ids.{at}")),
            ..Reason::new(ErrorCode::InvalidField)
        })
        .collect();
    if !invalid.is_empty() {
        return Err(Fault::all(invalid));
    }
    Ok(texts
        .iter()
        .filter_map(|text| ProductId::parse(text).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Mode::{Hard, Soft};
    use axum::response::IntoResponse;

    fn id(text: &str) -> ProductId {
        ProductId::parse(text).unwrap()
    }

    #[test]
    fn one_selector_is_understood_with_its_mode() {
        for (body, selector, mode, dry_run) in [
            (
                r#"{"ids":["a","b"]}"#,
                Selector::Ids(vec![id("a"), id("b")]),
                Soft,
                false,
            ),
            (
                r#"{"ids":[],"mode":"hard"}"#,
                Selector::Ids(vec![]),
                Hard,
                false,
            ),
            (
                r#"{"prefix":"LAPTOP-"}"#,
                Selector::Prefix("LAPTOP-".into()),
                Soft,
                false,
            ),
            (
                r#"{"category":"x","mode":"soft"}"#,
                Selector::Category("x".into()),
                Soft,
                false,
            ),
            (
                r#"{"brand":"y","dryRun":true}"#,
                Selector::Brand("y".into()),
                Soft,
                true,
            ),
            (r#"{"all":true,"mode":"hard"}"#, Selector::All, Hard, false),
        ] {
            let order = Order::parse(body.as_bytes()).unwrap();
            let expected = Order {
                selector,
                mode,
                dry_run,
            };
            assert_eq!(order, expected, "{body}");
        }
    }

    #[tokio::test]
    async fn ids_and_the_problems_with_them_are_bounded() {
        let order = |id: &str, count| {
            let ids = vec![id; count];
            Order::parse(serde_json::json!({ "ids": ids }).to_string().as_bytes())
        };
        assert!(order("a", 1000).is_ok());
        for (id, count, problems) in [("a", 1001, 1), ("a b", 1000, 100), ("a b", 1001, 1)] {
            let mut response = order(id, count).unwrap_err().into_response();
            Fault::render(&mut response, crate::telemetry::Conversation::new());
            let body = axum::body::to_bytes(response.into_body(), usize::MAX)
                .await
                .unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["fault"]["errors"].as_array().unwrap().len(), problems);
        }
    }

    #[test]
    fn anything_else_is_a_400() {
        for body in [
            "",
            "{}",
            "[]",
            "{",
            r#"{"all":false}"#,
            r#"{"all":"yes"}"#,
            r#"{"ids":["a"],"all":true}"#,
            r#"{"prefix":"a","brand":"b"}"#,
            r#"{"ids":["a b"]}"#,
            r#"{"ids":"a"}"#,
            r#"{"all":true,"mode":"harder"}"#,
            r#"{"everything":true}"#,
            &format!(r#"{{"brand":"{}"}}"#, "b".repeat(1025)),
        ] {
            let fault = Order::parse(body.as_bytes()).expect_err(body);
            assert_eq!(fault.status(), 400, "{body}");
        }
    }
}

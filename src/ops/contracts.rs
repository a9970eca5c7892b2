//! Freshness contracts: what is promised, how it is kept, and changing it.

use super::admin::Admin;
use crate::catalog::contracts::{
    Changed, ContractStats, ContractView, Declared, Feasibility, Latency, Placing, Refused,
};
use crate::catalog::{Catalog, Unrepeated};
use crate::http::caching::NoBody;
use crate::http::extract::JsonBody;
use crate::http::fault::{ErrorCode, Fault, Reason};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeSeed;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// Whether a removal is on disk, where no body can say so.
const DURABLE: HeaderName = HeaderName::from_static("durable");

/// All contracts.
#[derive(Serialize)]
struct ListBody {
    contracts: Vec<ContractBody>,
    /// Whether they are kept.
    enforced: bool,
}

/// One contract: what was declared, and what has become of it.
#[derive(Serialize)]
struct ContractBody {
    #[serde(flatten)]
    declared: Map<String, Value>,
    /// Who declared it: `file` or `operator`.
    origin: &'static str,
    /// Whether it is kept.
    enforced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<StatsBody>,
    /// Whether a change is on disk, and will be there after a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feasibility: Option<FeasibilityBody>,
}

/// How a contract was kept, in the words of its metrics.
#[derive(Serialize)]
struct StatsBody {
    keys: u64,
    keys_fresh: u64,
    checks_total: u64,
    checks_fresh: u64,
    refreshes_triggered: u64,
    refreshes_failed: u64,
    compliance_pct: f64,
    grace_exhausted: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeasibilityBody {
    keys_matched: u64,
    refreshes_per_second: RefreshesBody,
    /// Null before the inventory was asked for any product.
    upstream_latency_ms: Option<LatencyBody>,
    /// Null where that is not known.
    allowed_refreshes_per_second: Option<f64>,
    /// true, false or "unknown".
    feasible: Value,
    advice: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefreshesBody {
    all_keys: f64,
    /// Null without `idle_after`, and where it is not known which keys are in use.
    keys_in_use: Option<f64>,
}

#[derive(Serialize)]
struct LatencyBody {
    p50: f64,
    p95: f64,
    samples: usize,
}

pub(super) async fn list(State(catalog): State<Arc<Catalog>>) -> Response {
    let enforced = catalog.keeps_contracts();
    let contracts = catalog.contracts();
    let body = ListBody {
        contracts: contracts
            .iter()
            .map(|view| ContractBody::of(view, enforced))
            .collect(),
        enforced,
    };
    super::json(StatusCode::OK, &body)
}

pub(super) async fn create(
    _: Admin,
    State(catalog): State<Arc<Catalog>>,
    body: JsonBody,
) -> Result<Response, Fault> {
    let declared = read(&catalog, &body.0, None)?;
    let location = HeaderValue::try_from(format!("/contracts/{}", declared.name()));
    let changed = catalog
        .declare(declared, Placing::Add)
        .await
        .map_err(refused)?;
    let mut response = changed_to(&changed, StatusCode::CREATED);
    // Names are words of letters and digits.
    if let Ok(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn read_one(
    State(catalog): State<Arc<Catalog>>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let view = catalog
        .contract(&name)
        .ok_or_else(|| refused(Refused::NotFound))?;
    let mut body = ContractBody::of(&view, catalog.keeps_contracts());
    let feasibility = catalog.contract_feasibility(&name).await.ok();
    body.feasibility = feasibility.as_ref().map(FeasibilityBody::of);
    Ok(super::json(StatusCode::OK, &body))
}

pub(super) async fn replace(
    _: Admin,
    State(catalog): State<Arc<Catalog>>,
    Path(name): Path<String>,
    body: JsonBody,
) -> Result<Response, Fault> {
    let declared = read(&catalog, &body.0, Some(&name))?;
    let changed = catalog
        .declare(declared, Placing::Replace)
        .await
        .map_err(refused)?;
    let status = match changed.created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok(changed_to(&changed, status))
}

pub(super) async fn remove(
    _: Admin,
    State(catalog): State<Arc<Catalog>>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let durable = catalog.withdraw(&name).await.map_err(refused)?;
    let durable = [(DURABLE, if durable { "true" } else { "false" })];
    Ok((StatusCode::NO_CONTENT, durable, Body::new(NoBody)).into_response())
}

pub(super) async fn stats(
    State(catalog): State<Arc<Catalog>>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let view = catalog
        .contract(&name)
        .ok_or_else(|| refused(Refused::NotFound))?;
    let stats = view.stats.unwrap_or_default();
    Ok(super::json(StatusCode::OK, &StatsBody::of(&stats)))
}

// === impl ContractBody ===

impl ContractBody {
    fn of(view: &ContractView, enforced: bool) -> Self {
        Self {
            declared: view.kept.declared.members().clone(),
            origin: view.kept.origin.as_str(),
            enforced,
            stats: view.stats.as_ref().map(StatsBody::of),
            durable: None,
            feasibility: None,
        }
    }
}

// === impl StatsBody ===

impl StatsBody {
    fn of(stats: &ContractStats) -> Self {
        Self {
            keys: stats.keys,
            keys_fresh: stats.fresh,
            checks_total: stats.checks_total,
            checks_fresh: stats.checks_fresh,
            refreshes_triggered: stats.refreshes_triggered,
            refreshes_failed: stats.refreshes_failed,
            compliance_pct: stats.compliance_pct(),
            grace_exhausted: stats.grace_exhausted,
        }
    }
}

// === impl FeasibilityBody ===

impl FeasibilityBody {
    fn of(found: &Feasibility) -> Self {
        Self {
            keys_matched: found.keys_matched,
            refreshes_per_second: RefreshesBody {
                all_keys: rounded(found.refreshes_per_second),
                keys_in_use: found.refreshes_in_use_per_second.map(rounded),
            },
            upstream_latency_ms: found.latency.as_ref().map(LatencyBody::of),
            allowed_refreshes_per_second: found.allowed_per_second.map(rounded),
            feasible: found.feasible.map_or_else(|| "unknown".into(), Value::Bool),
            advice: found.advice.clone(),
        }
    }
}

// === impl LatencyBody ===

impl LatencyBody {
    fn of(latency: &Latency) -> Self {
        let millis = |took: Duration| rounded(took.as_secs_f64() * 1000.0);
        Self {
            p50: millis(latency.p50),
            p95: millis(latency.p95),
            samples: latency.samples,
        }
    }
}

/// Reads a contract; `name` is the one in the path, where there is one.
fn read(catalog: &Catalog, body: &[u8], name: Option<&str>) -> Result<Declared, Fault> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = Unrepeated.deserialize(&mut json);
    let Ok(Value::Object(members)) = value.and_then(|value| json.end().map(|()| value)) else {
        let said = "the body must be a JSON object that names no member twice";
        return Err(Fault::all(vec![
            Reason::new(ErrorCode::MalformedBody).saying(said),
        ]));
    };
    catalog
        .read_contract(members, name)
        .map_err(|problems| Fault::all(problems.into_iter().map(Reason::from).collect()))
}

fn changed_to(changed: &Changed, status: StatusCode) -> Response {
    let mut body = ContractBody::of(&changed.view, true);
    body.durable = Some(changed.durable);
    body.feasibility = Some(FeasibilityBody::of(&changed.feasibility));
    super::json(status, &body)
}

fn refused(refused: Refused) -> Fault {
    let code = match refused {
        Refused::Disabled => ErrorCode::ContractsDisabled,
        Refused::NotFound => ErrorCode::ContractNotFound,
        Refused::NameTaken => ErrorCode::ContractExists,
        Refused::PatternTaken { .. } => ErrorCode::ContractPatternTaken,
        Refused::OfFile => ErrorCode::ContractReadOnly,
        Refused::TooMany => ErrorCode::TooManyContracts,
        Refused::Broken => return Fault::internal(refused.to_string()),
    };
    let reason = Reason::new(code);
    Fault::all(vec![match refused {
        Refused::PatternTaken { by } => reason
            .about("key_pattern")
            .saying(format!("The contract {by} has this key_pattern.")),
        _ => reason,
    }])
}

/// To hundredths: figures for people.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

//! Broad invalidations, told: what each meant, and how far its refill is.

use crate::catalog::{Catalog, Job, JobState, Selector};
use crate::http::fault::{ErrorCode, Fault};
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use std::sync::Arc;
use uuid::Uuid;

/// When it is worth looking again at a job that is running, in seconds.
const LOOK_AGAIN: HeaderValue = HeaderValue::from_static("1");

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobBody {
    id: String,
    state: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// What holds its refill up at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// The job that means all that this one means.
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_by: Option<String>,
    selector: SelectorBody,
    mode: &'static str,
    products: usize,
    bytes: u64,
    refill_calls: u64,
    estimated_seconds: u64,
    /// How long it took, or has taken so far.
    seconds: f64,
    ordered_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    refill: RefillBody,
    dry_run: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum SelectorBody {
    Ids(usize),
    Prefix(String),
    Category(String),
    Brand(String),
    All(bool),
}

#[derive(Debug, Serialize)]
struct RefillBody {
    /// Products confirmed by its pass; 0 while that has not begun.
    confirmed: u64,
    /// Products there are; null where the inventory does not tell.
    total: Option<u64>,
    ratio: f64,
}

#[derive(Debug, Serialize)]
struct JobsBody {
    data: Vec<JobBody>,
}

/// The last broad invalidations, the last one first.
pub(in crate::ops) async fn list(State(catalog): State<Arc<Catalog>>) -> Response {
    let jobs = catalog.jobs();
    let data = jobs.iter().map(|job| JobBody::new(&catalog, job)).collect();
    super::super::json(StatusCode::OK, &JobsBody { data })
}

/// One of the last broad invalidations.
pub(in crate::ops) async fn find(
    State(catalog): State<Arc<Catalog>>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let id = Uuid::parse_str(&id).ok();
    let job = id.and_then(|id| catalog.job(id));
    let job = job.ok_or_else(|| Fault::new(ErrorCode::InvalidationNotFound))?;
    let mut response = super::super::json(StatusCode::OK, &JobBody::new(&catalog, &job));
    if job.state == JobState::Running {
        response.headers_mut().insert(RETRY_AFTER, LOOK_AGAIN);
    }
    Ok(response)
}

/// A job that was begun, and where to watch it.
pub(super) fn accepted(catalog: &Catalog, job: &Job) -> Response {
    let mut response = super::super::json(StatusCode::ACCEPTED, &JobBody::new(catalog, job));
    let location = HeaderValue::try_from(format!("/cache/invalidations/{}", job.id));
    let headers = response.headers_mut();
    headers.extend(location.ok().map(|location| (LOCATION, location)));
    headers.insert(RETRY_AFTER, LOOK_AGAIN);
    response
}

// === impl JobBody ===

impl JobBody {
    fn new(catalog: &Catalog, job: &Job) -> Self {
        let (mut reason, mut trouble, mut superseded_by) = (None, None, None);
        match job.state {
            JobState::Running => trouble = catalog.refill_trouble(),
            JobState::Failed(why) => reason = Some(why),
            JobState::Superseded(by) => superseded_by = Some(by.to_string()),
            JobState::Done => {}
        }
        Self {
            id: job.id.to_string(),
            state: job.state.as_str(),
            reason,
            trouble,
            superseded_by,
            selector: SelectorBody::from(&job.selector),
            mode: job.mode.as_str(),
            products: job.invalidated.products,
            bytes: job.invalidated.bytes,
            refill_calls: job.invalidated.refill_calls,
            estimated_seconds: job.invalidated.estimated_seconds,
            seconds: catalog.took(job).as_secs_f64(),
            ordered_at: timestamp(job.ordered_at.as_millis()),
            ended_at: job.ended_at.map(|at| timestamp(at.as_millis())),
            refill: RefillBody {
                confirmed: job.refill.confirmed,
                total: job.refill.total,
                ratio: job.refill.ratio(),
            },
            dry_run: false,
        }
    }
}

// === impl SelectorBody ===

impl From<&Selector> for SelectorBody {
    fn from(selector: &Selector) -> Self {
        match selector {
            Selector::Ids(ids) => Self::Ids(ids.len()),
            Selector::Prefix(prefix) => Self::Prefix(prefix.clone()),
            Selector::Category(category) => Self::Category(category.clone()),
            Selector::Brand(brand) => Self::Brand(brand.clone()),
            Selector::All => Self::All(true),
        }
    }
}

/// RFC 3339, in UTC, of milliseconds since the Unix epoch.
fn timestamp(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or_default();
    jiff::Timestamp::from_millisecond(millis)
        .unwrap_or_default()
        .to_string()
}

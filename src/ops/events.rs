//! What happens, as it happens: server-sent events
//! ([HTML Living Standard section 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html)).
//!
//! A listener that comes back says where it was (`Last-Event-ID`, which browsers send by themselves, or
//! `lastEventId`) and gets what it missed, as far as that is kept. What it gets is read when its connection
//! takes it, so one that does not read costs nobody anything but its place.

use super::OpsState;
use crate::http::fault::{ErrorCode, Fault, Reason};
use crate::telemetry::events::{Batch, Event, EventKind, Follower, Missed};
use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Listeners at a time.
const MOST_LISTENERS: usize = 32;

/// What one who finds no place is asked to wait.
const PLACE_FREES: Duration = Duration::from_secs(10);

/// The longest silence: proxies and clients close connections that say nothing for a minute or so.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a client waits before it comes back, in milliseconds.
const COME_BACK_MILLIS: u32 = 3000;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The parameters there are.
const PARAMETERS: [&str; 3] = ["type", "contract", "lastEventId"];

/// The places of listeners; all clones are the same places.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Semaphore>);

/// What a listener asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Of these types; empty: all.
    kinds: Vec<EventKind>,
    /// Under this contract only.
    contract: Option<Box<str>>,
    /// Those after this one.
    after: Option<u64>,
}

/// One listener's stream.
struct Listening {
    wanted: Wanted,
    follower: Follower,
    heartbeat: Interval,
    stop: CancellationToken,
    greeted: bool,
    _place: OwnedSemaphorePermit,
}

/// The data of one event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventBody<'a> {
    r#type: &'static str,
    /// RFC 3339.
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    /// How many of the type were left out since the last one.
    suppressed: u64,
}

/// Sends events until the listener or the service has enough.
pub(super) async fn listen(
    State(state): State<OpsState>,
    Extension(places): Extension<Places>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let wanted = Wanted::read(query.as_deref().unwrap_or_default(), &headers)?;
    let place = Arc::clone(&places.0).try_acquire_owned().map_err(|_| {
        Fault::unavailable(
            PLACE_FREES,
            format!("{MOST_LISTENERS} listeners follow the events already"),
        )
    })?;
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    let listening = Listening {
        follower: state.events.follow(wanted.after),
        wanted,
        heartbeat,
        stop: state.stop,
        greeted: false,
        _place: place,
    };
    let stream = futures_util::stream::unfold(listening, async |mut listening| {
        let chunk = listening.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), listening))
    });
    let headers = [(CONTENT_TYPE, EVENT_STREAM)];
    Ok((headers, Body::from_stream(Box::pin(stream))).into_response())
}

// === impl Places ===

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_LISTENERS)))
    }
}

// === impl Wanted ===

impl Wanted {
    /// Reads query and headers. Where both say what was seen, the header does: a browser that comes back
    /// repeats the URL that it came with first.
    fn read(query: &str, headers: &HeaderMap) -> Result<Self, Fault> {
        let (mut wanted, mut problems, mut seen) = (Self::default(), Vec::new(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(name) = PARAMETERS.into_iter().find(|known| **known == name) else {
                problems.push(unknown_parameter());
                continue;
            };
            if seen.contains(&name) {
                let said = format!("`{name}` is given more than once");
                problems.push(about(name, ErrorCode::RepeatedParameter, said));
                continue;
            }
            seen.push(name);
            if let Err(rule) = wanted.take(name, &value) {
                let said = format!("`{name}` {rule}");
                problems.push(about(name, ErrorCode::InvalidParameter, said));
            }
        }
        if let Some(value) = headers.get(LAST_EVENT_ID) {
            let number = value.to_str().ok().and_then(|text| text.parse().ok());
            wanted.after = number.or(wanted.after);
            if number.is_none() {
                let (code, header) = (ErrorCode::InvalidHeader, "last-event-id");
                let said = "`Last-Event-ID` must be the id of an event, a whole number";
                problems.push(Reason::header(code, header, said));
            }
        }
        match problems.is_empty() {
            true => Ok(wanted),
            false => Err(Fault::all(problems)),
        }
    }

    /// Takes in one parameter, or says what it must be.
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "type" => {
                let kinds = value.split(',').map(EventKind::parse);
                self.kinds = kinds.collect::<Option<_>>().ok_or_else(|| {
                    let known = EventKind::WORDS.join(", ");
                    format!("must be types of events, separated by commas: {known}")
                })?;
            }
            "contract" => {
                let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
                if value.is_empty() || value.len() > 64 || !value.bytes().all(fits) {
                    return Err("must be the name of a contract".to_owned());
                }
                self.contract = Some(value.into());
            }
            _ => {
                let number = value.parse();
                let rule = |_| "must be the id of an event, a whole number".to_owned();
                self.after = Some(number.map_err(rule)?);
            }
        }
        Ok(())
    }

    fn includes(&self, event: &Event) -> bool {
        let is_wanted = self.kinds.is_empty() || self.kinds.contains(&event.kind);
        let contract = self.contract.as_deref();
        is_wanted && (contract.is_none() || contract == event.contract.as_deref())
    }
}

// === impl Listening ===

impl Listening {
    /// What is to be sent next; `None` when the service stops.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(format!("retry: {COME_BACK_MILLIS}\n\n"));
        }
        loop {
            let batch = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                batch = self.follower.next() => batch,
                _ = self.heartbeat.tick() => {
                    // A block with an id alone is no event, but where to go on from.
                    return Some(format!(":\nid: {}\n\n", self.follower.upto()));
                }
            };
            let chunk = self.chunk(&batch);
            if !chunk.is_empty() {
                self.heartbeat.reset();
                return Some(chunk);
            }
        }
    }

    fn chunk(&self, batch: &Batch) -> String {
        let mut chunk = String::new();
        if let Some(missed) = batch.missed {
            let missed = match missed {
                Missed::Count(count) => count.to_string(),
                Missed::Unknown => "\"unknown\"".to_owned(),
            };
            let upto = batch.upto;
            // Writing to a `String` does not fail; nor does it below.
            let _ = write!(
                chunk,
                "id: {upto}\nevent: gap\ndata: {{\"type\":\"gap\",\"missed\":{missed}}}\n\n"
            );
        }
        for event in batch
            .events
            .iter()
            .filter(|event| self.wanted.includes(event))
        {
            let (id, word) = (event.id, event.kind.as_str());
            let data = serde_json::to_string(&EventBody::of(event)).unwrap_or_default();
            let _ = write!(chunk, "id: {id}\nevent: {word}\ndata: {data}\n\n");
        }
        chunk
    }
}

// === impl EventBody ===

impl<'a> EventBody<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            r#type: event.kind.as_str(),
            at: format!("{:.3}", event.at()),
            key: event.key.as_deref(),
            contract: event.contract.as_deref(),
            age_ms: event.age.map(|age| age.as_millis()),
            cause: event.cause.as_deref(),
            suppressed: event.suppressed,
        }
    }
}

fn about(parameter: &str, code: ErrorCode, description: String) -> Reason {
    Reason {
        parameter: Some(parameter.to_owned()),
        ..Reason::new(code).saying(description)
    }
}

fn unknown_parameter() -> Reason {
    let known = PARAMETERS.join(", ");
    Reason::new(ErrorCode::UnknownParameter).saying(format!("there are only {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, last: Option<&'static str>) -> Result<Wanted, u16> {
        let headers = last.map(|last| (LAST_EVENT_ID, HeaderValue::from_static(last)));
        Wanted::read(query, &headers.into_iter().collect()).map_err(|fault| fault.status().as_u16())
    }

    #[test]
    fn a_filter_and_a_place_are_understood_and_anything_else_is_a_400() {
        use EventKind::{CacheHit, Retry};
        assert_eq!(read("", None), Ok(Wanted::default()));
        let wanted = Wanted {
            kinds: vec![CacheHit, Retry],
            contract: Some("live-prices".into()),
            after: Some(7),
        };
        let query = "type=cache_hit,retry&contract=live-prices&lastEventId=7";
        assert_eq!(read(query, None), Ok(wanted));
        let after = |after| Wanted {
            after,
            ..Wanted::default()
        };
        assert_eq!(read("lastEventId=7", Some("9")), Ok(after(Some(9))));
        assert_eq!(read("", Some("0")), Ok(after(Some(0))));
        for query in [
            "type=",
            "type=cache_hit,",
            "type=CacheHit",
            "type=gap",
            "type=retry&type=retry",
            "contract=",
            "contract=A",
            "contract=a%20b",
            "lastEventId=",
            "lastEventId=-1",
            "lastEventId=18446744073709551616",
            "Type=retry",
            "limit=1",
        ] {
            assert_eq!(read(query, None), Err(400), "{query}");
        }
        for last in ["", "x", "1.0"] {
            assert_eq!(read("", Some(last)), Err(400), "{last}");
        }
    }

    #[test]
    fn an_event_is_one_json_object_with_what_is_known_of_it() {
        let mut event = Event::of(EventKind::ContractViolated)
            .key("p-1")
            .contract(&"live-prices".into())
            .age(Duration::from_millis(2040))
            .cause("a line\nand another");
        event.at_millis = 1_700_000_000_050;
        let data = serde_json::to_string(&EventBody::of(&event)).unwrap();
        assert_eq!(
            data,
            r#"{"type":"contract_violated","at":"2023-11-14T22:13:20.050Z","key":"p-1","contract":"live-prices","ageMs":2040,"cause":"a line\nand another","suppressed":0}"#
        );
        let bare = Event::of(EventKind::CircuitOpen);
        let data = serde_json::to_value(EventBody::of(&bare)).unwrap();
        assert_eq!(data.as_object().unwrap().len(), 3);
    }
}

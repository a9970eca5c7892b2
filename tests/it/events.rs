//! What happens, told as it happens: server-sent events on the internal listener.

use crate::harness::{Setup, TestApp};
use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

/// A listener, and what it has read.
struct Listener {
    body: Body,
    text: String,
}

/// One event as a browser would see it.
#[derive(Debug, PartialEq)]
struct Seen {
    id: String,
    word: String,
    data: Value,
}

impl Listener {
    async fn new(app: &TestApp, path: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = app.app().internal().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// Reads for so long, or to the end; says whether that came.
    async fn read_for(&mut self, by: Duration) -> bool {
        let reading = async {
            while let Some(frame) = self.body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                self.text.push_str(std::str::from_utf8(&data).unwrap());
            }
        };
        tokio::time::timeout(by, reading).await.is_ok()
    }

    /// The events that were read, as the standard's algorithm has it, and the last id.
    fn seen(&self) -> (Vec<Seen>, String) {
        let (mut seen, mut last) = (Vec::new(), String::new());
        let (mut word, mut data) = (String::new(), String::new());
        for line in self.text.split('\n') {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("id", id) => last = id.to_owned(),
                ("event", event) => word = event.to_owned(),
                ("data", more) => data.push_str(more),
                ("", "") => {
                    if !data.is_empty() {
                        seen.push(Seen {
                            id: last.clone(),
                            word: std::mem::take(&mut word),
                            data: serde_json::from_str(&data).unwrap(),
                        });
                    }
                    data.clear();
                }
                (":", _) | ("retry", "3000") => {}
                other => panic!("{other:?}"),
            }
        }
        (seen, last)
    }

    fn words(&self) -> Vec<String> {
        self.seen().0.into_iter().map(|seen| seen.word).collect()
    }
}

async fn invalidate(app: &TestApp, id: &str) {
    let order = json!({ "ids": [id] });
    let answer = app.operate(Method::POST, "/cache/invalidations", &order);
    assert!(answer.await.is_ok());
}

const A_MOMENT: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_listener_sees_what_happens_and_when() {
    let app = Setup::products(3).warm().await;
    let mut listener = Listener::new(&app, "/events?type=invalidation", None).await;
    invalidate(&app, "P-000001").await;
    app.later(Duration::from_secs(2)).await;
    invalidate(&app, "P-000002").await;
    assert!(!listener.read_for(A_MOMENT).await, "it goes on");
    let (seen, _) = listener.seen();
    assert_eq!(listener.words(), ["invalidation", "invalidation"]);
    assert_eq!(seen[0].data["type"], "invalidation");
    assert_eq!(seen[0].data["cause"], "ids, 1 held, soft");
    assert_eq!(seen[0].data["suppressed"], 0);
    let at =
        |seen: &Seen| -> jiff::Timestamp { seen.data["at"].as_str().unwrap().parse().unwrap() };
    assert_eq!(at(&seen[1]).duration_since(at(&seen[0])).as_millis(), 2000);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_gets_what_was_missed_and_no_more() {
    let app = Setup::products(3).warm().await;
    let mut all = Listener::new(&app, "/events", None).await;
    for id in ["P-000001", "P-000002", "P-000003"] {
        invalidate(&app, id).await;
    }
    all.read_for(A_MOMENT).await;
    let (seen, _) = all.seen();
    assert_eq!(seen.len(), 3);
    for (at, event) in seen.iter().enumerate() {
        let mut back = Listener::new(&app, "/events", Some(&event.id)).await;
        back.read_for(A_MOMENT).await;
        assert_eq!(back.seen().0, seen[at + 1..]);
        // A header is newer than the URL that was come with first.
        let path = format!("/events?lastEventId={}", event.id);
        for (header, behind) in [(None, at + 1), (Some(&*seen[2].id), 3)] {
            let mut back = Listener::new(&app, &path, header).await;
            back.read_for(A_MOMENT).await;
            assert_eq!(back.seen().0, seen[behind..]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_nobody_knows_is_told_as_a_gap() {
    let app = Setup::products(3).warm().await;
    invalidate(&app, "P-000001").await;
    let mut lost = Listener::new(&app, "/events?type=invalidation&lastEventId=12", None).await;
    lost.read_for(A_MOMENT).await;
    let (seen, _) = lost.seen();
    assert_eq!(lost.words(), ["gap", "invalidation"]);
    assert_eq!(seen[0].data, json!({"type": "gap", "missed": "unknown"}));
    // Coming back from right behind the gap meets no other.
    let mut back = Listener::new(&app, "/events", Some(&seen[0].id)).await;
    back.read_for(A_MOMENT).await;
    let (all, _) = back.seen();
    assert!(all.iter().all(|seen| seen.word != "gap"));
    assert_eq!(all.last(), seen.last());
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_and_moves_a_filtered_listener_on() {
    let app = Setup::products(3).warm().await;
    let mut listener = Listener::new(&app, "/events?contract=nobody", None).await;
    invalidate(&app, "P-000001").await;
    listener.read_for(Duration::from_secs(46)).await;
    assert_eq!(listener.text.matches("\n:\n").count(), 3);
    let (seen, last) = listener.seen();
    assert!(seen.is_empty());
    let mut back = Listener::new(&app, "/events?type=invalidation", Some(&last)).await;
    back.read_for(A_MOMENT).await;
    assert!(back.words().is_empty(), "the invalidation was passed");
}

#[tokio::test(start_paused = true)]
async fn there_are_places_for_so_many_and_they_come_free() {
    let app = Setup::products(1).warm().await;
    let mut listeners = Vec::new();
    for _ in 0..32 {
        listeners.push(Listener::new(&app, "/events", None).await);
    }
    let refused = app.internal(Method::GET, "/events", &[]).await;
    assert_eq!(
        (refused.status(), refused.header("retry-after")),
        (503, "10")
    );
    listeners.pop();
    Listener::new(&app, "/events", None).await;
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_listened_to_is_a_400_that_names_it() {
    let app = Setup::products(1).warm().await;
    for (path, code, parameter) in [
        (
            "/events?type=cache_hit,nothing",
            "INVALID_PARAMETER",
            "type",
        ),
        ("/events?contract=A", "INVALID_PARAMETER", "contract"),
        ("/events?lastEventId=x", "INVALID_PARAMETER", "lastEventId"),
        (
            "/events?type=retry&type=retry",
            "REPEATED_PARAMETER",
            "type",
        ),
    ] {
        let answer = app.internal(Method::GET, path, &[]).await;
        assert_eq!(
            (answer.status(), answer.codes()),
            (400, vec![code.to_owned()])
        );
        assert_eq!(answer.json()["fault"]["errors"][0]["parameter"], parameter);
    }
    let answer = app.internal(Method::GET, "/events?kind=retry", &[]).await;
    assert_eq!(answer.codes(), ["UNKNOWN_PARAMETER"]);
    let header = [("last-event-id", "x")];
    let answer = app.internal(Method::GET, "/events", &header).await;
    assert_eq!(answer.codes(), ["INVALID_HEADER"]);
    assert_eq!(
        answer.json()["fault"]["errors"][0]["header"],
        "last-event-id"
    );
}

#[tokio::test(start_paused = true)]
async fn listening_ends_when_the_service_stops() {
    let app = Setup::products(1).warm().await;
    let mut listener = Listener::new(&app, "/events", None).await;
    app.stop().await;
    assert!(listener.read_for(A_MOMENT).await);
}

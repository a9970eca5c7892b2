//! A page of products: its body from the bodies that are stored, and what it says about caching.

use super::caching::{
    Class, Media, Metadata, Policies, cache_status, class_of, mark, respond_encoded,
};
use super::extract::Conditions;
use super::fault::Fault;
use super::media::Accepted;
use crate::catalog::{Effort, Outcome, Page, Served, entity_tag};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Outcomes of items that make the whole page theirs, the weightiest first.
const WEIGHTY: [Outcome; 4] = [
    Outcome::Stale,
    Outcome::Fallback,
    Outcome::Bypass,
    Outcome::Miss,
];

/// Answers a GET or HEAD of a page, in the version and coding that the client takes.
pub(super) async fn answer(
    policies: &Policies,
    conditions: &Conditions,
    accepted: Accepted,
    page: &Page,
) -> Result<Response, Fault> {
    let outcome = outcome_of(page);
    let remaining = remaining_of(page);
    let cursors = Cursors::of(page);
    let Accepted { version, codings } = accepted;
    let bodies = page.items.iter().map(|item| item.stored.body(version));
    let bodies: Vec<_> = bodies.collect::<Result<_, _>>()?;
    let parts = parts(&bodies, &cursors);
    let coding = codings.for_body_of(parts.iter().map(|part| part.len()).sum(), Effort::Once);
    let metadata = Metadata {
        media: Media::Versioned(version),
        coding,
        etag: entity_tag(version, &digest(&page.items, &cursors), coding),
        last_modified: None,
        cache_control: policies.cache_control(class_of(outcome, Class::List), remaining),
        cache_status: Some(cache_status(outcome, remaining)),
        mark: mark(outcome),
    };
    respond_encoded(conditions, metadata, || parts.concat().into()).await
}

/// The cursors of a page, in their opaque form: base64url, which JSON takes as it is.
struct Cursors {
    after: Option<String>,
    before: Option<String>,
}

// === impl Cursors ===

impl Cursors {
    fn of(page: &Page) -> Self {
        Self {
            after: page.after.as_ref().map(|cursor| cursor.encode()),
            before: page.before.as_ref().map(|cursor| cursor.encode()),
        }
    }

    /// The members of `cursors`; one that is absent is left out.
    fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let after = self.after.as_deref().map(|cursor| ("after", cursor));
        let before = self.before.as_deref().map(|cursor| ("before", cursor));
        after.into_iter().chain(before)
    }
}

/// The pieces of `{"data":[…],"paging":{"cursors":{"after":…,"before":…}}}`: the products are JSON already.
fn parts<'a>(bodies: &'a [Bytes], cursors: &'a Cursors) -> Vec<&'a [u8]> {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(bodies.len() * 2 + 12);
    parts.push(b"{\"data\":[");
    for (at, body) in bodies.iter().enumerate() {
        parts.extend((at > 0).then_some(b",".as_slice()));
        parts.push(body);
    }
    parts.push(b"],\"paging\":{\"cursors\":{");
    for (at, (name, cursor)) in cursors.members().enumerate() {
        let open: &[u8] = if at > 0 { b",\"" } else { b"\"" };
        parts.extend([open, name.as_bytes(), b"\":\"", cursor.as_bytes(), b"\""]);
    }
    parts.push(b"}}}");
    parts
}

/// The same products in the same versions between the same cursors are the same content.
fn digest(items: &[Served], cursors: &Cursors) -> String {
    let mut hash = Sha256::new();
    for item in items {
        hash.update(item.stored.representation.etag.as_bytes());
    }
    for (name, cursor) in cursors.members() {
        hash.update(name);
        hash.update(cursor);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// How the page as a whole was come by: as the worst of its items was.
fn outcome_of(page: &Page) -> Outcome {
    let plain = if page.forwarded {
        Outcome::Miss
    } else {
        Outcome::Hit
    };
    WEIGHTY
        .into_iter()
        .find(|outcome| page.items.iter().any(|item| item.outcome == *outcome))
        .unwrap_or(plain)
}

/// The smallest remaining window on the page; an empty page has no bound but its own.
fn remaining_of(page: &Page) -> Duration {
    page.items
        .iter()
        .map(|item| item.remaining)
        .min()
        .unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Entry;
    use crate::catalog::{Criteria, Cursor, Place, ProductId, Representation, Stored};
    use crate::clock::Moment;
    use axum::body::to_bytes;
    use http::header::{CACHE_CONTROL, CONTENT_LENGTH, ETAG, IF_NONE_MATCH};
    use http::{HeaderMap, HeaderValue};
    use serde_json::json;
    use std::sync::Arc;

    fn entry(stored: Stored) -> Arc<Entry<Stored>> {
        Arc::new(Entry::new(stored, Moment::default(), 0, 0))
    }

    fn served(id: &str, outcome: Outcome, remaining: u64) -> Served {
        let body = format!("{{\"id\":\"{id}\"}}");
        let etag = HeaderValue::try_from(format!("\"v2-{id}\"")).unwrap();
        Served {
            stored: entry(Stored {
                representation: Representation {
                    body: body.into(),
                    etag,
                    last_modified: None,
                },
                validators: Default::default(),
                renditions: Default::default(),
            }),
            outcome,
            remaining: Duration::from_secs(remaining),
        }
    }

    fn page(items: Vec<Served>) -> Page {
        let cursor = |id| {
            let (keys, id) = (Vec::new(), ProductId::parse(id).unwrap());
            Some(Cursor::at(&Criteria::default(), Place { keys, id }))
        };
        Page {
            items,
            before: cursor("a"),
            after: cursor("b"),
            forwarded: false,
        }
    }

    async fn answered(page: &Page, headers: HeaderMap) -> Response {
        let policies = Policies::new(Duration::from_secs(300));
        let accepted = Accepted::of(&headers).unwrap();
        answer(&policies, &Conditions::new(headers), accepted, page)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn stored_bodies_become_one_document() {
        for count in 0..3 {
            let items = (0..count).map(|n| served(&n.to_string(), Outcome::Hit, 900));
            let page = page(items.collect());
            let response = answered(&page, HeaderMap::new()).await;
            let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let data: Vec<_> = (0..count).map(|n| json!({"id": n.to_string()})).collect();
            assert_eq!(document["data"], json!(data));
            let after = document["paging"]["cursors"]["after"].as_str().unwrap();
            assert_eq!(Cursor::parse(after), page.after);
        }
    }

    #[tokio::test]
    async fn the_only_page_has_no_cursors() {
        let mut page = page(vec![served("1", Outcome::Hit, 900)]);
        (page.after, page.before) = (None, None);
        let response = answered(&page, HeaderMap::new()).await;
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(bytes, r#"{"data":[{"id":"1"}],"paging":{"cursors":{}}}"#);
    }

    #[tokio::test]
    async fn a_page_lives_no_longer_than_its_oldest_item() {
        for (items, expected, status) in [
            (
                vec![],
                "public, max-age=60, stale-while-revalidate=60",
                "product-catalog; hit",
            ),
            (
                vec![
                    served("1", Outcome::Hit, 900),
                    served("2", Outcome::Hit, 70),
                ],
                "public, max-age=60, stale-while-revalidate=10",
                "product-catalog; hit; ttl=70",
            ),
            (
                vec![
                    served("1", Outcome::Miss, 900),
                    served("2", Outcome::Hit, 5),
                ],
                "public, max-age=5",
                "product-catalog; fwd=uri-miss",
            ),
            (
                vec![
                    served("1", Outcome::Hit, 900),
                    served("2", Outcome::Stale, 0),
                ],
                "no-store",
                "product-catalog; hit; detail=stale",
            ),
        ] {
            let response = answered(&page(items), HeaderMap::new()).await;
            assert_eq!(response.headers()[CACHE_CONTROL], expected);
            assert_eq!(response.headers()["cache-status"], status);
            let marked = response.headers().contains_key("x-cache-stale");
            assert_eq!(marked, expected == "no-store");
        }
    }

    #[tokio::test]
    async fn the_tag_tells_products_versions_and_cursors_apart() {
        let hit = |id| served(id, Outcome::Hit, 900);
        let one = page(vec![hit("1"), hit("2")]);
        let mut shorter = one.clone();
        shorter.after = None;
        let mut tags = Vec::new();
        for page in [
            &one,
            &page(vec![hit("2"), hit("1")]),
            &page(vec![hit("1")]),
            &shorter,
        ] {
            tags.push(answered(page, HeaderMap::new()).await.headers()[ETAG].clone());
        }
        for (at, tag) in tags.iter().enumerate() {
            assert!(tag.to_str().unwrap().starts_with("\"v2-"), "strong");
            assert!(!tags[at + 1..].contains(tag));
        }
        let again = answered(&one, HeaderMap::new()).await;
        assert_eq!(again.headers()[ETAG], tags[0]);

        let known = HeaderMap::from_iter([(IF_NONE_MATCH, tags[0].clone())]);
        let response = answered(&one, known).await;
        assert_eq!(response.status(), 304);
        assert!(!response.headers().contains_key(CONTENT_LENGTH));
    }
}

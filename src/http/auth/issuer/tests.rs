use super::*;
use crate::http::auth::tests::issuer::{AUDIENCE, ISSUER, JWKS_URL, Published, Signer, claims};
use axum::body::Body;
use http_body_util::BodyExt;
use std::sync::Arc;

/// A way to `published`, without sockets.
fn fetch(published: &Published) -> Fetch {
    let router = published.router();
    Fetch::new(tower::service_fn(move |request: Request<Bytes>| {
        let router = router.clone();
        async move {
            let answer = router.oneshot(request.map(Body::from)).await?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(http::Response::from_parts(head, body))
        }
    }))
}

/// An issuer whose keys are kept, until the test ends.
fn issuer(published: &Published) -> Arc<Issuer> {
    let told = Tokens {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        keys: Uri::from_static(JWKS_URL),
        fetch: fetch(published),
    };
    let issuer = Arc::new(Issuer::new(told, Clock::start()));
    let keeper = Arc::clone(&issuer);
    tokio_util::task::TaskTracker::new().spawn(async move { keeper.keep_keys().await });
    issuer
}

fn token(issuer: &Issuer, signer: &Signer) -> String {
    signer.token(&claims(issuer.clock.now().as_secs(), "products:write"))
}

/// `None` for a token that is let through, else what it is refused with.
async fn refused(issuer: &Issuer, signer: &Signer) -> Option<String> {
    match issuer.authenticate(&token(issuer, signer)).await {
        Ok(_) => None,
        Err(Denial::NotYet(pause, _)) => Some(format!("503 {}", pause.as_secs())),
        Err(Denial::Token(error)) => Some(format!("{error:?}")),
        Err(other) => panic!("{other:?}"),
    }
}

async fn later(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once_however_many_tokens_there_are() {
    let signer = Signer::new("ES256", "one");
    let published = Published::of(&[&signer]);
    let issuer = issuer(&published);
    for _ in 0..5 {
        assert_eq!(refused(&issuer, &signer).await, None);
    }
    assert_eq!(published.asked(), 1);
    later(599).await;
    assert_eq!(published.asked(), 1);
    later(2).await;
    assert_eq!(published.asked(), 2, "after ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_fetched_when_a_token_needs_it_and_an_old_one_is_no_longer_good() {
    let (old, new) = (Signer::new("EdDSA", "old"), Signer::new("EdDSA", "new"));
    let published = Published::of(&[&old]);
    let issuer = issuer(&published);
    assert_eq!(refused(&issuer, &old).await, None);
    later(31).await;
    published.publish(&[&new]);
    assert_eq!(refused(&issuer, &old).await, None, "nobody asked yet");
    assert_eq!(refused(&issuer, &new).await, None);
    assert_eq!(published.asked(), 2);
    let unknown = Some("UnknownKey".to_owned());
    assert_eq!(refused(&issuer, &old).await, unknown, "it was withdrawn");
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_are_asked_for_at_most_every_half_minute() {
    let (known, unknown) = (Signer::new("EdDSA", "known"), Signer::new("EdDSA", "other"));
    let published = Published::of(&[&known]);
    let issuer = issuer(&published);
    for _ in 0..600 {
        assert_eq!(
            refused(&issuer, &unknown).await.as_deref(),
            Some("UnknownKey")
        );
        later(1).await;
    }
    assert!(
        (15..=21).contains(&published.asked()),
        "{}",
        published.asked()
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_wrong_anyway_asks_for_no_keys() {
    let (known, unknown) = (Signer::new("EdDSA", "known"), Signer::new("EdDSA", "other"));
    let published = Published::of(&[&known]);
    let issuer = issuer(&published);
    later(60).await;
    let mut claims = claims(issuer.clock.now().as_secs(), "products:write");
    claims["iss"] = serde_json::json!("https://evil.test");
    let denial = issuer.authenticate(&unknown.token(&claims)).await;
    assert!(matches!(
        denial,
        Err(Denial::Token(TokenError::WrongIssuer))
    ));
    assert_eq!(published.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_away_known_keys_stay_good_and_unknown_ones_are_not_judged() {
    let (known, new) = (Signer::new("EdDSA", "known"), Signer::new("EdDSA", "new"));
    let published = Published::of(&[&known]);
    let issuer = issuer(&published);
    assert_eq!(refused(&issuer, &known).await, None);
    published.answer(503);
    later(700).await;
    assert_eq!(refused(&issuer, &known).await, None);
    let said = refused(&issuer, &new).await.unwrap();
    assert!(said.starts_with("503"), "{said}");
    published.answer(200);
    published.publish(&[&known, &new]);
    later(31).await;
    assert_eq!(refused(&issuer, &new).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_at_the_start_is_asked_until_it_is_there() {
    let signer = Signer::new("RS256", "one");
    let published = Published::of(&[&signer]);
    published.hang(true);
    let issuer = issuer(&published);
    let started = crate::telemetry::Stopwatch::start();
    assert!(refused(&issuer, &signer).await.unwrap().starts_with("503"));
    assert_eq!(
        started.elapsed(),
        PATIENCE,
        "a request waits so long and no longer"
    );
    published.hang(false);
    published.answer(404);
    later(120).await;
    assert!(
        (5..20).contains(&published.asked()),
        "{}",
        published.asked()
    );
    assert!(refused(&issuer, &signer).await.unwrap().starts_with("503"));
    published.answer(200);
    later(31).await;
    assert_eq!(refused(&issuer, &signer).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_usable_keys_is_a_failure_and_changes_nothing() {
    let signer = Signer::new("EdDSA", "one");
    let published = Published::of(&[&signer]);
    let issuer = issuer(&published);
    assert_eq!(refused(&issuer, &signer).await, None);
    published.publish(&[]);
    later(700).await;
    assert!(published.asked() > 2);
    assert_eq!(refused(&issuer, &signer).await, None);
}

#[test]
fn a_set_is_good_as_long_as_it_says_within_bounds() {
    for (text, expected) in [
        ("max-age=3600", 3600),
        ("public, Max-Age=3600, must-revalidate", 3600),
        ("max-age=\"900\"", 900),
        ("max-age=0", 60),
        ("max-age=99999999", 86_400),
        ("no-store", 600),
        ("max-age=soon", 600),
        ("s-maxage=7200", 600),
        ("", 600),
    ] {
        let headers = HeaderMap::from_iter([(CACHE_CONTROL, text.parse().unwrap())]);
        assert_eq!(life(&headers).as_secs(), expected, "{text}");
    }
    assert_eq!(life(&HeaderMap::new()), USUAL_LIFE);
}

//! What the inventory says, and what is made of it.

use super::*;
use crate::product::Patch;

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_what_was_promised_is_invalid_and_not_repeated() {
    let html = "text/html; charset=utf-8";
    let other = r#"{"id":"p-2","name":"Tea","price":{"amount":5,"currency":"EUR"}}"#;
    for (body, kind, expected) in [
        ("<html>", html, "content type"),
        ("<html>", "application/json", "is not JSON"),
        (
            r#"{"id":"p-1","na"#,
            "application/json",
            "ends in the middle",
        ),
        ("", "application/json", "ends in the middle"),
        (other, "application/json", "another product"),
        (r#"{"id":"p-1"}"#, "application/json", "`name` is missing"),
    ] {
        let script = move |_| async move { with_header(reply(200, body), "content-type", kind) };
        let (inventory, seen) = scripted(config(), script);
        let Err(UpstreamError::Invalid { what, .. }) = get(&inventory).await else {
            panic!("{body} is taken");
        };
        assert!(what.contains(expected), "{what}");
        assert_eq!(seen.lock().unwrap().len(), 1);
        assert_eq!(inventory.reachability().up, None, "it proves nothing");
        // A write was accepted; what came of it is not known.
        let written = inventory
            .replace(&id(), &draft(), &Expected::Anything, Conversation::new())
            .await;
        assert!(matches!(written, Err(UpstreamError::Unknown(_))), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_is_remembered_until_a_call_that_needs_it_works() {
    let (inventory, _) = scripted(config(), |nth| async move {
        match nth {
            0 => reply(401, ""),
            1 => reply(200, r#"{"status":"Healthy","version":"1.4.0"}"#),
            _ => reply(200, TEA),
        }
    });
    assert!(matches!(
        get(&inventory).await,
        Err(UpstreamError::Denied { .. })
    ));
    assert!(inventory.reachability().denied);
    assert_eq!(inventory.reachability().up, Some(false));
    inventory.probe(Conversation::new()).await.unwrap();
    assert!(inventory.reachability().denied);
    get(&inventory).await.unwrap();
    assert!(!inventory.reachability().denied);
}

#[tokio::test(start_paused = true)]
async fn the_reported_version_is_judged_by_the_range() {
    for (body, expected) in [
        (
            r#"{"status":"Healthy","version":"1.4.0"}"#,
            Some(("1.4.0", true)),
        ),
        (r#"{"version":"2.0.0"}"#, Some(("2.0.0", false))),
        (r#"{"version":"<new>\n"}"#, Some(("new", false))),
        (r#"{"status":"Healthy"}"#, None),
    ] {
        let (inventory, _) = always(200, body);
        inventory.probe(Conversation::new()).await.unwrap();
        let version = inventory.reachability().version;
        let version = version.as_ref().map(|(text, fits)| (text.as_str(), *fits));
        assert_eq!(version, expected);
    }
    let (inventory, _) = always(404, "");
    assert!(inventory.probe(Conversation::new()).await.is_ok());
    let (inventory, _) = always(503, "");
    assert!(inventory.probe(Conversation::new()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_page_has_products_and_a_cursor_that_advances() {
    let (inventory, seen) = always(
        200,
        r#"{"data":[1,2],"paging":{"cursors":{"after":"b+c"}}}"#,
    );
    let page = inventory
        .list(500, Some("a=="), Conversation::new())
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.after.as_deref()), (2, Some("b+c")));
    assert_eq!(
        seen.lock().unwrap()[0].uri().query(),
        Some("limit=500&after=a%3D%3D")
    );
    let stuck = inventory.list(500, Some("b+c"), Conversation::new()).await;
    assert!(matches!(stuck, Err(UpstreamError::Invalid { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_the_inventory_refuses_says_nothing_about_the_inventory() {
    for status in [400, 404, 410, 414, 422] {
        let (inventory, _) = always(status, "");
        let refused = inventory.list(5, Some("x"), Conversation::new()).await;
        assert!(
            matches!(refused, Err(UpstreamError::BadCursor { .. })),
            "{status}: {refused:?}"
        );
        assert_eq!(inventory.reachability().up, Some(true), "it answers");
        let broken = inventory.list(5, None, Conversation::new()).await;
        assert!(
            !matches!(broken, Err(UpstreamError::BadCursor { .. })),
            "{status}: {broken:?}"
        );
    }
    let (inventory, _) = always(405, "");
    let broken = inventory.list(5, Some("x"), Conversation::new()).await;
    assert!(matches!(broken, Err(UpstreamError::Invalid { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_count_is_an_integer_or_not_offered() {
    for (status, body, expected) in [
        (200, "194", Some(194)),
        (200, r#"{"data":[]}"#, None),
        (200, "-1", None),
        (400, "", None),
        (404, "", None),
    ] {
        let (inventory, _) = always(status, body);
        assert_eq!(
            inventory.count(Conversation::new()).await.unwrap(),
            expected,
            "{status} {body}"
        );
    }
    let (inventory, _) = always(500, "");
    assert!(inventory.count(Conversation::new()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn availability_is_passed_on_verbatim() {
    let (inventory, seen) = always(200, "{ \"available\": 3 }");
    let stock = inventory
        .availability(&id(), Conversation::new())
        .await
        .unwrap();
    assert_eq!(stock, "{ \"available\": 3 }");
    assert_eq!(
        seen.lock().unwrap()[0].uri().path(),
        "/api/products/p-1/availability"
    );
    for status in [404, 410] {
        let (inventory, _) = always(status, "");
        let absent = inventory.availability(&id(), Conversation::new()).await;
        assert!(matches!(absent, Err(UpstreamError::Gone { status: told }) if told == status));
    }
    for body in ["[]", "3", "{", ""] {
        let (inventory, _) = always(200, body);
        let broken = inventory.availability(&id(), Conversation::new()).await;
        assert!(
            matches!(broken, Err(UpstreamError::Invalid { .. })),
            "{body}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn writes_say_what_they_are_for() {
    let (inventory, seen) = always(201, TEA);
    let cause = Conversation::new();
    let tag = Validators {
        etag: Some("\"x\"".into()),
        last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".into()),
    };
    let date = Validators {
        etag: None,
        ..tag.clone()
    };
    inventory.create(&draft(), None, cause).await.unwrap();
    let (_, created) = inventory
        .replace(&id(), &draft(), &Expected::Unchanged(tag), cause)
        .await
        .unwrap();
    assert!(created);
    inventory
        .delete(&id(), &Expected::Unchanged(date), cause)
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    let calls: Vec<String> = seen
        .iter()
        .map(|call| format!("{} {}", call.method(), call.uri().path()))
        .collect();
    assert_eq!(
        calls,
        [
            "POST /api/products",
            "PUT /api/products/p-1",
            "DELETE /api/products/p-1"
        ]
    );
    assert_eq!(seen[0].headers()["content-type"], "application/json");
    assert_eq!(seen[1].headers()["if-match"], "\"x\"");
    assert!(seen[1].headers().get("if-unmodified-since").is_none());
    assert_eq!(
        seen[2].headers()["if-unmodified-since"],
        "Sun, 06 Nov 1994 08:49:37 GMT"
    );
}

#[tokio::test(start_paused = true)]
async fn a_patch_is_guarded_by_a_date_where_the_tag_is_weak_and_a_creation_by_any_tag() {
    let (inventory, seen) = always(201, TEA);
    let cause = Conversation::new();
    let weak = Validators {
        etag: Some("W/\"x\"".into()),
        last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".into()),
    };
    let patch = Patch::parse(br#"[{"op":"add","path":"/brand","value":"B"}]"#).unwrap();
    let amendment = patch.amend(TEA.as_bytes(), &id()).unwrap();
    inventory
        .patch(&id(), &amendment, &Expected::Unchanged(weak), cause)
        .await
        .unwrap();
    inventory
        .replace(&id(), &draft(), &Expected::Nothing, cause)
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].method(), Method::PATCH);
    // A weak tag never matches in If-Match.
    assert!(seen[0].headers().get("if-match").is_none());
    assert!(seen[0].headers().get("if-unmodified-since").is_some());
    assert_eq!(
        seen[0].headers()["content-type"],
        "application/json-patch+json"
    );
    assert_eq!(
        seen[0].body(),
        r#"[{"op":"add","path":"/brand","value":"B"}]"#
    );
    assert_eq!(seen[1].headers()["if-none-match"], "*");
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_changed_nothing() {
    for status in [400, 409, 412, 422] {
        let (inventory, _) = always(status, "");
        let result = inventory.create(&draft(), None, Conversation::new()).await;
        assert!(
            matches!(result, Err(UpstreamError::Refused { .. })),
            "{status}"
        );
        assert_eq!(inventory.reachability().up, Some(true));
    }
    let (inventory, _) = always(404, "");
    let result = inventory
        .delete(&id(), &Expected::Anything, Conversation::new())
        .await;
    assert!(matches!(result, Err(UpstreamError::Gone { .. })));
    let (inventory, _) = always(204, "");
    assert!(
        inventory
            .delete(&id(), &Expected::Anything, Conversation::new())
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn one_broken_product_says_nothing_about_the_inventory() {
    for broken in [reply(200, "<html>"), reply(200, "7"), reply(500, "")] {
        let broken = broken.unwrap();
        let (inventory, _) = scripted(config(), move |nth| {
            let broken = broken.clone();
            async move {
                if nth == 0 {
                    reply(200, TEA)
                } else {
                    Ok(broken)
                }
            }
        });
        get(&inventory).await.unwrap();
        let at = inventory.reachability().at;
        sleep(Duration::from_secs(1)).await;
        assert!(get(&inventory).await.is_err(), "with all its attempts");
        let known = inventory.reachability();
        assert_eq!(
            (known.up, known.at),
            (Some(true), at),
            "a probe is as near as before"
        );
        // Something that answers everything with a page of its own is no inventory.
        assert!(inventory.probe(Conversation::new()).await.is_err());
        assert_eq!(inventory.reachability().up, Some(false));
    }
}

#[tokio::test(start_paused = true)]
async fn two_calls_that_fail_in_a_row_take_the_inventory_for_down() {
    let (inventory, _) = scripted(config(), |nth| async move {
        match nth {
            0 | 2 => reply(200, TEA),
            _ => reply(503, ""),
        }
    });
    let mut known = Vec::new();
    for _ in 0..3 {
        // The second call fails once and then works, so it is no failure.
        let _ = get(&inventory).await;
        known.push(inventory.reachability().up);
    }
    let _ = get(&inventory).await;
    known.push(inventory.reachability().up);
    assert_eq!(known, [Some(true), Some(true), Some(true), Some(false)]);
}

#[tokio::test(start_paused = true)]
async fn a_date_alone_is_a_validator_only_if_it_lies_two_seconds_back() {
    let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (date, etag, expected) in [
        (Some("Sun, 06 Nov 1994 08:49:39 GMT"), None, true),
        (Some("Sun, 06 Nov 1994 08:49:38 GMT"), None, false),
        (Some("Sun, 06 Nov 1994 08:49:30 GMT"), None, false),
        (Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some("\"x\""), true),
        (Some("today"), None, false),
        (None, None, false),
        (None, Some("\"x\""), true),
    ] {
        let (inventory, _) = scripted(config(), move |_| async move {
            let mut answer = with_header(reply(200, TEA), "last-modified", modified);
            for (name, value) in [("date", date), ("etag", etag)] {
                if let Some(value) = value {
                    answer = with_header(answer, name, value);
                }
            }
            answer
        });
        let Ok(Fetched::Product(confirmed)) = get(&inventory).await else {
            panic!("no product");
        };
        let kept = confirmed.validators.last_modified.is_some();
        assert_eq!(kept, expected, "{date:?} {etag:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_long_is_asked_for_with_fewer_products() {
    for (longest, asked) in [
        (100, &[500, 250, 125, 62][..]),
        (1, &[7, 3, 1]),
        (0, &[2, 1]),
    ] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let transport = Transport::new(tower::service_fn(move |request: http::Request<Bytes>| {
            let query = request.uri().query().unwrap();
            let limit = query
                .strip_prefix("limit=")
                .unwrap()
                .parse::<u32>()
                .unwrap();
            log.lock().unwrap().push(limit);
            std::future::ready(match limit <= longest {
                true => reply(200, r#"{"data":[1],"paging":{"cursors":{}}}"#),
                false => Err(transport::TransportError::TooLong(MAX_PAGE_BYTES).into()),
            })
        }));
        let inventory = Inventory::new(config(), transport, Clock::start(), Events::new());
        let page = inventory.list(asked[0], None, Conversation::new()).await;
        assert_eq!(page.is_ok(), longest > 0, "{page:?}");
        assert_eq!(*seen.lock().unwrap(), asked);
    }
}

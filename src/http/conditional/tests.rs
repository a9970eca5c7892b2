//! Lists of entity tags, dates, and what they come to. `tests/it/conditional.rs` walks all combinations.

use super::*;
use proptest::prelude::*;
use std::time::UNIX_EPOCH;

const TAG: HeaderValue = HeaderValue::from_static("\"v2-a,b\"");
/// Sun, 06 Nov 1994 08:49:37 GMT.
const MODIFIED: u64 = 784_111_777;

/// A change that no other can have gone before or followed within its second.
fn strong(secs: u64) -> Changed {
    Changed {
        secs,
        is_strong: true,
        as_of_secs: secs + 60,
    }
}

fn is_not_modified(headers: &HeaderMap, etag: &HeaderValue, last_modified: Option<u64>) -> bool {
    let current = Current {
        etag: Some(etag),
        changed: last_modified.map(strong),
    };
    of_read(headers, current) == Verdict::NotModified
}

/// What the conditions come to for a write of what has [`TAG`] and changed at [`MODIFIED`].
fn for_write(pairs: &[(&'static str, &str)]) -> Result<(), &'static str> {
    let current = Current {
        etag: Some(&TAG),
        changed: Some(strong(MODIFIED)),
    };
    Preconditions::parse(&headers(pairs))
        .unwrap()
        .hold(Some(current))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            let name: http::HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

#[test]
fn if_none_match_compares_weakly_through_the_whole_list() {
    for (list, expected) in [
        ("\"v2-a,b\"", true),
        ("W/\"v2-a,b\"", true),
        ("*", true),
        (" * ", true),
        ("\"x\", \"v2-a,b\"", true),
        (",, \"x\" ,\tW/\"v2-a,b\" ,", true),
        ("\"\", \"v2-a,b\"", true),
        ("\"x\", \"y\"", false),
        ("\"v2-a\"", false),
        ("v2-a,b", false),
        ("\"v2-a,b", false),
        ("w/\"v2-a,b\"", false),
        ("\"x\"\"v2-a,b\"", false),
        ("x, \"v2-a,b\"", false),
        ("\"*\"", false),
        ("", false),
    ] {
        let headers = headers(&[("if-none-match", list)]);
        assert_eq!(is_not_modified(&headers, &TAG, None), expected, "{list}");
    }
}

#[test]
fn a_field_sent_twice_is_one_list() {
    let mut both = HeaderMap::new();
    for value in ["\"x\"", "\"v2-a,b\""] {
        both.append(IF_NONE_MATCH, HeaderValue::from_static(value));
    }
    assert!(is_not_modified(&both, &TAG, None));
}

#[test]
fn if_modified_since_reads_the_three_forms_of_a_date_and_ignores_the_rest() {
    for (date, expected) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", true),
        ("Sunday, 06-Nov-94 08:49:37 GMT", true),
        ("Sun Nov  6 08:49:37 1994", true),
        ("Sun, 06 Nov 1994 08:49:38 GMT", true),
        ("Sun, 06 Nov 1994 08:49:36 GMT", false),
        ("1994-11-06T08:49:37Z", false),
        ("784111777", false),
        ("", false),
    ] {
        let headers = headers(&[("if-modified-since", date)]);
        assert_eq!(
            is_not_modified(&headers, &TAG, Some(MODIFIED)),
            expected,
            "{date}"
        );
        assert!(
            !is_not_modified(&headers, &TAG, None),
            "no Last-Modified, no 304"
        );
    }
}

#[test]
fn if_modified_since_sent_twice_is_ignored() {
    let mut headers = HeaderMap::new();
    for _ in 0..2 {
        headers.append(
            IF_MODIFIED_SINCE,
            HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"),
        );
    }
    assert!(!is_not_modified(&headers, &TAG, Some(MODIFIED)));
}

proptest! {
    /// `If-None-Match` alone decides where it is there, whatever the dates say (§13.2.2).
    #[test]
    fn dates_do_not_matter_beside_if_none_match(
        tags in proptest::collection::vec("[!#-~]{0,8}", 1..6),
        ours in any::<Option<proptest::sample::Index>>(),
        weak in any::<bool>(),
        since in 0_u64..4_000_000_000,
        modified in proptest::option::of(0_u64..4_000_000_000),
    ) {
        let etag = match &ours {
            Some(index) => index.get(&tags).clone(),
            None => "not-in-the-list".to_owned(),
        };
        let etag = HeaderValue::from_str(&format!("\"{etag}\"")).unwrap();
        let list = tags
            .iter()
            .map(|tag| format!("{}\"{tag}\"", if weak { "W/" } else { "" }))
            .collect::<Vec<_>>()
            .join(", ");
        let date = httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(since));
        let headers = headers(&[("if-none-match", &list), ("if-modified-since", &date)]);
        prop_assert_eq!(is_not_modified(&headers, &etag, modified), ours.is_some());
    }

    /// Without it, exactly the order of the two seconds decides.
    #[test]
    fn the_order_of_the_dates_decides_alone(
        since in 0_u64..4_000_000_000,
        modified in 0_u64..4_000_000_000,
    ) {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(since));
        let headers = headers(&[("if-modified-since", &date)]);
        prop_assert_eq!(is_not_modified(&headers, &TAG, Some(modified)), modified <= since);
    }

    /// No list of bytes makes the parser panic or loop.
    #[test]
    fn any_bytes_are_read_to_an_end(list in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = has(&list, TAG.as_bytes(), Purpose::Read, true);
        let _ = Tags(&list).count();
    }
}

#[test]
fn if_match_on_a_write_compares_strongly_and_takes_any_version_and_coding() {
    for (list, expected) in [
        ("\"v2-a,b\"", true),
        ("\"v1-a,b\"", true),
        ("\"v2-a,b-gzip\"", true),
        ("\"x\", \"v1-a,b-br\"", true),
        ("*", true),
        (" * ", true),
        ("W/\"v2-a,b\"", false),
        ("\"v2-a\"", false),
        ("\"*\"", false),
        ("", false),
        (", ,", false),
    ] {
        assert_eq!(for_write(&[("if-match", list)]).is_ok(), expected, "{list}");
    }
}

#[test]
fn if_none_match_on_a_write_compares_weakly() {
    for (list, expected) in [
        ("W/\"v1-a,b\"", false),
        ("\"x\", \"v2-a,b\"", false),
        ("*", false),
        ("\"x\"", true),
        ("", true),
    ] {
        let result = for_write(&[("if-none-match", list)]);
        assert_eq!(result.is_ok(), expected, "{list}");
    }
}

#[test]
fn a_list_that_nobody_can_read_lets_no_write_through() {
    for list in [
        "v2-a,b",
        "\"v2-a,b",
        "\"v2-a,b\", x",
        "*, \"x\"",
        "\"x\", *",
        "**",
        "w/\"x\"",
        "W/",
        "\"a\"\"b\"",
        "\"a b\"",
        "'x'",
    ] {
        for name in ["if-match", "if-none-match"] {
            let fault = Preconditions::parse(&headers(&[(name, list)])).unwrap_err();
            assert_eq!(fault.status(), 400, "{name}: {list}");
        }
    }
    let mut two = headers(&[("if-match", "*")]);
    two.append(IF_MATCH, HeaderValue::from_static("\"x\""));
    assert!(Preconditions::parse(&two).is_err(), "`*` stands alone");
}

#[test]
fn a_date_guards_a_write_only_without_a_tag_and_where_it_is_one() {
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    for (date, expected) in [
        (BEFORE, false),
        ("Sun, 06 Nov 1994 08:49:37 GMT", true),
        ("Sunday, 06-Nov-94 08:49:36 GMT", false),
        ("Sun Nov  6 08:49:36 1994", false),
        ("yesterday", true),
    ] {
        let result = for_write(&[("if-unmodified-since", date)]);
        assert_eq!(result.is_ok(), expected, "{date}");
    }
    assert!(for_write(&[("if-unmodified-since", BEFORE), ("if-match", "*")]).is_ok());
    assert!(for_write(&[("if-modified-since", "Sun, 06 Nov 1994 08:49:38 GMT")]).is_ok());
}

#[test]
fn where_nothing_is_only_if_match_fails() {
    for (name, value, expected) in [
        ("if-match", "*", false),
        ("if-match", "\"x\"", false),
        ("if-none-match", "*", true),
        ("if-none-match", "\"x\"", true),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT", true),
    ] {
        let conditions = Preconditions::parse(&headers(&[(name, value)])).unwrap();
        assert_eq!(conditions.hold(None).is_ok(), expected, "{name}: {value}");
    }
}

#[test]
fn a_second_that_may_have_seen_two_changes_is_not_after_the_last_one() {
    let weak = Changed {
        is_strong: false,
        ..strong(MODIFIED)
    };
    for (date, is_after) in [
        ("Sun, 06 Nov 1994 08:49:36 GMT", true),
        ("Sun, 06 Nov 1994 08:49:37 GMT", true),
        ("Sun, 06 Nov 1994 08:49:38 GMT", false),
    ] {
        let current = Current {
            etag: Some(&TAG),
            changed: Some(weak),
        };
        let read = of_read(&headers(&[("if-modified-since", date)]), current);
        assert_eq!(read == Verdict::Proceed, is_after, "{date}");
        let given = headers(&[("if-unmodified-since", date)]);
        let written = Preconditions::parse(&given).unwrap().hold(Some(current));
        assert_eq!(written.is_err(), is_after, "{date}");
    }
}

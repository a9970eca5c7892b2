//! Conditional reads: which of `If-None-Match` and `If-Modified-Since` spares the body
//! ([RFC 9110 §13.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2)).

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use std::time::UNIX_EPOCH;

/// Whether a GET or HEAD with `headers` is answered with 304, given what the representation is now.
///
/// `last_modified` is in whole seconds since the Unix epoch.
pub fn is_not_modified(
    headers: &HeaderMap,
    etag: &HeaderValue,
    last_modified: Option<u64>,
) -> bool {
    if headers.contains_key(IF_NONE_MATCH) {
        return headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .any(|list| names(list.as_bytes(), etag.as_bytes()));
    }
    match (last_modified, since(headers)) {
        (Some(modified), Some(since)) => modified <= since,
        _ => false,
    }
}

/// Whether a list of entity tags, or `*`, names `etag`, by weak comparison (§8.8.3.2).
///
/// What is not an entity tag ends the list: from there on nothing is known to match.
fn names(list: &[u8], etag: &[u8]) -> bool {
    if list == etag || list.trim_ascii() == b"*" {
        return true;
    }
    let wanted = opaque(etag);
    let mut rest = list;
    loop {
        rest = skip_separators(rest);
        let Some((tag, after)) = split_tag(rest) else {
            return false;
        };
        if tag == wanted {
            return true;
        }
        rest = after;
    }
}

/// The first entity tag of `list` without its weakness flag, and what follows it.
fn split_tag(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let quoted = opaque(list).strip_prefix(b"\"")?;
    let end = quoted.iter().position(|byte| *byte == b'"')?;
    // The quotes belong to the tag: one before, one after its `end` bytes.
    let tag = opaque(list).get(..end + 2)?;
    let after = quoted.get(end + 1..)?;
    let next = after.trim_ascii_start().first();
    next.is_none_or(|byte| *byte == b',')
        .then_some((tag, after))
}

/// A tag without `W/`.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// A list may have empty members and white space between its tags (§5.6.1).
fn skip_separators(list: &[u8]) -> &[u8] {
    let tags = list
        .iter()
        .position(|byte| !matches!(byte, b',' | b' ' | b'\t'));
    tags.and_then(|at| list.get(at..)).unwrap_or_default()
}

/// `If-Modified-Since`, in seconds since the Unix epoch. A value that is not an HTTP date (§5.6.7,
/// all three forms), and a field sent more than once, are ignored.
fn since(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(IF_MODIFIED_SINCE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let date = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    date.duration_since(UNIX_EPOCH)
        .ok()
        .map(|age| age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAG: HeaderValue = HeaderValue::from_static("\"v2-a,b\"");
    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const MODIFIED: u64 = 784_111_777;

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
            names(&list, TAG.as_bytes());
        }
    }
}

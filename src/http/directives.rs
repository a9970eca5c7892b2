//! What a request asks of the cache in `Cache-Control`
//! ([RFC 9111 §5.2.1](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1)).
//!
//! Heeded are `max-age`, `no-cache` and `only-if-cached`. What is malformed or unknown is ignored, as
//! §5.2 and §5.2.3 have it; so is `Pragma`, which is deprecated (§5.4).

use http::HeaderMap;
use http::header::CACHE_CONTROL;
use std::time::Duration;

/// The longest time there is (§1.2.2): whatever is longer means this.
const LONGEST: u64 = 1 << 31;

/// The directives of a request that are heeded here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// How old an answer may be: the least of all `max-age`, and zero for `no-cache`.
    pub max_age: Option<Duration>,
    /// Whether the inventory is to be left alone.
    pub only_if_cached: bool,
}

// === impl Directives ===

impl Directives {
    /// Those of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        // A request that has none, as most, pays for looking that up.
        for line in headers.get_all(CACHE_CONTROL) {
            for member in members(line.as_bytes()) {
                directives.heed(member);
            }
        }
        directives
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn heed(&mut self, member: &[u8]) {
        let mut parts = member.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match value {
            None if is("no-cache") => self.max_age = Some(Duration::ZERO),
            None if is("only-if-cached") => self.only_if_cached = true,
            Some(value) if is("max-age") => {
                let known = self.max_age.unwrap_or(Duration::MAX);
                self.max_age = seconds(value).map(|age| age.min(known)).or(self.max_age);
            }
            _ => {}
        }
    }
}

/// The members of a list, without the blanks around them; commas between quotes separate none
/// ([RFC 9110 §5.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1)).
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let members = line.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    members.map(|member| {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let begin = member.iter().position(|byte| !blank(byte));
        let end = member.iter().rposition(|byte| !blank(byte));
        let bounds = begin.zip(end).map(|(begin, end)| begin..=end);
        bounds
            .and_then(|bounds| member.get(bounds))
            .unwrap_or_default()
    })
}

/// A number of seconds, also between quotes, which senders must not use and recipients ought to take (§5.2).
fn seconds(value: &[u8]) -> Option<Duration> {
    let unquoted = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    let digits = unquoted.unwrap_or(value);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = digits.iter().fold(0_u64, |seconds, digit| {
        let digit = u64::from(digit.wrapping_sub(b'0'));
        (seconds * 10 + digit).min(LONGEST)
    });
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn of(lines: &[&[u8]]) -> Directives {
        let line = |line: &&[u8]| Some((CACHE_CONTROL, HeaderValue::from_bytes(line).ok()?));
        Directives::of(&lines.iter().filter_map(line).collect())
    }

    fn asks(max_age: Option<u64>, only_if_cached: bool) -> Directives {
        Directives {
            max_age: max_age.map(Duration::from_secs),
            only_if_cached,
        }
    }

    #[test]
    fn what_is_asked_for_is_understood_and_the_rest_ignored() {
        for (line, max_age, only_if_cached) in [
            ("", None, false),
            ("max-age=2", Some(2), false),
            ("MAX-AGE=\"2\"", Some(2), false),
            ("max-age=5,\tmax-age=3 , max-age=9", Some(3), false),
            ("no-cache", Some(0), false),
            ("max-age=7, no-cache", Some(0), false),
            ("no-cache, max-age=7", Some(0), false),
            ("Only-If-Cached", None, true),
            (",, only-if-cached,,max-age=1,", Some(1), true),
            (
                "x=\"a, no-cache, \\\", only-if-cached\", max-age=4",
                Some(4),
                false,
            ),
            ("max-age=99999999999999999999999999", Some(1 << 31), false),
            // Malformed, or no directive of a request.
            ("max-age", None, false),
            ("max-age=", None, false),
            ("max-age=\"\"", None, false),
            ("max-age=\"2", None, false),
            ("max-age=2\"", None, false),
            ("max-age=-1", None, false),
            ("max-age=+1", None, false),
            ("max-age=1.5", None, false),
            ("max-age = 2", None, false),
            ("max-age=2;x", None, false),
            ("no-cache=\"set-cookie\"", None, false),
            ("only-if-cached=1", None, false),
            ("no cache", None, false),
            (
                "xmax-age=2, no-cachex, no-store, max-stale, min-fresh=3",
                None,
                false,
            ),
            ("\"no-cache\"", None, false),
            ("max-age=x, max-age=6", Some(6), false),
        ] {
            assert_eq!(
                of(&[line.as_bytes()]),
                asks(max_age, only_if_cached),
                "{line}"
            );
        }
        assert_eq!(of(&[b"max-age=4", b"only-if-cached"]), asks(Some(4), true));
        assert!(of(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn whatever_bytes_are_sent_there_is_an_answer(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let directives = of(&[line.as_slice()]);
            if directives.max_age.is_some() {
                let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
                prop_assert!(text.contains("max-age=") || text.contains("no-cache"));
            }
        }

        #[test]
        fn directives_are_found_wherever_they_stand(
            ages in prop::collection::vec(0_u64..=LONGEST, 0..3),
            only_if_cached: bool,
            others in prop::collection::vec(
                prop::sample::select(vec![
                    "", " ", "no-transform", "max-stale=3", "x=\"a,b\"", "x=\"\\\"\"", "max-age=q", "=", "max-age=\"",
                ]),
                0..6,
            ),
            place: prop::sample::Index,
        ) {
            let mut list: Vec<String> = ages.iter().map(|age| format!("max-age={age}")).collect();
            list.extend(only_if_cached.then(|| "only-if-cached".to_owned()));
            // An open quote hides what stands behind it, so it goes last.
            let open = "max-age=\"";
            for other in others.iter().filter(|other| **other != open) {
                list.insert(place.index(list.len() + 1), (*other).to_owned());
            }
            list.extend(others.contains(&open).then(|| open.to_owned()));
            let expected = asks(ages.iter().min().copied(), only_if_cached);
            prop_assert_eq!(of(&[list.join(" ,").as_bytes()]), expected);
            let lines: Vec<&[u8]> = list.iter().map(String::as_bytes).collect();
            prop_assert_eq!(of(&lines), expected);
        }
    }
}

//! HTTP dates ([RFC 9110 §5.6.7](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7)), in all three forms.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

/// A year of two digits that is further ahead than this is one of the past: 50 years, in seconds.
const AHEAD: u64 = 50 * SECONDS_PER_YEAR;

/// How many seconds a year has, on average over 400 of them.
const SECONDS_PER_YEAR: u64 = 31_556_952;

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// Reads a date: seconds since the Unix epoch; `None` for what is none, or is before that. `now_secs` tells
/// the century of a year of two digits, so that it need not be exact.
///
/// The weekday has to be that of the date. A leap second (`:60`) is read as the second before it: no product knows of it.
pub(super) fn parse(text: &str, now_secs: u64) -> Option<u64> {
    let text = match text.contains(":60 ") {
        true => Cow::Owned(text.replacen(":60 ", ":59 ", 1)),
        false => Cow::Borrowed(text),
    };
    match text.split_once(", ") {
        Some((weekday, rest)) if WEEKDAYS.contains(&weekday) => short(weekday, rest, now_secs),
        _ => seconds(&text),
    }
}

/// Reads the obsolete form of RFC 850, `Sunday, 06-Nov-94 08:49:37 GMT`.
fn short(weekday: &str, rest: &str, now_secs: u64) -> Option<u64> {
    let (date, time) = rest.split_once(' ')?;
    let (day, rest) = date.split_once('-')?;
    let (month, digits) = rest.split_once('-')?;
    let is_short = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let digits: u64 = digits.parse().ok().filter(|_| is_short)?;

    let latest = now_secs.saturating_add(AHEAD);
    let last_year = 1970 + latest / SECONDS_PER_YEAR;
    let year = last_year - (last_year + 100 - digits) % 100;
    let weekday = weekday.get(..3)?;
    let of = |year: u64| seconds(&format!("{weekday}, {day} {month} {year} {time}"));
    of(year)
        .filter(|secs| *secs <= latest)
        .or_else(|| of(year - 100))
}

fn seconds(text: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(text).ok()?;
    let age = date.duration_since(UNIX_EPOCH).ok()?;
    Some(age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sat, 21 Nov 2026 06:40:56 GMT.
    const NOW: u64 = 1_795_243_256;

    #[test]
    fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
        for (now, text, expected) in [
            (
                NOW,
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            (
                NOW,
                "Friday, 06-Nov-76 08:49:37 GMT",
                "Fri, 06 Nov 2076 08:49:37 GMT",
            ),
            (
                NOW,
                "Monday, 06-Dec-76 08:49:37 GMT",
                "Mon, 06 Dec 1976 08:49:37 GMT",
            ),
            (
                NOW,
                "Sunday, 06-Nov-77 08:49:37 GMT",
                "Sun, 06 Nov 1977 08:49:37 GMT",
            ),
            (
                NOW,
                "Monday, 06-Nov-00 08:49:37 GMT",
                "Mon, 06 Nov 2000 08:49:37 GMT",
            ),
            (
                784_111_777,
                "Saturday, 05-Nov-44 08:49:37 GMT",
                "Sat, 05 Nov 2044 08:49:37 GMT",
            ),
            (
                784_111_777,
                "Friday, 06-Nov-70 08:49:37 GMT",
                "Fri, 06 Nov 1970 08:49:37 GMT",
            ),
        ] {
            assert_eq!(parse(text, now), parse(expected, now), "{text}");
            assert!(parse(text, now).is_some(), "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_one_before_it() {
        let before = parse("Sat, 31 Dec 2016 23:59:59 GMT", NOW);
        assert!(before.is_some());
        for text in [
            "Sat, 31 Dec 2016 23:59:60 GMT",
            "Saturday, 31-Dec-16 23:59:60 GMT",
            "Sat Dec 31 23:59:60 2016",
        ] {
            assert_eq!(parse(text, NOW), before, "{text}");
        }
        assert_eq!(parse("Sat, 31 Dec 2016 23:60:00 GMT", NOW), None);
        assert_eq!(parse("Sat, 31 Dec 2016 23:59:61 GMT", NOW), None);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06-Nov-+4 08:49:37 GMT",
            "Sonntag, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37",
            "Sunday, 06-Nov-94",
            "Thursday, 01-Jan-60 00:00:00 UTC",
            "Wed, 31 Dec 1969 23:59:59 GMT",
        ] {
            assert_eq!(parse(text, NOW), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_form_of_a_second_is_that_second(secs in 0_u64..4_000_000_000, now in any::<u32>()) {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(secs));
            prop_assert_eq!(parse(&text, u64::from(now)), Some(secs));
        }

        #[test]
        fn any_text_is_a_date_or_not_and_no_panic(text in ".{0,40}", now: u64) {
            let _ = parse(&text, now);
        }
    }
}

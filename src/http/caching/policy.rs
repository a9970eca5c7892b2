//! The policy table: which class of data may be kept where, and for how long.
//!
//! A client's copy and ours together never outlive the window of a value: every lifetime shrinks
//! to what remains of it.

use super::{Cdn, value};
use crate::http::fault::NO_STORE;
use http::HeaderValue;
use std::time::Duration;

const YEAR: u64 = 31_536_000;

/// The classes of data that are told apart in what may be cached, where, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// One product.
    Product,
    /// A page of products, or their count.
    List,
    /// One product under a freshness contract.
    ProductUnderContract,
    /// Live data: availability.
    Live,
    /// A product or list served past its window, or from a fallback.
    NotFresh,
    /// What is named by its content: assets of console and documentation.
    ContentAddressed,
    /// The OpenAPI document and the documentation page.
    Document,
    /// What differs by caller.
    PerCaller,
    /// Health, errors, write answers, searches by POST, the internal listener.
    Uncached,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What it is for.
    pub class: Class,
    /// Who may keep a copy, and for how long.
    pub keep: Keep,
    /// What happens when that is over.
    pub then: Then,
}

/// Who may keep a copy, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nobody.
    Nobody,
    /// Every reader, for `HTTP_MAX_AGE_SECONDS`, but no longer than what remains of the window.
    Configured,
    /// Every reader, for so many seconds, but no longer than what remains of the window.
    AtMost(u64),
    /// Everybody, for so many seconds.
    Public(u64),
    /// The caller alone, for so many seconds.
    Private(u64),
}

/// What happens to a copy whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// What the cache at hand thinks best.
    Unsaid,
    /// It may be used for so many more seconds while it is revalidated, inside the window.
    StaleWhileRevalidate(u64),
    /// It must not be used without asking.
    MustRevalidate,
    /// Its time is never over.
    Immutable,
}

/// The policies, one row per class. The two ways to say "and then" are never combined: beside
/// `must-revalidate`, `stale-while-revalidate` means nothing
/// ([RFC 9111 §5.2.2.2](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.2)).
pub const TABLE: [Policy; 9] = [
    row(
        Class::Product,
        Keep::Configured,
        Then::StaleWhileRevalidate(60),
    ),
    row(
        Class::List,
        Keep::AtMost(60),
        Then::StaleWhileRevalidate(60),
    ),
    row(
        Class::ProductUnderContract,
        Keep::Configured,
        Then::MustRevalidate,
    ),
    row(Class::Live, Keep::Nobody, Then::Unsaid),
    row(Class::NotFresh, Keep::Nobody, Then::Unsaid),
    row(Class::ContentAddressed, Keep::Public(YEAR), Then::Immutable),
    row(Class::Document, Keep::Public(300), Then::MustRevalidate),
    row(Class::PerCaller, Keep::Private(60), Then::Unsaid),
    row(Class::Uncached, Keep::Nobody, Then::Unsaid),
];

/// The table with this service's configuration.
#[derive(Debug)]
pub struct Policies {
    max_age: u64,
    /// Who the readers are: everybody, or where reading takes a credential the caller alone.
    readers: &'static str,
    /// What a product, and what a list, says that has enough of its window left: made once, most answers
    /// carry one of them.
    unhurried: [HeaderValue; 2],
    /// What shared caches are told beyond that, if anything.
    cdn: Option<Cdn>,
}

// === impl Policies ===

impl Policies {
    /// Policies where products may be kept for `max_age`, in whole seconds.
    pub fn new(max_age: Duration) -> Self {
        Self::for_readers("public", max_age.as_secs())
    }

    /// The same where reading takes a credential, if so: copies are for the caller alone.
    #[must_use]
    pub fn private(self, is_private: bool) -> Self {
        match is_private {
            true => Self {
                cdn: self.cdn,
                ..Self::for_readers("private", self.max_age)
            },
            false => self,
        }
    }

    /// The same, and shared caches are told more where `cdn` says what.
    #[must_use]
    pub fn and_for_shared_caches(self, cdn: Option<Cdn>) -> Self {
        Self { cdn, ..self }
    }

    /// What shared caches are told beyond `Cache-Control`.
    pub(super) fn cdn(&self) -> Option<Cdn> {
        self.cdn
    }

    fn for_readers(readers: &'static str, max_age: u64) -> Self {
        Self {
            max_age,
            readers,
            unhurried: [Class::Product, Class::List].map(|class| {
                let said = directives(policy(class), readers, max_age, u64::MAX);
                // Out of the buffer that it was made in, which would be held for ever.
                HeaderValue::from_bytes(said.as_bytes()).unwrap_or(NO_STORE)
            }),
            cdn: None,
        }
    }

    /// `Cache-Control` for data of `class` with `remaining` of its window left.
    pub fn cache_control(&self, class: Class, remaining: Duration) -> HeaderValue {
        let policy = policy(class);
        let remaining = remaining.as_secs();
        let longest = match policy.keep {
            Keep::AtMost(seconds) => seconds,
            _ => self.max_age,
        };
        let enough = match policy.then {
            Then::StaleWhileRevalidate(more) => longest.saturating_add(more),
            Then::Unsaid | Then::MustRevalidate | Then::Immutable => longest,
        };
        let [product, list] = &self.unhurried;
        match class {
            Class::Product if remaining >= enough => return product.clone(),
            Class::List if remaining >= enough => return list.clone(),
            _ => {}
        }
        directives(policy, self.readers, self.max_age, remaining)
    }
}

/// The row of `class`.
fn policy(class: Class) -> Policy {
    TABLE
        .into_iter()
        .find(|row| row.class == class)
        .unwrap_or(row(class, Keep::Nobody, Then::Unsaid))
}

/// The directives of a policy, with `remaining` seconds of the window left.
fn directives(
    policy: Policy,
    readers: &'static str,
    configured: u64,
    remaining: u64,
) -> HeaderValue {
    let (place, max_age) = match policy.keep {
        Keep::Nobody => return NO_STORE,
        Keep::Configured => (readers, configured.min(remaining)),
        Keep::AtMost(seconds) => (readers, seconds.min(remaining)),
        Keep::Public(seconds) => ("public", seconds),
        Keep::Private(seconds) => ("private", seconds),
    };
    match policy.then {
        Then::StaleWhileRevalidate(most) => match most.min(remaining.saturating_sub(max_age)) {
            0 => value(format_args!("{place}, max-age={max_age}")),
            more => value(format_args!(
                "{place}, max-age={max_age}, stale-while-revalidate={more}"
            )),
        },
        Then::Unsaid => value(format_args!("{place}, max-age={max_age}")),
        Then::MustRevalidate => value(format_args!("{place}, max-age={max_age}, must-revalidate")),
        Then::Immutable => value(format_args!("{place}, max-age={max_age}, immutable")),
    }
}

const fn row(class: Class, keep: Keep, then: Then) -> Policy {
    Policy { class, keep, then }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(class: Class, configured: u64, remaining: u64) -> String {
        let policies = Policies::new(Duration::from_secs(configured));
        let value = policies.cache_control(class, Duration::from_secs(remaining));
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn lifetimes_shrink_with_the_window() {
        const FULL: &str = "public, max-age=300, stale-while-revalidate=60";
        const LIST: &str = "public, max-age=60, stale-while-revalidate=60";
        for (class, remaining, expected) in [
            (Class::Product, u64::MAX, FULL),
            (Class::Product, 3600, FULL),
            (Class::Product, 360, FULL),
            (
                Class::Product,
                359,
                "public, max-age=300, stale-while-revalidate=59",
            ),
            (
                Class::Product,
                301,
                "public, max-age=300, stale-while-revalidate=1",
            ),
            (Class::Product, 300, "public, max-age=300"),
            (Class::Product, 42, "public, max-age=42"),
            (Class::Product, 0, "public, max-age=0"),
            (Class::List, u64::MAX, LIST),
            (Class::List, 120, LIST),
            (
                Class::List,
                100,
                "public, max-age=60, stale-while-revalidate=40",
            ),
            (Class::List, 60, "public, max-age=60"),
            (Class::List, 7, "public, max-age=7"),
            (
                Class::ProductUnderContract,
                3600,
                "public, max-age=300, must-revalidate",
            ),
            (
                Class::ProductUnderContract,
                5,
                "public, max-age=5, must-revalidate",
            ),
            (Class::Live, 3600, "no-store"),
            (Class::NotFresh, 3600, "no-store"),
            (Class::Uncached, 3600, "no-store"),
            (
                Class::ContentAddressed,
                0,
                "public, max-age=31536000, immutable",
            ),
            (Class::Document, 0, "public, max-age=300, must-revalidate"),
            (Class::PerCaller, 0, "private, max-age=60"),
        ] {
            assert_eq!(
                said(class, 300, remaining),
                expected,
                "{class:?}, {remaining} s left"
            );
        }
    }

    #[test]
    fn where_reading_takes_a_credential_copies_are_for_the_caller_alone() {
        let policies = Policies::new(Duration::from_secs(300)).private(true);
        let said = |class, remaining| policies.cache_control(class, Duration::from_secs(remaining));
        for (class, remaining, expected) in [
            (
                Class::Product,
                3600,
                "private, max-age=300, stale-while-revalidate=60",
            ),
            (Class::Product, 42, "private, max-age=42"),
            (
                Class::List,
                3600,
                "private, max-age=60, stale-while-revalidate=60",
            ),
            (
                Class::ProductUnderContract,
                3600,
                "private, max-age=300, must-revalidate",
            ),
            (Class::Document, 0, "public, max-age=300, must-revalidate"),
            (Class::Uncached, 0, "no-store"),
        ] {
            assert_eq!(said(class, remaining), expected, "{class:?}");
        }
    }

    #[test]
    fn part_of_a_second_does_not_count() {
        let policies = Policies::new(Duration::from_millis(300_900));
        let said = policies.cache_control(Class::Product, Duration::from_millis(42_999));
        assert_eq!(said, "public, max-age=42");
    }

    #[test]
    fn the_configured_lifetime_binds_products_alone() {
        assert_eq!(
            said(Class::Product, 0, 30),
            "public, max-age=0, stale-while-revalidate=30"
        );
        assert_eq!(said(Class::List, 0, 30), "public, max-age=30");
    }

    #[test]
    fn the_longest_directives_there_can_be_are_said_in_full() {
        assert_eq!(
            said(Class::Product, u64::MAX - 60, u64::MAX),
            format!(
                "public, max-age={}, stale-while-revalidate=60",
                u64::MAX - 60
            )
        );
    }

    #[test]
    fn a_copy_and_the_time_it_may_be_used_beyond_never_outlive_the_window() {
        for remaining in 0..400 {
            for class in [Class::Product, Class::List] {
                let said = said(class, 300, remaining);
                let promised: u64 = said
                    .split(|c: char| !c.is_ascii_digit())
                    .filter_map(|digits| digits.parse::<u64>().ok())
                    .sum();
                assert!(promised <= remaining, "{said} with {remaining} s left");
            }
        }
    }

    #[test]
    fn every_class_has_one_row() {
        for row in TABLE {
            assert_eq!(
                TABLE
                    .iter()
                    .filter(|other| other.class == row.class)
                    .count(),
                1
            );
        }
    }
}

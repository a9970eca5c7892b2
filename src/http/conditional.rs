//! Conditional requests, evaluated as [RFC 9110 §13.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2)
//! says, for reads and for writes.
//!
//! Where the RFC leaves a choice:
//!
//! - A write is about the product, not about one of its representations: there, the tag of any version
//!   and any coding of the current value counts. A read is about the one representation it would get.
//! - A list that breaks the grammar is a 400 on a write, so that a condition that nobody can read never
//!   lets a write through. On a read it ends where it breaks: what comes before counts.
//! - A date is at HTTP's resolution: where another change may follow, or have gone before, within the second
//!   of the last one (§8.8.2.2), that second does not count as being after it, and is not told.
//! - `Range` is ignored, and `If-Range` with it (§14.2): answers are short and come whole.

mod date;

use super::fault::{ErrorCode, Fault, Reason};
use crate::catalog::{Entry, Precondition, Stored};
use crate::product::is_same_value;
use axum::extract::FromRequestParts;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What a list of entity tags has to be.
const LIST_RULE: &str = "This header is `*`, or entity tags in double quotes, separated by commas (RFC 9110 section 8.8.3).";

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request is to be answered as if it had no conditions.
    Proceed,
    /// 304: the client's copy is current.
    NotModified,
    /// 412: the condition in this header does not hold.
    Failed(&'static str),
}

/// What conditions are evaluated against: something that exists.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    /// Its strong entity tag, where it has one.
    pub etag: Option<&'a HeaderValue>,
    /// When it last changed, where that is known.
    pub changed: Option<Changed>,
}

/// When something last changed, in whole seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The second.
    pub secs: u64,
    /// Whether nothing else can have happened in that second.
    pub is_strong: bool,
    /// As of when that is known. Stands for now where the century of a date is to be told.
    pub as_of_secs: u64,
}

/// The conditions of a write, whose lists are known to follow the grammar.
#[derive(Clone, Debug, Default)]
pub struct Preconditions(HeaderMap);

/// Whether a request reads or writes: `If-None-Match` and the comparison of tags differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

/// The members of a list of entity tags: each one's weakness and its opaque part with its quotes.
/// Ends with an error where the list breaks the grammar.
struct Tags<'a>(&'a [u8]);

/// A list breaks the grammar of entity tags (§8.8.3).
#[derive(Debug)]
struct Malformed;

// === impl Preconditions ===

impl Preconditions {
    /// Takes the conditions out of `headers`.
    ///
    /// # Errors
    /// A fault that names every header whose list breaks the grammar.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Fault> {
        let mut own = HeaderMap::new();
        for name in [IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH] {
            for value in headers.get_all(&name) {
                own.append(name.clone(), value.clone());
            }
        }
        let broken: Vec<_> = [("if-match", IF_MATCH), ("if-none-match", IF_NONE_MATCH)]
            .into_iter()
            .filter(|(_, name)| !follows_grammar(&own, name))
            .map(|(name, _)| Reason::header(ErrorCode::InvalidHeader, name, LIST_RULE))
            .collect();
        match broken.is_empty() {
            true => Ok(Self(own)),
            false => Err(Fault::all(broken)),
        }
    }

    /// Whether they hold for what is there now; `None` where nothing is.
    ///
    /// # Errors
    /// The name of the header whose condition does not.
    pub fn hold(&self, current: Option<Current<'_>>) -> Result<(), &'static str> {
        match evaluate(&self.0, Purpose::Write, current) {
            Verdict::Failed(header) => Err(header),
            Verdict::Proceed | Verdict::NotModified => Ok(()),
        }
    }

    /// Whether they hold for a collection that is posted to: it exists, but what it shows has as many
    /// tags as there are queries, and none of them is the collection's own.
    ///
    /// # Errors
    /// The fault to answer with.
    pub fn hold_for_collection(&self) -> Result<(), Fault> {
        let collection = Current {
            etag: None,
            changed: None,
        };
        self.hold(Some(collection))
            .map_err(Fault::precondition_failed)
    }
}

impl From<Preconditions> for Precondition {
    fn from(conditions: Preconditions) -> Self {
        if conditions.0.is_empty() {
            return Self::none();
        }
        Self::new(move |current: Option<&Entry<Stored>>| {
            let etag = current.map(|current| current.representation.etag());
            conditions.hold(current.map(|current| Current {
                etag: etag.as_ref(),
                changed: Changed::of(current),
            }))
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Self::parse(&parts.headers)
    }
}

/// What the conditions of a GET or HEAD come to, for a representation that exists. What does not exist
/// has no conditions: its 404 stays one (§13.2.1).
pub fn of_read(headers: &HeaderMap, current: Current<'_>) -> Verdict {
    evaluate(headers, Purpose::Read, Some(current))
}

/// The steps of §13.2.2, in their order.
fn evaluate(headers: &HeaderMap, purpose: Purpose, current: Option<Current<'_>>) -> Verdict {
    let etag = current.and_then(|current| current.etag);
    let changed = current.and_then(|current| current.changed);
    let names = |header: HeaderName, weakly: bool| {
        let values = || headers.get_all(&header).iter().map(HeaderValue::as_bytes);
        current.is_some() && values().any(is_any)
            || etag.is_some_and(|etag| {
                values().any(|list| has(list, etag.as_bytes(), purpose, weakly))
            })
    };
    // Steps 1 and 2.
    if headers.contains_key(IF_MATCH) {
        if !names(IF_MATCH, false) {
            return Verdict::Failed("if-match");
        }
    } else if changed
        .is_some_and(|changed| changed.is_after(headers, &IF_UNMODIFIED_SINCE) == Some(true))
    {
        return Verdict::Failed("if-unmodified-since");
    }
    // Steps 3 and 4.
    if headers.contains_key(IF_NONE_MATCH) {
        return match (names(IF_NONE_MATCH, true), purpose) {
            (false, _) => Verdict::Proceed,
            (true, Purpose::Read) => Verdict::NotModified,
            (true, Purpose::Write) => Verdict::Failed("if-none-match"),
        };
    }
    match (purpose, changed) {
        (Purpose::Read, Some(changed))
            if changed.is_after(headers, &IF_MODIFIED_SINCE) == Some(false) =>
        {
            Verdict::NotModified
        }
        _ => Verdict::Proceed,
    }
}

/// Whether a list names `etag`, by weak or by strong comparison (§8.8.3.2).
fn has(list: &[u8], etag: &[u8], purpose: Purpose, weakly: bool) -> bool {
    // What clients send is what we gave them, as a rule.
    list == etag
        || Tags(list)
            .map_while(Result::ok)
            .any(|(is_weak, tag)| match purpose {
                _ if is_weak && !weakly => false,
                Purpose::Read => tag == etag,
                Purpose::Write => is_same_value(tag, etag),
            })
}

/// Whether a list is the one that names whatever there is.
fn is_any(list: &[u8]) -> bool {
    list.trim_ascii() == b"*"
}

/// Whether all that a request says under `name` is `*`, or one list of entity tags.
fn follows_grammar(headers: &HeaderMap, name: &HeaderName) -> bool {
    let lists = || headers.get_all(name).iter().map(HeaderValue::as_bytes);
    lists().count() == 1 && lists().all(is_any)
        || lists().all(|list| Tags(list).all(|tag| tag.is_ok()))
}

// === impl Changed ===

impl Changed {
    /// When a product last changed, where its inventory says so.
    pub fn of(product: &Entry<Stored>) -> Option<Self> {
        let modified = product.representation.last_modified()?;
        let as_of_secs = product.as_of().as_secs();
        Some(Self {
            secs: modified.secs(),
            is_strong: modified.is_strong(as_of_secs),
            as_of_secs,
        })
    }

    /// Whether it is, or may be, after the date in this header. A value that is no date, and a field sent
    /// more than once, are ignored, as the RFC demands: `None`.
    fn is_after(self, headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let since = date::parse(value.to_str().ok()?, self.as_of_secs)?;
        Some(self.secs > since || self.secs == since && !self.is_strong)
    }
}

// === impl Tags ===

impl<'a> Iterator for Tags<'a> {
    type Item = Result<(bool, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // A list may have empty members and white space between its tags (§5.6.1).
        let begin = self
            .0
            .iter()
            .position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let list = self.0.get(begin..)?;
        let Some((tag, rest)) = split_tag(list) else {
            self.0 = &[];
            return Some(Err(Malformed));
        };
        self.0 = rest;
        Some(Ok((list.starts_with(b"W/"), tag)))
    }
}

/// The first entity tag of `list` without its weakness, and what follows it.
fn split_tag(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let tag = list.strip_prefix(b"W/").unwrap_or(list);
    let quoted = tag.strip_prefix(b"\"")?;
    let end = quoted.iter().position(|byte| *byte == b'"')?;
    let opaque = quoted.get(..end)?;
    // etagc: visible, and beyond ASCII whatever there is.
    if !opaque.iter().all(|byte| *byte > b' ' && *byte != 0x7f) {
        return None;
    }
    let rest = quoted.get(end + 1..)?;
    let next = rest.trim_ascii_start().first();
    // The quotes belong to the tag: one before, one after its `end` bytes.
    next.is_none_or(|byte| *byte == b',')
        .then_some((tag.get(..end + 2)?, rest))
}

#[cfg(test)]
mod tests;

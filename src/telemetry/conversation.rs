//! The id that follows one piece of work through logs, headers and upstream calls.

use crate::header;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::cell::Cell;
use uuid::Uuid;

thread_local! {
    /// The conversation whose work this thread is doing right now.
    static CURRENT: Cell<Option<Conversation>> = const { Cell::new(None) };
}

/// The value of `x-conversation`: one UUID for a request and every upstream call it causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversation(pub Uuid);

/// Puts back what was current before, also when the work panics.
struct Restore(Option<Conversation>);

// === impl Conversation ===

impl Conversation {
    /// The header that carries it.
    pub const HEADER: HeaderName = HeaderName::from_static("x-conversation");

    /// A new one, for work that no request asked for (or whose request brought none).
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }

    /// Reads the hyphenated form of a UUID; any other is `None`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return None;
        }
        Uuid::try_parse_ascii(text).ok().map(Self)
    }

    /// The one a request brings. One that is missing or not a UUID is replaced by a new one:
    /// tracing never breaks a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(Self::HEADER) else {
            return Self::new();
        };
        Self::parse(value.as_bytes()).unwrap_or_else(|| {
            let new = Self::new();
            tracing::info!(trace_id = %new, "The request's x-conversation is not a UUID, replaced");
            new
        })
    }

    /// The header value, for one message.
    pub fn header_value(self) -> HeaderValue {
        let mut buffer = Uuid::encode_buffer();
        let text = self.0.hyphenated().encode_lower(&mut buffer);
        // Hexadecimal digits and hyphens are always a valid header value.
        header::passing(text.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The conversation whose work this thread is doing, if any.
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }

    /// Does `work` as part of this conversation: every log line it writes carries the id.
    ///
    /// Wrap each `poll` of a future in it. It does what a span would, without a span's cost.
    pub fn scope<R>(self, work: impl FnOnce() -> R) -> R {
        let _restore = Restore(CURRENT.replace(Some(self)));
        work()
    }
}

impl Default for Conversation {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Restore ===

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    const ID: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(Conversation::HEADER, value.parse().expect("a header value"));
        headers
    }

    #[test]
    fn a_uuid_is_reused_in_any_case_and_rendered_in_lower_case() {
        for given in [ID.to_owned(), ID.to_uppercase()] {
            assert_eq!(Conversation::of(&headers(&given)).header_value(), ID);
        }
    }

    #[test]
    fn anything_else_is_replaced_by_a_new_uuid() {
        for given in [
            "",
            "1",
            "6f9619ff8b864d01b42d00cf4fc964ff",
            "{6f9619ff-8b86-4d01-b42d-00cf4fc964ff}",
            "6f9619ff-8b86-4d01-b42d-00cf4fc964fg",
        ] {
            let conversation = Conversation::of(&headers(given));
            assert_ne!(conversation.to_string(), given);
            assert_ne!(conversation, Conversation::of(&headers(given)));
        }
    }

    /// A log kept in memory.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_replacement_is_logged_without_the_value() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || writer.clone())
            .finish();
        let new =
            tracing::subscriber::with_default(subscriber, || Conversation::of(&headers("planted")));
        let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(
            log.contains(&new.to_string()) && !log.contains("planted"),
            "{log}"
        );
    }

    #[test]
    fn a_scope_ends_with_its_work_also_when_that_panics() {
        let outer = Conversation::new();
        outer.scope(|| {
            let inner = Conversation::new();
            let result = std::panic::catch_unwind(|| inner.scope(|| panic!("on purpose")));
            assert!(result.is_err());
            assert_eq!(Conversation::current(), Some(outer));
        });
        assert_eq!(Conversation::current(), None);
    }
}

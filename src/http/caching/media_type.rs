//! What an answer says about the version it comes in.

use super::super::fault::JSON;
use crate::catalog::Version;
use http::header::{CONTENT_TYPE, LINK, WARNING};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The media type of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON in a version; one that is deprecated says so.
    Versioned(Version),
    /// Something that has no versions.
    Plain(HeaderValue),
}

/// When version 1 ends ([RFC 8594](https://www.rfc-editor.org/rfc/rfc8594)).
const SUNSET: HeaderValue = HeaderValue::from_static("Fri, 31 Dec 2027 23:59:59 GMT");

/// Since when it is deprecated ([RFC 9745](https://www.rfc-editor.org/rfc/rfc9745)): 21 November 2026.
const DEPRECATION: HeaderValue = HeaderValue::from_static("@1795219200");

/// The same for people. RFC 9111 knows `Warning` no more; the governance rules ask for it on what is
/// deprecated, and only there.
const NOTICE: HeaderValue = HeaderValue::from_static(
    "299 - \"Version 1 is deprecated and ends on 31 December 2027: accept application/json;v=2\"",
);

/// The same resource in version 2; an empty reference is the one that was asked for (RFC 3986 §4.4).
const SUCCESSOR: HeaderValue =
    HeaderValue::from_static("<>; rel=\"successor-version\"; type=\"application/json;v=2\"");

// === impl Media ===

impl Media {
    /// Writes the media type and, where its version is deprecated, what comes of that.
    pub fn describe(self, headers: &mut HeaderMap) {
        let content_type = match self {
            Self::Versioned(Version::V2) => HeaderValue::from_static("application/json;v=2"),
            Self::Versioned(Version::V1) => {
                headers.insert(HeaderName::from_static("sunset"), SUNSET);
                headers.insert(HeaderName::from_static("deprecation"), DEPRECATION);
                headers.insert(WARNING, NOTICE);
                // Beside those to other pages.
                headers.append(LINK, SUCCESSOR);
                HeaderValue::from_static("application/json;v=1")
            }
            Self::Plain(content_type) => content_type,
        };
        headers.insert(CONTENT_TYPE, content_type);
    }
}

impl Default for Media {
    /// JSON that has no versions.
    fn default() -> Self {
        Self::Plain(JSON)
    }
}

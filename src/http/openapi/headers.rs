//! The headers that answers have in common: described once, and referred to by every answer that has them.

use super::codes::Traits;
use super::complete::is_error;
use http::StatusCode;
use serde_json::json;
use utoipa::openapi::Ref;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// A header that answers have in common.
pub(super) struct CommonHeader {
    /// The component's name.
    pub component: &'static str,
    /// The header's name.
    pub name: &'static str,
    description: &'static str,
    kind: Kind,
    /// Whether every such answer has it.
    is_certain: bool,
    /// Which answers have it.
    pub comes_with: fn(StatusCode, Traits) -> bool,
}

/// What a header's value is.
#[derive(Clone, Copy)]
enum Kind {
    Text { example: &'static str },
    Exactly(&'static str),
    Number { example: u32 },
}

/// The headers that answers have in common. One that an annotation describes itself stays as it is.
pub(super) const HEADERS: [CommonHeader; 32] = [
    CommonHeader {
        component: "x-conversation",
        name: "x-conversation",
        description: "The request's, or a new UUID. It stands in every log line the request causes.",
        kind: Kind::Text {
            example: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
        },
        is_certain: true,
        comes_with: |_, _| true,
    },
    CommonHeader {
        component: "x-request-id",
        name: "x-request-id",
        description: "The request's own, where that was a UUID.",
        kind: Kind::Text {
            example: "0b53d9fc-1d3c-4f8e-9ad9-55a1ab3b8f70",
        },
        is_certain: false,
        comes_with: |_, _| true,
    },
    CommonHeader {
        component: "cache-control-no-store",
        name: "cache-control",
        description: "Nobody may keep a copy.",
        kind: Kind::Exactly("no-store"),
        is_certain: true,
        comes_with: |status, traits| is_error(status) || traits.is_write,
    },
    CommonHeader {
        component: "retry-after",
        name: "retry-after",
        description: "Seconds after which to try again.",
        kind: Kind::Number { example: 1 },
        is_certain: true,
        comes_with: |status, _| {
            matches!(
                status,
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
            )
        },
    },
    CommonHeader {
        component: "retry-after-in-flight",
        name: "retry-after",
        description: "Where the first request with this key is still under way: seconds after which to repeat it.",
        kind: Kind::Number { example: 1 },
        is_certain: false,
        comes_with: |status, traits| status == StatusCode::CONFLICT && traits.takes_key,
    },
    CommonHeader {
        component: "idempotency-key",
        name: "idempotency-key",
        description: "The request's, where it had one that is a UUID.",
        kind: Kind::Text {
            example: "8e03978e-40d5-43e8-bc93-6894a57f9324",
        },
        is_certain: false,
        comes_with: |_, traits| traits.takes_key,
    },
    CommonHeader {
        component: "x-idempotency-replayed",
        name: "x-idempotency-replayed",
        description: "The request was carried out before, and this was its answer.",
        kind: Kind::Exactly("true"),
        is_certain: false,
        comes_with: |status, traits| traits.takes_key && !status.is_server_error(),
    },
    CommonHeader {
        component: "www-authenticate",
        name: "www-authenticate",
        description: "The schemes that would do, and what was wrong with a token.",
        kind: Kind::Text {
            example: "ApiKey realm=\"product-catalog\", Bearer realm=\"product-catalog\", error=\"invalid_token\", error_description=\"The token has expired.\"",
        },
        is_certain: true,
        comes_with: |status, _| status == StatusCode::UNAUTHORIZED,
    },
    CommonHeader {
        component: "www-authenticate-scope",
        name: "www-authenticate",
        description: "The scope that the token lacks.",
        kind: Kind::Text {
            example: "ApiKey realm=\"product-catalog\", Bearer realm=\"product-catalog\", error=\"insufficient_scope\", scope=\"products:write\"",
        },
        is_certain: false,
        comes_with: |status, traits| status == StatusCode::FORBIDDEN && traits.is_guarded,
    },
    CommonHeader {
        component: "accept",
        name: "accept",
        description: "The media types that would do, where the body's is none of them.",
        kind: Kind::Text {
            example: "application/json;v=2, application/json;v=1",
        },
        is_certain: false,
        comes_with: |status, traits| {
            status == StatusCode::UNSUPPORTED_MEDIA_TYPE && !traits.is_patch
        },
    },
    CommonHeader {
        component: "accept-encoding",
        name: "accept-encoding",
        description: "The coding that would do, where the body has another (RFC 9110).",
        kind: Kind::Exactly("identity"),
        is_certain: false,
        comes_with: |status, _| status == StatusCode::UNSUPPORTED_MEDIA_TYPE,
    },
    CommonHeader {
        component: "ratelimit-limit",
        name: "ratelimit-limit",
        description: "How many requests the client has a second, where that is limited.",
        kind: Kind::Number { example: 100 },
        is_certain: false,
        comes_with: |_, traits| !traits.is_health,
    },
    CommonHeader {
        component: "ratelimit-remaining",
        name: "ratelimit-remaining",
        description: "How many of them it has left.",
        kind: Kind::Number { example: 99 },
        is_certain: false,
        comes_with: |_, traits| !traits.is_health,
    },
    CommonHeader {
        component: "ratelimit-reset",
        name: "ratelimit-reset",
        description: "When it has all of them again, in seconds since the Unix epoch.",
        kind: Kind::Number {
            example: 1_795_248_000,
        },
        is_certain: false,
        comes_with: |_, traits| !traits.is_health,
    },
    CommonHeader {
        component: "vary",
        name: "vary",
        description: "What the answer was chosen by.",
        kind: Kind::Text {
            example: "Accept, Accept-Encoding",
        },
        is_certain: true,
        comes_with: |status, _| status == StatusCode::NOT_ACCEPTABLE,
    },
    CommonHeader {
        component: "vary-origin",
        name: "vary",
        description: "Where pages of several origins may read answers (CORS_ALLOWED_ORIGINS).",
        kind: Kind::Text { example: "Origin" },
        is_certain: false,
        comes_with: |_, _| true,
    },
    CommonHeader {
        component: "access-control-allow-origin",
        name: "access-control-allow-origin",
        description: "The origin whose pages may read the answer, where CORS_ALLOWED_ORIGINS has it.",
        kind: Kind::Text {
            example: "https://shop.example",
        },
        is_certain: false,
        comes_with: |_, _| true,
    },
    CommonHeader {
        component: "access-control-expose-headers",
        name: "access-control-expose-headers",
        description: "The headers that such a page may see beside those that every page may.",
        kind: Kind::Text {
            example: "etag, link, location, retry-after",
        },
        is_certain: false,
        comes_with: |_, _| true,
    },
    CommonHeader {
        component: "x-content-type-options",
        name: "x-content-type-options",
        description: "The body is what its media type says.",
        kind: Kind::Exactly("nosniff"),
        is_certain: true,
        comes_with: |_, _| true,
    },
    CommonHeader {
        component: "x-frame-options",
        name: "x-frame-options",
        description: "No page shows the answer in a frame.",
        kind: Kind::Exactly("DENY"),
        is_certain: true,
        comes_with: |_, _| true,
    },
    CommonHeader {
        component: "content-security-policy",
        name: "content-security-policy",
        description: "A browser that takes the answer for a page loads nothing.",
        kind: Kind::Exactly("default-src 'none'; frame-ancestors 'none'"),
        is_certain: true,
        comes_with: |_, _| true,
    },
    CommonHeader {
        component: "strict-transport-security",
        name: "strict-transport-security",
        description: "Who has come by TLS once comes by TLS for a year; where the listener itself speaks TLS.",
        kind: Kind::Exactly("max-age=31536000; includeSubDomains"),
        is_certain: false,
        comes_with: |_, _| true,
    },
    CommonHeader {
        component: "cache-status-of-absence",
        name: "cache-status",
        description: "How it is known that there is no such product (RFC 9211).",
        kind: Kind::Text {
            example: "product-catalog; hit; detail=negative",
        },
        is_certain: false,
        comes_with: |status, traits| status == StatusCode::NOT_FOUND && traits.names_product,
    },
    CommonHeader {
        component: "x-cache-stale",
        name: "x-cache-stale",
        description: "The answer is past its window, or part of it: the inventory does not vouch for it any more.",
        kind: Kind::Exactly("true"),
        is_certain: false,
        comes_with: |status, traits| {
            traits.is_cached() && matches!(status, StatusCode::OK | StatusCode::NOT_MODIFIED)
        },
    },
    CommonHeader {
        component: "last-modified",
        name: "last-modified",
        description: "When the product last changed, where that is known.",
        kind: Kind::Text {
            example: "Sat, 21 Nov 2026 06:40:56 GMT",
        },
        is_certain: false,
        comes_with: |_, _| false,
    },
    CommonHeader {
        component: "content-encoding",
        name: "content-encoding",
        description: "The coding, where `Accept-Encoding` asks for one and the body is long enough to gain by it: br, zstd or gzip. Each has an entity tag of its own.",
        kind: Kind::Text { example: "br" },
        is_certain: false,
        comes_with: |status, traits| is_read(status, traits),
    },
    CommonHeader {
        component: "sunset",
        name: "sunset",
        description: "With version 1: when it ends (RFC 8594).",
        kind: Kind::Text {
            example: "Fri, 31 Dec 2027 23:59:59 GMT",
        },
        is_certain: false,
        comes_with: |status, traits| is_versioned(status, traits),
    },
    CommonHeader {
        component: "deprecation",
        name: "deprecation",
        description: "With version 1: since when it is deprecated (RFC 9745).",
        kind: Kind::Text {
            example: "@1795219200",
        },
        is_certain: false,
        comes_with: |status, traits| is_versioned(status, traits),
    },
    CommonHeader {
        component: "warning",
        name: "warning",
        description: "With version 1: that it is deprecated, for people.",
        kind: Kind::Text {
            example: "299 - \"Version 1 is deprecated and ends on 31 December 2027: accept application/json;v=2\"",
        },
        is_certain: false,
        comes_with: |status, traits| is_versioned(status, traits),
    },
    CommonHeader {
        component: "link",
        name: "link",
        description: "With version 1: the same in version 2, as `successor-version`.",
        kind: Kind::Text {
            example: "<>; rel=\"successor-version\"; type=\"application/json;v=2\"",
        },
        is_certain: false,
        comes_with: |status, traits| is_versioned(status, traits),
    },
    CommonHeader {
        component: "cdn-cache-control",
        name: "cdn-cache-control",
        description: "How long a shared cache may keep the answer, in place of `cache-control` (RFC 9213), where CDN_HEADERS asks for it.",
        kind: Kind::Text {
            example: "max-age=3412, stale-if-error=86400",
        },
        is_certain: false,
        comes_with: |status, traits| {
            traits.is_cached()
                && traits.is_conditional
                && matches!(status, StatusCode::OK | StatusCode::NOT_MODIFIED)
        },
    },
    CommonHeader {
        component: "surrogate-key",
        name: "surrogate-key",
        description: "The keys by which a shared cache can purge the answer, where CDN_HEADERS asks for them.",
        kind: Kind::Text {
            example: "product:KETTLE-17 category:Small%20appliances brand:Acme",
        },
        is_certain: false,
        comes_with: |status, traits| {
            traits.is_cached()
                && traits.is_conditional
                && matches!(status, StatusCode::OK | StatusCode::NOT_MODIFIED)
        },
    },
];

// === impl CommonHeader ===

impl CommonHeader {
    pub fn build(&self) -> Header {
        let (kind, example) = match self.kind {
            Kind::Text { example } | Kind::Exactly(example) => (Type::String, json!(example)),
            Kind::Number { example } => (Type::Integer, json!(example)),
        };
        let mut value = ObjectBuilder::new().schema_type(kind);
        if let Kind::Exactly(only) = self.kind {
            value = value.enum_values(Some([only]));
        }
        let mut header = HeaderBuilder::new()
            .schema(Some(value))
            .description(Some(self.description))
            .build();
        header.example = Some(example);
        // The builder has no word for it; what is not an extension is written as it is.
        header.extensions = self
            .is_certain
            .then(|| Extensions::from_iter([("required", true)]));
        header
    }

    pub fn reference(&self) -> Ref {
        Ref::new(format!("#/components/headers/{}", self.component))
    }
}

/// Whether such an answer has a body that `Accept-Encoding` has a say in.
fn is_read(status: StatusCode, traits: Traits) -> bool {
    status == StatusCode::OK && traits.is_negotiated && !traits.is_write
}

/// Whether such an answer comes in versions.
fn is_versioned(status: StatusCode, traits: Traits) -> bool {
    matches!(status, StatusCode::OK | StatusCode::CREATED) && traits.has_versions
}

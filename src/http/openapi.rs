//! The OpenAPI document: written by the handlers' annotations, completed here with what all
//! operations have in common. `interfaces/openapi.yaml` is its output.

mod schema;

pub use schema::{NewProduct, Product, ProductPage};

use super::caching::{Class, Metadata, Policies, respond};
use super::extract::Conditions;
use super::fault::{ErrorCode, FaultBody, JSON};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::info::{ContactBuilder, InfoBuilder, LicenseBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::server::{ServerBuilder, ServerVariableBuilder};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Content, ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

const YAML: HeaderValue = HeaderValue::from_static("application/yaml");

const DESCRIPTION: &str = "Products, answered from a write-through cache that rebuilds itself from \
    the inventory. Every answer says how long a copy is good, and every error answer is a fault; \
    docs/errors.md explains the codes.";

/// What every operation may answer beside what its own annotation says.
const COMMON: [(&str, &str); 4] = [
    ("400", "The request can not be understood."),
    ("414", "Path and query together are longer than 8 KiB."),
    ("500", "A defect."),
    ("503", "Not now; see Retry-After."),
];

/// One serialisation of the document.
struct Serialised {
    body: Bytes,
    etag: HeaderValue,
}

static AS_JSON: LazyLock<Serialised> =
    LazyLock::new(|| Serialised::new(build().to_json().unwrap_or_default()));
static AS_YAML: LazyLock<Serialised> = LazyLock::new(|| Serialised::new(document()));

// === impl Serialised ===

impl Serialised {
    fn new(text: String) -> Self {
        let digest = Sha256::digest(&text);
        let tag = format!("\"{digest:x}\"");
        Self {
            body: Bytes::from(text),
            // Hexadecimal digits and quotes are always a valid header value.
            etag: HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
        }
    }
}

/// The document in YAML, exactly as `interfaces/openapi.yaml` has it.
pub fn document() -> String {
    // The document has only maps with string keys: nothing in it can fail to serialise.
    build().to_yaml().unwrap_or_default()
}

/// Answers with the document: JSON, or YAML where `Accept` asks for that.
pub(super) async fn serve(
    State(policies): State<Arc<Policies>>,
    conditions: Conditions,
) -> Response {
    let (document, content_type) = if wants_yaml(conditions.headers()) {
        (&AS_YAML, YAML)
    } else {
        (&AS_JSON, JSON)
    };
    let metadata = Metadata {
        content_type,
        etag: document.etag.clone(),
        last_modified: None,
        cache_control: policies.cache_control(Class::Document, Duration::ZERO),
        cache_status: None,
        mark: None,
    };
    respond(&conditions, metadata, || document.body.clone())
}

fn wants_yaml(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("yaml"))
}

/// The annotations' document, completed.
fn build() -> OpenApi {
    let mut document = super::documented().into_openapi();
    document.info = info();
    document.servers = Some(vec![server()]);
    document.tags = Some(vec![
        TagBuilder::new()
            .name("products")
            .description(Some("Products: read from the cache, written through it."))
            .build(),
        TagBuilder::new()
            .name("health")
            .description(Some("How the service does."))
            .build(),
    ]);
    let components = document.components.get_or_insert_default();
    components
        .schemas
        .insert(FaultBody::name().into_owned(), FaultBody::schema());
    let mut referenced = Vec::new();
    FaultBody::schemas(&mut referenced);
    components.schemas.extend(referenced);
    // What is written is read strictly.
    for name in ["NewProduct", "NewPrice"] {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(name) {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
    components.add_security_scheme("apiKey", api_key());

    for path in document.paths.paths.values_mut() {
        let operations = [
            &mut path.get,
            &mut path.put,
            &mut path.post,
            &mut path.delete,
        ];
        operations.into_iter().flatten().for_each(complete);
    }
    document
}

fn info() -> utoipa::openapi::Info {
    let contact = ContactBuilder::new()
        .name(Some("Catalog team"))
        .email(Some("catalog@acme.example"));
    let license = LicenseBuilder::new()
        .name("Apache-2.0")
        .identifier(Some("Apache-2.0"));
    InfoBuilder::new()
        .title("Product catalog")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .contact(Some(contact.build()))
        .license(Some(license.build()))
        .extensions(Some(
            ExtensionsBuilder::new().add("x-status", "stable").build(),
        ))
        .build()
}

/// Where the service is, is known where it is deployed.
fn server() -> utoipa::openapi::Server {
    let host = ServerVariableBuilder::new()
        .default_value("localhost")
        .description(Some("The host that the service is reached by."));
    ServerBuilder::new()
        .url("https://{host}")
        .description(Some("TLS ends at the gateway in front of the service."))
        .parameter("host", host)
        .build()
}

fn api_key() -> SecurityScheme {
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
        "x-api-key",
        "A write key; its SHA-256 digest is in WRITE_API_KEYS.",
    )))
}

/// Adds what every operation has: an open operation says so, every answer carries the conversation,
/// every error answer is a fault.
fn complete(operation: &mut Operation) {
    let is_open = operation.security.get_or_insert_default().is_empty();
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            illustrate(content, StatusCode::OK);
        }
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in COMMON {
        responses.entry(status.to_owned()).or_insert_with(|| {
            ResponseBuilder::new()
                .description(description)
                .build()
                .into()
        });
    }
    for (status, response) in responses {
        let RefOr::T(response) = response else {
            continue;
        };
        response.headers.insert(
            "x-conversation".to_owned(),
            text_header("The request's, or a new UUID.").into(),
        );
        let status = StatusCode::from_bytes(status.as_bytes()).unwrap_or_default();
        for content in response.content.values_mut() {
            illustrate(content, status);
        }
        let is_error = status.is_client_error() || status.is_server_error();
        if is_error && response.content.is_empty() {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(FaultBody::name())))
                .example(Some(fault_example(status, is_open)));
            response
                .content
                .insert("application/json".to_owned(), content.build().into());
            response.headers.insert(
                "cache-control".to_owned(),
                text_header("Always `no-store`.").into(),
            );
            response.headers.extend(
                special_header(status)
                    .map(|(name, text)| (name.to_owned(), text_header(text).into())),
            );
        }
    }
}

/// Adds the example of the schema that content refers to, for an answer of `status`.
fn illustrate(content: &mut RefOr<Content>, status: StatusCode) {
    if let RefOr::T(content) = content
        && let Some(RefOr::Ref(schema)) = &content.schema
    {
        let name = schema.ref_location.rsplit('/').next().unwrap_or_default();
        content.example = match name {
            "Health" if status.is_success() => Some(schema::health("Healthy")),
            "Health" => Some(schema::health("Unhealthy")),
            _ => schema::example(name),
        };
    }
}

/// The header that comes with an error of this status alone.
fn special_header(status: StatusCode) -> Option<(&'static str, &'static str)> {
    match status {
        StatusCode::UNAUTHORIZED => Some(("www-authenticate", "The scheme that would do.")),
        StatusCode::SERVICE_UNAVAILABLE => {
            Some(("retry-after", "Seconds after which to try again."))
        }
        _ => None,
    }
}

fn text_header(description: &str) -> utoipa::openapi::header::Header {
    let text = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new()
        .schema(Some(text))
        .description(Some(description))
        .build()
}

/// What a fault of `status` typically looks like.
fn fault_example(status: StatusCode, is_open: bool) -> Value {
    let typical = match status {
        StatusCode::BAD_REQUEST if is_open => Some(ErrorCode::InvalidParameter),
        StatusCode::BAD_REQUEST => Some(ErrorCode::RequiredFieldMissing),
        StatusCode::FORBIDDEN if !is_open => Some(ErrorCode::WritesDisabled),
        StatusCode::NOT_FOUND => Some(ErrorCode::ProductNotFound),
        _ => ErrorCode::ALL
            .into_iter()
            .find(|code| code.status() == status),
    };
    let error = typical.map_or_else(
        || json!({ "description": "Internal Server Error" }),
        |code| json!({ "errorCode": code.as_str(), "description": code.description() }),
    );
    json!({ "fault": {
        "faultId": "1f0c7f9a-3a53-4a44-9f0e-5e7a5f5c3f10",
        "traceId": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
        "errors": [error],
    }})
}

#[cfg(test)]
mod tests;

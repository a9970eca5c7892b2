//! The OpenAPI document: written by the handlers' annotations, completed here with what all
//! operations have in common. `interfaces/openapi.yaml` is its output.

mod codes;
mod complete;
mod parameter;
mod schema;

pub use schema::{Availability, Document, JsonPatch, NewProduct, Product, ProductPage};

use super::caching::{Class, Metadata, Policies, respond};
use super::extract::Conditions;
use super::fault::{FaultBody, JSON};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use utoipa::openapi::OpenApi;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::info::{ContactBuilder, InfoBuilder, LicenseBuilder};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::server::{ServerBuilder, ServerVariableBuilder};
use utoipa::openapi::tag::TagBuilder;
use utoipa::{PartialSchema, ToSchema};

const YAML: HeaderValue = HeaderValue::from_static("application/yaml");

const DESCRIPTION: &str = "Products, answered from a write-through cache that rebuilds itself from \
    the inventory. Every answer says how long a copy is good, and every error answer is a fault; \
    docs/errors.md explains the codes.";

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

/// Get the OpenAPI document.
///
/// The document you are reading: as JSON, or as YAML where `Accept` asks for that. Also answers HEAD.
#[utoipa::path(
    get,
    path = "/openapi",
    operation_id = "getOpenApi",
    tag = "documentation",
    params(("if-none-match" = Option<String>, Header, description = "Entity tags of copies at hand; 304 when one is current.")),
    responses(
        (status = 200, description = "The document.",
            content(
                (Document = "application/json"),
                (Document = "application/yaml"),
            ),
            headers(
            ("etag" = String, description = "Strong entity tag."),
            ("cache-control" = String, description = "How long a copy is good."),
            ("vary" = String, description = "`Accept, Accept-Encoding`."))),
        (status = 304, description = "The copy at hand is current."),
    )
)]
pub(super) async fn get_document(
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
        TagBuilder::new()
            .name("documentation")
            .description(Some("What can be asked here, and what is answered."))
            .build(),
    ]);
    let components = document.components.get_or_insert_default();
    components
        .schemas
        .insert(FaultBody::name().into_owned(), FaultBody::schema());
    let mut referenced = Vec::new();
    FaultBody::schemas(&mut referenced);
    components.schemas.extend(referenced);
    components.add_security_scheme("apiKey", api_key());
    components.add_security_scheme("bearer", bearer());

    // What says nothing of who may call it is not open.
    let credentials = ["apiKey", "bearer"];
    document.security = Some(
        credentials
            .map(|scheme| SecurityRequirement::new(scheme, [""; 0]))
            .into(),
    );
    complete::complete(&mut document);
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
        "A key that may read and write; its SHA-256 digest is in WRITE_API_KEYS.",
    )))
}

fn bearer() -> SecurityScheme {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A token of the configured issuer (RS256, ES256 or EdDSA) with the scope products:read or \
             products:write. Reading takes a credential where READ_REQUIRES_AUTH is on.",
        ));
    SecurityScheme::Http(scheme.build())
}

#[cfg(test)]
mod tests;

//! The OpenAPI document: written by the handlers' annotations, completed here with what all
//! operations have in common. `interfaces/openapi.yaml` is its output.

mod codes;
mod complete;
mod filter;
mod headers;
mod parameter;
mod queries;
mod schema;
mod versions;

pub use queries::{AnyProduct, Group, GroupPage, ProductAnswer, Search, SelectedProduct};
pub use schema::{Availability, Document, JsonPatch, NewProduct, Product, ProductPage, Status};

use super::caching::{Class, Policies};
use super::extract::Conditions;
use super::fault::{Fault, FaultBody, JSON};
use super::file::File;
use super::media::{self, Offer};
use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use std::sync::{Arc, LazyLock};
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

/// What the document comes as; YAML has older names too (RFC 9512 §2.1).
const OFFERS: [Offer; 5] = [
    Offer::json(None),
    Offer::plain("application", "yaml"),
    Offer::alias("application", "x-yaml"),
    Offer::alias("text", "yaml"),
    Offer::alias("text", "x-yaml"),
];

static AS_JSON: LazyLock<File> =
    LazyLock::new(|| File::new(build().to_json().unwrap_or_default().into(), JSON));
static AS_YAML: LazyLock<File> = LazyLock::new(|| File::new(document().into(), YAML));

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
) -> Result<Response, Fault> {
    let file = match media::choose(conditions.headers(), &OFFERS)? {
        0 => &AS_JSON,
        _ => &AS_YAML,
    };
    file.answer(&policies, &conditions, Class::Document).await
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
            .name("categories")
            .description(Some("The categories that products have."))
            .build(),
        TagBuilder::new()
            .name("brands")
            .description(Some("The brands that products have."))
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
    versions::complete(&mut document);
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
             products:write. Reading takes a credential where READ_REQUIRES_AUTH is on; PATCH then takes \
             both scopes, because it shows what it finds.",
        ));
    SecurityScheme::Http(scheme.build())
}

#[cfg(test)]
mod tests;

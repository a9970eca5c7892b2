//! The shapes of what goes over the wire, for the document. Rendering and parsing
//! live in [`product`](crate::product); a test holds what it renders against these.

use super::queries::AnyProduct;
use http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A product.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Product {
    /// Identity.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,127}$")]
    pub id: String,
    /// Stock keeping unit.
    #[schema(nullable = false)]
    pub sku: Option<String>,
    /// Display name.
    pub name: String,
    /// Free text.
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// Category name.
    #[schema(nullable = false)]
    pub category: Option<String>,
    /// Brand name.
    #[schema(nullable = false)]
    pub brand: Option<String>,
    /// Price.
    pub price: Price,
    /// Where in its life the product is.
    #[schema(nullable = false)]
    pub status: Option<Status>,
    /// Labels.
    #[schema(nullable = false)]
    pub tags: Option<Vec<String>>,
    /// Further members, by name.
    #[schema(nullable = false)]
    pub attributes: Option<Map<String, Value>>,
    /// When the inventory created it, in UTC.
    #[schema(format = DateTime, nullable = false)]
    pub created_at: Option<String>,
    /// When the inventory last changed it, in UTC.
    #[schema(format = DateTime, nullable = false)]
    pub updated_at: Option<String>,
}

/// A product as it is written: the inventory chooses what is not given.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewProduct {
    /// Identity; beside one in the path, the same.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,127}$", nullable = false)]
    pub id: Option<String>,
    /// Stock keeping unit.
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$",
        nullable = false
    )]
    pub sku: Option<String>,
    /// Display name.
    #[schema(
        min_length = 1,
        max_length = 512,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    pub name: String,
    /// Free text.
    #[schema(
        max_length = 20000,
        pattern = "^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*$",
        nullable = false
    )]
    pub description: Option<String>,
    /// Category name.
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$",
        nullable = false
    )]
    pub category: Option<String>,
    /// Brand name.
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$",
        nullable = false
    )]
    pub brand: Option<String>,
    /// Price.
    pub price: NewPrice,
    /// Where in its life the product is.
    #[schema(nullable = false)]
    pub status: Option<Status>,
    /// Labels.
    #[schema(max_items = 100, nullable = false)]
    pub tags: Option<Vec<Tag>>,
    /// Further members, by name: 256 KiB of JSON at most.
    #[schema(nullable = false)]
    pub attributes: Option<Map<String, Value>>,
    /// When it was created; the inventory's own date counts.
    #[schema(format = DateTime, nullable = false)]
    pub created_at: Option<String>,
    /// When it was last changed; the inventory's own date counts.
    #[schema(format = DateTime, nullable = false)]
    pub updated_at: Option<String>,
}

/// A label.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 64,
    pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$"
)]
pub struct Tag(pub String);

/// An amount of money as it is written.
#[derive(ToSchema)]
pub struct NewPrice {
    /// The currency's minor units: 5122 EUR is 51.22. An integer without a decimal point: 10.0 is refused,
    /// because whoever writes that thinks of the major unit.
    #[schema(minimum = 0)]
    pub amount: i64,
    /// The currency.
    pub currency: CurrencyCode,
}

/// An amount of money.
#[derive(ToSchema)]
pub struct Price {
    /// The currency's minor units: 5122 EUR is 51.22.
    pub amount: i64,
    /// The currency.
    pub currency: CurrencyCode,
}

/// The code of a currency, in capitals: ISO 4217.
pub struct CurrencyCode;

/// Where in its life a product is.
#[derive(ToSchema)]
#[schema(as = ProductStatus, rename_all = "lowercase")]
pub enum Status {
    /// On sale.
    Active,
    /// No longer sold.
    Discontinued,
    /// Not yet sold.
    Draft,
}

/// One page of products.
#[derive(ToSchema)]
pub struct ProductPage {
    /// The products, with all of their members or those selected.
    pub data: Vec<AnyProduct>,
    /// Of the ids asked for, those that no product has; only beside a list of ids.
    #[schema(nullable = false)]
    pub missing: Option<Vec<String>>,
    /// How to go on.
    pub paging: Paging,
}

/// Where a page lies.
#[derive(ToSchema)]
pub struct Paging {
    /// Its neighbours.
    pub cursors: Cursors,
}

/// A page's neighbours. Cursors are opaque.
#[derive(ToSchema)]
pub struct Cursors {
    /// For the next page; absent on the last.
    #[schema(nullable = false)]
    pub after: Option<String>,
    /// For the previous page; absent on the first.
    #[schema(nullable = false)]
    pub before: Option<String>,
}

/// An OpenAPI 3.1 document.
#[derive(ToSchema)]
#[schema(as = OpenApiDocument)]
pub struct Document {
    /// The version of OpenAPI.
    #[schema(pattern = "^3\\.1\\.[0-9]+$")]
    pub openapi: String,
    /// What it describes.
    pub info: Map<String, Value>,
    /// Operations, by path and method.
    pub paths: Map<String, Value>,
    /// What operations refer to.
    pub components: Map<String, Value>,
}

/// A JSON Patch (RFC 6902): operations on the version 2 document, done in their order, all or none.
#[derive(ToSchema)]
#[schema(max_items = 1000)]
pub struct JsonPatch(pub Vec<PatchOperation>);

/// One operation of a JSON Patch.
#[derive(ToSchema)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum PatchOperation {
    /// Sets a member, or inserts an item of an array (`-`: behind the last).
    Add {
        /// Where: a JSON Pointer (RFC 6901).
        path: Pointer,
        /// What.
        value: Value,
    },
    /// Removes what is there.
    Remove {
        /// Where: a JSON Pointer (RFC 6901).
        path: Pointer,
    },
    /// Puts a value in the place of the one that is there.
    Replace {
        /// Where: a JSON Pointer (RFC 6901).
        path: Pointer,
        /// What.
        value: Value,
    },
    /// Takes a value away and adds it elsewhere.
    Move {
        /// From where: a JSON Pointer (RFC 6901).
        from: Pointer,
        /// Where to; not inside of `from`.
        path: Pointer,
    },
    /// Adds a value that is there elsewhere, too.
    Copy {
        /// From where: a JSON Pointer (RFC 6901).
        from: Pointer,
        /// Where to.
        path: Pointer,
    },
    /// Lets the patch fail (409) if another value is there.
    Test {
        /// Where: a JSON Pointer (RFC 6901).
        path: Pointer,
        /// What has to be there; numbers are compared by value.
        value: Value,
    },
}

/// A JSON Pointer (RFC 6901) into the version 2 document.
#[derive(ToSchema)]
#[schema(pattern = "^(/([^/~]|~[01])*)*$")]
pub struct Pointer(pub String);

/// A product's live stock: an object, as the inventory has it.
#[derive(ToSchema)]
pub struct Availability(pub Map<String, Value>);
// === impl CurrencyCode ===

impl PartialSchema for CurrencyCode {
    fn schema() -> RefOr<Schema> {
        let letters = || 'A'..='Z';
        let codes = letters()
            .flat_map(|a| letters().flat_map(move |b| letters().map(move |c| [a, b, c])))
            .map(String::from_iter)
            .filter(|code| iso_currency::Currency::from_code(code).is_some());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The code of a currency, in capitals: ISO 4217."))
            .enum_values(Some(codes))
            .into()
    }
}

impl ToSchema for CurrencyCode {}

/// An example of the schema called `name`, for those that have one.
pub(super) fn example(name: &str) -> Option<Value> {
    match name {
        "Product" => Some(product()),
        "NewProduct" => Some(new_product()),
        "JsonPatch" => Some(json!([
            { "op": "test", "path": "/price/amount", "value": 5122 },
            { "op": "replace", "path": "/price/amount", "value": 4999 },
            { "op": "add", "path": "/tags/-", "value": "sale" }
        ])),
        "Availability" => Some(json!({
            "id": "KETTLE-17", "available": 12, "asOf": "2026-11-21T06:40:56Z"
        })),
        "AnyProduct" => Some(product()),
        "ProductPage" | "ProductAnswer" => Some(json!({
            "data": [product()],
            "paging": { "cursors": { "after": "AmzjsMRCmPwcFAAJS0VUVExFLTE3", "before": "AmzjsMRCmPwcFAAJS0VUVExFLTE3" } }
        })),
        "OpenApiDocument" => Some(json!({
            "openapi": "3.1.0",
            "info": { "title": "Product catalog", "version": env!("CARGO_PKG_VERSION") },
            "paths": { "/products": { "get": { "operationId": "queryProducts" } } },
            "components": { "schemas": { "Product": { "type": "object" } } }
        })),
        "Group" => Some(json!({ "name": "kitchen", "count": 214 })),
        "GroupPage" => Some(json!({
            "data": [{ "name": "kitchen", "count": 214 }, { "name": "stationery", "count": 96 }],
            "paging": { "cursors": { "after": "AmdzdGF0aW9uZXJ5" } }
        })),
        "Search" => Some(json!({
            "q": "steel kettle",
            "filter": { "category": "kitchen", "price": { ">=": 1000, "<": 10000 } },
            "sortby": "-price,+name",
            "select": ["id", "name", "price"],
            "limit": 20
        })),
        "NewBatch" => Some(json!({ "items": [new_product(), {
            "name": "Mug", "price": { "amount": 900, "currency": "EUR" }
        }] })),
        "PatchBatch" => Some(json!({ "items": [{
            "id": "KETTLE-17",
            "ifMatch": "\"v2-6851e99359d5b90e5c19973672e877d2\"",
            "patch": [{ "op": "replace", "path": "/price/amount", "value": 4999 }]
        }] })),
        "DeleteBatch" => Some(json!({ "ids": ["KETTLE-17", "MUG-3"] })),
        _ => None,
    }
}

/// What a batch of one item looks like that was answered with `status`; of two, where one failed.
pub(super) fn batch(status: StatusCode) -> Value {
    let item = json!({ "index": 0, "status": 204, "id": "KETTLE-17" });
    let created = json!({
        "index": 0, "status": 201, "id": "KETTLE-17", "location": "/products/KETTLE-17"
    });
    let all = json!({ "total": 1, "succeeded": 1, "failed": 0 });
    match status {
        StatusCode::OK => return json!({ "summary": all, "results": [item] }),
        StatusCode::CREATED => return json!({ "summary": all, "results": [created] }),
        _ => {}
    }
    json!({
        "summary": { "total": 2, "succeeded": 1, "failed": 1 },
        "results": [
            created,
            { "index": 1, "status": 400, "errors": [{
                "errorCode": "REQUIRED_FIELD_MISSING",
                "description": "`price` is required",
                "field": "price"
            }] }
        ]
    })
}

/// What health looks like when it is `status`.
pub(super) fn health(status: &str) -> Value {
    json!({
        "status": status,
        "timestamp": "2026-11-20T08:00:00.000Z",
        "version": env!("CARGO_PKG_VERSION"),
        "checks": [{
            "name": "inventory", "status": status, "responseTimeMs": 12,
            "description": "What is known about the inventory."
        }]
    })
}

fn product() -> Value {
    let mut product = new_product();
    if let Some(members) = product.as_object_mut() {
        members.insert("createdAt".to_owned(), json!("2026-03-02T09:14:00Z"));
        members.insert("updatedAt".to_owned(), json!("2026-11-18T16:40:12Z"));
    }
    product
}

fn new_product() -> Value {
    json!({
        "id": "KETTLE-17",
        "sku": "KT-17-STEEL",
        "name": "Steel kettle, 1.7 l",
        "description": "Boils 1.7 litres in four minutes.",
        "category": "kitchen",
        "brand": "Norvik",
        "price": { "amount": 5122, "currency": "EUR" },
        "status": "active",
        "tags": ["kettle", "steel"],
        "attributes": { "capacityMl": 1700 }
    })
}

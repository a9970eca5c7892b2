//! The shapes of queries and of what they answer, for the document.

use super::filter::Filter;
use super::schema::{Paging, Price, Product, ProductPage, Status};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A product, or what was selected of one.
pub struct AnyProduct;

/// What is selected of a product.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SelectedProduct {
    /// Identity.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,127}$", nullable = false)]
    pub id: Option<String>,
    /// Stock keeping unit.
    #[schema(nullable = false)]
    pub sku: Option<String>,
    /// Display name.
    #[schema(nullable = false)]
    pub name: Option<String>,
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
    #[schema(nullable = false)]
    pub price: Option<Price>,
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

/// A page of products, or their number.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum ProductAnswer {
    /// A page, or products by their ids.
    Page(ProductPage),
    /// How many products there are.
    Count(ProductCount),
}

/// How many products there are.
#[derive(ToSchema)]
#[schema(minimum = 0)]
pub struct ProductCount(pub u64);

/// Categories or brands.
#[derive(ToSchema)]
pub struct GroupPage {
    /// In the order of their names.
    pub data: Vec<Group>,
    /// How to go on.
    pub paging: Paging,
}

/// A category or a brand.
#[derive(ToSchema)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// How many products have it.
    #[schema(minimum = 1)]
    pub count: u64,
}

/// What is looked for. Every member is optional.
#[derive(ToSchema)]
pub struct Search {
    /// Words that name, description, brand, category and tags are looked through for. Without an order, what fits
    /// best comes first.
    #[schema(min_length = 1, max_length = 256, nullable = false)]
    pub q: Option<String>,
    /// What products must meet.
    #[schema(nullable = false)]
    pub filter: Option<Filter>,
    /// The order, as in a URL; or an array of its fields.
    #[schema(nullable = false)]
    pub sortby: Option<SortBy>,
    /// The members that products are answered with.
    #[schema(min_items = 1, nullable = false)]
    pub select: Option<Vec<Member>>,
    /// Products on the page at most; 20 where it is not given.
    #[schema(minimum = 1, maximum = 100, nullable = false)]
    pub limit: Option<u8>,
    /// The page after this cursor; not beside `before`.
    #[schema(nullable = false)]
    pub after: Option<String>,
    /// The page before this cursor; not beside `after`.
    #[schema(nullable = false)]
    pub before: Option<String>,
    /// Whether only the number of products is asked for.
    #[schema(nullable = false)]
    pub count: Option<bool>,
}

/// An order: fields separated by commas, or in an array.
#[derive(ToSchema)]
#[schema(as = SortBy)]
#[serde(untagged)]
pub enum SortBy {
    /// Fields separated by commas.
    Text(SortFields),
    /// Fields.
    Fields(SortFieldList),
}

/// Fields to sort by, separated by commas, each behind `+`, `-` or nothing.
#[derive(ToSchema)]
#[schema(
    pattern = "^[+ -]?(id|sku|name|description|category|brand|price|currency|status|createdAt|updatedAt)(,[+ -]?(id|sku|name|description|category|brand|price|currency|status|createdAt|updatedAt)){0,4}$"
)]
pub struct SortFields(pub String);

/// Fields to sort by, each once.
#[derive(ToSchema)]
#[schema(min_items = 1, max_items = 5)]
pub struct SortFieldList(pub Vec<SortField>);

/// A field to sort by, behind `+`, `-` or nothing.
#[derive(ToSchema)]
#[schema(
    pattern = "^[+ -]?(id|sku|name|description|category|brand|price|currency|status|createdAt|updatedAt)$"
)]
pub struct SortField(pub String);

/// A member of a product.
#[derive(ToSchema)]
#[schema(as = ProductMember, rename_all = "camelCase")]
pub enum Member {
    /// Identity.
    Id,
    /// Stock keeping unit.
    Sku,
    /// Display name.
    Name,
    /// Free text.
    Description,
    /// Category name.
    Category,
    /// Brand name.
    Brand,
    /// Price.
    Price,
    /// Where in its life the product is.
    Status,
    /// Labels.
    Tags,
    /// Further members.
    Attributes,
    /// When it was created.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
}

// === impl AnyProduct ===

impl PartialSchema for AnyProduct {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new()
            .item(Ref::from_schema_name("Product"))
            .item(Ref::from_schema_name("SelectedProduct"))
            .description(Some("A product, or what was selected of one."))
            .into()
    }
}

impl ToSchema for AnyProduct {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("Product".to_owned(), Product::schema()));
        schemas.push(("SelectedProduct".to_owned(), SelectedProduct::schema()));
        Product::schemas(schemas);
        SelectedProduct::schemas(schemas);
    }
}

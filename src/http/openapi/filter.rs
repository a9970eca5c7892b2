//! The shape of the conditions of a search, for the document.

use super::schema::Status;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, Object, ObjectBuilder, OneOfBuilder, Schema,
    SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// The conditions of a search: by field, a value that it is equal to, or operators and values.
pub struct Filter;

/// Names of members: fields, and the attributes that can be asked for.
const NAMES: &str = r"^(id|sku|name|description|category|brand|price|currency|status|tags|createdAt|updatedAt|attributes\.[^<>=\x00-\x1f\x7f-\x9f]{1,128})$";

/// The fields that are texts like any other.
const TEXTS: [&str; 7] = [
    "id",
    "sku",
    "name",
    "description",
    "category",
    "brand",
    "currency",
];

/// All operators; and those of fields with many values.
const OPERATORS: [&str; 6] = ["=", "<>", ">", ">=", "<", "<="];
const MEMBERSHIP: [&str; 2] = ["=", "<>"];

// === impl Filter ===

impl PartialSchema for Filter {
    fn schema() -> RefOr<Schema> {
        let text = || text().into();
        let time = || {
            let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(format))
                .into()
        };
        let status = || Ref::from_schema_name(Status::name()).into();
        let amount = || ObjectBuilder::new().schema_type(Type::Integer).into();
        let scalar = || {
            let types = SchemaType::from_iter([Type::String, Type::Number, Type::Boolean]);
            ObjectBuilder::new().schema_type(types).into()
        };
        let filter = TEXTS.into_iter().fold(
            ObjectBuilder::new()
                .description(Some(
                    "Conditions, by field: a value that it is equal to, or an object of operators and values. \
                     Where a field may be compared in the same way more than once, an array has the values.",
                ))
                .property(
                    "price",
                    condition("The amount, in minor units.", &amount, &OPERATORS),
                )
                .property("status", condition("One of the states.", &status, &OPERATORS))
                .property("tags", condition("One of the tags.", &text, &MEMBERSHIP))
                .property("createdAt", condition("A time.", &time, &OPERATORS))
                .property("updatedAt", condition("A time.", &time, &OPERATORS)),
            |filter, name| filter.property(name, condition("A text.", &text, &OPERATORS)),
        );
        let names = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(NAMES));
        filter
            .property_names(Some(names))
            .max_properties(Some(32))
            .additional_properties(Some(AdditionalProperties::from(condition(
                "An attribute, as a text.",
                &scalar,
                &OPERATORS,
            ))))
            .into()
    }
}

impl ToSchema for Filter {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Status::name().into_owned(), Status::schema()));
    }
}

/// A text that is compared with.
fn text() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(2000))
        .build()
}

/// What one field may meet: a value, several where it has many, or operators with values.
fn condition(
    description: &str,
    operand: &dyn Fn() -> RefOr<Schema>,
    operators: &[&str],
) -> RefOr<Schema> {
    let has_many = operators == MEMBERSHIP;
    let several = || ArrayBuilder::new().items(operand()).min_items(Some(1));
    let compared = operators
        .iter()
        .fold(ObjectBuilder::new(), |compared, operator| {
            // Anything can differ from two values.
            let value = if has_many || *operator == "<>" {
                OneOfBuilder::new().item(operand()).item(several()).into()
            } else {
                operand()
            };
            compared.property(*operator, value)
        })
        .min_properties(Some(1))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    let condition = OneOfBuilder::new()
        .description(Some(description))
        .item(operand())
        .item(compared);
    if has_many {
        condition.item(several()).into()
    } else {
        condition.into()
    }
}

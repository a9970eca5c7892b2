//! Parameters: those that every operation has, and what is true of all.

use serde_json::json;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{RefOr, Required};

/// Says of a parameter what its annotation can not.
pub(super) fn complete(parameter: &mut Parameter) {
    parameter.schema.as_mut().map(without_null);
    if parameter.name == "idempotency-key" {
        parameter.schema.as_mut().map(of_a_uuid);
    }
}

/// The conversation that a request is a part of.
pub(super) fn conversation() -> Parameter {
    header_parameter(
        "x-conversation",
        "The conversation this request is a part of: a UUID. Anything else is replaced by a new one.",
        "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    )
}

/// The id of a request.
pub(super) fn request_id() -> Parameter {
    header_parameter(
        "x-request-id",
        "An id of the request's own: a UUID, sent back with the answer. Anything else is ignored.",
        "0b53d9fc-1d3c-4f8e-9ad9-55a1ab3b8f70",
    )
}

fn header_parameter(name: &str, description: &str, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(json!(example)))
        .build()
}

/// A header or parameter is there or not; it is never null.
pub(super) fn without_null(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema
        && let SchemaType::Array(types) = &mut object.schema_type
    {
        types.retain(|kind| *kind != Type::Null);
        if let [only] = types.as_slice() {
            object.schema_type = SchemaType::Type(only.clone());
        }
    }
}

/// Nothing but a UUID will do.
fn of_a_uuid(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema {
        object.format = Some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
    }
}

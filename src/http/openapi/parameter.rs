//! Parameters: those that every operation has, and what is true of all.

use super::codes::Traits;
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

/// The shared parameters that every operation has.
pub(super) const OF_ALL: [&str; 2] = ["x-conversation", "x-request-id"];

/// The conditions of operations that say nothing of them: the header, what it is called among the shared
/// parameters, what it says, and an example.
type Condition = (&'static str, &'static str, &'static str, &'static str);

/// On reads of what has a tag.
const OF_READS: [Condition; 3] = [
    (
        "if-match",
        "if-match",
        "Entity tags of the representation asked for; 412 when none is current.",
        "\"v2-6851e99359d5b90e5c19973672e877d2\"",
    ),
    (
        "if-modified-since",
        "if-modified-since",
        "Without effect: the answer has no Last-Modified. Send If-None-Match.",
        "Sat, 21 Nov 2026 06:40:56 GMT",
    ),
    (
        "if-unmodified-since",
        "if-unmodified-since",
        "Without effect: the answer has no Last-Modified. Send If-Match.",
        "Sat, 21 Nov 2026 06:40:56 GMT",
    ),
];

/// On writes to the collection, which exists and has no tag and no date of its own.
const OF_COLLECTION: [Condition; 3] = [
    (
        "if-match",
        "if-match-collection",
        "Nothing but `*` holds, the rest is a 412: a collection has no entity tag of its own.",
        "*",
    ),
    (
        "if-none-match",
        "if-none-match-collection",
        "Everything but `*` holds, that is a 412: the collection exists.",
        "\"v2-6851e99359d5b90e5c19973672e877d2\"",
    ),
    (
        "if-unmodified-since",
        "if-unmodified-since-collection",
        "Holds always: a collection has no date of its own.",
        "Sat, 21 Nov 2026 06:40:56 GMT",
    ),
];

/// The conditions that an operation heeds, by name, and as what shared parameter each is described.
pub(super) fn conditions(
    traits: Traits,
    is_safe: bool,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = match (traits.is_conditional, is_safe) {
        (true, true) => OF_READS.as_slice(),
        (true, false) if !traits.names_product => &OF_COLLECTION,
        _ => &[],
    };
    all.iter().map(|(name, component, ..)| (*name, *component))
}

/// The parameters that operations share, and what they are called.
pub(super) fn shared() -> impl Iterator<Item = (&'static str, Parameter)> {
    let conditions = OF_READS.into_iter().chain(OF_COLLECTION);
    let conditions = conditions.map(|(name, component, description, example)| {
        (component, header_parameter(name, description, example))
    });
    OF_ALL
        .into_iter()
        .zip([conversation(), request_id()])
        .chain(conditions)
}

/// The conversation that a request is a part of.
fn conversation() -> Parameter {
    header_parameter(
        "x-conversation",
        "The conversation this request is a part of: a UUID. Anything else is replaced by a new one.",
        "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    )
}

/// The id of a request.
fn request_id() -> Parameter {
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

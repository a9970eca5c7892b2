//! What operations have in common, so that their annotations need not repeat it: a header, an answer or an
//! example that is named here is in the document once, and every operation that has it refers to it.

use super::codes::{Traits, UNEXPLAINED, example, meaning};
use super::headers::HEADERS;
use super::{parameter, schema};
use crate::http::fault::{ErrorCode, FaultBody};
use http::StatusCode;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, Components, Schema};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};

/// The headers of a 200 that its 304 has too ([RFC 9110 §15.4.5](https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5)).
const OF_A_304: [&str; 5] = [
    "cache-control",
    "cache-status",
    "etag",
    "vary",
    "x-cache-stale",
];

/// Completes every operation, and adds the components that they refer to.
pub(super) fn complete(document: &mut OpenApi) {
    let mut codes = BTreeSet::new();
    let mut bodies = BTreeSet::from(["NewPrice".to_owned()]);
    for path in document.paths.paths.values_mut() {
        for (operation, is_safe) in operations(path) {
            codes.extend(Traits::of(operation, is_safe).codes());
            bodies.extend(bodies_of(operation));
            complete_operation(operation, is_safe);
        }
    }
    let components = document.components.get_or_insert_default();
    add_components(components, codes);
    for name in bodies {
        read_strictly(components, &name);
    }
}

/// The operations of a path, and whether they are safe ([RFC 9110 §9.2.1](https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1)).
fn operations(path: &mut PathItem) -> impl Iterator<Item = (&mut Operation, bool)> {
    let unsafe_ones = [
        &mut path.put,
        &mut path.post,
        &mut path.delete,
        &mut path.patch,
    ];
    let all = unsafe_ones.map(|operation| (operation, false));
    all.into_iter()
        .chain([(&mut path.get, true)])
        .filter_map(|(operation, is_safe)| Some((operation.as_mut()?, is_safe)))
}

/// The names of the schemas of an operation's body, in each of its versions; not that of a JSON Patch.
fn bodies_of(operation: &Operation) -> Vec<String> {
    let Some(RefOr::T(body)) = &operation.request_body else {
        return Vec::new();
    };
    let name = |content: &RefOr<Content>| match content {
        RefOr::T(Content {
            schema: Some(RefOr::Ref(schema)),
            ..
        }) => schema.ref_location.rsplit('/').next().map(str::to_owned),
        _ => None,
    };
    let versions = body.content.iter();
    versions
        .filter(|(media, _)| media.split(';').next() == Some("application/json"))
        .filter_map(|(_, content)| name(content))
        .collect()
}

/// What is written is read strictly: a member that the schema does not have is refused.
fn read_strictly(components: &mut Components, name: &str) {
    if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(name) {
        object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    }
}

fn add_components(components: &mut Components, codes: BTreeSet<ErrorCode>) {
    for header in HEADERS {
        components
            .headers
            .insert(header.component.to_owned(), header.build().into());
    }
    let explained = codes.into_iter().map(Some);
    for code in explained.chain([None]) {
        let name = code.map_or(UNEXPLAINED, ErrorCode::as_str);
        let summary = code.map_or("Something failed here.", ErrorCode::description);
        let example = ExampleBuilder::new()
            .summary(summary)
            .value(Some(example(code)))
            .build();
        components.examples.insert(name.to_owned(), example.into());
    }
    for (component, parameter) in parameter::shared() {
        components
            .parameters
            .insert(component.to_owned(), parameter.into());
    }
}

fn complete_operation(operation: &mut Operation, is_safe: bool) {
    let traits = Traits::of(operation, is_safe);
    operation.security = Some(credentials(traits));
    let parameters = operation.parameters.get_or_insert_default();
    for parameter in parameters.iter_mut() {
        if let RefOr::T(parameter) = parameter {
            parameter::complete(parameter);
        }
    }
    let conditions = parameter::conditions(traits, is_safe);
    let conditions = conditions.filter(|(name, _)| !has(parameters, name));
    let conditions: Vec<_> = conditions.map(|(_, component)| component).collect();
    for component in conditions.into_iter().chain(parameter::OF_ALL) {
        let shared = Ref::new(format!("#/components/parameters/{component}"));
        parameters.push(RefOr::Ref(shared));
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            illustrate(content, StatusCode::OK);
        }
    }
    let responses = &mut operation.responses.responses;
    for status in statuses(traits) {
        responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| {
                let response = ResponseBuilder::new().description(meaning(status));
                response.build().into()
            });
    }
    copy_to_304(responses);
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            let status = StatusCode::from_bytes(status.as_bytes()).unwrap_or_default();
            complete_response(response, status, traits);
        }
    }
}

/// Whether a parameter of this name is among those of an operation's own.
fn has(parameters: &[RefOr<Parameter>], name: &str) -> bool {
    parameters
        .iter()
        .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == name))
}

/// What an operation asks its callers for: health and documents nothing, a read a credential or none
/// (as `READ_REQUIRES_AUTH` has it), a write one of either kind.
fn credentials(traits: Traits) -> Vec<SecurityRequirement> {
    let any = || ["apiKey", "bearer"].map(|scheme| SecurityRequirement::new(scheme, [""; 0]));
    match (traits.is_guarded, traits.is_write) {
        (false, _) => Vec::new(),
        (true, false) => [SecurityRequirement::default()]
            .into_iter()
            .chain(any())
            .collect(),
        (true, true) => any().into(),
    }
}

/// The error statuses of an operation, whether its annotation has them or not.
fn statuses(traits: Traits) -> impl Iterator<Item = StatusCode> {
    let unexplained = [
        Some(StatusCode::INTERNAL_SERVER_ERROR),
        Some(StatusCode::SERVICE_UNAVAILABLE),
        traits.is_write.then_some(StatusCode::GATEWAY_TIMEOUT),
    ];
    traits
        .codes()
        .map(ErrorCode::status)
        .chain(unexplained.into_iter().flatten())
}

/// What a 304 says about itself is what the 200 would have said.
fn copy_to_304(responses: &mut BTreeMap<String, RefOr<Response>>) {
    let Some(RefOr::T(full)) = responses.get("200") else {
        return;
    };
    let shared: Vec<_> = OF_A_304
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), full.headers.get(name)?.clone())))
        .collect();
    if let Some(RefOr::T(not_modified)) = responses.get_mut("304") {
        for (name, header) in shared {
            not_modified.headers.entry(name).or_insert(header);
        }
    }
}

fn complete_response(response: &mut Response, status: StatusCode, traits: Traits) {
    for content in response.content.values_mut() {
        illustrate(content, status);
    }
    for header in response.headers.values_mut() {
        if let RefOr::T(header) = header {
            header.schema.as_mut().map(parameter::without_null);
        }
    }
    if is_error(status) && response.content.is_empty() {
        response
            .content
            .insert("application/json".to_owned(), fault(status, traits).into());
    }
    // What of a written product is told by its tag is told by its date too.
    let is_written = traits.is_write && response.headers.contains_key("etag");
    for header in &HEADERS {
        let is_date = is_written && header.name == "last-modified";
        if is_date || (header.comes_with)(status, traits) {
            response
                .headers
                .entry(header.name.to_owned())
                .or_insert_with(|| RefOr::Ref(header.reference()));
        }
    }
}

/// A fault of this status, with an example for each code that the operation may answer with it.
fn fault(status: StatusCode, traits: Traits) -> Content {
    let codes = traits.codes().filter(|code| code.status() == status);
    let mut names: Vec<_> = codes.map(ErrorCode::as_str).collect();
    if status.is_server_error() {
        names.push(UNEXPLAINED);
    }
    let mut content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(FaultBody::name())))
        .build();
    content.examples = names
        .into_iter()
        .map(|name| {
            let shared = Ref::new(format!("#/components/examples/{name}"));
            (name.to_owned(), RefOr::Ref(shared))
        })
        .collect();
    content
}

/// Adds the example of the schema that content refers to, for an answer of `status`.
fn illustrate(content: &mut RefOr<Content>, status: StatusCode) {
    if let RefOr::T(content) = content
        && content.example.is_none()
        && content.examples.is_empty()
        && let Some(RefOr::Ref(schema)) = &content.schema
    {
        let name = schema.ref_location.rsplit('/').next().unwrap_or_default();
        content.example = example_of(name, status);
    }
}

fn example_of(name: &str, status: StatusCode) -> Option<Value> {
    match name {
        "Health" if status.is_success() => Some(schema::health("Healthy")),
        "Health" => Some(schema::health("Unhealthy")),
        "BatchAnswer" => Some(schema::batch(status)),
        _ => schema::example(name),
    }
}

pub(super) fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

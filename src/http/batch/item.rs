//! One item of a batch, read.

use super::envelope::Members;
use crate::catalog::{BatchWrite, Draft, Patch, Precondition, ProductId, Version};
use crate::http::conditional::Preconditions;
use crate::http::fault::{ErrorCode, Fault, Reason};
use http::header::IF_MATCH;
use http::{HeaderMap, HeaderValue};
use serde_json::value::RawValue;
use uuid::Uuid;

/// The members of a patch of a product, as they came.
#[derive(Default)]
struct PatchItem<'a> {
    id: Option<&'a RawValue>,
    patch: Option<&'a RawValue>,
    if_match: Option<&'a RawValue>,
}

/// A new product, in the version that the body is announced as.
pub(super) fn create(
    item: &RawValue,
    version: Version,
    key: Option<Uuid>,
) -> Result<BatchWrite, Fault> {
    let draft = Draft::parse_version(version, item.get().as_bytes(), None)
        .map_err(|problems| Fault::all(problems.into_iter().map(Reason::from).collect()))?;
    let draft = Box::new(draft);
    Ok(BatchWrite::Create { draft, key })
}

/// The id of a product to delete.
pub(super) fn delete(item: &RawValue) -> Result<BatchWrite, Fault> {
    id(item).map(BatchWrite::Delete)
}

/// A patch and the id of its product, with the tags it may have where that matters.
pub(super) fn patch(item: &RawValue) -> Result<BatchWrite, Fault> {
    let item = PatchItem::read(item)?;
    let required = |member, name| {
        let missing = Reason::new(ErrorCode::RequiredFieldMissing);
        let missing = missing.about(name).saying(format!("`{name}` is required"));
        Option::ok_or(member, Fault::all(vec![missing]))
    };
    let product = id(required(item.id, "id")?)?;
    let patch = required(item.patch, "patch")?;
    let patch = Patch::parse(patch.get().as_bytes())
        .map_err(|problems| Fault::all(problems.into_iter().map(Reason::from).collect()))?;
    Ok(BatchWrite::Patch {
        id: product,
        patch,
        precondition: item
            .if_match
            .map_or_else(|| Ok(Precondition::none()), precondition)?,
    })
}

// === impl PatchItem ===

impl<'a> PatchItem<'a> {
    fn read(item: &'a RawValue) -> Result<Self, Fault> {
        let refused = |code, rule: &'static str| Fault::all(vec![Reason::new(code).saying(rule)]);
        let Members(members) = serde_json::from_str(item.get())
            .map_err(|_| refused(ErrorCode::MalformedBody, "an item must be a JSON object"))?;
        let mut item = Self::default();
        for (name, value) in members {
            let member = match name.as_str() {
                "id" => &mut item.id,
                "patch" => &mut item.patch,
                "ifMatch" => &mut item.if_match,
                _ => {
                    let rule = "an item has a member other than `id`, `patch` and `ifMatch`";
                    return Err(refused(ErrorCode::UnknownField, rule));
                }
            };
            if member.replace(value).is_some() {
                let rule = "an item has the same member more than once";
                return Err(refused(ErrorCode::MalformedBody, rule));
            }
        }
        Ok(item)
    }
}

fn id(item: &RawValue) -> Result<ProductId, Fault> {
    let text: String = serde_json::from_str(item.get()).map_err(|_| {
        let reason = Reason::new(ErrorCode::InvalidField);
        Fault::all(vec![reason.saying("an id must be a string")])
    })?;
    ProductId::parse(&text).map_err(|_| Fault::new(ErrorCode::InvalidProductId))
}

/// What the header `If-Match` with this value would demand.
fn precondition(value: &RawValue) -> Result<Precondition, Fault> {
    let text: Option<String> = serde_json::from_str(value.get()).ok();
    let headers = text
        .and_then(|text| HeaderValue::try_from(text).ok())
        .map(|value| HeaderMap::from_iter([(IF_MATCH, value)]));
    headers
        .and_then(|headers| Preconditions::parse(&headers).ok())
        .map(Precondition::from)
        .ok_or_else(|| {
            let reason = Reason::new(ErrorCode::InvalidField).about("ifMatch");
            let rule = "`ifMatch` must be a list of entity tags, as in the header If-Match";
            Fault::all(vec![reason.saying(rule)])
        })
}

//! JSON Patch ([RFC 6902](https://www.rfc-editor.org/rfc/rfc6902)): what a client wants to change about a
//! product, and what the inventory has to be told so that exactly that changes.
//!
//! A patch addresses the version 2 document. The inventory's own document is not that one: it may have
//! members that are not published, members that are published under `attributes`, and values that we
//! read as absent. So a patch is applied here, to the document its author has seen, and what goes on to
//! the inventory is the difference, member by member ([`Amendment`]): what the patch does not change
//! stays as the inventory has it, also where nobody here knows of it.

mod operation;

use super::draft::{Draft, Problem, ProblemCode};
use super::{ProductId, Version, strict};
use json_patch::jsonptr::{Pointer, PointerBuf};
use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::{Map, Number, Value, json};

/// The most operations of a patch.
const MAX_OPERATIONS: usize = 1000;
/// What all `copy` operations of a patch may copy, in bytes of JSON; a node counts as 16 at least.
const MAX_COPIED_BYTES: usize = 1024 * 1024;
/// How deep what a patch makes may be nested: less than what JSON readers read (128).
const MAX_DEPTH: usize = 100;
/// How many places of arrays all operations of a patch may shift.
const MAX_SHIFTED: usize = 1_000_000;
/// A patch with more problems than this is answered with the first of them.
const MAX_PROBLEMS: usize = 100;
/// What a node counts as at least, in bytes.
const NODE_BYTES: usize = 16;

/// A well-formed JSON Patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch(Vec<PatchOperation>);

/// What a patch changes about a product, as a JSON Patch on the inventory's document.
#[derive(Clone, Debug, PartialEq)]
pub struct Amendment(Vec<Value>);

/// Why a well-formed patch can not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchProblem {
    /// Which rule.
    pub code: PatchProblemCode,
    /// The operation's member (`2.path`), or the product's where the result is the problem.
    pub field: String,
    /// A sentence for the caller; echoes no unvalidated input.
    pub description: String,
}

/// The rules that a well-formed patch can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchProblemCode {
    /// A `test` found another value.
    TestFailed,
    /// A path leads nowhere.
    PathMissing,
    /// What it makes is not a product, or another product.
    ResultInvalid,
    /// It copies, nests or shifts too much.
    TooCostly,
}

/// What the operations of one patch have cost so far.
#[derive(Default)]
struct Cost {
    copied: usize,
    shifted: usize,
}

// === impl Patch ===

impl Patch {
    /// Reads a patch: an array of at most 1000 operations. Members that an operation does not have are
    /// ignored, as RFC 6902 section 4 demands.
    ///
    /// # Errors
    /// All problems at once (the first hundred of them). None repeats a value of the body.
    pub fn parse(body: &[u8]) -> Result<Self, Vec<Problem>> {
        let items = strict::array(body)
            .map_err(|rule| vec![Problem::new(ProblemCode::MalformedBody, "", rule)])?;
        Self::from_items(items)
    }

    /// Reads the operations of a patch that is a part of a larger body.
    ///
    /// # Errors
    /// As [`Patch::parse`]; the fields begin with the number of the operation.
    pub fn from_items(items: Vec<Value>) -> Result<Self, Vec<Problem>> {
        if items.len() > MAX_OPERATIONS {
            let rule = format!("a patch must have at most {MAX_OPERATIONS} operations");
            return Err(vec![Problem::new(ProblemCode::InvalidField, "", rule)]);
        }
        let mut problems = Vec::new();
        let operations: Vec<_> = (0..)
            .zip(items)
            .filter_map(|(at, item)| operation::read(at, item, &mut problems))
            .collect();
        problems.truncate(MAX_PROBLEMS);
        match problems.is_empty() {
            true => Ok(Self(operations)),
            false => Err(problems),
        }
    }

    /// Applies the operations to any document, one after the other.
    ///
    /// # Errors
    /// The first operation that can not be applied; `document` is of no use then.
    pub fn apply(&self, document: &mut Value) -> Result<(), PatchProblem> {
        let mut cost = Cost::default();
        for (at, operation) in self.0.iter().enumerate() {
            cost.add(document, operation).map_err(|rule| {
                PatchProblem::new(PatchProblemCode::TooCostly, at.to_string(), rule)
            })?;
            step(document, operation).map_err(|kind| PatchProblem::of(at, &kind))?;
        }
        Ok(())
    }

    /// Applies the patch to `document`, the version 2 JSON of product `id`, and tells what it changes.
    ///
    /// Only what it changes has to follow the rules of products: what the inventory has had all along
    /// is not the author's fault.
    ///
    /// # Errors
    /// Why it can not be applied, or everything that is wrong with the result.
    pub fn amend(&self, document: &[u8], id: &ProductId) -> Result<Amendment, Vec<PatchProblem>> {
        let invalid = |rule: &str| PatchProblem::new(PatchProblemCode::ResultInvalid, "", rule);
        let before: Map<String, Value> = serde_json::from_slice(document)
            .map_err(|_| vec![invalid("this product is nested too deep to be patched")])?;
        let mut after = Value::Object(before.clone());
        self.apply(&mut after).map_err(|problem| vec![problem])?;
        let Value::Object(after) = after else {
            return Err(vec![invalid("the result must be an object")]);
        };
        let product = valid(&before, &after, id).map_err(|problems| {
            problems
                .into_iter()
                .map(PatchProblem::from)
                .collect::<Vec<_>>()
        })?;
        Ok(Amendment::between(&before, &after, &product))
    }
}

/// The changed members of `after`, as the model has them, between unchanged ones that stand in for what
/// a product must have.
fn valid(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    id: &ProductId,
) -> Result<Map<String, Value>, Vec<Problem>> {
    let is_changed = |name: &str| before.get(name) != after.get(name);
    let mut subject: Map<_, _> = after
        .iter()
        .filter(|(name, _)| is_changed(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in [
        ("name", json!("unchanged")),
        ("price", json!({"amount": 0, "currency": "XXX"})),
    ] {
        if !is_changed(name) {
            subject.insert(name.to_owned(), value);
        }
    }
    let missing = (!after.contains_key("id"))
        .then(|| Problem::new(ProblemCode::RequiredFieldMissing, "id", "`id` is required"));
    let draft = Draft::from_members(Version::V2, subject, Some(id));
    let product = draft.map(|draft| serde_json::to_value(&draft.product));
    match (product, missing) {
        (Ok(Ok(Value::Object(members))), None) => Ok(members),
        (Err(mut problems), missing) => {
            problems.extend(missing);
            Err(problems)
        }
        // A product is always a JSON object.
        (Ok(_), missing) => Err(missing.into_iter().collect()),
    }
}

/// Applies one operation.
fn step(document: &mut Value, operation: &PatchOperation) -> Result<(), PatchErrorKind> {
    match operation {
        PatchOperation::Test(test) => match document.pointer(test.path.as_str()) {
            None => Err(PatchErrorKind::InvalidPointer),
            Some(found) if is_equal(found, &test.value) => Ok(()),
            Some(_) => Err(PatchErrorKind::TestFailed),
        },
        // The whole document is there to be removed. What is left is none, until something is added.
        PatchOperation::Remove(remove) if remove.path.is_root() => {
            *document = Value::Null;
            Ok(())
        }
        other => json_patch::patch_unsafe(document, std::slice::from_ref(other))
            .map_err(|error| error.kind),
    }
}

/// Whether two values are the same as RFC 6902 section 4.6 has it: numbers by value, so that 1 is 1.0.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (is_inexact(one) || is_inexact(other)) && one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, one)| other.get(name).is_some_and(|other| is_equal(one, other)))
        }
        _ => one == other,
    }
}

/// Whether a number is not an integer of 64 bits.
fn is_inexact(number: &Number) -> bool {
    number.is_f64()
}

// === impl Amendment ===

impl Amendment {
    /// The steps from `before` to `after`, with the changed values as `product` has them.
    ///
    /// The members of `price` and `attributes` are told one by one: the inventory's may have further
    /// ones.
    fn between(
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        product: &Map<String, Value>,
    ) -> Self {
        let mut steps = Vec::new();
        let names = before
            .keys()
            .chain(after.keys().filter(|name| !before.contains_key(*name)));
        for name in names.filter(|name| *name != "id" && before.get(*name) != after.get(*name)) {
            match (before.get(name), product.get(name)) {
                (Some(Value::Object(old)), Some(Value::Object(new))) if !old.is_empty() => {
                    difference(name, old, new, &mut steps);
                }
                (_, Some(new)) => steps.push(set(&[name], new)),
                (_, None) => steps.push(json!({"op": "remove", "path": path(&[name])})),
            }
        }
        Self(steps)
    }

    /// The JSON Patch.
    pub fn to_json(&self) -> Vec<u8> {
        // Values only: nothing in it can fail to serialise.
        serde_json::to_vec(&self.0).unwrap_or_default()
    }
}

/// The steps from one object under `parent` to another.
fn difference(
    parent: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    steps: &mut Vec<Value>,
) {
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    steps.extend(gone.map(|name| json!({"op": "remove", "path": path(&[parent, name])})));
    let changed = new
        .iter()
        .filter(|(name, value)| old.get(*name) != Some(value));
    steps.extend(changed.map(|(name, value)| set(&[parent, name], value)));
}

/// `add` replaces what is there (RFC 6902 section 4.1), and does not mind where nothing is.
fn set(names: &[&str], value: &Value) -> Value {
    json!({"op": "add", "path": path(names), "value": value})
}

fn path(names: &[&str]) -> String {
    PointerBuf::from_tokens(names.iter().copied()).to_string()
}

// === impl PatchProblem ===

impl PatchProblem {
    fn new(
        code: PatchProblemCode,
        field: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Self {
            code,
            field: field.into(),
            description: description.into(),
        }
    }

    /// What it means that operation `at` could not be applied.
    fn of(at: usize, kind: &PatchErrorKind) -> Self {
        let (code, member, rule) = match kind {
            PatchErrorKind::TestFailed => (
                PatchProblemCode::TestFailed,
                "value",
                "is not what the product has at `path`",
            ),
            PatchErrorKind::InvalidFromPointer => (
                PatchProblemCode::PathMissing,
                "from",
                "leads nowhere in the product",
            ),
            _ => (
                PatchProblemCode::PathMissing,
                "path",
                "leads nowhere in the product",
            ),
        };
        let field = format!("{at}.{member}");
        let description = format!("`{field}` {rule}");
        Self::new(code, field, description)
    }
}

impl From<Problem> for PatchProblem {
    fn from(problem: Problem) -> Self {
        Self::new(
            PatchProblemCode::ResultInvalid,
            problem.field,
            problem.description,
        )
    }
}

// === impl Cost ===

impl Cost {
    /// Adds what an operation is about to cost.
    ///
    /// # Errors
    /// The bound it would pass.
    fn add(&mut self, document: &Value, operation: &PatchOperation) -> Result<(), &'static str> {
        let (shifting, placed) = match operation {
            PatchOperation::Add(add) => ([Some(&add.path), None], Some((&add.path, &add.value))),
            PatchOperation::Replace(it) => ([None, None], Some((&it.path, &it.value))),
            PatchOperation::Remove(remove) => ([Some(&remove.path), None], None),
            PatchOperation::Move(it) => {
                let value = document.pointer(it.from.as_str());
                (
                    [Some(&it.from), Some(&it.path)],
                    value.map(|value| (&it.path, value)),
                )
            }
            PatchOperation::Copy(it) => {
                let value = document.pointer(it.from.as_str());
                self.copied += value.map_or(0, |value| weigh(value).0);
                ([Some(&it.path), None], value.map(|value| (&it.path, value)))
            }
            PatchOperation::Test(_) => ([None, None], None),
        };
        let shifted = |path: &PointerBuf| places(document, path);
        self.shifted += shifting.into_iter().flatten().map(shifted).sum::<usize>();
        let depth = placed.map_or(0, |(path, value)| path.count() + weigh(value).1);
        match () {
            () if self.copied > MAX_COPIED_BYTES => Err("the patch copies more than 1 MiB"),
            () if self.shifted > MAX_SHIFTED => Err("the patch shifts too many items of arrays"),
            () if depth > MAX_DEPTH => Err("the patch nests values more than 100 deep"),
            () => Ok(()),
        }
    }
}

/// How many items the array has that an insertion or removal at `path` shifts.
fn places(document: &Value, path: &Pointer) -> usize {
    let parent = path
        .parent()
        .and_then(|parent| document.pointer(parent.as_str()));
    parent.and_then(Value::as_array).map_or(0, Vec::len)
}

/// A value's size in bytes of JSON, roughly, and how deep it is nested.
fn weigh(value: &Value) -> (usize, usize) {
    let sum = |(bytes, depth): (usize, usize), inner: &Value| {
        let (more, deeper) = weigh(inner);
        (bytes + more, depth.max(deeper))
    };
    let (bytes, depth) = match value {
        Value::String(text) => (text.len(), 0),
        Value::Array(items) => items.iter().fold((0, 0), sum),
        Value::Object(members) => members
            .iter()
            .fold((0, 0), |(bytes, depth), (name, inner)| {
                sum((bytes + name.len(), depth), inner)
            }),
        _ => (0, 0),
    };
    (bytes + NODE_BYTES, depth + 1)
}

#[cfg(test)]
mod tests;

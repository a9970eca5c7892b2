//! One operation of a patch, as a client writes it.

use crate::product::draft::{Problem, ProblemCode};
use json_patch::jsonptr::PointerBuf;
use json_patch::{
    AddOperation, CopyOperation, MoveOperation, PatchOperation, RemoveOperation, ReplaceOperation,
    TestOperation,
};
use serde_json::{Map, Value};

/// Reads the members of one operation, and notes what is wrong with them.
struct Reader<'a> {
    at: usize,
    members: Map<String, Value>,
    problems: &'a mut Vec<Problem>,
}

/// Reads operation `at` of a patch; notes everything that is wrong with it.
pub(super) fn read(at: usize, item: Value, problems: &mut Vec<Problem>) -> Option<PatchOperation> {
    let Value::Object(members) = item else {
        let (field, rule) = (at.to_string(), format!("`{at}` must be an object"));
        problems.push(Problem::new(ProblemCode::InvalidField, field, rule));
        return None;
    };
    let mut reader = Reader {
        at,
        members,
        problems,
    };
    let op = reader.text("op");
    let path = reader.pointer("path");
    match op?.as_str() {
        "add" => reader
            .value()
            .zip(path)
            .map(|(value, path)| PatchOperation::Add(AddOperation { path, value })),
        "replace" => reader
            .value()
            .zip(path)
            .map(|(value, path)| PatchOperation::Replace(ReplaceOperation { path, value })),
        "test" => reader
            .value()
            .zip(path)
            .map(|(value, path)| PatchOperation::Test(TestOperation { path, value })),
        "remove" => path.map(|path| PatchOperation::Remove(RemoveOperation { path })),
        "copy" => reader
            .pointer("from")
            .zip(path)
            .map(|(from, path)| PatchOperation::Copy(CopyOperation { from, path })),
        "move" => reader.moving(path),
        _ => {
            reader.note("op", "must be add, remove, replace, move, copy or test");
            None
        }
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// A `move`, whose `from` must not be a proper prefix of its `path` (RFC 6902 section 4.4).
    fn moving(&mut self, path: Option<PointerBuf>) -> Option<PatchOperation> {
        let (from, path) = self.pointer("from").zip(path)?;
        if path != from && path.starts_with(&from) {
            self.note("path", "must not lie inside of `from`");
            return None;
        }
        Some(PatchOperation::Move(MoveOperation { from, path }))
    }

    fn value(&mut self) -> Option<Value> {
        let value = self.members.remove("value");
        if value.is_none() {
            self.missing("value");
        }
        value
    }

    fn pointer(&mut self, name: &str) -> Option<PointerBuf> {
        let text = self.text(name)?;
        let pointer = PointerBuf::parse(text).ok();
        if pointer.is_none() {
            self.note(
                name,
                "must be a JSON Pointer (RFC 6901), such as /price/amount",
            );
        }
        pointer
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name) {
            Some(Value::String(text)) => return Some(text),
            Some(_) => self.note(name, "must be a string"),
            None => self.missing(name),
        }
        None
    }

    fn missing(&mut self, name: &str) {
        self.problem(ProblemCode::RequiredFieldMissing, name, "is required");
    }

    fn note(&mut self, name: &str, rule: &str) {
        self.problem(ProblemCode::InvalidField, name, rule);
    }

    fn problem(&mut self, code: ProblemCode, name: &str, rule: &str) {
        let field = format!("{}.{name}", self.at);
        let description = format!("`{field}` {rule}");
        self.problems.push(Problem::new(code, field, description));
    }
}

//! What is around the items of a batch: an object with one list.

use crate::http::fault::{ErrorCode, Fault, Reason};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The list of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    /// The name of the one member.
    pub member: &'static str,
    /// The most items it may have.
    pub most: usize,
}

/// The members of an object, unread, in their order.
pub(super) struct Members<'a>(pub Vec<(String, &'a RawValue)>);

struct MembersVisitor;

// === impl Envelope ===

impl Envelope {
    /// The items of a body, unread: one at least.
    ///
    /// # Errors
    /// A 400 that says what is wrong with what is around them.
    pub(super) fn read(self, body: &[u8]) -> Result<Vec<&RawValue>, Fault> {
        let member = self.member;
        let Members(members) = serde_json::from_slice(body).map_err(|_| {
            self.refused(ErrorCode::MalformedBody, "the body must be a JSON object")
        })?;
        if members.iter().any(|(name, _)| name != member) {
            let rule = format!("the body has a member other than `{member}`");
            return Err(self.refused(ErrorCode::UnknownField, rule));
        }
        let list = match members.as_slice() {
            [] => {
                let rule = format!("`{member}` is required");
                return Err(self.refused(ErrorCode::RequiredFieldMissing, rule));
            }
            [(_, list)] => list,
            _ => {
                let rule = format!("the body has `{member}` more than once");
                return Err(self.refused(ErrorCode::MalformedBody, rule));
            }
        };
        let items: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|_| {
            let rule = format!("`{member}` must be an array");
            self.refused(ErrorCode::InvalidField, rule)
        })?;
        match items.len() {
            0 => {
                let rule = format!("`{member}` must have 1 to {} items", self.most);
                Err(self.refused(ErrorCode::InvalidField, rule))
            }
            count if count > self.most => {
                let reason = Reason::too_many(member, count, self.most);
                Err(Fault::all(vec![reason]))
            }
            _ => Ok(items),
        }
    }

    fn refused(self, code: ErrorCode, rule: impl Into<String>) -> Fault {
        let reason = Reason::new(code).saying(rule.into());
        Fault::all(vec![match code {
            ErrorCode::MalformedBody | ErrorCode::UnknownField => reason,
            _ => reason.about(self.member),
        }])
    }
}

// === impl Members ===

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ITEMS: Envelope = Envelope {
        member: "items",
        most: 3,
    };

    #[test]
    fn a_batch_is_an_object_with_one_list_of_a_bounded_length() {
        for (body, expected) in [
            (r#"{"items":[1]}"#, Ok(1)),
            (r#" {"items" : [1,{"a":[2]}, null ] } "#, Ok(3)),
            (r#"{"\u0069tems":[1]}"#, Ok(1)),
            (r#"{"items":[1,2,3,4]}"#, Err("BATCH_SIZE_EXCEEDED")),
            (r#"{"items":[]}"#, Err("INVALID_FIELD")),
            (r#"{"items":{}}"#, Err("INVALID_FIELD")),
            (r#"{"items":null}"#, Err("INVALID_FIELD")),
            ("{}", Err("REQUIRED_FIELD_MISSING")),
            (r#"{"ids":[1]}"#, Err("UNKNOWN_FIELD")),
            (r#"{"items":[1],"more":1}"#, Err("UNKNOWN_FIELD")),
            (r#"{"items":[1],"items":[2]}"#, Err("MALFORMED_BODY")),
            (r#"{"items":[1]"#, Err("MALFORMED_BODY")),
            (r#"{"items":[1]}x"#, Err("MALFORMED_BODY")),
            (r#"{"items":[1,]}"#, Err("MALFORMED_BODY")),
            ("[1]", Err("MALFORMED_BODY")),
            ("", Err("MALFORMED_BODY")),
        ] {
            let read = ITEMS.read(body.as_bytes());
            let read = read.map(|items| items.len()).map_err(|fault| {
                assert_eq!(fault.status(), 400);
                fault.code().unwrap().as_str()
            });
            assert_eq!(read, expected, "{body}");
        }
        assert!(ITEMS.read(b"{\"items\":[\"\xff\"]}").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = ITEMS.read(&body);
        }
    }
}

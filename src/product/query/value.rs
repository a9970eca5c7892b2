//! The values of a query: operands, orders, choices, limits. The same for queries in URLs and in bodies.

use crate::product::{
    Comparison, Field, InvalidId, Operand, ProductId, Select, SortKey, Status, parse_timestamp,
};
use crate::product::{Criteria, PageQuery, draft::is_plain_name};
use std::borrow::Cow;

/// What a value must be, in words that follow its name.
pub(super) type Rule = Cow<'static, str>;

/// The most characters of a text that is compared with.
const MAX_OPERAND_CHARS: usize = 2000;

/// Reads what a field is compared with.
pub(super) fn operand(field: &Field, text: &str) -> Result<Operand, Rule> {
    match field {
        Field::Price => integer(text).map(Operand::Amount).ok_or(Cow::Borrowed(
            "must be compared with an integer, the amount in minor units",
        )),
        Field::CreatedAt | Field::UpdatedAt => {
            parse_timestamp(text)
                .map(Operand::Time)
                .ok_or(Cow::Borrowed(
                    "must be compared with an RFC 3339 time, such as 2026-01-31T12:00:00Z",
                ))
        }
        Field::Status if Status::parse(text).is_none() => Err(Cow::Borrowed(
            "must be compared with active, discontinued or draft",
        )),
        _ if text.chars().nth(MAX_OPERAND_CHARS).is_some() => Err(Cow::Owned(format!(
            "must be compared with at most {MAX_OPERAND_CHARS} characters"
        ))),
        _ => Ok(Operand::Text(text.into())),
    }
}

/// Whether a field can be compared so.
pub(super) fn comparable(field: &Field, comparison: Comparison) -> Result<(), Rule> {
    let membership = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    if *field == Field::Tags && !membership {
        return Err(Cow::Borrowed("can be compared with `=` and `<>` only"));
    }
    Ok(())
}

/// Whether a field may be compared so more than once: all of a product's tags can not be equal to two
/// texts, but two of them can, and anything can differ from two.
pub(super) fn may_repeat(field: &Field, comparison: Comparison) -> bool {
    *field == Field::Tags || comparison == Comparison::NotEqual
}

/// Takes the quotes off a value, where it has any.
pub(super) fn unquoted(value: &str) -> Result<Cow<'_, str>, Rule> {
    let Some(rest) = value.strip_prefix('\'') else {
        return match value {
            "" => Err(Cow::Borrowed(
                "has no value to be compared with; the empty text is written ''",
            )),
            _ => Ok(Cow::Borrowed(value)),
        };
    };
    let inner = rest.strip_suffix('\'').unwrap_or("'");
    // What is left over once every pair is gone stands alone.
    if inner.replace("''", "").contains('\'') {
        return Err(Cow::Borrowed(
            "has a quoted value that does not end where its quotes do; a quote inside is doubled",
        ));
    }
    Ok(Cow::Owned(inner.replace("''", "'")))
}

/// Reads an order: fields, each behind `+` (ascending; a space stands for it, as which it arrives
/// where it was not encoded), `-` or nothing (descending).
pub(super) fn order<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Vec<SortKey>, Rule> {
    let mut keys: Vec<SortKey> = Vec::new();
    for item in items {
        let (descending, name) = match item.as_bytes().first() {
            Some(b'+' | b' ') => (false, item.get(1..)),
            Some(b'-') => (true, item.get(1..)),
            _ => (true, Some(item)),
        };
        let name = name.unwrap_or_default();
        let field = Field::parse(name).filter(Field::is_sortable);
        let field = field.ok_or_else(|| match is_plain_name(name) {
            true => Cow::Owned(format!("can not be in the order of `{name}`")),
            false => Cow::Borrowed(
                "must be fields that products can be sorted by, separated by commas, each behind + or -",
            ),
        })?;
        if keys.iter().any(|key| key.field == field) {
            return Err(Cow::Owned(format!("names `{field}` more than once")));
        }
        keys.push(SortKey { field, descending });
    }
    match keys.len() {
        0 => Err(Cow::Borrowed("must name a field at least")),
        count if count > Criteria::MAX_SORT_KEYS => Err(Cow::Owned(format!(
            "must name at most {} fields",
            Criteria::MAX_SORT_KEYS
        ))),
        _ => Ok(keys),
    }
}

/// Reads a choice of members.
pub(super) fn select<'a>(names: impl IntoIterator<Item = &'a str> + Clone) -> Result<Select, Rule> {
    Select::of(names.clone()).ok_or_else(|| {
        let unknown = names
            .into_iter()
            .find(|name| !Select::MEMBERS.contains(name));
        match unknown.filter(|name| is_plain_name(name)) {
            Some(name) => Cow::Owned(format!("names `{name}`, which no product has")),
            None => Cow::Borrowed("must be members of products, separated by commas"),
        }
    })
}

/// Reads an id, in which a plus may have become the space it decodes to.
pub(super) fn id(text: &str) -> Result<ProductId, InvalidId> {
    ProductId::parse(&text.replace(' ', "+"))
}

/// What `limit` must be.
pub(super) const LIMIT_RULE: &str = "must be an integer from 1 to 100";

/// Reads how many products a page has at most.
pub(super) fn limit(number: i64) -> Option<usize> {
    let limit = usize::try_from(number).ok()?;
    (1..=PageQuery::MAX_LIMIT).contains(&limit).then_some(limit)
}

/// Reads an integer: digits, and a minus before them. (`FromStr` takes a plus too.)
pub(super) fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// How a field is named to the caller: an attribute only where its name is fit to be repeated.
pub(super) fn shown(field: &Field) -> String {
    match field {
        Field::Attribute(name) if !is_plain_name(name) => "attributes".to_owned(),
        field => field.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_taken_off_in_pairs() {
        for (value, expected) in [
            ("tea", Some("tea")),
            ("o'neil", Some("o'neil")),
            ("jane jones", Some("jane jones")),
            ("'jane jones'", Some("jane jones")),
            ("''", Some("")),
            ("''''", Some("'")),
            ("'o''neil'", Some("o'neil")),
            ("", None),
            ("'", None),
            ("'tea", None),
            ("'''", None),
            ("'o'neil'", None),
            ("'tea' ", None),
        ] {
            let taken = unquoted(value).ok();
            assert_eq!(taken.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn operands_have_the_type_of_their_field() {
        let read = |field, text: &str| operand(&field, text).ok();
        assert_eq!(read(Field::Price, "1000"), Some(Operand::Amount(1000)));
        assert_eq!(read(Field::Price, "-1"), Some(Operand::Amount(-1)));
        for text in ["", "-", "+1", "1.0", "1e3", "ten", "9223372036854775808"] {
            assert_eq!(read(Field::Price, text), None, "{text}");
        }
        let noon = Operand::Time("2026-01-31T12:00:00Z".parse().unwrap());
        for text in ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00"] {
            assert_eq!(read(Field::UpdatedAt, text), Some(noon.clone()), "{text}");
        }
        for text in ["2026-01-31", "2026-01-31T12:00:00", "yesterday"] {
            assert_eq!(read(Field::CreatedAt, text), None, "{text}");
        }
        assert!(read(Field::Status, "draft").is_some());
        assert_eq!(read(Field::Status, "Draft"), None);
        assert!(read(Field::Name, &"ä".repeat(2000)).is_some());
        assert_eq!(read(Field::Name, &"ä".repeat(2001)), None);
    }

    #[test]
    fn an_order_is_up_to_five_fields_with_their_directions() {
        let keys = order(["-price", "+name", " id", "brand"]).unwrap();
        let shown: Vec<_> = keys
            .iter()
            .map(|key| (key.field.to_string(), key.descending))
            .collect();
        let expected = [
            ("price", true),
            ("name", false),
            ("id", false),
            ("brand", true),
        ];
        assert_eq!(
            shown,
            expected.map(|(field, down)| (field.to_owned(), down))
        );
        for items in [
            "",
            "+",
            "colour",
            "tags",
            "attributes.size",
            "--price",
            "+ name",
            "price,-price",
            "id,sku,name,category,brand,price",
        ] {
            assert!(order(items.split(',')).is_err(), "{items}");
        }
    }
}

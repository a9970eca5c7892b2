//! Criteria as a query: the one way to write them of the many that mean the same.

use crate::product::{Comparison, Criteria, Operand, SortKey, Term};
use form_urlencoded::byte_serialize;
use std::fmt::{self, Write};

impl Criteria {
    /// These criteria as they stand in a query, ready for a URI: the order first, then the conditions, sorted,
    /// each of them once. Empty where there is nothing to say.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        if let Some(text) = &self.text {
            write!(out, "q={}", encoded(text))?;
        }
        for (at, SortKey { field, descending }) in self.sort.iter().enumerate() {
            let before = match (at, out.is_empty()) {
                (0, true) => "sortby=",
                (0, false) => "&sortby=",
                _ => ",",
            };
            let direction = if *descending { "-" } else { "%2B" };
            write!(out, "{before}{direction}{field}")?;
        }
        let mut terms: Vec<_> = self.filter.iter().collect();
        terms.sort_unstable();
        terms.dedup();
        for Term {
            field,
            comparison,
            operand,
        } in terms
        {
            let before = if out.is_empty() { "" } else { "&" };
            let name = field.to_string();
            write!(
                out,
                "{before}{}{}",
                encoded(&name),
                on_the_wire(*comparison)
            )?;
            match operand {
                Operand::Text(text) => out.push_str(&encoded(&quoted(text))),
                Operand::Amount(amount) => write!(out, "{amount}")?,
                Operand::Time(time) => out.push_str(&encoded(&time.to_string())),
            }
        }
        Ok(())
    }
}

/// An operator with its angle brackets encoded: they may not stand in a URI.
const fn on_the_wire(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::NotEqual => "%3C%3E",
        Comparison::Greater => "%3E",
        Comparison::GreaterOrEqual => "%3E=",
        Comparison::Less => "%3C",
        Comparison::LessOrEqual => "%3C=",
    }
}

/// A text in quotes where it would be misread without them.
fn quoted(text: &str) -> String {
    if text.is_empty() || text.starts_with(['\'', '=', '<', '>']) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    text.to_owned()
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::Field;

    fn text(field: Field, comparison: Comparison, text: &str) -> Term {
        Term {
            field,
            comparison,
            operand: Operand::Text(text.into()),
        }
    }

    #[test]
    fn the_order_comes_first_and_the_conditions_last_and_sorted() {
        let price = |comparison, amount| Term {
            field: Field::Price,
            comparison,
            operand: Operand::Amount(amount),
        };
        let criteria = Criteria {
            text: None,
            sort: [(Field::Price, true), (Field::Name, false)]
                .map(|(field, descending)| SortKey { field, descending })
                .to_vec(),
            filter: vec![
                text(
                    Field::Attribute("colour, main".into()),
                    Comparison::NotEqual,
                    "",
                ),
                price(Comparison::Less, -5),
                text(Field::Category, Comparison::Equal, "toys & games"),
                text(Field::Category, Comparison::Greater, "=x"),
                text(Field::Brand, Comparison::Equal, "'quoted'"),
                text(Field::Brand, Comparison::Equal, "'quoted'"),
                Term {
                    field: Field::UpdatedAt,
                    comparison: Comparison::LessOrEqual,
                    operand: Operand::Time("2026-01-31T12:00:00Z".parse().unwrap()),
                },
                price(Comparison::GreaterOrEqual, 1000),
            ],
        };
        let (mut other, expected) = (
            criteria.clone(),
            concat!(
                "sortby=-price,%2Bname&category=toys+%26+games&category%3E%27%3Dx%27&brand=%27%27%27quoted%27%27%27",
                "&price%3E=1000&price%3C-5&updatedAt%3C=2026-01-31T12%3A00%3A00Z&attributes.colour%2C+main%3C%3E%27%27",
            ),
        );
        assert_eq!(criteria.canonical(), expected);
        other.filter.reverse();
        other.filter.dedup();
        assert_eq!(other.fingerprint(), criteria.fingerprint());
        other.sort.reverse();
        assert_ne!(other.fingerprint(), criteria.fingerprint());
        assert_eq!(Criteria::default().canonical(), "");
    }

    #[test]
    fn the_fingerprint_is_stable_over_releases() {
        let bytes = Criteria::default().fingerprint();
        // The beginning of the SHA-256 digest of nothing.
        assert_eq!(bytes.as_bytes(), b"\xe3\xb0\xc4\x42\x98\xfc\x1c\x14");
    }
}

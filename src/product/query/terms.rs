//! The conditions of a query, as they are gathered.

use super::value::{Rule, comparable, may_repeat, operand, shown};
use super::{QueryProblem, QueryProblemCode, note};
use crate::product::{Comparison, Criteria, Field, Term};

/// Conditions, and what is wrong with them.
#[derive(Default)]
pub(super) struct Terms {
    terms: Vec<Term>,
    /// Comparisons that were tried, valid or not.
    seen: Vec<(Field, Comparison)>,
    problems: Vec<QueryProblem>,
}

// === impl Terms ===

impl Terms {
    /// Adds the condition that `field` compares so with `value`. `prefix` goes before the field's name
    /// where it is named to the caller.
    pub fn add(
        &mut self,
        prefix: &str,
        field: Field,
        comparison: Comparison,
        value: Result<&str, Rule>,
    ) {
        let name = format!("{prefix}{}", shown(&field));
        let pair = (field.clone(), comparison);
        if self.seen.contains(&pair) && !may_repeat(&field, comparison) {
            let description = format!("`{name}` is compared in the same way more than once");
            let code = QueryProblemCode::RepeatedParameter;
            self.note(QueryProblem::new(&name, code, description));
            return;
        }
        self.seen.push(pair);
        if self.seen.len() > Criteria::MAX_TERMS {
            let most = Criteria::MAX_TERMS;
            let rule = format!("is one condition too many: there can be {most}");
            self.note(QueryProblem::invalid(&name, rule));
            return;
        }
        let operand = value.and_then(|value| operand(&field, value));
        match comparable(&field, comparison).and(operand) {
            Ok(operand) => self.terms.push(Term {
                field,
                comparison,
                operand,
            }),
            Err(rule) => self.note(QueryProblem::invalid(&name, rule)),
        }
    }

    pub fn note(&mut self, problem: QueryProblem) {
        note(&mut self.problems, problem);
    }

    /// The conditions, sorted and each of them once; the problems go to `problems`.
    pub fn finish(mut self, problems: &mut Vec<QueryProblem>) -> Vec<Term> {
        problems.append(&mut self.problems);
        self.terms.sort_unstable();
        self.terms.dedup();
        self.terms
    }
}

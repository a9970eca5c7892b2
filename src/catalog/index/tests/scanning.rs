//! What is met by whoever looks at many products while others change them.

use super::super::scan::STEP;
use super::*;
use std::cell::RefCell;

type Interruption = Box<dyn FnMut()>;

thread_local! {
    static INTERRUPTION: RefCell<Option<Interruption>> = const { RefCell::new(None) };
}

/// Does what the test has set down for the time when nobody holds the lock.
pub fn between_steps() {
    let interruption = INTERRUPTION.take();
    if let Some(mut change) = interruption {
        change();
        INTERRUPTION.set(Some(change));
    }
}

const MANY: u16 = 3 * STEP as u16 + 500;

fn product(number: u16, round: usize) -> Value {
    json!({
        "name": format!("tea {round}"), "tags": [format!("t{}", number % 7)], "attributes": {"number": number},
        "price": {"amount": (usize::from(number) * 31 + round * 977) % 5_000, "currency": "EUR"},
    })
}

/// Answers while between any two steps each third product gets another name and price, and products that
/// were never there come and go.
fn while_products_change<T>(index: &std::sync::Arc<Index>, ask: impl FnOnce(&Index) -> T) -> T {
    let (changed, mut round) = (std::sync::Arc::clone(index), 0);
    INTERRUPTION.set(Some(Box::new(move || {
        round += 1;
        for number in (0..MANY).step_by(3) {
            put(&changed, &id(number), &product(number, round));
        }
        for number in MANY..MANY + 100 {
            if round % 2 == 0 {
                changed.remove(&id(number));
            } else {
                put(
                    &changed,
                    &id(number),
                    &json!({"name": "other", "price": {"amount": 1, "currency": "EUR"}}),
                );
            }
        }
    })));
    let answer = ask(index);
    INTERRUPTION.set(None);
    answer
}

fn filled() -> std::sync::Arc<Index> {
    let index = Index::new(1 << 26, 0);
    for number in 0..MANY {
        put(&index, &id(number), &product(number, 0));
    }
    index.into()
}

fn term(field: Field, comparison: Comparison, operand: Operand) -> Term {
    Term {
        field,
        comparison,
        operand,
    }
}

/// Queries that have to look at all products, or at all in a range; each meets every product, or every
/// seventh with a tag.
fn queries() -> Vec<(Criteria, u64)> {
    let tagged = || term(Field::Tags, Comparison::Equal, Operand::Text("t5".into()));
    let numbered = || {
        let number = Field::Attribute("number".into());
        term(
            number,
            Comparison::GreaterOrEqual,
            Operand::Text("0".into()),
        )
    };
    let priced = || term(Field::Price, Comparison::GreaterOrEqual, Operand::Amount(0));
    let (all, seventh) = (
        u64::from(MANY),
        (0..MANY).filter(|number| number % 7 == 5).count() as u64,
    );
    let criteria = |text: Option<&str>, filter: Vec<Term>| Criteria {
        text: text.map(Into::into),
        filter,
        sort: Vec::new(),
    };
    vec![
        (criteria(None, vec![tagged()]), seventh),
        (criteria(None, vec![numbered()]), all),
        (criteria(None, vec![priced(), tagged()]), seventh),
        (criteria(None, vec![priced(), numbered()]), all),
        (criteria(Some("tea"), vec![tagged()]), seventh),
        (criteria(Some("tea"), vec![priced(), numbered()]), all),
    ]
}

#[test]
fn what_stays_is_counted_once_whatever_changes_about_it() {
    for (criteria, expected) in queries() {
        let index = filled();
        let count = while_products_change(&index, |index| index.count(&criteria, Patience::Long));
        assert_eq!(count, Ok(expected), "{criteria:?}");
    }
}

#[test]
fn what_stays_is_on_one_page_whatever_changes_about_it() {
    let sorts = [Field::Id, Field::Status];
    for (mut criteria, expected) in queries() {
        for sort in &sorts {
            criteria.sort = vec![SortKey {
                field: sort.clone(),
                descending: true,
            }];
            let index = filled();
            let limit = expected as usize - 1;
            let page = |index: &Index, edge: Edge<'_>| {
                if criteria.text.is_some() {
                    index.page(&criteria, edge, limit, Patience::Long).unwrap()
                } else {
                    index.page_by_scan(&criteria, edge, limit)
                }
            };
            let first = while_products_change(&index, |index| page(index, Edge::Start));
            assert!(first.has_after && !first.has_before, "{criteria:?}");
            let first = places(first);
            assert_eq!(first.len(), limit, "{criteria:?}");
            let at = first.last().unwrap();
            let rest = while_products_change(&index, |index| page(index, Edge::After(at)));
            assert!(rest.has_before && !rest.has_after, "{criteria:?}");
            let mut met: Vec<_> = first
                .iter()
                .cloned()
                .chain(places(rest))
                .map(|place| place.id)
                .collect();
            met.sort();
            met.dedup();
            assert_eq!(met.len() as u64, expected, "{criteria:?}");
        }
    }
}

#[test]
fn a_hit_whose_text_changes_meanwhile_is_met_as_what_it_has_become() {
    let index = filled();
    let other = |number| json!({"name": "coffee", "tags": ["t5"], "price": {"amount": number, "currency": "EUR"}});
    let changed = std::sync::Arc::clone(&index);
    INTERRUPTION.set(Some(Box::new(move || {
        for number in 0..MANY {
            put(&changed, &id(number), &other(number));
        }
    })));
    let (criteria, _) = queries().pop().unwrap();
    let count = index.count(&criteria, Patience::Long);
    INTERRUPTION.set(None);
    assert_eq!(count, Ok(STEP as u64), "the first step, and none after it");
}

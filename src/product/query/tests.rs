//! The grammar of queries in URLs.

use super::QueryProblemCode::*;
use super::*;
use crate::product::{Comparison, Field, Operand, Place, SortKey, Term};
use proptest::collection::vec;
use proptest::prelude::*;

fn by_id(id: &str) -> Cursor {
    let id = ProductId::parse(id).unwrap();
    Cursor::at(&Criteria::default(), Place { keys: vec![], id })
}

fn page(query: &str) -> PageQuery {
    match Query::parse(query) {
        Ok(Query {
            asked: Asked::Page(page),
            ..
        }) => page,
        other => panic!("{query}: {other:?}"),
    }
}

/// The conditions of a query, as `field`, operator and operand.
fn terms(query: &str) -> Vec<(String, &'static str, String)> {
    let terms = page(query).criteria.filter.into_iter();
    terms
        .map(|term| {
            let operand = match term.operand {
                Operand::Text(text) => text.into(),
                Operand::Amount(amount) => amount.to_string(),
                Operand::Time(time) => time.to_string(),
            };
            (term.field.to_string(), term.comparison.as_str(), operand)
        })
        .collect()
}

fn problems(query: &str) -> Vec<(String, QueryProblemCode)> {
    let problems = Query::parse(query).expect_err(query);
    problems
        .into_iter()
        .map(|problem| (problem.parameter, problem.code))
        .collect()
}

fn described(query: &str) -> String {
    let problems = Query::parse(query).expect_err(query);
    problems.into_iter().map(|p| p.description).collect()
}

#[test]
fn nothing_asked_is_the_first_twenty() {
    for query in ["", "&", "&&"] {
        assert_eq!(page(query), PageQuery::default());
    }
    assert_eq!(PageQuery::default().limit, 20);
}

#[test]
fn a_limit_is_1_to_100() {
    for (text, limit) in [("1", 1), ("100", 100), ("007", 7)] {
        assert_eq!(page(&format!("limit={text}")).limit, limit);
    }
    for text in [
        "",
        "0",
        "101",
        "-1",
        "+5",
        "%2B5",
        "5.0",
        "x",
        "%205",
        "99999999999999999999999",
    ] {
        assert_eq!(
            problems(&format!("limit={text}")),
            [("limit".into(), InvalidParameter)],
            "{text}"
        );
    }
}

#[test]
fn operators_are_understood_however_they_are_split() {
    for (query, operator) in [
        ("price=5", "="),
        ("price%3D5", "="),
        ("price%3C%3E5", "<>"),
        ("price%3C%3E=5", ""),
        ("price%3E5", ">"),
        ("price%3E=5", ">="),
        ("price%3E%3D5", ">="),
        ("price%3C5", "<"),
        ("price%3C=5", "<="),
        ("price<=5", "<="),
        ("price%3C%3D5", "<="),
        ("price=%3E5", ""),
        ("price==5", ""),
    ] {
        if operator.is_empty() {
            assert_eq!(
                problems(query),
                [("price".into(), InvalidParameter)],
                "{query}"
            );
        } else {
            assert_eq!(
                terms(query),
                [("price".into(), operator, "5".into())],
                "{query}"
            );
        }
    }
    assert_eq!(terms("name=%3D%3Cx"), [("name".into(), "=", "=<x".into())]);
    assert_eq!(
        terms("name%3E%27%3Dx%27"),
        [("name".into(), ">", "=x".into())]
    );
}

#[test]
fn values_may_be_quoted() {
    for (query, value) in [
        ("name=jane+jones", "jane jones"),
        ("name=%27jane%20jones%27", "jane jones"),
        ("name='jane jones'", "jane jones"),
        ("name=''", ""),
        ("name='o''neil'", "o'neil"),
        ("name=o'neil", "o'neil"),
        ("name=a%26b", "a&b"),
        ("name=K%C3%A4se", "Käse"),
    ] {
        assert_eq!(
            terms(query),
            [("name".into(), "=", value.into())],
            "{query}"
        );
    }
    for query in ["name=", "name='jane", "name='", "name='o'neil'", "name=%FF"] {
        assert_eq!(
            problems(query),
            [("name".into(), InvalidParameter)],
            "{query}"
        );
    }
}

#[test]
fn one_field_with_several_operators_is_a_range() {
    let range = [
        ("price".to_owned(), ">=", "10".to_owned()),
        ("price".to_owned(), "<", "20".to_owned()),
    ];
    assert_eq!(terms("price%3E=10&price%3C20"), range);
    assert_eq!(
        problems("price%3E=10&price%3E=20"),
        [("price".into(), RepeatedParameter)]
    );
    assert_eq!(
        terms("brand%3C%3Ea&brand%3C%3Eb&tags=x&tags=y&tags=y").len(),
        4
    );
}

#[test]
fn operands_have_the_type_of_their_field() {
    assert_eq!(
        terms("updatedAt%3E=2026-01-31T13:00:00+01:00"),
        [("updatedAt".into(), ">=", "2026-01-31T12:00:00Z".into())],
        "the plus of an offset arrives as a space"
    );
    assert_eq!(
        terms("attributes.colour=red&currency=EUR"),
        [
            ("currency".into(), "=", "EUR".into()),
            ("attributes.colour".into(), "=", "red".into())
        ]
    );
    for (query, name) in [
        ("price=cheap", "price"),
        ("price=%2B5", "price"),
        ("createdAt%3E2026-01-31", "createdAt"),
        ("status=new", "status"),
        ("tags%3Ea", "tags"),
        ("price", "price"),
        ("attributes.x", "attributes.x"),
        ("attributes.%22x=", "attributes"),
    ] {
        assert_eq!(
            problems(query),
            [(name.into(), InvalidParameter)],
            "{query}"
        );
    }
}

#[test]
fn an_order_takes_a_plus_in_all_its_forms() {
    let expected = |descending| {
        [
            (Field::Price, descending),
            (Field::Name, true),
            (Field::Id, true),
        ]
        .map(|(field, descending)| SortKey { field, descending })
    };
    for (plus, descending) in [
        ("%2B", false),
        ("+", false),
        ("%20", false),
        ("-", true),
        ("", true),
    ] {
        let criteria = page(&format!("sortby={plus}price,-name,id")).criteria;
        assert_eq!(criteria.sort, expected(descending), "{plus}");
    }
    for query in [
        "sortby=",
        "sortby",
        "sortby=,",
        "sortby=colour",
        "sortby=tags",
        "sortby=attributes.x",
        "sortby=id,sku,name,category,brand,price",
        "sortby=id,id",
        "sortby%3E=id",
    ] {
        assert_eq!(
            problems(query),
            [("sortby".into(), InvalidParameter)],
            "{query}"
        );
    }
    assert!(described("sortby=<i>").contains("must be fields"));
}

#[test]
fn a_choice_is_sorted_and_each_of_it_once() {
    let select = |query: &str| Query::parse(query).unwrap().select.map(|s| s.to_string());
    assert_eq!(select("select=name,id,name"), Some("id,name".into()));
    assert_eq!(select(""), None);
    for query in [
        "select=",
        "select",
        "select=colour",
        "select=id,,name",
        "select=id, name",
    ] {
        assert_eq!(
            problems(query),
            [("select".into(), InvalidParameter)],
            "{query}"
        );
    }
    assert_eq!(Select::parse(""), Ok(None));
    assert_eq!(Select::parse("select=id"), Ok(Select::of(["id"])));
    let problems = Select::parse("select=colour&limit=5").unwrap_err();
    assert_eq!(problems.len(), 2);
}

#[test]
fn a_count_is_a_flag_and_takes_the_conditions_alone() {
    let query = "count&limit=5&sortby=name&select=id&price%3E5";
    let Asked::Count(criteria) = Query::parse(query).unwrap().asked else {
        panic!("a count");
    };
    assert_eq!(criteria.filter.len(), 1);
    for query in ["count=", "count=1", "count=true", "count%3E5"] {
        assert_eq!(
            problems(query),
            [("count".into(), InvalidParameter)],
            "{query}"
        );
    }
    assert_eq!(
        problems("count&count"),
        [("count".into(), RepeatedParameter)]
    );
}

#[test]
fn a_list_of_ids_stands_alone() {
    let many = |query: &str| match Query::parse(query).unwrap().asked {
        Asked::Many(ids) => ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        other => panic!("{query}: {other:?}"),
    };
    assert_eq!(many("id=b,a,b&select=id"), ["b", "a"]);
    assert_eq!(many("id=search"), ["search"]);
    assert_eq!(many("id=a+b,c%2Bd"), ["a+b", "c+d"]);
    let ids = |count: usize| {
        (0..count)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(many(&format!("id={}", ids(100))).len(), 100);
    for list in ["", ",", "a,", "a,%3Cb", &ids(101)] {
        assert_eq!(
            problems(&format!("id={list}")),
            [("id".into(), InvalidParameter)]
        );
    }
    assert_eq!(problems("id=a&id=b"), [("id".into(), RepeatedParameter)]);
    for other in ["limit=5", "after=x", "before=x", "sortby=name", "count"] {
        let name = other.split('=').next().unwrap();
        let found = problems(&format!("id=a&{other}"));
        assert!(
            found.contains(&(name.into(), ConflictingParameters)),
            "{other}"
        );
    }
    assert_eq!(
        problems("id=a&price=5"),
        [("id".into(), ConflictingParameters)]
    );
    assert_eq!(
        problems("id=a&id%3E5"),
        [("id".into(), ConflictingParameters)]
    );
    assert_eq!(terms("id%3EP-5"), [("id".into(), ">", "P-5".into())]);
}

#[test]
fn a_cursor_says_where_the_page_lies_in_its_own_order() {
    let cursor = by_id("p-1");
    let text = cursor.encode();
    for (query, position) in [
        (format!("after={text}"), Position::After(cursor.clone())),
        (format!("before={text}"), Position::Before(cursor.clone())),
        // What may change along a walk.
        (
            format!("after={text}&limit=3&select=id"),
            Position::After(cursor),
        ),
    ] {
        assert_eq!(page(&query).position, position);
    }
    for query in [
        format!("after={text}&sortby=name"),
        format!("after={text}&price=5"),
        "after=".to_owned(),
        "after=nonsense".to_owned(),
        "after=AWxQLTAwMDAwMg".to_owned(),
    ] {
        assert_eq!(
            problems(&query),
            [("after".into(), InvalidCursor)],
            "{query}"
        );
    }
    let upstream = Cursor::upstream("x").unwrap().encode();
    assert!(Query::parse(&format!("after={upstream}")).is_ok());
    for query in [
        format!("before={upstream}"),
        format!("after={upstream}&price=5"),
    ] {
        assert_eq!(problems(&query).first().unwrap().1, InvalidCursor);
    }
}

#[test]
fn two_thousand_characters_of_conditions_are_read_and_no_more() {
    let query = |length: usize| format!("name={}", "x".repeat(length - 5));
    assert!(Query::parse(&query(2000)).is_ok());
    assert!(
        Query::parse(&format!("name={}", "%C3%A4".repeat(1995))).is_ok(),
        "decoded"
    );
    assert_eq!(problems(&query(2001)), [("name".into(), InvalidParameter)]);
    assert!(described(&query(2001)).contains("POST /products/search"));
    let ranges = format!("{}&price=5&brand=x", query(2001));
    assert_eq!(problems(&ranges).len(), 1, "said once");
    let many: Vec<_> = (0..33).map(|n| format!("tags={n}")).collect();
    assert_eq!(
        problems(&many.join("&")),
        [("tags".into(), InvalidParameter)]
    );
}

#[test]
fn all_problems_are_named_at_once() {
    let text = by_id("p-1").encode();
    let query = format!(
        "colour=red&offset=20&<script>=x&limit=5&limit=0&q=tea&%FF=1&sortby=tags&price=x&after=nonsense&before={text}"
    );
    assert_eq!(
        problems(&query),
        [
            ("colour".into(), UnknownParameter),
            ("offset".into(), UnknownParameter),
            (String::new(), UnknownParameter),
            ("limit".into(), RepeatedParameter),
            ("q".into(), UnknownParameter),
            ("limit".into(), InvalidParameter),
            ("sortby".into(), InvalidParameter),
            ("price".into(), InvalidParameter),
            ("before".into(), ConflictingParameters),
            ("after".into(), InvalidCursor),
        ]
    );
    assert!(described("offset=20").contains("cursors"));
    assert!(described("q=tea").contains("POST /products/search"));
}

fn field() -> impl Strategy<Value = Field> {
    let names = [
        "id",
        "sku",
        "name",
        "description",
        "category",
        "brand",
        "price",
        "currency",
        "status",
        "tags",
        "createdAt",
        "updatedAt",
    ];
    prop_oneof![
        4 => proptest::sample::select(names.to_vec()).prop_map(|name| Field::parse(name).unwrap()),
        1 => "[^<>=\\p{Cc}\u{fffd}]{1,20}".prop_map(|name| Field::parse(&format!("attributes.{name}")).unwrap()),
    ]
}

fn term() -> impl Strategy<Value = Term> {
    let text = prop_oneof!["[a-z ]{0,8}", "['=<>&%+,]{0,4}", "[^\u{fffd}]{0,20}"];
    let parts = (
        field(),
        0..6_usize,
        text,
        any::<i64>(),
        0..4_000_000_000_i64,
        0..3_usize,
    );
    parts.prop_filter_map(
        "an order of tags, or a list of ids",
        |(field, comparison, text, amount, secs, status)| {
            let comparison = Comparison::ALL[comparison];
            let membership = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
            if (field == Field::Tags && !membership)
                || (field == Field::Id && comparison == Comparison::Equal)
            {
                return None;
            }
            let operand = match field {
                Field::Price => Operand::Amount(amount),
                Field::CreatedAt | Field::UpdatedAt => {
                    Operand::Time(jiff::Timestamp::from_second(secs).unwrap())
                }
                Field::Status => Operand::Text(crate::product::Status::ALL[status].as_str().into()),
                _ => Operand::Text(text.into()),
            };
            Some(Term {
                field,
                comparison,
                operand,
            })
        },
    )
}

fn criteria() -> impl Strategy<Value = Criteria> {
    let sort = vec((field(), any::<bool>()), 0..=5);
    (vec(term(), 0..8), sort).prop_map(|(mut filter, sort)| {
        filter.sort_unstable();
        filter.dedup_by(|a, b| {
            (&a.field, a.comparison) == (&b.field, b.comparison)
                && !value::may_repeat(&a.field, a.comparison)
        });
        filter.dedup();
        let mut keys: Vec<SortKey> = Vec::new();
        for (field, descending) in sort {
            if field.is_sortable() && keys.iter().all(|key| key.field != field) {
                keys.push(SortKey { field, descending });
            }
        }
        Criteria {
            text: None,
            filter,
            sort: keys,
        }
    })
}

proptest! {
    #[test]
    fn criteria_come_back_from_their_canonical_form(criteria in criteria()) {
        let canonical = criteria.canonical();
        let target = format!("/products?{canonical}");
        prop_assert!(target.parse::<http::Uri>().is_ok());
        let again = page(&canonical).criteria;
        prop_assert_eq!(again.canonical(), canonical);
        prop_assert_eq!(again.fingerprint(), criteria.fingerprint());
        prop_assert_eq!(again, criteria);
    }

    #[test]
    fn the_order_of_conditions_does_not_matter(criteria in criteria(), by in 0..8_usize) {
        let mut other = criteria.clone();
        let by = by.min(other.filter.len());
        other.filter.rotate_left(by);
        prop_assert_eq!(other.fingerprint(), criteria.fingerprint());
    }

    #[test]
    fn any_text_is_a_query_or_has_problems(query in "((limit|after|sortby|select|count|id|price|name|createdAt|status|tags|attributes.a)(=|%3E|%3C|<>|)|&|.|%[0-9A-F]{2}){0,30}") {
        match Query::parse(&query) {
            Ok(query) => {
                if let Asked::Page(page) = query.asked {
                    let canonical = page.criteria.canonical();
                    prop_assert_eq!(self::page(&canonical).criteria, page.criteria);
                }
            }
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn values_are_never_repeated_to_the_caller(value in "[\"'*!?/;{}]{4,20}") {
        for name in ["limit", "after", "before", "sortby", "select", "id", "price", "status", "count", &value, "attributes.\"x"] {
            for operator in ["=", "%3C%3E", ""] {
                let query = format!("{name}{operator}{value}");
                for problem in Query::parse(&query).err().into_iter().flatten() {
                    prop_assert!(!problem.description.contains(&value) && !problem.parameter.contains(&value), "{problem:?}");
                }
            }
        }
    }
}

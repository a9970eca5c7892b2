//! The index against a model of it: a list of products that is filtered and sorted anew for each query.

use super::*;
use crate::catalog::Grouping;
use crate::product::{
    Comparison, Criteria, Field, GroupQuery, Key, Operand, Place, Representation, SortKey, Term,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use search::{Edge, Patience, Run};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::BTreeMap;

pub(super) mod scanning;

type Model = BTreeMap<String, Value>;

pub(super) fn id(number: u16) -> ProductId {
    ProductId::parse(&format!("P-{number:05}")).unwrap()
}

fn with_content<T>(product: &Value, ask: impl FnOnce(Content<'_>) -> T) -> T {
    let json = product.to_string();
    ask(Content {
        version: crc32fast::hash(json.as_bytes()).into(),
        json: json.as_bytes(),
    })
}

/// Somebody who holds a body.
pub(super) fn held(json: &str) -> Held {
    let stored = Stored::from(Representation::new(json.as_bytes(), None, &[]));
    Arc::new(Entry::new(stored, Moment::default(), 0, 0))
}

/// Puts in a product whose body is held, is held no more, or never was: which, depends on its id.
pub(super) fn put(index: &Index, id: &ProductId, product: &Value) -> bool {
    let as_of = Moment::default();
    match id.as_str().bytes().last().unwrap_or_default() % 3 {
        0 => with_content(product, |content| index.insert(id, Some(content), as_of)),
        1 => index.hold(id, &held(&product.to_string()), as_of),
        _ => {
            let is_news = index.hold(id, &held(&product.to_string()), as_of);
            index.let_go(id);
            is_news
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,2}",
        1 => "[a-b]{0,1}".prop_map(|end| "x".repeat(127) + &end),
        1 => "[a-b]{0,2}".prop_map(|end| "x".repeat(128) + &end),
    ]
}

fn time() -> impl Strategy<Value = String> {
    (0u8..4, 0u8..3).prop_map(|(secs, tenths)| format!("1970-01-01T00:00:0{secs}.{tenths}Z"))
}

fn product() -> impl Strategy<Value = Value> {
    let texts = (
        option::of(text()),
        text(),
        option::of(text()),
        option::of(text()),
        option::of(text()),
    );
    let others = (
        -3i64..4,
        option::of(prop_oneof![Just("active"), Just("draft")]),
        vec("[a-c]", 0..3),
        option::of(time()),
        option::of(time()),
        option::of(prop_oneof![
            text().prop_map(Value::from),
            (-2i64..12).prop_map(Value::from),
            (-2.0f64..3.0).prop_map(|number| json!((number * 2.0).round() / 2.0)),
            any::<bool>().prop_map(Value::from),
            Just(json!([1])),
        ]),
    );
    (texts, others).prop_map(|(texts, others)| {
        let (sku, name, description, category, brand) = texts;
        let (amount, status, tags, created, updated, attribute) = others;
        let mut product = json!({"name": name, "price": {"amount": amount, "currency": "EUR"}, "tags": tags, "attributes": {}});
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                product[name] = value;
            }
        };
        set("sku", sku.map(Value::from));
        set("description", description.map(Value::from));
        set("category", category.map(Value::from));
        set("brand", brand.map(Value::from));
        set("status", status.map(Value::from));
        set("createdAt", created.map(Value::from));
        set("updatedAt", updated.map(Value::from));
        set("attributes", attribute.map(|value| json!({"a": value})));
        product
    })
}

const SORTABLE: [Field; 11] = [
    Field::Id,
    Field::Sku,
    Field::Name,
    Field::Description,
    Field::Category,
    Field::Brand,
    Field::Price,
    Field::Currency,
    Field::Status,
    Field::CreatedAt,
    Field::UpdatedAt,
];

fn term() -> impl Strategy<Value = Term> {
    let comparison = prop_oneof![
        3 => Just(Comparison::Equal),
        1 => Just(Comparison::NotEqual),
        1 => Just(Comparison::Greater),
        1 => Just(Comparison::GreaterOrEqual),
        1 => Just(Comparison::Less),
        1 => Just(Comparison::LessOrEqual),
    ];
    let field = proptest::sample::select(
        [
            SORTABLE.as_slice(),
            &[Field::Tags, Field::Attribute("a".into())],
        ]
        .concat(),
    );
    (field, comparison, text(), -3i64..4, time()).prop_map(
        |(field, comparison, text, amount, time)| {
            let operand = match &field {
                Field::Price => Operand::Amount(amount),
                Field::CreatedAt | Field::UpdatedAt => Operand::Time(time.parse().unwrap()),
                Field::Id => Operand::Text(format!("P-{:05}", amount.abs()).into()),
                Field::Status => Operand::Text("active".into()),
                Field::Attribute(_) if amount > 0 => Operand::Text(amount.to_string().into()),
                Field::Attribute(_) if amount == 0 => Operand::Text("true".into()),
                _ => Operand::Text(text.into()),
            };
            let is_order = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
            let is_long = matches!(&operand, Operand::Text(text) if text.chars().count() > 128);
            // The grammar refuses these.
            let comparison = if is_order && is_long {
                Comparison::Equal
            } else {
                comparison
            };
            Term {
                field,
                comparison,
                operand,
            }
        },
    )
}

fn criteria() -> impl Strategy<Value = Criteria> {
    let key = (proptest::sample::select(SORTABLE.to_vec()), any::<bool>());
    let keys = vec(
        key.prop_map(|(field, descending)| SortKey { field, descending }),
        0..4,
    );
    (vec(term(), 0..3), keys).prop_map(|(filter, sort)| Criteria {
        text: None,
        filter,
        sort,
    })
}

// --- the model ---

fn member<'a>(id: &'a str, product: &'a Value, field: &Field) -> Option<Value> {
    let found = match field {
        Field::Id => return Some(id.into()),
        Field::Price => &product["price"]["amount"],
        Field::Currency => &product["price"]["currency"],
        Field::Attribute(name) => &product["attributes"][&**name],
        Field::Tags => &product["tags"],
        Field::Sku => &product["sku"],
        Field::Name => &product["name"],
        Field::Description => &product["description"],
        Field::Category => &product["category"],
        Field::Brand => &product["brand"],
        Field::Status => &product["status"],
        Field::CreatedAt => &product["createdAt"],
        Field::UpdatedAt => &product["updatedAt"],
    };
    (!found.is_null()).then(|| found.clone())
}

fn order_of(value: &Value, operand: &Operand) -> Option<Ordering> {
    match (value, operand) {
        (Value::String(text), Operand::Time(time)) => {
            Some(text.parse::<jiff::Timestamp>().unwrap().cmp(time))
        }
        (Value::String(text), Operand::Text(operand)) => Some(text.as_str().cmp(operand)),
        (Value::Number(number), Operand::Amount(amount)) => Some(number.as_i64()?.cmp(amount)),
        (Value::Number(number), Operand::Text(text)) => {
            number.as_f64()?.partial_cmp(&text.parse::<f64>().ok()?)
        }
        (Value::Bool(truth), Operand::Text(text)) => Some(truth.cmp(&text.parse().ok()?)),
        _ => None,
    }
}

fn holds(id: &str, product: &Value, term: &Term) -> bool {
    let meets = |order: Option<Ordering>| match (order, term.comparison) {
        (None, comparison) => comparison == Comparison::NotEqual,
        (Some(order), Comparison::Equal) => order.is_eq(),
        (Some(order), Comparison::NotEqual) => order.is_ne(),
        (Some(order), Comparison::Greater) => order.is_gt(),
        (Some(order), Comparison::GreaterOrEqual) => order.is_ge(),
        (Some(order), Comparison::Less) => order.is_lt(),
        (Some(order), Comparison::LessOrEqual) => order.is_le(),
    };
    match member(id, product, &term.field) {
        Some(Value::Array(tags)) if term.field == Field::Tags => match term.comparison {
            Comparison::NotEqual => tags.iter().all(|tag| meets(order_of(tag, &term.operand))),
            _ => tags.iter().any(|tag| meets(order_of(tag, &term.operand))),
        },
        found => meets(found.and_then(|value| order_of(&value, &term.operand))),
    }
}

fn key(id: &str, product: &Value, field: &Field) -> Key {
    match (member(id, product, field), field) {
        (None, _) => Key::Missing,
        (Some(Value::Number(number)), _) => Key::Integer(number.as_i64().unwrap()),
        (Some(Value::String(text)), Field::CreatedAt | Field::UpdatedAt) => {
            Key::Time(text.parse().unwrap())
        }
        (Some(value), _) => {
            let text = value.as_str().unwrap();
            Key::Text(text.chars().take(128).collect::<String>().into())
        }
    }
}

fn compare_keys(one: &Key, other: &Key, descending: bool) -> Ordering {
    let order = match (one, other) {
        (Key::Missing, Key::Missing) => return Ordering::Equal,
        (Key::Missing, _) => return Ordering::Greater,
        (_, Key::Missing) => return Ordering::Less,
        (Key::Text(one), Key::Text(other)) => one.cmp(other),
        (Key::Integer(one), Key::Integer(other)) => one.cmp(other),
        (Key::Time(one), Key::Time(other)) => one.cmp(other),
        other => panic!("{other:?}"),
    };
    if descending { order.reverse() } else { order }
}

fn compare_places(one: &Place, other: &Place, criteria: &Criteria) -> Ordering {
    for (at, sort) in criteria.sort.iter().enumerate() {
        let order = compare_keys(&one.keys[at], &other.keys[at], sort.descending);
        if order.is_ne() {
            return order;
        }
    }
    let descending = criteria.sort.last().is_some_and(|sort| sort.descending);
    let order = one.id.cmp(&other.id);
    if descending { order.reverse() } else { order }
}

/// The places of a page, and whether there are others before and after it.
type Page = (Vec<Place>, bool, bool);

fn places(run: Run) -> Vec<Place> {
    run.found.into_iter().map(|found| found.place).collect()
}

fn matching(model: &Model, criteria: &Criteria) -> Vec<Place> {
    let meets = |(id, product): &(&String, &Value)| {
        criteria.filter.iter().all(|term| holds(id, product, term))
    };
    let mut places: Vec<_> = model
        .iter()
        .filter(meets)
        .map(|(id, product)| Place {
            keys: criteria
                .sort
                .iter()
                .map(|sort| key(id, product, &sort.field))
                .collect(),
            id: ProductId::parse(id).unwrap(),
        })
        .collect();
    places.sort_by(|one, other| compare_places(one, other, criteria));
    places
}

fn page_of(model: &Model, criteria: &Criteria, edge: Edge<'_>, limit: usize) -> Page {
    let all = matching(model, criteria);
    let compare = |place: &Place, at| compare_places(place, at, criteria);
    let (from, to) = match edge {
        Edge::Start => (0, limit),
        Edge::After(at) => {
            let from = all.partition_point(|place| compare(place, at).is_le());
            (from, from + limit)
        }
        Edge::Before(at) => {
            let to = all.partition_point(|place| compare(place, at).is_lt());
            (to.saturating_sub(limit), to)
        }
    };
    let to = to.min(all.len());
    (all[from..to].to_vec(), from > 0, to < all.len())
}

/// All ways of answering give the same: by walking, and by looking at every candidate.
fn pages(index: &Index, criteria: &Criteria, edge: Edge<'_>, limit: usize) -> Vec<Page> {
    let page = index.page(criteria, edge, limit, Patience::Long).unwrap();
    let scanned = index.page_by_scan(criteria, edge, limit);
    let walked = index.pages_by_walks(criteria, edge, limit);
    let runs = [page, scanned].into_iter().chain(walked);
    runs.map(|run| {
        let (has_before, has_after) = (run.has_before, run.has_after);
        (places(run), has_before, has_after)
    })
    .collect()
}

fn filled(products: &[(u16, Value)]) -> (Index, Model) {
    let (index, mut model) = (Index::new(1 << 24, 0), Model::new());
    for (number, product) in products {
        put(&index, &id(*number), product);
        model.insert(id(*number).to_string(), product.clone());
    }
    (index, model)
}

proptest! {
    #[test]
    fn every_query_is_answered_like_a_list_that_is_filtered_and_sorted(
        products in vec((0u16..40, product()), 0..40),
        removed in vec(0u16..40, 0..8),
        later in vec((0u16..40, product()), 0..8),
        queries in vec((criteria(), 0u16..42, 1usize..8), 1..6),
    ) {
        let (index, mut model) = filled(&products);
        for (at, (criteria, place, limit)) in queries.iter().enumerate() {
            if at == 1 {
                // The orders that the first query asked for are kept up from now on.
                for number in &removed {
                    index.remove(&id(*number));
                    model.remove(id(*number).as_str());
                }
                for (number, product) in &later {
                    put(&index, &id(*number), product);
                    model.insert(id(*number).to_string(), product.clone());
                }
            }
            let nowhere = Place {
                keys: criteria.sort.iter().map(|sort| match sort.field {
                    Field::Id => Key::Text(format!("P-{place:05}x").into()),
                    Field::Price => Key::Integer(1),
                    Field::CreatedAt | Field::UpdatedAt => Key::Missing,
                    _ => Key::Text("b".into()),
                }).collect(),
                // Between two products, never one's own.
                id: ProductId::parse(&format!("P-{place:05}x")).unwrap(),
            };
            let all = matching(&model, criteria);
            let mut edges = vec![Edge::Start, Edge::After(&nowhere), Edge::Before(&nowhere)];
            for at in all.iter().skip(usize::from(*place) % 5).step_by(3).take(4) {
                edges.extend([Edge::After(at), Edge::Before(at)]);
            }
            for edge in edges {
                let expected = page_of(&model, criteria, edge, *limit);
                for run in pages(&index, criteria, edge, *limit) {
                    prop_assert_eq!(&run, &expected, "{:?} {:?}", edge, criteria);
                }
            }
            prop_assert_eq!(index.count(criteria, Patience::Long), Ok(all.len() as u64));
            for number in 0..42 {
                let is_in = all.iter().any(|place| place.id == id(number));
                let place = model.get(id(number).as_str()).and_then(|product| {
                    with_content(product, |content| Index::place_of(&id(number), content, criteria))
                });
                prop_assert_eq!(place.is_some(), is_in);
                prop_assert!(place.is_none_or(|place| all.contains(&place)));
            }
        }
    }

    #[test]
    fn a_walk_visits_what_stays_once_while_others_come_and_go(
        stays in vec((0u16..100, product()), 0..40), comes in vec((100u16..200, product(), any::<bool>()), 0..60),
        criteria in criteria(), limit in 1usize..6, backward: bool,
    ) {
        let (index, stays) = filled(&stays);
        let expected = matching(&stays, &criteria);
        let mut comes = comes.into_iter();
        let (mut seen, mut at) = (Vec::new(), None::<Place>);
        let end = Place { keys: vec![Key::Missing; criteria.sort.len()], id: ProductId::parse("zzz").unwrap() };
        loop {
            let edge = match &at {
                Some(at) if backward => Edge::Before(at),
                Some(at) => Edge::After(at),
                None if backward => Edge::Before(&end),
                None => Edge::Start,
            };
            let run = index.page(&criteria, edge, limit, Patience::Long).unwrap();
            let more = if backward { run.has_before } else { run.has_after };
            let mut places = places(run);
            if backward {
                places.reverse();
            }
            at = places.last().cloned().or(at);
            seen.extend(places);
            if !more {
                break;
            }
            for (number, product, is_in) in comes.by_ref().take(4) {
                if is_in {
                    put(&index, &id(number), &product);
                } else {
                    index.remove(&id(number));
                }
            }
        }
        let mut staying: Vec<_> = seen.into_iter().filter(|place| stays.contains_key(place.id.as_str())).collect();
        if backward {
            staying.reverse();
        }
        // With ids descending nothing lies beyond the last one that is there.
        let ids_descend = criteria.sort.iter().any(|sort| sort.descending && sort.field == Field::Id)
            || criteria.sort.last().is_some_and(|sort| sort.descending);
        if !backward || !ids_descend {
            prop_assert_eq!(staying, expected);
        }
    }

    #[test]
    fn full_text_is_filtered_and_sorted_like_everything_else(
        products in vec((0u16..60, product()), 0..80), removed in vec(0u16..60, 0..10),
        word in "[a-c]{1,2}", mut criteria in criteria(), by_rank: bool, limit in 1usize..7,
    ) {
        let (index, mut model) = filled(&products);
        for number in removed {
            index.remove(&id(number));
            model.remove(id(number).as_str());
        }
        criteria.text = Some(word.as_str().into());
        if by_rank {
            criteria.sort.clear();
        }
        model.retain(|_, product| {
            let tags = product["tags"].as_array().unwrap().iter();
            let members = ["name", "brand", "category", "description"].map(|name| &product[name]);
            let mut texts = members.into_iter().chain(tags).filter_map(Value::as_str);
            texts.any(|text| text.starts_with(&word))
        });
        if by_rank && limit > 3 {
            criteria.filter.clear();
        }
        let expected = matching(&model, &criteria);
        let whole = places(index.page(&criteria, Edge::Start, 100, Patience::Long).unwrap());
        let mut found: Vec<_> = whole.iter().map(|place| place.id.clone()).collect();
        if criteria.sort.is_empty() {
            let ranks = whole.iter().map(|place| {
                let Key::Integer(rank) = place.keys[0] else { panic!("no rank") };
                (std::cmp::Reverse(rank), place.id.clone())
            });
            prop_assert!(ranks.is_sorted());
            found.sort();
        }
        let ids: Vec<_> = expected.iter().map(|place| place.id.clone()).collect();
        prop_assert_eq!(found, ids);
        prop_assert_eq!(index.count(&criteria, Patience::Long), Ok(expected.len() as u64));
        // Pages on and back are runs of the whole.
        for (at, place) in whole.iter().enumerate() {
            let run = index.page(&criteria, Edge::After(place), limit, Patience::Long).unwrap();
            let end = (at + 1 + limit).min(whole.len());
            prop_assert_eq!((run.has_before, run.has_after), (true, end < whole.len()));
            prop_assert_eq!(places(run), &whole[at + 1..end]);
            let run = index.page(&criteria, Edge::Before(place), limit, Patience::Long).unwrap();
            let start = at.saturating_sub(limit);
            prop_assert_eq!((run.has_before, run.has_after), (start > 0, true));
            prop_assert_eq!(places(run), &whole[start..at]);
        }
    }

    #[test]
    fn groups_count_what_is_there(products in vec((0u16..30, product(), any::<bool>()), 0..80)) {
        let (index, mut model) = (Index::new(1 << 24, 0), Model::new());
        for (number, product, is_in) in products {
            if is_in {
                put(&index, &id(number), &product);
                model.insert(id(number).to_string(), product);
            } else {
                index.remove(&id(number));
                model.remove(id(number).as_str());
            }
        }
        for (by, member) in [(Grouping::Category, "category"), (Grouping::Brand, "brand")] {
            let mut counts = BTreeMap::<String, u64>::new();
            for name in model.values().filter_map(|product| product[member].as_str()) {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
            let query = GroupQuery { limit: 100, ..GroupQuery::default() };
            let groups = index.groups(by, &query).page.into_iter().map(|group| (group.name.into_string(), group.count));
            prop_assert_eq!(groups.collect::<Vec<_>>(), counts.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn its_bytes_follow_what_is_in_it(changes in vec((0u16..50, option::of(product())), 0..200)) {
        let index = Index::new(1 << 24, 0);
        let empty = Index::new(1 << 24, 0).read().bytes();
        let mut most = 0;
        for (number, product) in changes {
            match product {
                Some(product) => { put(&index, &id(number), &product); }
                None => index.remove(&id(number)),
            }
            prop_assert_eq!(index.bytes(), index.read().bytes());
            most = most.max(index.bytes());
        }
        for number in 0..50 {
            index.remove(&id(number));
        }
        let left = index.read();
        prop_assert_eq!(left.texts.bytes(), 0);
        prop_assert_eq!((left.rows.len(), left.bare()), (0, 0));
        prop_assert!(left.bytes() <= most.max(empty) && left.bytes() < empty + (1 << 16));
    }
}

#[test]
fn an_index_that_would_pass_its_limit_gives_up() {
    let index = Index::new(64 << 10, 0);
    for number in 0..2000 {
        index.insert(&id(number), None, Moment::default());
        assert!(index.bytes() <= 64 << 10);
    }
    index.complete();
    assert!(index.has_overflown() && !index.is_complete());
    assert_eq!((index.len(), index.bytes()), (0, 0));
}

#[test]
fn what_is_expected_takes_a_small_part_of_the_limit_and_moves_nothing() {
    let index = Index::new(64 << 10, 0);
    (0..50).for_each(|number| assert!(!index.insert(&id(number), None, Moment::default())));
    let before = index.bytes();
    for expected in [0, 60, usize::MAX] {
        index.expect(expected);
        assert!(index.bytes() < before + (4 << 10) && !index.has_overflown());
        assert!((0..50).all(|number| index.read().row(id(number).as_str()).is_some()));
    }
    // Nearly full, by what is there.
    let elsewhere = 50 * 2_000;
    let index = Index::new((before + elsewhere) / 100 * 101, 2_000);
    (0..50).for_each(|number| assert!(!index.insert(&id(number), None, Moment::default())));
    index.expect(usize::MAX);
    assert_eq!((index.len(), index.bytes()), (50, before));
}

#[test]
fn what_rows_take_elsewhere_counts_for_the_limit() {
    let (alone, beside) = (Index::new(64 << 10, 0), Index::new(64 << 10, 36));
    let until_full = |index: &Index| {
        let all = (0..5_000).take_while(|number| {
            index.insert(&id(*number), None, Moment::default());
            !index.has_overflown()
        });
        all.count()
    };
    let (alone, beside) = (until_full(&alone), until_full(&beside));
    assert!(beside + 20 < alone, "{beside} {alone}");
}

#[test]
fn orders_make_room_for_rows() {
    let price = Criteria {
        sort: vec![SortKey {
            field: Field::Price,
            descending: true,
        }],
        ..Criteria::default()
    };
    let product =
        |amount: u16| json!({"name": "n", "price": {"amount": amount, "currency": "EUR"}});
    let without_order = Index::new(1 << 20, 0);
    for number in 0..900 {
        put(&without_order, &id(number), &product(number));
    }
    let index = Index::new(without_order.bytes() + 1_000, 0);
    let page = || index.page(&price, Edge::Start, 1, Patience::Long).unwrap();
    let has_order = || index.read().order(column::Column::Price).is_some();
    for number in 0..900 {
        put(&index, &id(number), &product(number));
        if number == 100 {
            page();
            assert!(has_order());
        }
    }
    // Without the order the page takes longer, but is the same; and the order is not made again.
    assert!(!index.has_overflown() && !has_order());
    assert_eq!(places(page())[0].keys, [Key::Integer(899)]);
    assert!(!has_order());
}

#[test]
fn what_is_known_already_is_no_news_but_confirms() {
    let index = Index::new(1 << 20, 0);
    let product = json!({"name": "n", "price": {"amount": 1, "currency": "EUR"}});
    assert!(put(&index, &id(1), &product));
    assert!(!put(&index, &id(1), &product));
    assert!(!index.insert(&id(1), None, Moment::from_millis(5)));
    assert_eq!(index.older_than(Moment::from_millis(5)), []);
    assert_eq!(index.older_than(Moment::from_millis(6)), [id(1)]);
    index.insert(&id(2), None, Moment::from_millis(9));
    assert_eq!((index.len(), index.bare()), (2, 1));
    assert!(put(&index, &id(2), &product));
    assert_eq!(index.bare(), 0);
}

#[test]
fn a_body_is_held_on_to_only_while_it_is_held() {
    let index = Index::new(1 << 20, 0);
    let text = "x".repeat(300);
    let product = |amount: u16| json!({"name": "n", "description": text, "price": {"amount": amount, "currency": "EUR"}});
    let (one, same, other) = (
        held(&product(1).to_string()),
        held(&product(1).to_string()),
        held(&product(2).to_string()),
    );
    let holders = || [&one, &same, &other].map(|held| Arc::strong_count(held) - 1);
    let hold = |held| index.hold(&id(1), held, Moment::default());
    assert!(hold(&one));
    assert_eq!(holders(), [1, 0, 0]);
    assert!(!hold(&same), "the same content");
    assert_eq!(holders(), [0, 1, 0]);
    index.let_go(&id(1));
    assert_eq!(holders(), [0, 0, 0]);
    assert!(!hold(&one), "still the same content");
    assert_eq!(holders(), [1, 0, 0]);
    assert!(hold(&other));
    assert_eq!(holders(), [0, 0, 1]);
    assert!(!index.insert(&id(1), None, Moment::from_millis(1)));
    assert_eq!(holders(), [0, 0, 1], "to exist is no reason to let go");
    assert!(put(&index, &id(0), &product(3)));
    with_content(&product(4), |content| {
        assert!(index.insert(&id(1), Some(content), Moment::default()));
    });
    assert_eq!(holders(), [0, 0, 0], "what is not held any more");
    hold(&one);
    index.remove(&id(1));
    index.let_go(&id(1));
    assert_eq!(holders(), [0, 0, 0]);
}

#[test]
fn what_was_read_ahead_counts_only_for_the_content_it_was_read_of() {
    let index = Index::new(1 << 20, 0);
    let json = br#"{"id":"P-00001","name":"oak","price":{"amount":1,"currency":"EUR"}}"#;
    let draft = |name: &str| {
        let json = String::from_utf8_lossy(json).replace("oak", name);
        crate::product::Draft::parse(json.as_bytes(), Some(&id(1)))
            .unwrap()
            .product
    };
    let learn = |name: &str, version, read_of| {
        let rendered = draft(name).render(0);
        let json = rendered.body();
        let reading = Reading::of(&draft("ahead"), read_of);
        let content = Some(Content { version, json });
        index.learn(&id(1), content, None, Some(&reading), Moment::default())
    };
    let has = |name: &str| {
        let table = index.read();
        let query = words::Query::parse(name);
        table.documents.search(&query).slots().len() == 1
    };
    assert!(learn("oak", 1, 2));
    assert!(has("oak") && !has("ahead"));
    let known = index.knows([(&id(1), 1), (&id(1), 2), (&id(9), 1)].into_iter());
    assert_eq!(known, [true, false, false]);
    assert!(learn("elm", 2, 2));
    assert!(has("ahead") && !has("elm"));
}

#[test]
fn a_row_finds_its_texts_in_the_body_that_is_held_whether_it_was_read_ahead_or_not() {
    let json = format!(
        r#"{{"name":"oak","description":"{}","price":{{"amount":1,"currency":"EUR"}}}}"#,
        "x".repeat(300)
    );
    let product = crate::product::Draft::parse(json.as_bytes(), Some(&id(1)));
    let product = product.unwrap().product;
    let held = held(std::str::from_utf8(product.render(0).body()).unwrap());
    let bytes = [false, true].map(|ahead| {
        let index = Index::new(1 << 20, 0);
        let content = held.content();
        let reading = Reading::of(&product, content.version);
        let reading = ahead.then_some(&reading);
        index.learn(
            &id(1),
            Some(content),
            Some(&held),
            reading,
            Moment::default(),
        );
        let table = index.read();
        table.row(id(1).as_str()).unwrap().to_packed().bytes.len()
    });
    assert_eq!(bytes[0], bytes[1]);
}

#[test]
fn a_text_is_taken_in_anew_only_where_it_is_another() {
    let index = Index::new(1 << 20, 0);
    let long = "x".repeat(200);
    let product = json!({"name": "n", "brand": "b", "category": "c", "tags": ["t", "u"], "description": long,
        "price": {"amount": 1, "currency": "EUR"}});
    let with = |member: &str, value: Value| {
        let mut other = product.clone();
        other[member] = value;
        other
    };
    let number = |product: &Value| {
        put(&index, &id(1), product);
        index.read().documents.number(0).unwrap()
    };
    let first = number(&product);
    let price = json!({"amount": 2, "currency": "EUR"});
    for other in [with("price", price), with("sku", json!("s"))] {
        assert_eq!(number(&other), first, "{other}");
    }
    for (member, value) in [
        ("name", json!("m")),
        ("brand", json!("c")),
        ("category", json!("b")),
        ("tags", json!(["tu"])),
        ("description", json!(long.clone() + "y")),
    ] {
        let before = number(&product);
        assert_ne!(number(&with(member, value)), before, "{member}");
    }
}

#[test]
fn an_order_that_is_made_while_rows_change_ends_up_right() {
    let many = 6_000;
    let index = Index::new(1 << 26, 0);
    let product =
        |amount: u16| json!({"name": "n", "price": {"amount": amount % 977, "currency": "EUR"}});
    for number in 0..many {
        put(&index, &id(number), &product(number));
    }
    let price = Criteria {
        sort: vec![SortKey {
            field: Field::Price,
            descending: false,
        }],
        ..Criteria::default()
    };
    assert_eq!(
        index.page(&price, Edge::Start, 5, Patience::Short),
        Err(search::Lengthy)
    );
    std::thread::scope(|scope| {
        let page = scope.spawn(|| index.page(&price, Edge::Start, 5, Patience::Long));
        for number in (0..many).step_by(3) {
            put(&index, &id(number), &product(number.wrapping_mul(7)));
            index.remove(&id(number + 1));
        }
        page.join().unwrap().unwrap();
    });
    let (mut at, mut seen) = (None::<Place>, Vec::new());
    loop {
        let edge = at.as_ref().map_or(Edge::Start, Edge::After);
        let run = index.page(&price, edge, 100, Patience::Short).unwrap();
        let has_after = run.has_after;
        seen.extend(places(run));
        at = seen.last().cloned();
        if !has_after {
            break;
        }
    }
    assert_eq!(seen.len(), usize::from(many) / 3 * 2);
    let sorted = seen.is_sorted_by(|one, other| compare_places(one, other, &price).is_lt());
    assert!(sorted);
}

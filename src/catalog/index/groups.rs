//! Which categories and brands there are, from the order of their names.

use super::Index;
use super::labels::{Labels, Sorted};
use super::table::Table;
use crate::catalog::{Group, GroupRun, Grouping};
use crate::product::{GroupPosition, GroupQuery};
use std::ops::Bound;

// === impl Index ===

impl Index {
    /// The category or brand called `name`, if any product has it.
    pub fn group(&self, by: Grouping, name: &str) -> Option<Group> {
        let count = labels(&self.read(), by).count(name);
        (count > 0).then(|| group((name, count)))
    }

    /// One page of the categories or brands there are. Looks at that page and no more.
    pub fn groups(&self, by: Grouping, query: &GroupQuery) -> GroupRun {
        let table = self.read();
        let labels = labels(&table, by);
        let is_behind = |(name, _): &(&str, u32)| query.position.is_behind(name);
        let all = || labels.range((Bound::Unbounded, Bound::Unbounded));
        let (mut page, backward): (Vec<_>, _) = match &query.position {
            GroupPosition::Before(first) => {
                let range = (Bound::Unbounded, Bound::Excluded(&**first));
                (
                    labels
                        .range(range)
                        .rev()
                        .take(query.limit + 1)
                        .map(group)
                        .collect(),
                    true,
                )
            }
            GroupPosition::After(last) => {
                let range = (Bound::Excluded(&**last), Bound::Unbounded);
                // Of a long name the place has the beginning: what begins with it lies behind.
                let range = labels.range(range).skip_while(is_behind);
                (range.take(query.limit + 1).map(group).collect(), false)
            }
            GroupPosition::Start => (all().take(query.limit + 1).map(group).collect(), false),
        };
        let has_more = page.len() > query.limit;
        page.truncate(query.limit);
        let (has_before, has_after) = if backward {
            page.reverse();
            (
                has_more,
                all().next_back().is_some_and(|last| !is_behind(&last)),
            )
        } else {
            (
                all().next().is_some_and(|first| is_behind(&first)),
                has_more,
            )
        };
        GroupRun {
            page,
            has_before,
            has_after,
        }
    }
}

fn labels(table: &Table, by: Grouping) -> &Labels<Sorted> {
    match by {
        Grouping::Category => &table.texts.categories,
        Grouping::Brand => &table.texts.brands,
    }
}

fn group((name, count): (&str, u32)) -> Group {
    Group {
        name: name.into(),
        count: count.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::index::Content;
    use crate::clock::Moment;
    use crate::product::ProductId;
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    fn put(index: &Index, id: &str, brand: &str) {
        let json = serde_json::json!({"name": "n", "brand": brand, "price": {"amount": 1, "currency": "EUR"}});
        let json = json.to_string();
        let content = Content {
            version: crc32fast::hash(json.as_bytes()).into(),
            json: json.as_bytes(),
        };
        let id = ProductId::parse(id).unwrap();
        index.insert(&id, Some(content), Moment::default());
    }

    fn read(index: &Index, query: &str) -> (Vec<(String, u64)>, GroupRun) {
        let run = index.groups(Grouping::Brand, &GroupQuery::parse(query).unwrap());
        let page = run
            .page
            .iter()
            .map(|group| (group.name.to_string(), group.count));
        (page.collect(), run)
    }

    proptest! {
        #[test]
        fn a_walk_visits_every_group_once_there_and_back(
            brands in btree_map("[a-c]{1,4}", 1..3_u64, 0..40), limit in 1..9_usize,
        ) {
            let index = Index::new(1 << 24, 0);
            for (name, count) in &brands {
                for n in 0..*count {
                    put(&index, &format!("{name}-{n}"), name);
                }
            }
            let expected: Vec<_> = brands.clone().into_iter().collect();
            let (mut seen, mut pages, mut query) = (Vec::new(), Vec::new(), format!("limit={limit}"));
            loop {
                let (page, run) = read(&index, &query);
                prop_assert_eq!(run.has_before, !pages.is_empty());
                prop_assert!(page.len() == limit || !run.has_after);
                seen.extend(page.iter().cloned());
                pages.push(page.clone());
                match page.last() {
                    Some((last, _)) if run.has_after => {
                        query = format!("limit={limit}&after={}", GroupQuery::cursor(last));
                    }
                    _ => break,
                }
            }
            prop_assert_eq!(seen, expected);
            while let Some(page) = pages.pop().filter(|_| !pages.is_empty()) {
                let before = GroupQuery::cursor(&page[0].0);
                let (page, run) = read(&index, &format!("limit={limit}&before={before}"));
                prop_assert_eq!(&page, pages.last().unwrap());
                prop_assert_eq!((run.has_before, run.has_after), (pages.len() > 1, true));
            }
            for (name, count) in brands {
                let found = index.group(Grouping::Brand, &name);
                prop_assert_eq!(found, Some(Group { name: name.into(), count }));
            }
            prop_assert_eq!(index.group(Grouping::Brand, "d"), None);
            prop_assert_eq!(index.group(Grouping::Category, "a"), None);
        }
    }

    #[test]
    fn a_group_that_went_meanwhile_is_a_place_all_the_same() {
        let index = Index::new(1 << 24, 0);
        for brand in ["a", "b", "c"] {
            put(&index, brand, brand);
        }
        put(&index, "b", "c");
        let (names, run) = read(
            &index,
            &format!("limit=1&after={}", GroupQuery::cursor("b")),
        );
        assert_eq!(
            (names, run.has_before, run.has_after),
            (vec![("c".to_owned(), 2)], true, false)
        );
        let (names, run) = read(
            &index,
            &format!("limit=1&before={}", GroupQuery::cursor("b")),
        );
        assert_eq!(
            (names, run.has_before, run.has_after),
            (vec![("a".to_owned(), 1)], false, true)
        );
    }

    #[test]
    fn names_that_a_cursor_can_not_tell_apart_lie_behind_it() {
        let index = Index::new(1 << 24, 0);
        let long = "x".repeat(3_000);
        for (id, end) in [("1", "a"), ("2", "b")] {
            put(&index, id, &format!("{long}{end}"));
        }
        put(&index, "3", "y");
        let after = GroupQuery::cursor(&format!("{long}a"));
        let (names, run) = read(&index, &format!("limit=5&after={after}"));
        assert_eq!((names, run.has_before), (vec![("y".to_owned(), 1)], true));
    }
}

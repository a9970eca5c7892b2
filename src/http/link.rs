//! `Link` to the neighbours of a page ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288)).

use super::uri;
use crate::catalog::{Cursor, GroupQuery, PageQuery, Select};
use http::HeaderValue;

/// The relation of a neighbour, the parameter that its cursor goes into, and the cursor.
type Neighbour = (&'static str, &'static str, Option<String>);

/// Links from a page of products to those before and after it, where there are any. The conditions come last.
pub(super) fn of_page(
    query: &PageQuery,
    select: Option<Select>,
    after: Option<&Cursor>,
    before: Option<&Cursor>,
) -> Option<HeaderValue> {
    let neighbours = [
        ("next", "after", after.map(Cursor::encode)),
        ("prev", "before", before.map(Cursor::encode)),
    ];
    let select = select.map_or_else(String::new, |select| format!("&select={select}"));
    let criteria = match query.criteria.canonical() {
        text if text.is_empty() => text,
        text => format!("&{text}"),
    };
    links(
        "/products",
        query.limit,
        neighbours,
        &format!("{select}{criteria}"),
    )
}

/// Links from a page of the groups at `path`.
pub(super) fn of_groups(
    path: &str,
    query: &GroupQuery,
    after: Option<String>,
    before: Option<String>,
) -> Option<HeaderValue> {
    let neighbours = [("next", "after", after), ("prev", "before", before)];
    links(path, query.limit, neighbours, "")
}

/// The neighbours that there are. One whose URI this service would refuse as too long is left out: its cursor
/// stands in the body.
fn links(path: &str, limit: usize, neighbours: [Neighbour; 2], rest: &str) -> Option<HeaderValue> {
    let links = neighbours
        .into_iter()
        .filter_map(|(relation, parameter, cursor)| {
            let target = format!("{path}?limit={limit}&{parameter}={}{rest}", cursor?);
            (target.len() <= uri::LONGEST).then(|| format!("<{target}>; rel=\"{relation}\""))
        });
    let links: Vec<_> = links.collect();
    // What is encoded for a URI is visible ASCII.
    HeaderValue::try_from(links.join(", "))
        .ok()
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Asked, Place, Position, ProductId, Query};
    use crate::product::Key;

    fn page(query: &str) -> (PageQuery, Option<Select>) {
        let query = Query::parse(query).unwrap();
        match query.asked {
            Asked::Page(page) => (page, query.select),
            other => panic!("{other:?}"),
        }
    }

    fn cursor(query: &PageQuery) -> Cursor {
        let keys = query.criteria.sort.iter().map(|_| Key::Integer(5));
        let (keys, id) = (keys.collect(), ProductId::parse("p").unwrap());
        Cursor::at(&query.criteria, Place { keys, id })
    }

    #[test]
    fn a_link_asks_the_same_of_the_next_page() {
        let text = "select=price,id&price%3E=5&name=%27%27&limit=7&sortby=price";
        let (query, select) = page(text);
        let cursor = cursor(&query);
        let value = of_page(&query, select, Some(&cursor), Some(&cursor)).unwrap();
        let value = value.to_str().unwrap();
        let encoded = cursor.encode();
        let rest = "&select=id,price&sortby=-price&name=%27%27&price%3E=5";
        assert_eq!(
            value,
            format!(
                "</products?limit=7&after={encoded}{rest}>; rel=\"next\", </products?limit=7&before={encoded}{rest}>; rel=\"prev\""
            )
        );
        let (_, target) = value.split_once('?').unwrap();
        let (next, chosen) = page(target.split_once('>').unwrap().0);
        assert_eq!((&next.criteria, chosen), (&query.criteria, select));
        assert_eq!(next.position, Position::After(cursor));
    }

    #[test]
    fn the_only_page_has_no_neighbours() {
        let (query, select) = page("");
        assert_eq!(of_page(&query, select, None, None), None);
    }

    #[test]
    fn a_neighbour_whose_uri_would_be_refused_is_left_out() {
        let (query, select) = page(&format!("name={}", "%F0%9F%8D%B5".repeat(1900)));
        let cursor = cursor(&query);
        assert_eq!(of_page(&query, select, Some(&cursor), None), None);
    }
}

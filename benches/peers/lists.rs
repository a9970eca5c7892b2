//! The lists that are asked for, and walking along them.

use crate::client::{Client, get};
use anyhow::{Context, ensure};
use serde_json::Value;
use std::net::SocketAddr;

/// Products on a page.
const LIMIT: usize = 20;

/// Pages of each list: enough that no processor cache holds them all.
const PAGES: usize = 400;

/// Least prices, in cents.
const PRICES: [usize; 5] = [1_000, 2_000, 4_000, 8_000, 16_000];

/// The paths of the first pages in the order of ids.
pub fn by_id(addr: SocketAddr) -> anyhow::Result<Vec<String>> {
    walk(addr, format!("/products?limit={LIMIT}"))
}

/// The paths of the first pages by price.
pub fn by_price(addr: SocketAddr) -> anyhow::Result<Vec<String>> {
    walk(addr, format!("/products?limit={LIMIT}&sortby=%2Bprice"))
}

/// The paths of the first pages of one brand's products that cost at least so much, for all brands.
pub fn filtered(addr: SocketAddr) -> anyhow::Result<Vec<String>> {
    let mut client = Client::connect(addr)?;
    let brands = page(&mut client, "/brands?limit=100")?;
    let brands = brands.pointer("/data").and_then(Value::as_array);
    let mut paths = Vec::new();
    for brand in brands.context("no brands")? {
        let name = brand.pointer("/name").and_then(Value::as_str);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("brand", name.context("a brand without a name")?);
        let query = query.finish();
        paths.extend(
            PRICES.map(|cents| format!("/products?{query}&price%3E={cents}&limit={LIMIT}")),
        );
    }
    Ok(paths)
}

/// Follows the cursors from page to page.
fn walk(addr: SocketAddr, first: String) -> anyhow::Result<Vec<String>> {
    let mut client = Client::connect(addr)?;
    let mut paths = vec![first.clone()];
    while paths.len() < PAGES
        && let Some(path) = paths.last()
    {
        let page = page(&mut client, path)?;
        let after = page.pointer("/paging/cursors/after");
        match after.and_then(Value::as_str) {
            Some(after) => paths.push(format!("{first}&after={after}")),
            None => break,
        }
    }
    Ok(paths)
}

fn page(client: &mut Client, path: &str) -> anyhow::Result<Value> {
    let answer = client.ask(get(path).as_bytes())?;
    ensure!(answer.status == 200, "{path}: {}", answer.status);
    Ok(serde_json::from_slice(&answer.body)?)
}

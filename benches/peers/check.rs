//! Before anything is measured: everybody is warm, and answers the same.

use crate::client::{Answer, Client};
use crate::process::Server;
use crate::requests;
use anyhow::{Context, ensure};
use std::net::SocketAddr;

/// Connections at a time while servers are warmed.
const CLIENTS: usize = 8;

/// Requests of a case that are compared byte for byte.
const COMPARED: usize = 200;

/// What every server says by itself, or only the one that made the answer can know.
const OWN_HEADERS: [&str; 2] = ["date", "content-length"];

/// Asks a server for every product once. The entity tags, in the order of ids.
pub fn sweep(server: &Server, products: usize) -> anyhow::Result<Vec<String>> {
    let requests = requests::all(products);
    let shares = requests.chunks(products.div_ceil(CLIENTS).max(1));
    let asking: Vec<_> = shares
        .map(|share| {
            let (share, addr) = (share.to_vec(), server.addr);
            std::thread::spawn(move || tags(addr, &share))
        })
        .collect();
    let mut all = Vec::with_capacity(products);
    for share in asking {
        let share = share.join().ok().context("a client panicked")?;
        all.extend(share.with_context(|| format!("warming {}", server.name))?);
    }
    Ok(all)
}

fn tags(addr: SocketAddr, requests: &[String]) -> anyhow::Result<Vec<String>> {
    let mut client = Client::connect(addr)?;
    let tag = |request: &String| {
        let answer = client.ask(request.as_bytes())?;
        ensure!(answer.status == 200, "{request}: {}", answer.status);
        Ok(header(&answer, "etag").context("no tag")?.to_owned())
    };
    requests.iter().map(tag).collect()
}

/// Compares what two servers answer, for some of these requests; and that it has this status.
pub fn compare(
    model: &Server,
    other: &Server,
    requests: &[String],
    status: u16,
) -> anyhow::Result<()> {
    let (mut first, mut second) = (Client::connect(model.addr)?, Client::connect(other.addr)?);
    for request in requests.iter().step_by(requests.len().div_ceil(COMPARED)) {
        let expected = first.ask(request.as_bytes())?;
        // The first time a cache may have to ask.
        second.ask(request.as_bytes())?;
        let found = second.ask(request.as_bytes())?;
        ensure!(
            expected.status == status && is_same(&expected, &found),
            "{} and {} differ about {request}: {expected:?}, {found:?}",
            model.name,
            other.name
        );
    }
    Ok(())
}

/// The same status, body and tag, and every header that the model has.
fn is_same(expected: &Answer, found: &Answer) -> bool {
    let names = expected.head.iter().map(|(name, _)| name.as_str());
    let mut names = names.filter(|name| !OWN_HEADERS.contains(name));
    (expected.status, &expected.body) == (found.status, &found.body)
        && header(expected, "etag") == header(found, "etag")
        && names.all(|name| header(found, name).is_some())
}

/// The value of a header, by its name in lower case.
fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let mut head = answer.head.iter();
    let (_, value) = head.find(|(found, _)| found == name)?;
    Some(value)
}

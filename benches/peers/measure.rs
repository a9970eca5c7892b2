//! The cases, each measured in rounds in which all servers take their turn.

use crate::Case;
use crate::bare::{self, Flavour};
use crate::check::{compare, sweep};
use crate::client::{Client, get};
use crate::fleet::{PRODUCT, Service, Yard};
use crate::lists;
use crate::load::Load;
use crate::process::Server;
use crate::requests::{self, Popularity};
use crate::serving::{path, put};
use crate::table::Table;
use anyhow::{Context, ensure};
use std::path::Path;

/// Requests that are written down; then they begin again.
const SEQUENCE: usize = 200_000;

/// How far the inventory is away where products are missing, in milliseconds.
const FAR: u64 = 20;

/// Prices that writers choose from, in cents.
const PRICES: usize = 100_000;

/// Everything that stands for the whole run. Servers that others ask stand after those.
pub struct Bench {
    product: Server,
    peers: Vec<Server>,
    origin: Server,
    /// The product's; the origin has one of its own, so that writes to one are no news to the other.
    inventory: Server,
    _origins: Server,
    yard: Yard,
    /// The entity tags of all products.
    tags: Vec<String>,
    load: Load,
    /// Requests a second of [`Case::Rate`].
    rate: u32,
    rounds: usize,
}

// === impl Bench ===

impl Bench {
    /// Starts everything, and makes it warm: every server has answered for every product, alike.
    pub fn set(yard: Yard, load: Load, rate: u32, rounds: usize) -> anyhow::Result<Self> {
        let (inventory, origins) = (yard.inventory(0)?, yard.inventory(0)?);
        let service = |name, inventory: &Server| Service {
            name,
            inventory: inventory.addr,
            is_warm: true,
            has_access_log: false,
        };
        let product = yard.service(service(PRODUCT, &inventory))?;
        let origin = yard.service(service("origin", &origins))?;
        let peers = vec![yard.nginx(origin.addr, false)?, yard.varnish(origin.addr)?];
        let tags = sweep(&product, yard.products)?;
        for peer in &peers {
            let is_same = sweep(peer, yard.products)? == tags;
            ensure!(is_same, "{} has other versions", peer.name);
        }
        Ok(Self {
            product,
            peers,
            origin,
            inventory,
            _origins: origins,
            yard,
            tags,
            load,
            rate,
            rounds,
        })
    }

    /// Measures one case, and prints its table.
    pub fn run(&self, case: Case) -> anyhow::Result<()> {
        let requests = self.requests(case)?;
        let file = self.yard.home.join("requests");
        requests::write(&file, &requests)?;
        let title = format!(
            "{}, {} rounds of {} s",
            case.title(),
            self.rounds,
            self.load.seconds
        );
        let mut table = Table::new(title);
        match case {
            Case::Misses => self.misses(&file, &mut table)?,
            Case::Logged => self.logged(&file, &mut table)?,
            Case::Middleware => self.middleware(&file, &mut table)?,
            Case::Mixed => self.mixed(&file, &mut table)?,
            _ => self.reads(case, &file, &requests, &mut table)?,
        }
        table.print(case == Case::Rate);
        Ok(())
    }

    /// What is asked in this case.
    fn requests(&self, case: Case) -> anyhow::Result<Vec<String>> {
        let products = self.yard.products;
        let mut popularity = Popularity::of(products);
        let addr = self.product.addr;
        Ok(match case {
            Case::Hit | Case::Logged | Case::Middleware | Case::Rate => (0..SEQUENCE)
                .map(|_| get(&path(popularity.draw(), products)))
                .collect(),
            Case::NotModified => (0..SEQUENCE)
                .map(|_| {
                    let number = popularity.draw();
                    let tag = self.tags.get(number - 1).map_or("", String::as_str);
                    requests::get_if_changed(&path(number, products), tag)
                })
                .collect(),
            Case::ById => draws(&lists::by_id(addr)?, &mut popularity),
            Case::ByPrice => draws(&lists::by_price(addr)?, &mut popularity),
            Case::Filter => draws(&lists::filtered(addr)?, &mut popularity),
            Case::Misses => popularity.each_once(),
            Case::Mixed => self.mixture(&mut popularity)?,
        })
    }

    /// 95 reads, 4 lists and a write in a hundred, the order by chance.
    fn mixture(&self, popularity: &mut Popularity) -> anyhow::Result<Vec<String>> {
        let addr = self.product.addr;
        let mut pages = lists::by_id(addr)?;
        pages.extend(lists::by_price(addr)?);
        pages.extend(lists::filtered(addr)?);
        let mut client = Client::connect(addr)?;
        let mut mixture = Vec::with_capacity(SEQUENCE);
        for _ in 0..SEQUENCE {
            let product = path(popularity.draw(), self.yard.products);
            mixture.push(match popularity.dice(100) {
                0 => {
                    let answer = client.ask(get(&product).as_bytes())?;
                    let cents = popularity.dice(PRICES);
                    put(&product, &answer, cents)?
                }
                1..=4 => pages
                    .get(popularity.dice(pages.len()))
                    .map(|page| get(page))
                    .context("no pages")?,
                _ => get(&product),
            });
        }
        Ok(mixture)
    }

    /// What everybody holds, with bare hyper as the limit.
    fn reads(
        &self,
        case: Case,
        file: &Path,
        requests: &[String],
        table: &mut Table,
    ) -> anyhow::Result<()> {
        for peer in &self.peers {
            compare(&self.product, peer, requests, case.status())?;
        }
        let first = requests.first().context("no requests")?;
        let typical = Client::connect(self.product.addr)?.ask(first.as_bytes())?;
        let template = self.yard.home.join("template");
        std::fs::write(&template, bare::template(&typical))?;
        let bare = [Flavour::Multi, Flavour::Apart]
            .map(|flavour| self.yard.bare(&template, flavour))
            .into_iter()
            .collect::<anyhow::Result<Vec<_>>>()?;
        for server in &bare {
            let one = std::slice::from_ref(first);
            compare(&self.product, server, one, case.status())?;
        }
        let servers: Vec<&Server> = bare.iter().chain(self.all()).collect();
        let rate = (case == Case::Rate).then_some(self.rate);
        let load = Load { rate, ..self.load };
        for round in 0..self.rounds {
            in_turn(round, &servers, load, file, table)?;
        }
        Ok(())
    }

    /// Who has to ask the inventory for everything: nobody holds anything, nothing is asked for twice.
    fn misses(&self, file: &Path, table: &mut Table) -> anyhow::Result<()> {
        let inventory = self.yard.inventory(FAR)?;
        for round in 0..self.rounds {
            let product = self.yard.service(Service {
                name: PRODUCT,
                inventory: inventory.addr,
                is_warm: false,
                has_access_log: false,
            })?;
            let nginx = self.yard.nginx(inventory.addr, false)?;
            let varnish = self.yard.varnish(inventory.addr)?;
            let servers = [&product, &nginx, &varnish];
            let most = in_turn(round, &servers, self.load, file, table)?;
            ensure!(
                most <= u64::try_from(self.yard.products)?,
                "{most} requests are more than there are products: --products or --seconds"
            );
        }
        Ok(())
    }

    /// Reads with a line in the access log for each. Varnish leaves those to another program.
    fn logged(&self, file: &Path, table: &mut Table) -> anyhow::Result<()> {
        let product = self.yard.service(Service {
            name: PRODUCT,
            inventory: self.inventory.addr,
            is_warm: true,
            has_access_log: true,
        })?;
        let nginx = self.yard.nginx(self.origin.addr, true)?;
        for server in [&product, &nginx] {
            sweep(server, self.yard.products)?;
        }
        for round in 0..self.rounds {
            in_turn(round, &[&product, &nginx], self.load, file, table)?;
            self.yard.empty_logs()?;
        }
        Ok(())
    }

    /// The product against its own cache behind nothing but HTTP.
    fn middleware(&self, file: &Path, table: &mut Table) -> anyhow::Result<()> {
        let plain = self.yard.plain(self.inventory.addr)?;
        ensure!(
            sweep(&plain, self.yard.products)? == self.tags,
            "behind nothing there are other versions"
        );
        for round in 0..self.rounds {
            in_turn(round, &[&self.product, &plain], self.load, file, table)?;
        }
        Ok(())
    }

    /// Reads, lists and writes. A write goes through a peer to its origin, and leaves what the peer holds as it is.
    fn mixed(&self, file: &Path, table: &mut Table) -> anyhow::Result<()> {
        let servers: Vec<&Server> = self.all().collect();
        for round in 0..self.rounds {
            in_turn(round, &servers, self.load, file, table)?;
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &Server> {
        std::iter::once(&self.product).chain(&self.peers)
    }
}

/// One round: every server takes its turn, each time another one first. The most requests that one of
/// them has answered.
fn in_turn(
    round: usize,
    servers: &[&Server],
    load: Load,
    file: &Path,
    table: &mut Table,
) -> anyhow::Result<u64> {
    let first = round % servers.len().max(1);
    let mut most = 0;
    for server in servers.iter().cycle().skip(first).take(servers.len()) {
        let sample = load.on(server, file)?;
        most = most.max(sample.requests);
        table.add(server.name, sample);
    }
    Ok(most)
}

/// Requests for pages that are all as popular.
fn draws(pages: &[String], popularity: &mut Popularity) -> Vec<String> {
    (0..SEQUENCE)
        .filter_map(|_| pages.get(popularity.dice(pages.len())))
        .map(|page| get(page))
        .collect()
}

//! `product-catalog demo`: the service with an embedded inventory, ready to be tried.

use super::{DemoArgs, environment, fetch, open, reachable};
use crate::app::Bound;
use crate::app::signals::Signals;
use crate::config::{Config, Demo, Profile};
use crate::contract::Contract;
use crate::demo::{Catalogue, Inventory};
use crate::secrets::Secret;
use anyhow::Context;
use sha2::{Digest, Sha256};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What the demo made up for itself.
struct Demonstration {
    inventory: SocketAddr,
    products: usize,
    write_key: String,
    admin_token: String,
}

/// Runs the demo until a signal says to stop.
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let signals = Signals::listen().context("can not listen for signals")?;
    let contract = Contract::embedded()?;
    let (catalogue, name) = catalogue(&args)?;
    let key = Uuid::new_v4().to_string();
    let inventory = Inventory::new(catalogue).with_key(key.as_str());
    inventory
        .knobs()
        .turn(|faults| faults.away = args.inventory_away);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("no port for the embedded inventory")?;
    let demonstration = Demonstration {
        inventory: listener.local_addr()?,
        products: inventory.len(),
        write_key: Uuid::new_v4().simple().to_string(),
        admin_token: Uuid::new_v4().simple().to_string(),
    };
    // Deleted when the demo ends.
    let scratch = tempfile::tempdir().context("no temporary directory for the store")?;
    let profile = Profile::Demo(demonstration.profile(key, name, scratch.path())?);
    let config = Config::load(&contract, &environment(), &profile, fetch()).await?;
    let (_guard, bound) = open(config).await?;
    eprintln!("{}", demonstration.welcome(&bound));

    let stop = CancellationToken::new();
    let (served, inventory) = tokio::join!(
        async {
            let served = super::run(bound, signals).await;
            stop.cancel();
            served
        },
        inventory.serve(listener, stop.clone()),
    );
    inventory.context("the embedded inventory failed")?;
    served
}

/// The products to begin with, and a name for where they come from.
fn catalogue(args: &DemoArgs) -> anyhow::Result<(Catalogue, String)> {
    match &args.catalogue {
        Some(path) => {
            let catalogue = Catalogue::read(path)?;
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            Ok((catalogue, path.display().to_string()))
        }
        None => Ok((
            Catalogue::generated(args.products as usize, args.seed),
            format!("{} products, seed {}", args.products, args.seed),
        )),
    }
}

// === impl Demonstration ===

impl Demonstration {
    fn profile(&self, key: String, catalogue: String, scratch: &Path) -> anyhow::Result<Demo> {
        let digest: String = Sha256::digest(&self.write_key)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Demo {
            upstream: format!("http://{}", self.inventory).parse()?,
            api_key: Secret::new(key),
            cache_dir: scratch.to_owned(),
            catalogue,
            write_keys: format!("demo:{digest}"),
            admin_token: Secret::new(self.admin_token.as_str()),
        })
    }

    /// What to try, as commands to copy.
    fn welcome(&self, bound: &Bound) -> String {
        let Self {
            inventory,
            products,
            write_key,
            admin_token,
        } = self;
        let api = reachable(bound.http_addr());
        let internal = reachable(bound.metrics_addr());
        format!(
            "
product-catalog demo: {products} products from an embedded inventory on http://{inventory}

Read:
  curl -i 'http://{api}/products?limit=2'
  id=$(curl -s 'http://{api}/products?limit=1' | sed 's/.*\"data\":\\[{{\"id\":\"\\([^\"]*\\)\".*/\\1/')
  curl -i http://{api}/products/$id
  curl -s http://{api}/health

Write (through the inventory, then the cache), with this key:
x-api-key: {write_key}
  curl -i -X PUT http://{api}/products/demo-1 -H 'content-type: application/json' \\
    -H 'x-api-key: {write_key}' -d '{{\"name\":\"A product of mine\",\"price\":{{\"amount\":1999,\"currency\":\"EUR\"}}}}'

Take the inventory away, read on, and bring it back:
  curl -s -X PUT http://{inventory}/knobs -H 'content-type: application/json' -d '{{\"away\":true}}'
  curl -s http://{api}/health
  curl -s -X PUT http://{inventory}/knobs -H 'content-type: application/json' -d '{{}}'

Look inside:
  curl -s http://{internal}/metrics
  curl -s http://{internal}/cache/stats
  curl -s -X POST http://{internal}/cache/invalidations -H 'authorization: Bearer {admin_token}' \\
    -H 'content-type: application/json' -d '{{\"all\":true}}'

Stop with Ctrl-C. The store is temporary; set CACHE_DIR to keep it.
"
        )
    }
}

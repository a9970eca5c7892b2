//! `product-catalog demo`: the service with an embedded inventory, ready to be tried.

use super::{DemoArgs, environment, fetch, open, reachable};
use crate::app::signals::Signals;
use crate::config::{Config, Demo, Origin, Profile, Setting};
use crate::contract::Contract;
use crate::demo::{Catalogue, Inventory};
use crate::secrets::Secret;
use anyhow::Context;
use sha2::{Digest, Sha256};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use tempfile::TempDir;
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
    let environment = environment();
    let has_place = ["CACHE_DIR", "CACHE_DIR_FILE"]
        .iter()
        .any(|name| environment.get(name).is_some());
    // Deleted when the demo ends.
    let scratch = (!has_place)
        .then(tempfile::tempdir)
        .transpose()
        .context("no temporary directory for the store")?;
    let scratch = scratch.as_ref().map(TempDir::path);
    let profile = Profile::Demo(demonstration.profile(key, name, scratch)?);
    let config = Config::load(&contract, &environment, &profile, fetch()).await?;
    let settings = config.settings.clone();
    let (_guard, bound) = open(config).await?;
    let (api, internal) = (bound.http_addr(), bound.metrics_addr());
    eprintln!("{}", demonstration.welcome(api, internal, &settings));

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
    fn profile(
        &self,
        key: String,
        catalogue: String,
        scratch: Option<&Path>,
    ) -> anyhow::Result<Demo> {
        let digest: String = Sha256::digest(&self.write_key)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Demo {
            upstream: format!("http://{}", self.inventory).parse()?,
            api_key: Secret::new(key),
            cache_dir: scratch.map(Path::to_owned),
            catalogue,
            write_keys: format!("demo:{digest}"),
            admin_token: Secret::new(self.admin_token.as_str()),
        })
    }

    /// What to try, as commands to copy. What somebody set in place of the demo's own is not repeated.
    fn welcome(&self, api: SocketAddr, internal: SocketAddr, settings: &[Setting]) -> String {
        let Self {
            inventory,
            products,
            ..
        } = self;
        let (api, internal) = (reachable(api), reachable(internal));
        let is_ours = |name| {
            let mut settings = settings.iter().filter(|setting| setting.variable == name);
            settings.any(|setting| setting.origin == Some(Origin::Demo))
        };
        let (write_key, with_key) = match is_ours("WRITE_API_KEYS") {
            true => (
                self.write_key.as_str(),
                format!("with this key:\nx-api-key: {}", self.write_key),
            ),
            false => (
                "$KEY",
                "with a key of your WRITE_API_KEYS in $KEY:".to_owned(),
            ),
        };
        let (admin_token, with_token) = match is_ours("ADMIN_TOKEN") {
            true => (self.admin_token.as_str(), ""),
            false => ("$ADMIN", " (with your ADMIN_TOKEN in $ADMIN)"),
        };
        let store = match is_ours("CACHE_DIR") {
            true => "temporary; set CACHE_DIR to keep it",
            false => "kept in CACHE_DIR",
        };
        format!(
            "
product-catalog demo: {products} products from an embedded inventory on http://{inventory}

Read:
  curl -i 'http://{api}/products?limit=2'
  id=$(curl -s 'http://{api}/products?limit=1' | sed 's/.*\"data\":\\[{{\"id\":\"\\([^\"]*\\)\".*/\\1/')
  curl -i http://{api}/products/$id
  curl -s http://{api}/health

Write (through the inventory, then the cache), {with_key}
  curl -i -X PUT http://{api}/products/demo-1 -H 'content-type: application/json' \\
    -H \"x-api-key: {write_key}\" -d '{{\"name\":\"A product of mine\",\"price\":{{\"amount\":1999,\"currency\":\"EUR\"}}}}'

Take the inventory away, read on, and bring it back:
  curl -s -X PUT http://{inventory}/knobs -H 'content-type: application/json' -d '{{\"away\":true}}'
  curl -s http://{api}/health
  curl -s -X PUT http://{inventory}/knobs -H 'content-type: application/json' -d '{{}}'

Look inside{with_token}:
  curl -s http://{internal}/metrics
  curl -s http://{internal}/cache/stats
  curl -s -X POST http://{internal}/cache/invalidations -H \"authorization: Bearer {admin_token}\" \\
    -H 'content-type: application/json' -d '{{\"all\":true}}'

Stop with Ctrl-C. The store is {store}.
"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_names_a_credential_only_where_it_works() {
        let demonstration = Demonstration {
            inventory: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            products: 3,
            write_key: "made-up-key".into(),
            admin_token: "made-up-token".into(),
        };
        let addr = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 2));
        for (origin, ours) in [(Origin::Demo, true), (Origin::Environment, false)] {
            let settings = ["WRITE_API_KEYS", "ADMIN_TOKEN", "CACHE_DIR"].map(|name| Setting {
                variable: name.into(),
                shown: "?".into(),
                origin: Some(origin.clone()),
            });
            let text = demonstration.welcome(addr, addr, &settings);
            for (line, shown) in [
                ("\nx-api-key: made-up-key\n", ours),
                ("-H \"x-api-key: made-up-key\"", ours),
                ("-H \"authorization: Bearer made-up-token\"", ours),
                ("The store is temporary", ours),
                ("-H \"x-api-key: $KEY\"", !ours),
                ("-H \"authorization: Bearer $ADMIN\"", !ours),
                ("The store is kept in CACHE_DIR", !ours),
            ] {
                assert_eq!(text.contains(line), shown, "{line}: {text}");
            }
        }
    }
}

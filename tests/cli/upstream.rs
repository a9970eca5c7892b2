//! [`Upstream`]: the embedded inventory on a socket of the test's own.

use product_catalog::demo::{Catalogue, Inventory};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::ops::Deref;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// An inventory that answers until it goes away.
pub struct Upstream {
    inventory: Inventory,
    addr: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

// === impl Upstream ===

impl Upstream {
    /// An inventory of so many products.
    pub async fn of(products: usize) -> Self {
        Self::serving(Inventory::new(Catalogue::generated(products, 1))).await
    }

    /// This inventory.
    pub async fn serving(inventory: Inventory) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), inventory).await
    }

    async fn at(addr: SocketAddr, inventory: Inventory) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(inventory.clone().serve(listener, stop.clone()));
        Self {
            inventory,
            addr,
            stop,
            tasks,
        }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Closes its port: nobody is there any more.
    pub async fn go_away(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The same inventory on the same port, after it went away.
    pub async fn come_back(self) -> Self {
        Self::at(self.addr, self.inventory).await
    }
}

impl Deref for Upstream {
    type Target = Inventory;

    fn deref(&self) -> &Inventory {
        &self.inventory
    }
}

/// A product as the inventory keeps it.
pub fn product(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "price": {"amount": 1999, "currency": "EUR"}})
}

/// A product as a client writes it.
pub fn draft(name: &str) -> String {
    json!({"name": name, "price": {"amount": 1999, "currency": "EUR"}}).to_string()
}

/// A key for writing, and the `WRITE_API_KEYS` that admits it.
pub fn write_key() -> (&'static str, String) {
    use sha2::{Digest, Sha256};
    let key = "a-key-for-writing";
    let digest: String = Sha256::digest(key)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    (key, format!("tests:{digest}"))
}

//! A real shared cache in front of the service: Varnish, with the file that docs/cdn.md shows.
//!
//! Needs `varnishd` and its xkey module (Debian: `varnish`, `varnish-modules`), so that it is not among
//! the tests that `cargo test` runs: `.ci/run shared_cache` installs them and runs
//! `cargo test --test shared_cache`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helpers too"
)]
#![allow(dead_code, reason = "the modules serve tests/cli.rs too")]

#[path = "cli/client.rs"]
mod client;
#[path = "cli/process.rs"]
mod process;
#[path = "cli/upstream.rs"]
mod upstream;

use client::Answer;
use process::{Launch, PATIENCE, Process};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use upstream::Upstream;

const VCL: &str = include_str!("../docs/cdn/varnish.vcl");

/// How long a product is fresh here, in seconds: short, since Varnish's clock is the real one.
const WINDOW: &str = "4";

/// Varnish, ended with the test.
struct Varnish {
    child: Child,
    addr: SocketAddr,
    _home: TempDir,
}

// === impl Varnish ===

impl Varnish {
    /// Starts it in front of `service` with the documented file, the service's port apart.
    async fn before(service: SocketAddr) -> Self {
        let home = tempfile::tempdir().unwrap();
        let addr = free_port();
        let file = home.path().join("varnish.vcl");
        let documented = ".port = \"8080\";";
        assert!(VCL.contains(documented));
        let port = format!(".port = \"{}\";", service.port());
        std::fs::write(&file, VCL.replace(documented, &port)).unwrap();
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        let child = Command::new("varnishd")
            .args(["-F", "-j", "none", "-s", "malloc,64m"])
            .args(["-p", "http_gzip_support=off"])
            .args(["-a", &addr.to_string()])
            .arg("-n")
            .arg(home.path().join("run"))
            .arg("-f")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("varnishd is installed: .ci/run does that");
        let varnish = Self {
            child,
            addr,
            _home: home,
        };
        varnish.up().await;
        varnish
    }

    async fn up(&self) {
        let trying = async {
            while tokio::net::TcpStream::connect(self.addr).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let log = || std::fs::read_to_string(self._home.path().join("log")).unwrap_or_default();
        assert!(timeout(PATIENCE, trying).await.is_ok(), "{}", log());
    }

    async fn get(&self, path: &str) -> Answer {
        client::get(self.addr, path).await
    }

    /// Purges everything with this key; says how much that was.
    async fn purge(&self, key: &str) -> String {
        let answer = client::call(self.addr, "PURGE", "/", &[("xkey", key)], "").await;
        assert_eq!(answer.status, 200);
        answer.text()
    }

    /// Asks until an answer is as wanted.
    async fn until(&self, what: &str, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let asking = async {
            loop {
                let answer = self.get(path).await;
                if wanted(&answer) {
                    return answer;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        match timeout(PATIENCE, asking).await {
            Ok(answer) => answer,
            Err(_) => panic!("waited for {what} in vain: {:?}", self.get(path).await),
        }
    }
}

impl Drop for Varnish {
    fn drop(&mut self) {
        // The parent ends its worker on SIGTERM; SIGKILL would leave it behind.
        let stop = format!("kill -TERM {}", self.child.id());
        let _ = Command::new("sh").args(["-c", &stop]).status();
        let _ = self.child.wait();
    }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn is_hit(answer: &Answer) -> bool {
    answer.header("x-cache") == Some("hit")
}

/// How many answers of this status the service has given on product reads.
async fn answers(service: &Process, status: u16) -> f64 {
    let label = format!("route=\"/products/{{productId}}\",status=\"{status}\"");
    service
        .metric("http_server_request_duration_seconds_count", &label)
        .await
}

/// An inventory with one product whose category and brand are known.
async fn inventory() -> Upstream {
    let upstream = Upstream::of(5).await;
    let kettle = json!({
        "id": "KETTLE-17", "name": "Kettle", "category": "Small appliances", "brand": "Acme",
        "price": {"amount": 3999, "currency": "EUR"}, "updatedAt": "2026-01-01T00:00:00Z",
    });
    upstream.put(&kettle).unwrap();
    upstream
}

fn service(upstream: &Upstream) -> Launch {
    Launch::serve(upstream)
        .set("CDN_HEADERS", "true")
        .set("CACHE_TTL_SECONDS", WINDOW)
}

#[tokio::test]
async fn an_answer_is_a_miss_then_a_hit_then_revalidated_and_purged_by_key() {
    let upstream = inventory().await;
    let service = service(&upstream).warm().await;
    let varnish = Varnish::before(service.http()).await;
    let path = "/products/KETTLE-17";

    let first = varnish
        .until("a first answer", path, |a| a.status == 200)
        .await;
    assert!(!is_hit(&first), "a miss: {first:?}");
    for private in ["cdn-cache-control", "surrogate-key", "xkey"] {
        assert_eq!(
            first.header(private),
            None,
            "{private} is for the shared cache"
        );
    }
    // Fresh for a moment only: somewhere between two refreshes there are hits.
    let asked = answers(&service, 200).await;
    let second = varnish.until("a hit", path, is_hit).await;
    assert_eq!(second.text(), first.text());
    assert_eq!(second.header("etag"), first.header("etag"));
    assert!(second.header("age").is_some());
    let until_the_hit = answers(&service, 200).await;
    let mut hits = 0_u8;
    while is_hit(&varnish.get(path).await) && hits < 20 {
        hits += 1;
    }
    let asked_meanwhile = answers(&service, 200).await - until_the_hit;
    assert!(until_the_hit >= asked && hits > 0, "{hits} hits");
    assert!(asked_meanwhile <= 1.0, "hits do not reach the service");

    // Past its time the copy is revalidated: the service says 304, the client gets the whole body.
    let revalidated = answers(&service, 304).await;
    timeout(PATIENCE, async {
        while answers(&service, 304).await <= revalidated {
            let answer = varnish.get(path).await;
            assert_eq!((answer.status, answer.text()), (200, first.text()));
            sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .expect("a revalidation in time");

    // Each key of the product purges it, and nothing else.
    let other = format!("/products/{}", client::ids(service.http()).await[0]);
    for key in [
        "product:KETTLE-17",
        "category:Small%20appliances",
        "brand:Acme",
    ] {
        varnish.until("a hit", path, is_hit).await;
        assert_eq!(varnish.purge("product:NO-SUCH").await, "0");
        assert_ne!(varnish.purge(key).await, "0", "{key}");
        let next = varnish.get(path).await;
        assert!(!is_hit(&next), "{key} purged it: {next:?}");
    }
    varnish.until("another hit", &other, is_hit).await;
}

#[tokio::test]
async fn lists_are_kept_too_and_purged_by_a_product_on_them() {
    let upstream = inventory().await;
    let service = service(&upstream)
        .set("CACHE_TTL_SECONDS", "60")
        .warm()
        .await;
    let varnish = Varnish::before(service.http()).await;
    for key in ["products", "product:KETTLE-17"] {
        varnish.until("a hit", "/products?limit=100", is_hit).await;
        assert_ne!(varnish.purge(key).await, "0", "{key}");
        assert!(!is_hit(&varnish.get("/products?limit=100").await), "{key}");
    }
}

#[tokio::test]
async fn a_version_is_one_copy_however_it_is_asked_for() {
    let upstream = inventory().await;
    let service = service(&upstream)
        .set("CACHE_TTL_SECONDS", "60")
        .warm()
        .await;
    let varnish = Varnish::before(service.http()).await;
    let path = "/products/KETTLE-17";
    let ask = async |path: &str, accept: &str| {
        let headers = [("accept", accept)];
        client::call(varnish.addr, "GET", path, &headers, "").await
    };
    varnish.until("a hit", path, is_hit).await;
    for spelling in ["*/*", "application/json", "Application/JSON; v=\"2\""] {
        let answer = ask(path, spelling).await;
        assert!(is_hit(&answer), "{spelling}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json;v=2"));
    }
    let deprecated = ask(path, "application/json;v=1").await;
    assert!(!is_hit(&deprecated), "a version is a copy of its own");
    let again = ask(path, "application/json; v=1").await;
    assert_eq!(again.header("content-type"), Some("application/json;v=1"));
    assert!(is_hit(&again), "{again:?}");

    // What is neither is left alone.
    let weighed = "application/json;v=1, application/json;v=2;q=0.5";
    let weighed = ask(path, weighed).await;
    assert_eq!(weighed.header("content-type"), Some("application/json;v=1"));
    assert_eq!(ask(path, "text/html").await.status, 406);
    for (path, accept, expected) in [
        ("/openapi", "application/yaml", "application/yaml"),
        ("/openapi", "*/*", "application/json"),
        (
            "/products/KETTLE-17/availability",
            "*/*",
            "application/json",
        ),
    ] {
        let answer = ask(path, accept).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(expected)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn codings_are_kept_apart_with_their_own_strong_tags() {
    let upstream = inventory().await;
    let big = json!({
        "id": "BIG", "name": "Big", "description": "text ".repeat(1000),
        "price": {"amount": 1, "currency": "EUR"},
    });
    upstream.put(&big).unwrap();
    let service = service(&upstream)
        .set("CACHE_TTL_SECONDS", "60")
        .warm()
        .await;
    let varnish = Varnish::before(service.http()).await;
    varnish
        .until("an answer", "/products/BIG", |a| a.status == 200)
        .await;
    let mut tags = std::collections::BTreeSet::new();
    for (accepted, coding) in [("", None), ("gzip", Some("gzip")), ("br, gzip", Some("br"))] {
        for _ in 0..2 {
            let headers = [("accept-encoding", accepted)];
            let answer = client::call(varnish.addr, "GET", "/products/BIG", &headers, "").await;
            assert_eq!(answer.header("content-encoding"), coding);
            tags.insert(answer.header("etag").unwrap().to_owned());
        }
    }
    assert_eq!(tags.len(), 3, "{tags:?}");
    assert!(tags.iter().all(|tag| !tag.starts_with("W/")), "{tags:?}");
}

#[tokio::test]
async fn the_last_copy_is_served_while_the_service_is_down() {
    let upstream = inventory().await;
    let service = service(&upstream).warm().await;
    let varnish = Varnish::before(service.http()).await;
    let path = "/products/KETTLE-17";
    let before = varnish.until("a hit", path, is_hit).await;
    assert_eq!(service.stop().await.code(), Some(0));

    // Twice its window later, nobody could have confirmed it.
    let late = |answer: &Answer| {
        assert_eq!(
            answer.status, 200,
            "served while the service is down: {answer:?}"
        );
        let age = answer.header("age").and_then(|age| age.parse::<u64>().ok());
        age.is_some_and(|age| age > 6)
    };
    let stale = varnish.until("a stale answer", path, late).await;
    assert_eq!(stale.text(), before.text());
    let never_seen = varnish.get("/products/never-seen").await;
    assert_eq!(never_seen.status, 503);
}

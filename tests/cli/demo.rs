//! `product-catalog demo`: one command, and then what it prints.

use crate::client::{self, Answer};
use crate::process::{Launch, Process};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// A command of the banner, taken apart.
#[derive(Debug, Default)]
struct Curl {
    method: Option<String>,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[tokio::test]
async fn the_demo_needs_nothing_and_every_command_it_prints_works() {
    let demo = Launch::new(&["demo"]).warm().await;
    let banner = demo.err();
    let key = banner
        .lines()
        .find_map(|line| line.strip_prefix("x-api-key: "))
        .expect("the key in a line of its own");
    let curls = commands(&banner);
    assert!(banner.contains("1000 products"), "{banner}");

    let [
        list,
        one,
        health,
        put,
        away,
        degraded,
        back,
        metrics,
        stats,
        invalidation,
    ] = <[Curl; 10]>::try_from(curls).expect("ten commands");
    let page = list.run("").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.json()["data"].as_array().unwrap().len(), 2);

    let id = first_id(&banner, &demo).await;
    assert_eq!(id, page.json()["data"][0]["id"].as_str().unwrap());
    assert_eq!(one.run(&id).await.json()["id"], id.as_str());
    assert_eq!(health.run("").await.json()["status"], "Healthy");

    assert!(put.headers.contains(&("x-api-key".into(), key.into())));
    assert_eq!(put.run("").await.status, 201);
    assert_eq!(demo.get("/products/demo-1").await.status, 200);

    assert_eq!(away.run("").await.status, 200);
    // Whether it was done nobody knows.
    assert_eq!(put.run("").await.status, 504);
    demo.health("Degraded").await;
    let answer = degraded.run("").await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &"Degraded".into())
    );
    for path in [format!("/products/{id}"), "/products?limit=2".to_owned()] {
        let answer = demo.get(&path).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.is_stale(), "it is as fresh as it was");
    }
    assert_eq!(back.run("").await.status, 200);
    assert_eq!(put.run("").await.status, 200);
    demo.health("Healthy").await;

    assert!(
        metrics
            .run("")
            .await
            .text()
            .contains("catalog_cache_entries 1001")
    );
    assert_eq!(stats.run("").await.json()["entries"], 1001);
    assert_eq!(invalidation.run("").await.status, 202);
    assert_eq!(demo.get(&format!("/products/{id}")).await.status, 200);

    let ended = demo.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.all());
    assert!(!ended.stdout.contains(key), "the key is in no log");
}

#[tokio::test]
async fn the_demo_ignores_upstream_api_and_says_so() {
    let elsewhere = "https://inventory.example/api";
    let demo = Launch::new(&["demo", "--products", "3"]).set("UPSTREAM_API", elsewhere);
    let demo = demo.warm().await;
    demo.logged("UPSTREAM_API", |line| {
        (line["Level"] == "WARN").then_some(())
    })
    .await;
    assert_eq!(client::ids(demo.http()).await.len(), 3);
}

#[tokio::test]
async fn the_demos_store_is_temporary_unless_it_is_told_where() {
    let (temporary, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let launch = || Launch::new(&["demo"]).set("TMPDIR", temporary.path().to_str().unwrap());
    let demo = launch().warm().await;
    assert_eq!(temporary.path().read_dir().unwrap().count(), 1);
    demo.stop().await;
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0);

    let demo = launch().store(kept.path()).warm().await;
    let ids = client::ids(demo.http()).await;
    demo.stop().await;
    let away = Launch::new(&["demo", "--inventory-away"]).store(kept.path());
    let demo = away.listening().await;
    let restored = demo.logged("Restored", |line| line["rows"].as_u64()).await;
    assert_eq!(restored, 1000);
    assert_eq!(client::ids(demo.http()).await, ids);
    let health = demo.health("Degraded").await;
    assert_eq!(health.status, 200);
}

// === impl Curl ===

impl Curl {
    /// Takes a command apart; fails on an option that it does not know.
    fn parse(command: &str) -> Self {
        let mut curl = Self::default();
        let mut words = words(command).into_iter().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "-i" | "-s" => {}
                "-X" => curl.method = words.next(),
                "-d" => curl.body = words.next().unwrap(),
                "-H" => {
                    let header = words.next().unwrap();
                    let (name, value) = header.split_once(": ").unwrap();
                    curl.headers.push((name.to_owned(), value.to_owned()));
                }
                url => curl.url = url.strip_prefix("http://").expect("a URL").to_owned(),
            }
        }
        curl
    }

    async fn run(&self, id: &str) -> Answer {
        let (addr, path) = self.url.split_once('/').unwrap();
        let headers = self.headers.iter().map(|(name, value)| (&**name, &**value));
        client::call(
            addr.parse::<SocketAddr>().unwrap(),
            self.method.as_deref().unwrap_or("GET"),
            &format!("/{path}").replace("$id", id),
            &headers.collect::<Vec<_>>(),
            &self.body,
        )
        .await
    }
}

/// The commands to copy, without the one that finds an id.
fn commands(banner: &str) -> Vec<Curl> {
    let lines = banner.replace("\\\n", " ");
    let curls = lines.lines().filter(|line| line.starts_with("  curl "));
    curls.map(Curl::parse).collect()
}

/// The words of a command, as a shell sees them.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = None;
    for letter in command.trim().chars() {
        match letter {
            '\'' | '"' if quoted == Some(letter) => quoted = None,
            '\'' | '"' if quoted.is_none() => quoted = Some(letter),
            ' ' if quoted.is_none() => words.push(String::new()),
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The id that the banner's own pipe finds in a list.
async fn first_id(banner: &str, demo: &Process) -> String {
    let line = banner.lines().find(|line| line.contains("id=$(")).unwrap();
    let sed = line.split_once(" | ").unwrap().1.strip_suffix(')').unwrap();
    let list = demo.get("/products?limit=1").await.text();
    let mut shell = Command::new("sh")
        .args(["-c", sed])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(list.as_bytes())
        .unwrap();
    let found = shell.wait_with_output().unwrap().stdout;
    String::from_utf8(found).unwrap().trim().to_owned()
}

//! Whatever happens to the store, the service answers, says what happened, and rebuilds.

use crate::client;
use crate::process::{Launch, Process};
use crate::upstream::Upstream;
use std::fs;
use std::path::{Path, PathBuf};

const PRODUCTS: usize = 200;

/// Fills a store in `dir`, and leaves it in order.
async fn filled(upstream: &Upstream, dir: &Path) {
    let service = Launch::serve(upstream).store(dir).warm().await;
    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.all());
    assert!(ended.stdout.contains("\"rows\":200"), "{}", ended.stdout);
}

/// The description of the check of the store, and its status.
async fn store_check(service: &Process) -> (String, String) {
    let health = service.get("/health").await;
    assert_eq!(health.status, 200);
    let health = health.json();
    let checks = health["checks"].as_array().unwrap().iter();
    let check = checks.clone().find(|c| c["name"] == "cache-store").unwrap();
    let text = |member: &str| check[member].as_str().unwrap().to_owned();
    (text("status"), text("description"))
}

async fn serves_everything(service: &Process) {
    service.warmed().await;
    let ids = client::ids(service.http()).await;
    assert_eq!(ids.len(), PRODUCTS);
    for id in ids.iter().step_by(7) {
        assert_eq!(service.get(&format!("/products/{id}")).await.status, 200);
    }
}

/// Every file below `dir`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn quarantined(dir: &Path) -> usize {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("quarantine-"))
        .count()
}

/// Starts on a store that was damaged after it was filled, and checks all that has to follow.
/// Returns how many stores were moved aside: none where sled opened what was left of it.
async fn rebuilds_after(damage: impl Fn(&Path)) -> usize {
    let upstream = Upstream::of(PRODUCTS).await;
    let store = tempfile::tempdir().unwrap();
    filled(&upstream, store.path()).await;
    damage(store.path());
    let service = Launch::serve(&upstream)
        .store(store.path())
        .listening()
        .await;
    service
        .logged("store", |line| (line["Level"] == "WARN").then_some(()))
        .await;
    serves_everything(&service).await;
    service.health("Healthy").await;
    let moved_aside = quarantined(store.path());
    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.all());
    assert!(!ended.stdout.contains("panicked"), "{}", ended.stdout);

    let upstream_calls = upstream.calls_of("list");
    let again = Launch::serve(&upstream)
        .store(store.path())
        .set("WARMUP_ON_START", "false")
        .listening()
        .await;
    let restored = again.logged("Restored", |line| line["rows"].as_u64()).await;
    assert_eq!(restored, PRODUCTS as u64, "what was rebuilt is there");
    assert_eq!(upstream.calls_of("list"), upstream_calls);
    moved_aside
}

#[tokio::test]
async fn a_deleted_store_is_rebuilt() {
    let upstream = Upstream::of(PRODUCTS).await;
    let store = tempfile::tempdir().unwrap();
    let dir = store.path().join("below/there");
    filled(&upstream, &dir).await;
    fs::remove_dir_all(&dir).unwrap();
    let service = Launch::serve(&upstream).store(&dir).listening().await;
    serves_everything(&service).await;
    service.health("Healthy").await;
    drop(service);
    assert!(!files(&dir).is_empty());
}

#[tokio::test]
async fn a_store_full_of_garbage_is_moved_aside_and_rebuilt() {
    let moved_aside = rebuilds_after(|dir| {
        let mut random = fastrand::Rng::with_seed(7);
        for file in files(dir) {
            let length = fs::metadata(&file).unwrap().len().max(64);
            let garbage: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            fs::write(file, garbage).unwrap();
        }
    })
    .await;
    assert_eq!(moved_aside, 1);
}

#[tokio::test]
async fn a_store_with_a_garbled_log_is_rebuilt() {
    rebuilds_after(|dir| {
        let db = files(dir).into_iter().find(|file| file.ends_with("db"));
        let db = db.expect("sled's log");
        let mut bytes = fs::read(&db).unwrap();
        for byte in bytes.iter_mut().skip(64).step_by(97) {
            *byte = !*byte;
        }
        fs::write(db, bytes).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_truncated_store_costs_rows_and_nothing_else() {
    let upstream = Upstream::of(PRODUCTS).await;
    let store = tempfile::tempdir().unwrap();
    filled(&upstream, store.path()).await;
    for file in files(store.path()) {
        let whole = fs::read(&file).unwrap();
        fs::write(file, &whole[..whole.len() / 2]).unwrap();
    }
    let service = Launch::serve(&upstream)
        .store(store.path())
        .listening()
        .await;
    serves_everything(&service).await;
    service.health("Healthy").await;
    let ended = service.stop().await;
    assert!(!ended.stdout.contains("panicked"), "{}", ended.stdout);
}

#[tokio::test]
async fn without_a_usable_directory_a_service_runs_from_memory_and_says_so() {
    let upstream = Upstream::of(PRODUCTS).await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "I am no directory").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let service = Launch::serve(&upstream).store(&dir).listening().await;
        service
            .logged("can not be used", |line| {
                (line["Level"] == "ERROR").then_some(())
            })
            .await;
        serves_everything(&service).await;
        let health = service.health("Degraded").await.text();
        assert!(!health.contains(place.path().to_str().unwrap()), "{health}");
        let (status, description) = store_check(&service).await;
        assert_eq!(status, "Degraded");
        assert!(description.contains("memory only"), "{description}");
        assert!(service.metric("catalog_store_up", "").await == 0.0);
        assert_eq!(service.stop().await.code(), Some(0));
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "I am no directory");
}

#[tokio::test]
async fn on_a_read_only_directory_a_service_runs_from_memory() {
    use std::os::unix::fs::PermissionsExt;
    let upstream = Upstream::of(PRODUCTS).await;
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(place.path().join("probe"), "").is_ok() {
        // Who runs this may write everywhere (root, say): then /proc is what nobody can write to.
        let service = Launch::serve(&upstream).store(Path::new("/proc/catalog"));
        let service = service.listening().await;
        serves_everything(&service).await;
        service.health("Degraded").await;
        return;
    }
    let service = Launch::serve(&upstream)
        .store(place.path())
        .listening()
        .await;
    serves_everything(&service).await;
    service.health("Degraded").await;
}

#[tokio::test]
async fn a_second_process_on_the_same_store_runs_from_memory_and_the_first_goes_on() {
    let upstream = Upstream::of(PRODUCTS).await;
    let store = tempfile::tempdir().unwrap();
    let first = Launch::serve(&upstream).store(store.path()).warm().await;
    let second = Launch::serve(&upstream)
        .store(store.path())
        .listening()
        .await;
    second
        .logged("Another process uses the store", |line| {
            (line["Level"] == "WARN").then_some(())
        })
        .await;
    serves_everything(&second).await;
    second.health("Degraded").await;
    let (_, description) = store_check(&second).await;
    assert!(description.contains("another process"), "{description}");
    serves_everything(&first).await;
    first.health("Healthy").await;
    assert_eq!(store_check(&first).await.0, "Healthy");
    assert_eq!(quarantined(store.path()), 0);
    assert_eq!(second.stop().await.code(), Some(0));

    let ended = first.stop().await;
    assert!(
        ended.stdout.contains("flushed and closed"),
        "{}",
        ended.stdout
    );
    let third = Launch::serve(&upstream)
        .store(store.path())
        .listening()
        .await;
    let clean = third.logged("Restored 200 rows", |line| line["clean"].as_bool());
    assert!(clean.await, "the second left it alone");
}

//! Two to six replicas: each stands on its own.

use crate::client;
use crate::process::Launch;
use crate::upstream::Upstream;
use futures_util::future::join_all;

#[tokio::test]
async fn six_replicas_with_six_stores_serve_the_same_and_stop_one_by_one() {
    let upstream = Upstream::of(150).await;
    let stores: Vec<_> = (0..6).map(|_| tempfile::tempdir().unwrap()).collect();
    let launches = stores
        .iter()
        .map(|store| Launch::serve(&upstream).store(store.path()).warm());
    let mut replicas = join_all(launches).await;
    let ids = client::ids(replicas[0].http()).await;
    let path = format!("/products/{}", ids[17]);
    let etag = replicas[0]
        .get(&path)
        .await
        .header("etag")
        .map(str::to_owned);
    assert!(etag.is_some());
    for replica in &replicas {
        replica.health("Healthy").await;
        assert_eq!(client::ids(replica.http()).await, ids);
        let answer = replica.get(&path).await;
        assert_eq!(
            answer.header("etag"),
            etag.as_deref(),
            "equal on all replicas"
        );
    }
    while let Some(replica) = replicas.pop() {
        assert_eq!(replica.stop().await.code(), Some(0));
        for other in &replicas {
            assert_eq!(other.get(&path).await.status, 200);
        }
    }
}

//! The commands that end by themselves.

use crate::process::Launch;
use crate::upstream::Upstream;
use tokio::net::TcpListener;

async fn output(args: &[&str]) -> String {
    let ended = Launch::new(args).run().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.all());
    ended.stdout
}

#[tokio::test]
async fn the_version_is_the_contracts() {
    assert_eq!(output(&["--version"]).await, "product-catalog 2.0.1\n");
}

#[tokio::test]
async fn help_names_every_command_and_what_it_needs() {
    let help = output(&["--help"]).await;
    for command in ["serve", "demo", "healthcheck", "openapi", "config"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
    assert!(help.contains("UPSTREAM_API"), "{help}");
    let demo = output(&["demo", "--help"]).await;
    for option in ["--products", "--seed", "--catalogue", "--inventory-away"] {
        assert!(demo.contains(option), "{demo}");
    }
    assert!(
        output(&["config", "check", "--help"])
            .await
            .contains("--resolve")
    );
}

#[tokio::test]
async fn an_unknown_command_or_option_is_refused() {
    for args in [
        &["sevre"][..],
        &["demo", "--products", "-1"],
        &["demo", "--product", "1"],
    ] {
        let ended = Launch::new(args).run().await;
        assert_eq!(ended.code(), Some(2));
        assert!(ended.stderr.contains(args.last().unwrap()) || ended.stderr.contains(args[1]));
        assert_eq!(ended.stdout, "");
    }
}

#[tokio::test]
async fn the_openapi_document_is_the_one_of_the_bundle() {
    let bundled = include_str!("../../interfaces/openapi.yaml");
    assert_eq!(output(&["openapi"]).await, bundled);
}

#[tokio::test]
async fn healthcheck_is_0_where_a_service_answers_and_1_where_nobody_does() {
    let upstream = Upstream::of(1).await;
    let service = Launch::serve(&upstream).warm().await;
    let check = |addr: &str| Launch::new(&["healthcheck"]).set("HTTP_ADDR", addr).run();
    // The container's probe is in the container: it asks this machine, wherever the service listens.
    let everywhere = format!("0.0.0.0:{}", service.http().port());
    for addr in [service.http().to_string(), everywhere] {
        let ended = check(&addr).await;
        assert_eq!(ended.code(), Some(0), "{}", ended.all());
        assert!(ended.stdout.contains("Healthy"), "{}", ended.stdout);
    }
    upstream.go_away().await;
    let gone = service.http().to_string();
    assert_eq!(
        check(&gone).await.code(),
        Some(0),
        "with a warm cache it serves"
    );
    assert_eq!(service.stop().await.code(), Some(0));
    let ended = check(&gone).await;
    assert_eq!(ended.code(), Some(1));
    let port = gone.rsplit_once(':').unwrap().1;
    assert!(ended.stderr.contains(port), "{}", ended.stderr);
}

#[tokio::test]
async fn healthcheck_is_1_where_a_service_is_unhealthy_or_hangs() {
    let upstream = Upstream::of(1).await;
    upstream.go_away().await;
    let service = Launch::serve(&upstream).listening().await;
    service.health("Unhealthy").await;
    let addr = service.http().to_string();
    let ended = Launch::new(&["healthcheck"])
        .set("HTTP_ADDR", &addr)
        .run()
        .await;
    assert_eq!(ended.code(), Some(1), "{}", ended.all());

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = silent.local_addr().unwrap().to_string();
    let ended = Launch::new(&["healthcheck"])
        .set("HTTP_ADDR", &addr)
        .run()
        .await;
    assert_eq!(ended.code(), Some(1));
    assert!(ended.stderr.contains("in time"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    use std::process::{Command, Stdio};
    let binary = env!("CARGO_BIN_EXE_product-catalog");
    let script = format!("'{binary}' openapi | head -c 10; '{binary}' --version");
    let output = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(
        output.stderr,
        b"",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

//! What has to be installed, and whether it is.

use crate::load::folder;
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::Command;

const PROGRAMS: [&str; 3] = ["nginx", "varnishd", "wrk"];

/// The programs that are missing here.
pub fn missing() -> Vec<&'static str> {
    let is_missing = |name: &&str| Command::new(program(name)).arg("-v").output().is_err();
    PROGRAMS.into_iter().filter(is_missing).collect()
}

/// Installs what is missing, or says what to install.
pub fn install() -> anyhow::Result<()> {
    let setup = folder().join("setup.sh");
    let done = Command::new("bash").arg(setup).status();
    ensure!(
        done.context("no bash")?.success() && missing().is_empty(),
        "something to compare with is missing"
    );
    Ok(())
}

/// Servers lie where only root looks for programs.
pub fn program(name: &str) -> String {
    let place = format!("/usr/sbin/{name}");
    match Path::new(&place).exists() {
        true => place,
        false => name.to_owned(),
    }
}

/// One line: what is compared, in which versions.
pub fn versions() -> anyhow::Result<String> {
    let said = |name: &str, option: &str| -> anyhow::Result<String> {
        let output = Command::new(program(name)).arg(option).output()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    let nginx = said("nginx", "-v")?.replace("nginx version: ", "");
    let varnish = said("varnishd", "-V")?.replace("varnishd ", "");
    let wrk = said("wrk", "-v")?;
    let wrk = wrk.split(" [").next().unwrap_or_default();
    let lock = include_str!("../../Cargo.lock");
    let hyper = lock.split("name = \"hyper\"\nversion = \"").nth(1);
    let hyper = hyper.and_then(|rest| rest.split('"').next());
    Ok(format!(
        "product-catalog {}, hyper {}, {nginx}, {varnish}, {wrk}",
        env!("CARGO_PKG_VERSION"),
        hyper.unwrap_or("?")
    ))
}

//! The `product-catalog` binary. All behaviour is in the library; start reading at `app.rs`.

use clap::Parser;
use product_catalog::cli::Cli;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}

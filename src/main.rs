//! The `product-catalog` binary. All behaviour is in the library; start reading at `app.rs`.

use clap::Parser;
use product_catalog::cli::Cli;
use std::process::ExitCode;
use std::time::Duration;
use tikv_jemallocator::Jemalloc;

/// What a listing makes on one thread is freed on another: docs/ARCHITECTURE.md has the figures.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(cli.run());
            // A name that is being looked up on a thread must not hold the exit.
            runtime.shutdown_timeout(Duration::from_millis(100));
            code
        }
        Err(error) => {
            eprintln!("product-catalog: can not start its threads: {error}");
            ExitCode::FAILURE
        }
    }
}

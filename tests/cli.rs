//! What a real process does: exit codes, signals, sockets, files, kill -9. Everything else is
//! tested without a process, in `tests/it` and beside the code.
//!
//! Each test starts the binary on ports of the system's choice, in a directory of its own; whatever
//! it starts ends with it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helpers too"
)]

#[path = "cli/client.rs"]
mod client;
#[path = "cli/process.rs"]
mod process;
#[path = "cli/upstream.rs"]
mod upstream;
#[path = "cli/vault.rs"]
mod vault;

#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/configuration.rs"]
mod configuration;
#[path = "cli/contracts.rs"]
mod contracts;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/kill.rs"]
mod kill;
#[path = "cli/logs.rs"]
mod logs;
#[path = "cli/repeat.rs"]
mod repeat;
#[path = "cli/replicas.rs"]
mod replicas;
#[path = "cli/restart.rs"]
mod restart;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/sockets.rs"]
mod sockets;
#[path = "cli/stop.rs"]
mod stop;
#[path = "cli/store.rs"]
mod store;

//! The service as a whole, in one process: requests go through the router, calls to the inventory
//! into the embedded inventory's router, and time is paused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod answers;
mod asking;
mod authority;
mod batch;
mod bundle;
mod circuit;
mod conditional;
mod container;
mod contract_faults;
mod contracts;
mod documentation;
mod events;
mod fault_table;
mod faults;
mod front;
mod fuzz;
mod guard;
mod harness;
mod health;
mod house;
mod idempotency;
mod invalidating;
mod issuer;
mod listing;
mod negotiation;
mod operations;
mod pages;
mod patching;
mod promises;
mod querying;
mod reading;
mod readme;
mod shadow;
mod shared_caches;
mod standing;
mod syncing;
mod unavailable;
mod warming;
mod writing;

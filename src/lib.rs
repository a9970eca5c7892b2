//! product-catalog: a product API on a write-through local cache that rebuilds itself from an inventory.
//!
//! A request enters at [`http`], asks [`catalog`], which asks [`cache`] and only if need be
//! [`upstream`]; [`product`] is the language they share, and [`app`] is the only place where they
//! meet. `docs/ARCHITECTURE.md` draws the two straight lines; `tests/it/house.rs` keeps the borders.

pub mod app;
pub mod cache;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contract;
pub mod demo;
pub mod header;
pub mod http;
pub mod ops;
pub mod pace;
pub mod product;
pub mod secrets;
pub mod telemetry;
pub mod upstream;

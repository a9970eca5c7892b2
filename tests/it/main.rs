//! The service as a whole, in one process: requests go through the router, calls to the inventory
//! into the embedded inventory's router, and time is paused.

mod bundle;
mod faults;
mod harness;
mod health;
mod listing;
mod operations;
mod reading;
mod unavailable;
mod warming;
mod writing;

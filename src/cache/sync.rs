//! The locks of the write fence, named apart so that `tests/model.rs` can put loom's in their place.

pub use std::sync::{Mutex, MutexGuard};

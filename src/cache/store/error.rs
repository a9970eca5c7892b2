//! Why a store can not be used, in terms of what to do next.

use std::io::{self, ErrorKind};

/// Why the persistent tier can not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// What lies there can not be read: move it aside and start anew.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// Another process has it: go on without, try again later, never touch it.
    #[error("another process uses the store")]
    Locked,
    /// The disk is full: go on without, try again later.
    #[error("the disk is full")]
    Full,
    /// The directory can not be used: go on without, somebody has to look at it.
    #[error("the directory can not be used: {0}")]
    Unusable(String),
}

// === impl StoreError ===

impl StoreError {
    /// What is the matter, in words that name no place.
    pub const fn in_brief(&self) -> &'static str {
        match self {
            Self::Corrupt(_) => "the store is damaged",
            Self::Locked => "another process uses the store",
            Self::Full => "the disk is full",
            Self::Unusable(_) => "the store's directory can not be used",
        }
    }
}

/// Sorts an I/O error of the store's directory.
pub fn classify_io(error: &io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreError::Full
        }
        // sled 0.34 says so in words only
        ErrorKind::Other if error.to_string().contains("could not acquire lock") => {
            StoreError::Locked
        }
        ErrorKind::WouldBlock => StoreError::Locked,
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => StoreError::Corrupt(error.to_string()),
        kind => StoreError::Unusable(kind.to_string()),
    }
}

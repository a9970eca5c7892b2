//! What lies on disk for a key: a row of a few bytes and, behind it, the value or, where that is not held
//! any more, what the source wants to keep of it. They are written once, and checked on the way in; what
//! does not fit is skipped, never trusted. At a touch the row is written again, elsewhere.

use super::freshness::Trust;
use crate::clock::Moment;

/// The format of everything on disk. Another number on disk discards the store.
pub const FORMAT: u32 = 4;

const ROW_BYTES: usize = 8 + 1 + 2 + 1 + 4;

/// The row of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// When the upstream last vouched for the value.
    pub as_of: Moment,
    /// Whether its word still stands.
    pub trust: Trust,
    /// How much the window is shortened.
    pub jitter_per_mille: u16,
    /// What else lies there.
    pub content: Content,
}

/// What lies on disk behind a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    None,
    /// The value, with this checksum.
    Value(u32),
    /// A summary of the value, with this checksum.
    Summary(u32),
}

const NONE: u8 = 0;
const VALUE: u8 = 1;
const SUMMARY: u8 = 2;

// === impl Row ===

impl Row {
    /// The row's bytes.
    pub fn encode(&self) -> [u8; ROW_BYTES] {
        let mut bytes = [0; ROW_BYTES];
        let (as_of, rest) = bytes.split_at_mut(8);
        as_of.copy_from_slice(&self.as_of.as_millis().to_le_bytes());
        let (flags, crc) = rest.split_at_mut(4);
        let [low, high] = self.jitter_per_mille.to_le_bytes();
        flags.copy_from_slice(&[
            self.trust as u8,
            low,
            high,
            match self.content {
                Content::None => NONE,
                Content::Value(_) => VALUE,
                Content::Summary(_) => SUMMARY,
            },
        ]);
        crc.copy_from_slice(&self.content.checksum().unwrap_or_default().to_le_bytes());
        bytes
    }

    /// Reads a row and what lies behind it; `None` where there is less than a row.
    pub fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (row, content) = bytes.split_at_checked(ROW_BYTES)?;
        Some((Self::decode(row)?, content))
    }

    /// The row that was written later, if that is about the same.
    pub fn touched(self, later: Option<&[u8]>) -> Self {
        let later = later.and_then(Self::decode);
        later
            .filter(|later| later.content == self.content)
            .unwrap_or(self)
    }

    /// Whether it is about this value of the key.
    pub fn is_of_value(&self, key: &[u8], value: &[u8]) -> bool {
        self.content == Content::Value(checksum(key, value))
    }

    /// Reads a row; `None` if it is not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ROW_BYTES] = bytes.try_into().ok()?;
        let [
            m0,
            m1,
            m2,
            m3,
            m4,
            m5,
            m6,
            m7,
            trust,
            low,
            high,
            kind,
            crc @ ..,
        ] = *bytes;
        let crc = u32::from_le_bytes(crc);
        Some(Self {
            as_of: Moment::from_millis(u64::from_le_bytes([m0, m1, m2, m3, m4, m5, m6, m7])),
            trust: Trust::from(trust),
            jitter_per_mille: u16::from_le_bytes([low, high]),
            content: match kind {
                VALUE => Content::Value(crc),
                SUMMARY => Content::Summary(crc),
                _ => Content::None,
            },
        })
    }
}

// === impl Content ===

impl Content {
    /// The checksum of what lies there.
    pub fn checksum(self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Value(crc) | Self::Summary(crc) => Some(crc),
        }
    }
}

/// The checksum that ties a value or summary to its key and row.
pub fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_survives_its_encoding(millis: u64, trust in 0u8..3, jitter: u16, crc: u32, kind in 0..3) {
            let row = Row {
                as_of: Moment::from_millis(millis),
                trust: Trust::from(trust),
                jitter_per_mille: jitter,
                content: [Content::None, Content::Value(crc), Content::Summary(crc)][kind as usize],
            };
            prop_assert_eq!(Row::decode(&row.encode()), Some(row));
        }

        #[test]
        fn bytes_of_another_length_are_no_row(bytes: Vec<u8>) {
            prop_assert_eq!(Row::decode(&bytes).is_some(), bytes.len() == ROW_BYTES);
        }
    }
}

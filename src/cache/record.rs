//! What lies on disk for a key: a row of a few bytes, rewritten at every touch, and the value,
//! written once. Both are checked on the way in; what does not fit is skipped, never trusted.

use super::freshness::Trust;
use crate::clock::Moment;

/// The format of everything on disk. Another number on disk discards the store.
pub const FORMAT: u32 = 1;

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
    /// Checksum of the value that belongs to this row; `None` if there is none.
    pub value_crc: Option<u32>,
}

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
            u8::from(self.value_crc.is_some()),
        ]);
        crc.copy_from_slice(&self.value_crc.unwrap_or_default().to_le_bytes());
        bytes
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
            has_value,
            crc @ ..,
        ] = *bytes;
        Some(Self {
            as_of: Moment::from_millis(u64::from_le_bytes([m0, m1, m2, m3, m4, m5, m6, m7])),
            trust: Trust::from(trust),
            jitter_per_mille: u16::from_le_bytes([low, high]),
            value_crc: (has_value == 1).then(|| u32::from_le_bytes(crc)),
        })
    }
}

/// The checksum that ties a value to its key and row.
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
        fn a_row_survives_its_encoding(millis: u64, trust in 0u8..3, jitter: u16, crc: Option<u32>) {
            let row = Row {
                as_of: Moment::from_millis(millis),
                trust: Trust::from(trust),
                jitter_per_mille: jitter,
                value_crc: crc,
            };
            prop_assert_eq!(Row::decode(&row.encode()), Some(row));
        }

        #[test]
        fn bytes_of_another_length_are_no_row(bytes: Vec<u8>) {
            prop_assert_eq!(Row::decode(&bytes).is_some(), bytes.len() == ROW_BYTES);
        }
    }
}

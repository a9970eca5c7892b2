//! How a row lies in its buffer: numbers take as many bytes as they need, and of a long text only the
//! beginning is kept.

use super::labels::Label;
use crate::product::Key;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::cmp::Ordering;

/// A text of which no more than the beginning is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clipped<'a> {
    /// The first [`Key::MAX_TEXT_CHARS`] characters.
    pub head: &'a [u8],
    /// Of the whole text, where there is more.
    pub digest: Option<&'a [u8; DIGEST_BYTES]>,
}

/// Reads what [`Writer`] wrote. Past the end there are only zeros.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader<'a>(pub &'a [u8]);

/// Appends to a buffer.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

const DIGEST_BYTES: usize = 16;

/// A text's length is written with these two bits below it.
const PRESENT: u64 = 1;
const CLIPPED: u64 = 2;

// === impl Clipped ===

impl Clipped<'_> {
    /// How the whole text compares with `operand`: exactly where that is not longer than
    /// [`Key::MAX_TEXT_CHARS`]; with a longer one only whether they are equal is certain.
    pub fn compare(&self, operand: &str) -> Ordering {
        let Some(digest) = self.digest else {
            return self.head.cmp(operand.as_bytes());
        };
        let head = clip(operand);
        self.head.cmp(head.as_bytes()).then_with(|| {
            if head.len() < operand.len() {
                digest.as_slice().cmp(&digest_of(operand))
            } else {
                Ordering::Greater
            }
        })
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *byte
    }

    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn unsigned(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 || shift > 63 {
                return number;
            }
        }
    }

    pub fn signed(&mut self) -> i64 {
        unfold(self.unsigned())
    }

    pub fn label(&mut self) -> Label {
        Label::try_from(self.unsigned()).unwrap_or(0)
    }

    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::try_from(self.unsigned()).unwrap_or(usize::MAX);
        self.take(length)
    }

    pub fn float(&mut self) -> f64 {
        self.take(8)
            .first_chunk()
            .map_or(0.0, |bytes| f64::from_le_bytes(*bytes))
    }

    pub fn time(&mut self) -> Option<(i64, i32)> {
        // One more than the nanoseconds, or 0 for no time.
        let nanos = self.unsigned().checked_sub(1)?;
        let secs = self.signed();
        Some((secs, i32::try_from(unfold(nanos)).unwrap_or(0)))
    }

    pub fn text(&mut self) -> Option<Clipped<'a>> {
        let told = self.unsigned();
        (told & PRESENT != 0).then(|| Clipped {
            head: self.take(usize::try_from(told >> 2).unwrap_or(usize::MAX)),
            digest: (told & CLIPPED != 0)
                .then(|| self.take(DIGEST_BYTES).first_chunk())
                .flatten(),
        })
    }
}

// === impl Writer ===

impl Writer {
    pub fn unsigned(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    pub fn signed(&mut self, number: i64) {
        self.unsigned(fold(number));
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.unsigned(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub fn time(&mut self, time: Option<Timestamp>) {
        match time {
            Some(time) => {
                self.unsigned(fold(time.subsec_nanosecond().into()) + 1);
                self.signed(time.as_second());
            }
            None => self.unsigned(0),
        }
    }

    pub fn text(&mut self, text: Option<&str>) {
        let Some(text) = text else {
            return self.unsigned(0);
        };
        let head = clip(text);
        let clipped = head.len() < text.len();
        let told = if clipped { PRESENT | CLIPPED } else { PRESENT };
        self.unsigned((head.len() as u64) << 2 | told);
        self.0.extend_from_slice(head.as_bytes());
        if clipped {
            self.0.extend_from_slice(&digest_of(text));
        }
    }
}

/// Small numbers of either sign become small ones without.
fn fold(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unfold(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The first [`Key::MAX_TEXT_CHARS`] characters.
pub fn clip(text: &str) -> &str {
    if text.len() <= Key::MAX_TEXT_CHARS {
        return text;
    }
    let end = text.char_indices().nth(Key::MAX_TEXT_CHARS);
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

fn digest_of(text: &str) -> [u8; DIGEST_BYTES] {
    let whole = Sha256::digest(text.as_bytes());
    whole.first_chunk().copied().unwrap_or_default()
}

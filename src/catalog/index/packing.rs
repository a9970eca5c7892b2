//! How a row lies in its buffer: numbers take as many bytes as they need. A text lies in the product's body
//! where that is held; else its beginning lies in the row.

use super::labels::Label;
use crate::product::Key;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::cmp::Ordering;

/// A text of which no more than the beginning may be known.
#[derive(Clone, Copy, Debug)]
pub struct Clipped<'a> {
    /// The first [`Key::MAX_TEXT_CHARS`] characters.
    pub head: &'a [u8],
    whole: Whole<'a>,
}

/// What is known of a whole text beside its head.
#[derive(Clone, Copy, Debug)]
enum Whole<'a> {
    /// There is no more.
    Head,
    /// All of it.
    Text(&'a [u8]),
    /// A digest of it.
    Digest(&'a [u8; DIGEST_BYTES]),
}

/// Reads what [`Writer`] wrote. Past the end there are only zeros.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader<'a>(pub &'a [u8]);

/// Appends to a buffer.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

/// The body that texts lie in, and the end of the last of them: the next is not far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Body<'a> {
    /// Empty where it is not held.
    pub json: &'a [u8],
    at: usize,
}

const DIGEST_BYTES: usize = 16;

/// A text's length is written with two bits below it: that it is all there is, or that a digest follows its
/// beginning, or that it lies in the body and its distance from the text before follows. None of them: there
/// is no text.
const WHOLE: u64 = 1;
const CLIPPED: u64 = 2;
const IN_BODY: u64 = 3;
const KIND: u64 = 3;

/// Times are counted from here, 2020-09-13: those of most products take four bytes.
const EPOCH: i64 = 1_600_000_000;

// === impl Clipped ===

impl<'a> Clipped<'a> {
    /// All of a text.
    pub fn of(text: &'a [u8]) -> Self {
        let head = clip(text);
        let whole = match head.len() < text.len() {
            true => Whole::Text(text),
            false => Whole::Head,
        };
        Self { head, whole }
    }

    /// How the whole text compares with `operand`: exactly where that is not longer than
    /// [`Key::MAX_TEXT_CHARS`]; with a longer one only whether they are equal is certain.
    pub fn compare(&self, operand: &str) -> Ordering {
        let operand = operand.as_bytes();
        match self.whole {
            Whole::Head => self.head.cmp(operand),
            Whole::Text(text) => text.cmp(operand),
            Whole::Digest(digest) => {
                let head = clip(operand);
                self.head.cmp(head).then_with(|| {
                    if head.len() < operand.len() {
                        digest.cmp(&digest_of(operand))
                    } else {
                        Ordering::Greater
                    }
                })
            }
        }
    }
}

impl PartialEq for Clipped<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.head == other.head
            && match (self.whole, other.whole) {
                (Whole::Head, Whole::Head) => true,
                (Whole::Text(one), Whole::Text(other)) => one == other,
                (Whole::Digest(one), Whole::Digest(other)) => one == other,
                (Whole::Digest(digest), Whole::Text(text))
                | (Whole::Text(text), Whole::Digest(digest)) => *digest == digest_of(text),
                (Whole::Head, _) | (_, Whole::Head) => false,
            }
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

    pub fn number<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).first_chunk().copied().unwrap_or([0; N])
    }

    pub fn time(&mut self) -> Option<(i64, i32)> {
        // Whether there are nanoseconds is below the seconds, and one more: 0 stands for no time.
        let told = self.unsigned().checked_sub(1)?;
        let nanos = match told & 1 {
            0 => 0,
            _ => i32::try_from(self.signed()).unwrap_or(0),
        };
        Some((unfold(told >> 1).saturating_add(EPOCH), nanos))
    }

    pub fn text(&mut self, body: &mut Body<'a>) -> Option<Clipped<'a>> {
        let told = self.unsigned();
        let length = usize::try_from(told >> 2).unwrap_or(usize::MAX);
        match told & KIND {
            WHOLE => Some(Clipped {
                head: self.take(length),
                whole: Whole::Head,
            }),
            CLIPPED => {
                let head = self.take(length);
                let digest = self.take(DIGEST_BYTES).first_chunk();
                let whole = digest.map_or(Whole::Head, Whole::Digest);
                Some(Clipped { head, whole })
            }
            IN_BODY => {
                let distance = self.signed();
                Some(Clipped::of(body.take(distance, length)))
            }
            _ => None,
        }
    }

    /// Goes past a text.
    pub fn skip_text(&mut self) {
        let told = self.unsigned();
        let length = usize::try_from(told >> 2).unwrap_or(usize::MAX);
        match told & KIND {
            WHOLE => drop(self.take(length)),
            CLIPPED => drop(self.take(length.saturating_add(DIGEST_BYTES))),
            IN_BODY => drop(self.unsigned()),
            _ => {}
        }
    }
}

// === impl Body ===

impl<'a> Body<'a> {
    /// A body that is held, or with none none.
    pub fn of(json: Option<&'a [u8]>) -> Self {
        Self {
            json: json.unwrap_or_default(),
            at: 0,
        }
    }

    fn take(&mut self, distance: i64, length: usize) -> &'a [u8] {
        let distance = isize::try_from(distance).unwrap_or(isize::MAX);
        let from = self.at.saturating_add_signed(distance);
        self.at = from.saturating_add(length);
        self.json.get(from..self.at).unwrap_or_default()
    }

    /// How far behind the end of the last text this one begins, where it lies there at all.
    fn distance(&mut self, text: &str) -> Option<i64> {
        let from = text.as_ptr().addr();
        let from = from.checked_sub(self.json.as_ptr().addr())?;
        let to = from.checked_add(text.len())?;
        if to > self.json.len() {
            return None;
        }
        let distance = i64::try_from(from).ok()? - i64::try_from(self.at).ok()?;
        self.at = to;
        Some(distance)
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
        let Some(time) = time else {
            return self.unsigned(0);
        };
        let (secs, nanos) = (time.as_second() - EPOCH, time.subsec_nanosecond());
        self.unsigned((fold(secs) << 1 | u64::from(nanos != 0)) + 1);
        if nanos != 0 {
            self.signed(nanos.into());
        }
    }

    /// A text: where it lies in `body`, or as much of it as is needed.
    pub fn text(&mut self, text: Option<&str>, body: &mut Body<'_>) {
        let Some(text) = text else {
            return self.unsigned(0);
        };
        match body.distance(text) {
            Some(distance) => {
                self.unsigned((text.len() as u64) << 2 | IN_BODY);
                self.signed(distance);
            }
            None => self.clipped(Some(Clipped::of(text.as_bytes()))),
        }
    }

    /// As much of a text as is needed.
    pub fn clipped(&mut self, text: Option<Clipped<'_>>) {
        let Some(text) = text else {
            return self.unsigned(0);
        };
        let digest = match text.whole {
            Whole::Head => None,
            Whole::Text(text) => Some(digest_of(text)),
            Whole::Digest(digest) => Some(*digest),
        };
        let kind = if digest.is_some() { CLIPPED } else { WHOLE };
        self.unsigned((text.head.len() as u64) << 2 | kind);
        self.0.extend_from_slice(text.head);
        self.0.extend(digest.iter().flatten());
    }
}

/// Small numbers of either sign become small ones without.
fn fold(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unfold(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The first [`Key::MAX_TEXT_CHARS`] characters of a text in UTF-8.
pub fn clip(text: &[u8]) -> &[u8] {
    match text.split_at_checked(Key::MAX_TEXT_CHARS) {
        None => text,
        Some((head, _)) if head.is_ascii() => head,
        Some(_) => {
            let begins = |byte: &u8| *byte & 0xC0 != 0x80;
            let characters = text.iter().enumerate().filter(|(_, byte)| begins(byte));
            let end = characters.map(|(at, _)| at).nth(Key::MAX_TEXT_CHARS);
            end.and_then(|end| text.get(..end)).unwrap_or(text)
        }
    }
}

fn digest_of(text: &[u8]) -> [u8; DIGEST_BYTES] {
    let whole = Sha256::digest(text);
    whole.first_chunk().copied().unwrap_or_default()
}

//! Header values that are made for one answer and gone with it. Many share a buffer, so that making one
//! allocates nothing but now and then the next buffer.
//!
//! Whatever is kept for longer must not come from here: one value would hold a whole buffer.

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http::header::InvalidHeaderValue;
use std::cell::RefCell;

/// The size of a buffer, in bytes: of some thirty answers.
const BUFFER_BYTES: usize = 4096;

thread_local! {
    /// What is left of this thread's buffer.
    static BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// A header value of this text, for an answer that is about to be sent.
///
/// # Errors
/// Where a byte of it may not stand in a header value.
pub fn passing(text: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_maybe_shared(shared(text))
}

fn shared(text: &[u8]) -> Bytes {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.capacity() < text.len() {
            // The same again where no answer holds anything of it any more.
            buffer.reserve(text.len().max(BUFFER_BYTES));
        }
        buffer.extend_from_slice(text);
        buffer.split().freeze()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_were_made_of_however_many_share_a_buffer() {
        let text = |number: usize| format!("value {number} {}", "x".repeat(number % 70));
        let values: Vec<_> = (0..1000)
            .map(|number| passing(text(number).as_bytes()).unwrap())
            .collect();
        for (number, value) in values.iter().enumerate() {
            assert_eq!(value, text(number).as_str());
        }
        let long = "y".repeat(3 * BUFFER_BYTES);
        assert_eq!(passing(long.as_bytes()).unwrap(), long.as_str());
        assert!(passing(b"two\r\nlines").is_err());
    }

    #[test]
    fn a_buffer_that_nobody_holds_is_written_again() {
        let place = |value: &HeaderValue| value.as_bytes().as_ptr() as usize;
        let all: std::collections::BTreeSet<_> = (0..10 * BUFFER_BYTES / 50)
            .map(|_| place(&passing(&[b'z'; 50]).unwrap()) / BUFFER_BYTES)
            .collect();
        assert!(all.len() <= 3, "{} buffers", all.len());
    }
}

//! How far an answer from the index can be relied on: no further than the listing that last confirmed the
//! whole of it.

use super::{Catalog, CatalogError};
use crate::cache::{Outcome, Trust};
use crate::catalog::read::RETRY_AFTER_INDEX;
use crate::clock::Moment;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The note that says every product there was at the time is in the store; behind it, where that still
/// stands, as of when: milliseconds since the Unix epoch, in eight bytes.
const LISTED: &[u8] = b"listed";

/// What an answer from the index is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `Hit`, or `Stale` where nobody vouches for the index any more.
    pub outcome: Outcome,
    /// What remains of the window; zero when stale, [`Duration::MAX`] if it never ends.
    pub remaining: Duration,
}

// === impl Standing ===

impl Standing {
    /// Whether somebody vouches for the index.
    pub fn is_fresh(&self) -> bool {
        self.outcome == Outcome::Hit
    }
}

/// As of when the index is known to have every product there is, and no other.
#[derive(Debug, Default)]
pub(super) struct Confirmation(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    as_of: Option<Moment>,
    is_trusted: bool,
    /// How often somebody said that products had changed.
    doubts: u64,
}

/// A listing that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub at: Moment,
    /// The doubts that were there before it: what it confirms.
    pub doubts: u64,
}

// === impl Confirmation ===

impl Confirmation {
    /// A listing begins at `now`.
    pub fn begin(&self, now: Moment) -> Begun {
        let doubts = self.lock().doubts;
        Begun { at: now, doubts }
    }

    /// The listing came to its end. It confirms nothing where somebody doubted the index after it began.
    pub fn confirm(&self, listing: Begun) {
        let mut state = self.lock();
        if state.doubts == listing.doubts {
            state.as_of = Some(listing.at);
            state.is_trusted = true;
        }
    }

    /// Products may have changed, nobody knows which: not confirmed until the next listing.
    pub fn doubt(&self) {
        let mut state = self.lock();
        state.is_trusted = false;
        state.doubts += 1;
    }

    /// Takes over what a store says that was left in order or not, unless a listing knows better.
    pub fn restore(&self, as_of: Option<Moment>, is_clean: bool) {
        let mut state = self.lock();
        if state.as_of.is_none() {
            state.as_of = as_of;
            state.is_trusted = is_clean && as_of.is_some() && state.doubts == 0;
        }
    }

    /// How often somebody said that products had changed.
    pub fn doubts(&self) -> u64 {
        self.lock().doubts
    }

    /// As of when the whole index is known to be right.
    pub fn as_of(&self) -> Option<Moment> {
        self.lock().as_of
    }

    /// Whether the inventory's word for the whole index stands, its age apart.
    pub fn is_trusted(&self) -> bool {
        self.lock().is_trusted
    }

    /// What to note beside the values.
    pub fn to_note(&self) -> Vec<u8> {
        let state = *self.lock();
        let as_of = state.as_of.filter(|_| state.is_trusted);
        let as_of = as_of.map(|as_of| as_of.as_millis().to_le_bytes());
        [LISTED, as_of.as_ref().map_or(&[], |bytes| bytes.as_slice())].concat()
    }

    /// Reads a note: `None` if it does not say that every product is in the store, else as of when,
    /// where that still stood. A time after `now` is one of a clock that was set back.
    pub fn from_note(note: &[u8], now: Moment) -> Option<Option<Moment>> {
        let as_of = note.strip_prefix(LISTED)?;
        let millis = <[u8; 8]>::try_from(as_of).ok().map(u64::from_le_bytes);
        Some(
            millis
                .map(Moment::from_millis)
                .filter(|as_of| *as_of <= now),
        )
    }

    /// Every change leaves the state whole, so a panic while holding the lock is moot.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> State {
        *self.lock()
    }
}

impl Catalog {
    /// What an answer from the index is worth now. Ask before the index is asked, never after.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] until the index is complete, and once it is older than window and
    /// grace.
    pub fn standing(&self) -> Result<Standing, CatalogError> {
        self.complete_index()?;
        let State {
            as_of, is_trusted, ..
        } = self.confirmation().state();
        let trust = match is_trusted {
            true => Trust::Confirmed,
            false => Trust::Unconfirmed,
        };
        let worth = match as_of {
            Some(as_of) => self.cache.worth(as_of, trust),
            // It is complete, but nobody knows since when.
            None => Some((Outcome::Stale, Duration::ZERO)),
        };
        if worth.is_none_or(|(outcome, _)| outcome == Outcome::Stale) {
            self.want_first_listing();
        }
        let (outcome, remaining) = worth.ok_or_else(|| CatalogError::Unavailable {
            retry_after: RETRY_AFTER_INDEX,
            cause: "the index has not been confirmed for too long".to_owned(),
        })?;
        Ok(Standing { outcome, remaining })
    }

    /// What an answer is worth that the inventory gave to a call sent at `sent_at`.
    pub(super) fn just_asked(&self, sent_at: Moment) -> Standing {
        let worth = self.cache.worth(sent_at, Trust::Confirmed);
        Standing {
            outcome: Outcome::Miss,
            remaining: worth.map_or(Duration::ZERO, |(_, remaining)| remaining),
        }
    }

    /// Products may have changed, nobody knows which: answers from the index are stale until a listing
    /// that begins after this, also over a restart.
    pub(super) fn doubt_index(&self) {
        self.confirmation().doubt();
        if self.index().is_complete() {
            self.cache.note(self.confirmation().to_note());
        }
    }

    pub(super) fn confirmation(&self) -> &Confirmation {
        &self.cache.source().confirmation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_millis(1_000_000);

    fn as_of(confirmation: &Confirmation) -> Option<Moment> {
        let note = confirmation.to_note();
        Confirmation::from_note(&note, NOW).unwrap()
    }

    #[test]
    fn a_listing_confirms_unless_somebody_doubted_meanwhile() {
        let confirmation = Confirmation::default();
        assert_eq!(as_of(&confirmation), None);
        let first = confirmation.begin(Moment::from_millis(1));
        confirmation.confirm(first);
        assert_eq!(as_of(&confirmation), Some(first.at));
        let second = confirmation.begin(Moment::from_millis(2));
        confirmation.doubt();
        confirmation.confirm(second);
        assert!(!confirmation.is_trusted());
        assert_eq!(as_of(&confirmation), None);
        let third = confirmation.begin(Moment::from_millis(3));
        confirmation.confirm(third);
        assert_eq!(as_of(&confirmation), Some(third.at));
    }

    #[test]
    fn what_a_store_says_counts_where_no_listing_knows_better() {
        let stored = Some(Moment::from_millis(7));
        for (is_clean, said, trusted) in [
            (true, stored, true),
            (false, stored, false),
            (true, None, false),
        ] {
            let confirmation = Confirmation::default();
            confirmation.restore(said, is_clean);
            assert_eq!(confirmation.is_trusted(), trusted, "{is_clean} {said:?}");
        }
        let doubted = Confirmation::default();
        doubted.doubt();
        doubted.restore(stored, true);
        assert!(!doubted.is_trusted());
        let listed = Confirmation::default();
        listed.confirm(listed.begin(NOW));
        listed.restore(stored, false);
        assert_eq!(as_of(&listed), Some(NOW));
    }

    #[test]
    fn a_note_is_read_with_caution() {
        let of = |note: &[u8]| Confirmation::from_note(note, NOW);
        assert_eq!(of(b"other"), None);
        assert_eq!(of(b"listed"), Some(None));
        assert_eq!(of(b"listed, they say"), Some(None));
        let later = (NOW + Duration::from_millis(1)).as_millis().to_le_bytes();
        assert_eq!(of(&[LISTED, &later].concat()), Some(None));
    }
}

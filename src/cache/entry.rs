//! One cached value with its times.

use super::contracts::ContractNumber;
use super::freshness::{MAX_JITTER_PER_MILLE, Rule, Trust, Verdict};
use crate::clock::Moment;
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// A cached value and 24 bytes about it. Confirming it anew moves its time in place, so whoever holds it
/// sees that too.
#[derive(Debug)]
pub struct Entry<V> {
    value: V,
    /// Milliseconds since the epoch at which the upstream last vouched for the value.
    as_of: AtomicU64,
    weight_bytes: u32,
    /// Its place in the book of contracts; zero if it has none.
    slot: AtomicU32,
    /// The newest mark that it was compared with.
    compared: AtomicU32,
    /// The number of the contract it is under; zero if there is none.
    contract: AtomicU16,
    /// By how many thousandths its window is shortened, so that entries loaded together do not
    /// expire together.
    jitter_per_mille: u8,
    /// How far it is trusted, whether a reader has asked for it to be refreshed before its window ends, and how
    /// often it was read lately.
    flags: AtomicU8,
}

/// The bits of the flags that are a [`Trust`].
const TRUST: u8 = 0b11;

/// The bit of the flags that is set once a reader has asked for an early refresh.
const EAGER: u8 = 0b100;

/// The bits of the flags that count reads, and the first of them.
const READS: u8 = 0b11000;
const READ: u8 = 0b1000;

// === impl Entry ===

impl<V> Entry<V> {
    /// An entry the upstream vouched for at `as_of`. A window is shortened by a tenth at most.
    pub fn new(value: V, as_of: Moment, jitter_per_mille: u16, weight_bytes: usize) -> Self {
        let jitter_per_mille = jitter_per_mille.min(MAX_JITTER_PER_MILLE);
        Self {
            value,
            as_of: AtomicU64::new(as_of.as_millis()),
            weight_bytes: u32::try_from(weight_bytes).unwrap_or(u32::MAX),
            slot: AtomicU32::new(0),
            compared: AtomicU32::new(0),
            contract: AtomicU16::new(0),
            jitter_per_mille: u8::try_from(jitter_per_mille).unwrap_or(u8::MAX),
            flags: AtomicU8::new(Trust::Confirmed as u8),
        }
    }

    /// The same under the contract of this number.
    pub fn under(self, contract: ContractNumber) -> Self {
        self.set_contract(contract);
        self
    }

    /// The same entry with another value in it: same times, same trust.
    pub fn with(&self, value: V, weight_bytes: usize) -> Self {
        let entry = Self::new(value, self.as_of(), self.jitter_per_mille(), weight_bytes);
        entry.trust(self.trusted());
        entry.set_compared(self.compared());
        entry.under(self.contract())
    }

    /// When the upstream last vouched for the value.
    pub fn as_of(&self) -> Moment {
        Moment::from_millis(self.as_of.load(Ordering::Relaxed))
    }

    /// Notes that the upstream vouched for the value at `as_of`.
    pub fn confirm(&self, as_of: Moment) {
        self.as_of.fetch_max(as_of.as_millis(), Ordering::Relaxed);
        // Confirmed is zero.
        self.flags.fetch_and(!(TRUST | EAGER), Ordering::Relaxed);
    }

    /// Changes how far the value is trusted.
    pub fn trust(&self, trust: Trust) {
        let changed = |flags: u8| Some(flags & !TRUST | trust as u8);
        let _ = self
            .flags
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }

    /// How far the value is trusted.
    pub fn trusted(&self) -> Trust {
        Trust::from(self.flags.load(Ordering::Relaxed) & TRUST)
    }

    /// The newest mark that it was compared with.
    pub fn compared(&self) -> u32 {
        self.compared.load(Ordering::Relaxed)
    }

    /// Notes that it was compared with all marks up to this one.
    pub fn set_compared(&self, mark: u32) {
        self.compared.store(mark, Ordering::Relaxed);
    }

    /// By how many thousandths its window is shortened.
    pub fn jitter_per_mille(&self) -> u16 {
        u16::from(self.jitter_per_mille)
    }

    /// What it counts against the cap.
    pub fn weight_bytes(&self) -> usize {
        self.weight_bytes as usize
    }

    /// The number of the contract it is under; zero if there is none.
    pub fn contract(&self) -> ContractNumber {
        self.contract.load(Ordering::Relaxed)
    }

    /// Puts it under another contract.
    pub fn set_contract(&self, contract: ContractNumber) {
        self.contract.store(contract, Ordering::Relaxed);
    }

    /// Its place in the book of contracts; zero if it has none.
    pub fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }

    /// Gives it a place in the book of contracts.
    pub fn set_slot(&self, slot: u32) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    /// Takes over the place of the entry that it is held instead of.
    pub fn take_slot(&self, before: &Self) {
        self.set_slot(before.slot.swap(0, Ordering::Relaxed));
    }

    /// Asks for it to be refreshed before its window ends; false if somebody has asked already.
    pub fn begin_eager(&self) -> bool {
        // Most readers find it set; reading first spares them the write.
        self.flags.load(Ordering::Relaxed) & EAGER == 0
            && self.flags.fetch_or(EAGER, Ordering::Relaxed) & EAGER == 0
    }

    /// What was asked for came to an end.
    pub fn end_eager(&self) {
        self.flags.fetch_and(!EAGER, Ordering::Relaxed);
    }

    /// Notes that it was read; three times at most. One of several at once may go unnoticed.
    pub(super) fn note_read(&self) {
        let flags = self.flags.load(Ordering::Relaxed);
        // Most that is read is read a lot; looking first spares them the write.
        if flags & READS != READS {
            let _ = self.flags.compare_exchange(
                flags,
                flags + READ,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Takes one read off; false if there was none.
    pub(super) fn forget_read(&self) -> bool {
        let less = |flags: u8| (flags & READS != 0).then(|| flags - READ);
        self.flags
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// Takes all reads off; false if there was none.
    pub(super) fn forget_reads(&self) -> bool {
        self.flags.fetch_and(!READS, Ordering::Relaxed) & READS != 0
    }

    /// Counts as read as often as the one that it is held instead of.
    pub(super) fn keep_reads(&self, before: &Self) {
        let reads = before.flags.load(Ordering::Relaxed) & READS;
        self.flags.fetch_or(reads, Ordering::Relaxed);
    }

    /// What may be done with it at `now`.
    pub fn judge(&self, rule: &Rule, now: Moment) -> Verdict {
        // A contract's window is what it says.
        let jitter = match self.contract() {
            0 => self.jitter_per_mille(),
            _ => 0,
        };
        rule.judge(now.since(self.as_of()), self.trusted(), jitter)
    }
}

impl<V> Deref for Entry<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_about_a_value_takes_24_bytes() {
        assert_eq!(size_of::<Entry<u64>>(), 24 + size_of::<u64>());
    }

    #[test]
    fn trust_and_eagerness_do_not_disturb_each_other_and_being_confirmed_ends_both() {
        let entry = Entry::new((), Moment::from_millis(7), 50, 0);
        assert_eq!(entry.trusted(), Trust::Confirmed);
        assert!(entry.begin_eager() && !entry.begin_eager());
        for trust in [Trust::Doubted, Trust::Unconfirmed] {
            entry.trust(trust);
            assert_eq!(entry.trusted(), trust);
            assert!(!entry.begin_eager());
        }
        entry.end_eager();
        assert_eq!(entry.trusted(), Trust::Unconfirmed);
        assert!(entry.begin_eager());
        entry.confirm(Moment::from_millis(5));
        assert_eq!(entry.trusted(), Trust::Confirmed);
        assert_eq!(entry.as_of(), Moment::from_millis(7), "never earlier");
        assert!(entry.begin_eager());
        assert_eq!(entry.jitter_per_mille(), 50);
    }

    #[test]
    fn three_reads_are_remembered_and_nothing_else_touches_them() {
        let entry = Entry::new((), Moment::default(), 0, 0);
        assert!(!entry.forget_read() && !entry.forget_reads());
        (0..9).for_each(|_| entry.note_read());
        entry.trust(Trust::Doubted);
        assert!(entry.begin_eager());
        let other = entry.with((), 0);
        other.keep_reads(&entry);
        entry.confirm(Moment::from_millis(1));
        for entry in [entry, other] {
            assert!(entry.forget_read());
            assert!(entry.forget_read());
            entry.note_read();
            assert!(entry.forget_reads());
            assert!(!entry.forget_reads());
        }
    }

    #[test]
    fn a_window_is_shortened_by_a_tenth_at_most() {
        let entry = Entry::new((), Moment::default(), u16::MAX, 0);
        assert_eq!(entry.jitter_per_mille(), MAX_JITTER_PER_MILLE);
    }
}

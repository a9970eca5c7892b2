//! What the cache asks of whoever fills it: the seam that keeps it generic.

use super::entry::Entry;
use super::memory::Place;
use crate::clock::Moment;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// Where values come from, and how they lie on disk.
pub trait Source: Send + Sync + 'static {
    /// Identifies a value.
    type Key: Clone + Debug + Eq + Hash + Ord + Send + Sync + 'static;
    /// What is cached.
    type Value: Send + Sync + 'static;
    /// What is kept in memory of key and value: a [`Pair`](super::Pair), or less where a value tells its key.
    type Place: Place<Key = Self::Key, Value = Self::Value>;
    /// Why a load failed.
    type Error: std::error::Error + Send + Sync + 'static;
    /// In which way a key does not exist.
    type Gone: Copy + Debug + Send + Sync + 'static;
    /// Who asked, for tracing: handed through to [`Source::load`].
    type Cause: Clone + Send + 'static;
    /// What whoever has the time makes of a value before it is learned, so that learning it takes less.
    type Reading: Send + Sync + 'static;
    /// What a stand-in for a value is made of.
    type Fallback: Debug + Send + Sync + 'static;

    /// What many values have in common, and are invalidated by.
    type Tag: Clone + Debug + Eq + Send + Sync + 'static;

    /// Asks the source of truth. `known` is the value at hand, for a conditional request.
    fn load(
        &self,
        key: &Self::Key,
        known: Option<&Self::Value>,
        purpose: Purpose,
        cause: Self::Cause,
    ) -> impl Future<Output = Result<Loaded<Self::Value, Self::Gone>, Self::Error>> + Send;

    /// How many refreshes may begin now, as far as the source is concerned.
    fn room_for_refreshes(&self) -> usize;

    /// The value that `fallback` makes for `key`.
    fn stand_in(&self, fallback: &Self::Fallback, key: &Self::Key) -> Self::Value;

    /// What key and value hold on the heap, in bytes.
    fn weight(&self, key: &Self::Key, value: &Self::Value) -> usize;

    /// Whether two values are the same content, so that confirming one needs no write.
    fn same(&self, held: &Self::Value, listed: &Self::Value) -> bool;

    /// A key's name in logs and events.
    fn name(key: &Self::Key) -> String;

    /// The tag that every value has.
    fn everything() -> Self::Tag;

    /// Whether a value has any of these tags.
    fn has_any(&self, key: &Self::Key, value: &Self::Value, tags: &[Self::Tag]) -> bool;

    /// A tag's bytes.
    fn encode_tag(&self, tag: &Self::Tag) -> Vec<u8>;

    /// Reads a tag; `None` if the bytes are none.
    fn decode_tag(&self, bytes: &[u8]) -> Option<Self::Tag>;

    /// A key's bytes; their order is the order it is best written in.
    fn encode_key(&self, key: &Self::Key) -> Vec<u8>;

    /// Reads a key; `None` if the bytes are none.
    fn decode_key(&self, bytes: &[u8]) -> Option<Self::Key>;

    /// A value's bytes.
    fn encode(&self, value: &Self::Value) -> Vec<u8>;

    /// Reads a value; `None` if the bytes are none.
    fn decode(&self, bytes: &[u8]) -> Option<Self::Value>;

    /// What is to be kept on disk of a value that is not held.
    fn summarize(&self, value: &Self::Value) -> Vec<u8>;

    /// What can be made of a value before it is learned, where that takes some time.
    fn read_ahead(&self, _value: &Self::Value) -> Option<Self::Reading> {
        None
    }

    /// So many keys are about to be learned, one after the other.
    fn expect(&self, _keys: usize) {}

    /// The key exists as of `as_of`, and this is what it holds. Returns whether that is news: whether
    /// its summary is another one than before. Called in the order facts count. A value that is
    /// [held](Known::Held) is so until the source is told otherwise: it may look at it, instead of remembering
    /// what is in it. `reading` is what was made of that value before.
    fn learned(
        &self,
        key: &Self::Key,
        known: Known<'_, Self::Value>,
        reading: Option<&Self::Reading>,
        as_of: Moment,
    ) -> bool;

    /// The key exists as of `as_of`. What it held at some time is better than nothing, where nothing is
    /// known of it.
    fn exists(&self, key: &Self::Key, known: Known<'_, Self::Value>, as_of: Moment);

    /// The key's value is not held any more. That the key exists stays known, and so does what it held.
    fn let_go(&self, key: &Self::Key);

    /// The key does not exist (any more), and nothing is held.
    fn vanished(&self, key: &Self::Key);

    /// Visits every key that is known to exist, whether its value is held or not.
    fn for_each_known(&self, visit: &mut dyn FnMut(&Self::Key, Moment));

    /// Whether every key there is, is known.
    fn knows_all(&self) -> bool;

    /// Whether it remembers keys whose values are not held. Where it does not, nothing of them is kept on disk.
    fn remembers(&self) -> bool;

    /// Whether a listing is under way, or about to begin, that confirms every key, and goes well so far.
    fn is_listing(&self) -> bool;

    /// What the source itself holds in memory about keys, in bytes: counts against the cap.
    fn held_bytes(&self) -> usize;

    /// The store has been started anew, without summaries of the keys whose values are not held: a
    /// listing would bring them back.
    fn lacks_summaries(&self);

    /// The store has been restored; called once at most, before the store counts as up.
    fn restored(&self, restored: &Restored);
}

/// What a load is for, which says how hard to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody waits for a value and there is none: worth trying again.
    Read,
    /// A value is held that has to be confirmed: one attempt, within so long; there will be another.
    Refresh {
        /// How long it may take.
        within: Duration,
        /// Where to ask instead, in the words of [`Contract::refresh_from`](super::Contract::refresh_from).
        from: Option<Arc<str>>,
    },
}

/// What is known of a key's value.
#[derive(Debug)]
pub enum Known<'a, V> {
    /// The value, in the entry that is held from now on: instead of any other, until [`Source::let_go`].
    Held(&'a Arc<Entry<V>>),
    /// The value, which may be held or not.
    Value(&'a V),
    /// The summary that was made of it.
    Summary(&'a [u8]),
    /// No more than that the key exists.
    Nothing,
}

/// What a load found.
#[derive(Debug)]
pub enum Loaded<V, G> {
    /// A value.
    Value {
        /// It.
        value: V,
        /// The source vouches for it as of this moment.
        as_of: Moment,
    },
    /// The known value is still current.
    Unchanged {
        /// The source vouches for it as of this moment.
        as_of: Moment,
    },
    /// There is no such key.
    Gone(G),
}

/// What a write did to its key, as far as the source of truth is concerned.
#[derive(Debug)]
pub enum Change<K, V, G> {
    /// The key has this value now.
    Put {
        /// The key; the source may have chosen it.
        key: K,
        /// Its value.
        value: V,
        /// The source vouches for it as of this moment.
        as_of: Moment,
    },
    /// The key is gone.
    Gone(K, G),
    /// The value held is wrong or may be: forget it.
    Forget(K),
    /// The value held may be wrong, but is better than nothing while the source is away.
    Doubt(K),
    /// Nothing changed.
    Nothing,
}

/// What came back from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Rows found.
    pub rows: u64,
    /// Whether the last stop was in order; if not, entries are served as stale until confirmed.
    pub clean: bool,
    /// The source's own note, where it can be trusted.
    pub note: Option<Vec<u8>>,
}

// === impl Known ===

impl<V> Clone for Known<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Known<'_, V> {}

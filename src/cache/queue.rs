//! One writer per key at a time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Lets writers of the same key take turns. A key that nobody writes costs nothing.
pub struct Turns<K> {
    waiting: Arc<Mutex<HashMap<K, Arc<AsyncMutex<()>>>>>,
}

/// The right to write a key, until dropped.
pub struct Turn<K: Eq + Hash> {
    key: K,
    waiting: Arc<Mutex<HashMap<K, Arc<AsyncMutex<()>>>>>,
    held: Option<OwnedMutexGuard<()>>,
}

// === impl Turns ===

impl<K: Clone + Eq + Hash> Turns<K> {
    /// Nobody waits.
    pub fn new() -> Self {
        Self {
            waiting: Arc::default(),
        }
    }

    /// Waits for one's turn to write `key`.
    pub async fn take(&self, key: &K) -> Turn<K> {
        let turn = Arc::clone(lock(&self.waiting).entry(key.clone()).or_default());
        // Made before the wait, so that whoever gives up waiting tidies up as well.
        let mut mine = Turn {
            key: key.clone(),
            waiting: Arc::clone(&self.waiting),
            held: None,
        };
        mine.held = Some(turn.lock_owned().await);
        mine
    }
}

impl<K: Clone + Eq + Hash> Turns<K> {
    /// The keys that are being written, or waited for.
    pub fn taken(&self) -> Vec<K> {
        lock(&self.waiting).keys().cloned().collect()
    }
}

// === impl Turn ===

impl<K: Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting);
        self.held = None;
        // New waiters come only through the map, whose lock is held: one owner means the map alone.
        if waiting
            .get(&self.key)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            waiting.remove(&self.key);
        }
    }
}

/// The map is changed by single inserts and removes, so poison is ignored.
fn lock<K>(
    waiting: &Mutex<HashMap<K, Arc<AsyncMutex<()>>>>,
) -> MutexGuard<'_, HashMap<K, Arc<AsyncMutex<()>>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn writers_of_one_key_take_turns_and_leave_nothing_behind() {
        let turns = Turns::new();
        let first = turns.take(&1).await;
        assert!(
            tokio::time::timeout(Duration::from_secs(1), turns.take(&1))
                .await
                .is_err()
        );
        let other = turns.take(&2).await;
        drop(first);
        drop(turns.take(&1).await);
        drop(other);
        assert!(lock(&turns.waiting).is_empty());
    }
}

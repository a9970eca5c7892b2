//! The directory the persistent tier lives in: numbered generations, one of them current.
//!
//! A store is never repaired in place. It is rewritten into the next generation, or moved aside
//! into quarantine, and `CURRENT` is swapped by an atomic rename. `CURRENT` also repeats how many
//! rows there were, because a damaged sled file can open as an empty one without a word.

use crate::clock::Moment;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How many quarantined stores are kept for whoever wants to look.
const QUARANTINED_KEPT: usize = 2;

/// What `CURRENT` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// Which generation is in use.
    pub generation: u64,
    /// How many rows it held when this was written.
    pub rows: u64,
}

/// The directory.
#[derive(Clone, Debug)]
pub struct Generations {
    dir: PathBuf,
}

// === impl Generations ===

impl Generations {
    /// Creates the directory if need be.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// The current generation; with no readable `CURRENT` the newest there is, or the first.
    pub fn current(&self) -> io::Result<Current> {
        let current = fs::read(self.dir.join("CURRENT"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Current>(&bytes).ok())
            .filter(|current| current.generation > 0);
        match current {
            Some(current) => Ok(current),
            None => Ok(Current {
                generation: self.all()?.into_iter().max().unwrap_or(1),
                rows: 0,
            }),
        }
    }

    /// Swaps `CURRENT`, durably.
    pub fn commit(&self, current: Current) -> io::Result<()> {
        let next = self.dir.join("CURRENT.next");
        let mut file = fs::File::create(&next)?;
        file.write_all(&serde_json::to_vec(&current)?)?;
        file.sync_all()?;
        fs::rename(next, self.dir.join("CURRENT"))
    }

    /// Where a generation lies.
    pub fn path(&self, generation: u64) -> PathBuf {
        self.dir.join(format!("store-{generation:06}"))
    }

    /// A generation number that was never used here.
    pub fn unused(&self) -> io::Result<u64> {
        let newest = self.all()?.into_iter().max().unwrap_or(0);
        Ok(newest.max(self.current()?.generation) + 1)
    }

    /// Moves a generation aside. Returns where it lies now; older quarantined ones make room.
    pub fn quarantine(&self, generation: u64, now: Moment) -> io::Result<PathBuf> {
        let from = self.path(generation);
        let to = self.dir.join(format!("quarantine-{}", now.as_millis()));
        fs::rename(from, &to)?;
        let mut kept = self.named("quarantine-")?;
        kept.sort_unstable();
        for (_, old) in kept.iter().rev().skip(QUARANTINED_KEPT) {
            fs::remove_dir_all(old)?;
        }
        Ok(to)
    }

    /// Deletes every generation but `kept`.
    pub fn discard_all_but(&self, kept: Option<u64>) -> io::Result<()> {
        for (generation, path) in self.named("store-")? {
            if Some(generation) != kept {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    }

    fn all(&self) -> io::Result<Vec<u64>> {
        Ok(self
            .named("store-")?
            .into_iter()
            .map(|(number, _)| number)
            .collect())
    }

    fn named(&self, prefix: &str) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix(prefix))
                .and_then(|number| number.parse().ok());
            if let Some(number) = number {
                found.push((number, entry.path()));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_survives_a_commit_and_a_torn_one_falls_back_to_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let generations = Generations::open(dir.path()).unwrap();
        assert_eq!(generations.current().unwrap().generation, 1);
        let current = Current {
            generation: 3,
            rows: 7,
        };
        generations.commit(current).unwrap();
        assert_eq!(generations.current().unwrap(), current);
        fs::create_dir(generations.path(3)).unwrap();
        fs::create_dir(generations.path(2)).unwrap();
        fs::write(dir.path().join("CURRENT"), "{\"gen").unwrap();
        assert_eq!(generations.current().unwrap().generation, 3);
        assert_eq!(generations.unused().unwrap(), 4);
    }

    #[test]
    fn two_quarantined_stores_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let generations = Generations::open(dir.path()).unwrap();
        for number in 1..=4 {
            fs::create_dir(generations.path(number)).unwrap();
            generations
                .quarantine(number, Moment::from_millis(number))
                .unwrap();
        }
        let mut left: Vec<_> = generations
            .named("quarantine-")
            .unwrap()
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        left.sort_unstable();
        assert_eq!(left, [3, 4]);
    }
}

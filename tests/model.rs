//! The write fence, model-checked: loom runs every interleaving of the threads in each test.
//!
//! `src/cache/fence.rs` is compiled here a second time with loom's locks in place of the standard
//! library's, so what is explored is the product's own code.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../src/cache/fence.rs"]
#[allow(dead_code, reason = "not every method has a part in the models")]
mod fence;

/// What `fence.rs` calls `super::sync`.
mod sync {
    pub use loom::sync::{Mutex, MutexGuard};
}

use fence::{Fence, Role};
use loom::sync::atomic::{AtomicU32, Ordering::SeqCst};
use loom::thread;
use std::sync::Arc;

const KEY: u8 = 1;
const OLD: u32 = 1;
const NEW: u32 = 2;
const NEWER: u32 = 3;

/// The source of truth, and the cache's copy of it: 0 is "nothing held".
struct World {
    truth: AtomicU32,
    held: AtomicU32,
    loads: AtomicU32,
    fence: Arc<Fence<u8, ()>>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            truth: AtomicU32::new(OLD),
            held: AtomicU32::new(0),
            loads: AtomicU32::new(0),
            fence: Fence::new(),
        })
    }

    /// What a reader that misses does; one that finds a load under way waits, here: goes away.
    fn load(&self) {
        if let Role::Lead(ticket) = self.fence.join(&KEY, || ()) {
            self.loads.fetch_add(1, SeqCst);
            let value = self.truth.load(SeqCst);
            let _ = self
                .fence
                .settle(&ticket, &KEY, || self.held.store(value, SeqCst));
        }
    }

    /// What a listing does with one page.
    fn list(&self) {
        let ticket = self.fence.begin();
        let value = self.truth.load(SeqCst);
        let _ = self
            .fence
            .settle(&ticket, &KEY, || self.held.store(value, SeqCst));
    }

    /// What a reader does whose load fails.
    fn fail(&self) {
        if let Role::Lead(ticket) = self.fence.join(&KEY, || ()) {
            let _ = self.fence.unless_newer(&ticket, &KEY, || ());
        }
    }

    /// What a write does: the source of truth first, then the cache.
    fn write(&self, value: u32) {
        self.truth.store(value, SeqCst);
        self.fence.fact(&KEY, || self.held.store(value, SeqCst));
    }

    /// What a write with an unknown outcome, or a purge after a change behind our back, does.
    fn change_and_purge(&self, value: u32) {
        self.truth.store(value, SeqCst);
        self.fence.fact(&KEY, || self.held.store(0, SeqCst));
    }
}

fn explore(threads: Vec<fn(&World)>, check: fn(&World)) {
    loom::model(move || {
        let world = World::new();
        let running: Vec<_> = threads
            .iter()
            .map(|&run| {
                let world = Arc::clone(&world);
                thread::spawn(move || run(&world))
            })
            .collect();
        for thread in running {
            thread.join().unwrap();
        }
        check(&world);
        assert_eq!(world.fence.remembered(), 0, "an idle fence is empty");
        assert!(!world.fence.is_loading(&KEY), "no flight is left behind");
    });
}

fn holds_the_new_value(world: &World) {
    assert_eq!(world.held.load(SeqCst), NEW);
}

#[test]
fn a_write_during_a_slow_load_is_never_undone_by_it() {
    explore(
        vec![World::load, |world| world.write(NEW)],
        holds_the_new_value,
    );
}

#[test]
fn a_write_during_a_load_and_a_listing_is_never_undone_by_either() {
    explore(
        vec![World::load, World::list, |world| world.write(NEW)],
        holds_the_new_value,
    );
}

#[test]
fn a_purge_during_a_load_leaves_nothing_or_the_new_value() {
    explore(
        vec![World::load, |world| world.change_and_purge(NEW)],
        |world| assert_ne!(world.held.load(SeqCst), OLD),
    );
}

#[test]
fn clearing_everything_during_a_load_leaves_nothing_or_the_new_value() {
    let clear: fn(&World) = |world| {
        world.truth.store(NEW, SeqCst);
        world.fence.fact_about_all(|| world.held.store(0, SeqCst));
    };
    explore(vec![World::load, clear], |world| {
        assert_ne!(world.held.load(SeqCst), OLD);
    });
}

#[test]
fn a_listing_that_began_before_a_load_never_overwrites_what_it_found() {
    explore(
        vec![World::list, |world| {
            world.truth.store(NEW, SeqCst);
            world.load();
        }],
        holds_the_new_value,
    );
}

#[test]
fn a_read_after_a_write_sees_it_whatever_loads_are_under_way() {
    explore(
        vec![World::load, |world| {
            world.write(NEW);
            assert_eq!(world.held.load(SeqCst), NEW);
            world.write(NEWER);
            assert_eq!(world.held.load(SeqCst), NEWER);
        }],
        |world| assert_eq!(world.held.load(SeqCst), NEWER),
    );
}

#[test]
fn a_load_that_fails_keeps_no_listing_from_settling() {
    explore(vec![World::list, World::fail, World::fail], |world| {
        assert_eq!(world.held.load(SeqCst), OLD);
    });
}

#[test]
fn two_readers_at_once_make_one_load_or_one_after_the_other() {
    explore(vec![World::load, World::load], |world| {
        assert_eq!(world.held.load(SeqCst), OLD);
        assert!((1..=2).contains(&world.loads.load(SeqCst)));
    });
}

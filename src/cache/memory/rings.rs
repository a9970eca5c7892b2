//! Places in two rings: what was read once lately, and what was read more than that.
//!
//! A place is 16 bytes: what is held, and its neighbours. A ring has a first and a last, and joins and leaves
//! take as long however many there are.

/// Which ring a place is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// On trial.
    Cold = 0,
    /// Proven.
    Hot = 1,
}

/// Something about each ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Each<T> {
    /// About the cold one.
    pub cold: T,
    /// About the hot one.
    pub hot: T,
}

/// The places.
#[derive(Debug)]
pub struct Rings<P> {
    /// The first two are the heads of the rings; before them lies the last of each, after them the first.
    places: Vec<Spot<P>>,
    /// The first of those that are vacant; a head where none is.
    vacant: u32,
}

#[derive(Debug)]
struct Spot<P> {
    held: Option<P>,
    /// The place before, and in the highest bit which ring it is in.
    before: u32,
    after: u32,
}

/// The bit of [`Spot::before`] that says that the place is hot.
const HOT: u32 = 1 << 31;

// === impl Rings ===

impl<P> Rings<P> {
    /// Two empty rings.
    pub fn new() -> Self {
        Self {
            places: [Ring::Cold, Ring::Hot].map(Spot::head).into(),
            vacant: 0,
        }
    }

    /// What is held at a place.
    pub fn get(&self, at: u32) -> Option<&P> {
        self.spot(at)?.held.as_ref()
    }

    /// Puts something else in a place; returns what was there.
    pub fn replace(&mut self, at: u32, held: P) -> Option<P> {
        let spot = self.places.get_mut(at as usize)?;
        spot.held.replace(held)
    }

    /// The ring that a place is in.
    pub fn ring(&self, at: u32) -> Ring {
        match self.spot(at) {
            Some(spot) if spot.before & HOT != 0 => Ring::Hot,
            _ => Ring::Cold,
        }
    }

    /// The first of a ring.
    pub fn first(&self, ring: Ring) -> Option<u32> {
        let first = self.spot(ring as u32)?.after;
        (first != ring as u32).then_some(first)
    }

    /// Takes a place behind the last of a ring.
    pub fn push(&mut self, ring: Ring, held: P) -> u32 {
        let spot = Spot {
            held: Some(held),
            before: 0,
            after: 0,
        };
        let at = match self.vacant {
            0 => {
                self.places.push(spot);
                // Entries take more than a byte each: four thousand million do not fit.
                u32::try_from(self.places.len() - 1).unwrap_or(0)
            }
            vacant => {
                self.vacant = self.spot(vacant).map_or(0, |spot| spot.after);
                if let Some(place) = self.places.get_mut(vacant as usize) {
                    *place = spot;
                }
                vacant
            }
        };
        self.link(ring, at);
        at
    }

    /// Places there are, taken or not.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.places.capacity()
    }

    /// Makes places for so many, those that there are included.
    pub fn expect(&mut self, places: usize) {
        let further = (places + 2).saturating_sub(self.places.len());
        self.places.reserve_exact(further);
    }

    /// Moves a place behind the last of a ring.
    pub fn move_to(&mut self, ring: Ring, at: u32) {
        self.unlink(at);
        self.link(ring, at);
    }

    /// Vacates a place; returns what was there.
    pub fn take(&mut self, at: u32) -> Option<P> {
        let held = self.places.get_mut(at as usize)?.held.take()?;
        self.unlink(at);
        self.set_after(at, self.vacant);
        self.vacant = at;
        Some(held)
    }

    /// Vacates all.
    pub fn clear(&mut self) -> impl Iterator<Item = P> + use<P> {
        let places = std::mem::replace(self, Self::new()).places;
        places.into_iter().filter_map(|spot| spot.held)
    }

    /// All that is held, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &P> {
        self.places.iter().filter_map(|spot| spot.held.as_ref())
    }

    fn link(&mut self, ring: Ring, at: u32) {
        let head = ring as u32;
        let last = self.before(head);
        self.set_after(last, at);
        self.set_after(at, head);
        self.set_before(head, at, ring);
        self.set_before(at, last, ring);
    }

    fn unlink(&mut self, at: u32) {
        let (ring, before) = (self.ring(at), self.before(at));
        let after = self.spot(at).map_or(0, |spot| spot.after);
        self.set_after(before, after);
        self.set_before(after, before, ring);
    }

    fn before(&self, at: u32) -> u32 {
        self.spot(at).map_or(0, |spot| spot.before & !HOT)
    }

    fn set_before(&mut self, at: u32, before: u32, ring: Ring) {
        if let Some(spot) = self.places.get_mut(at as usize) {
            spot.before = before | ring.bit();
        }
    }

    fn set_after(&mut self, at: u32, after: u32) {
        if let Some(spot) = self.places.get_mut(at as usize) {
            spot.after = after;
        }
    }

    fn spot(&self, at: u32) -> Option<&Spot<P>> {
        self.places.get(at as usize)
    }
}

// === impl Spot ===

impl<P> Spot<P> {
    fn head(ring: Ring) -> Self {
        Self {
            held: None,
            before: ring as u32 | ring.bit(),
            after: ring as u32,
        }
    }
}

// === impl Each ===

impl<T> Each<T> {
    /// What is said about a ring.
    pub fn of(&mut self, ring: Ring) -> &mut T {
        match ring {
            Ring::Cold => &mut self.cold,
            Ring::Hot => &mut self.hot,
        }
    }
}

// === impl Ring ===

impl Ring {
    fn bit(self) -> u32 {
        match self {
            Self::Cold => 0,
            Self::Hot => HOT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn all(rings: &Rings<u32>, ring: Ring) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = rings.first(ring);
        while let Some(place) = at {
            assert_eq!(rings.ring(place), ring);
            found.push(*rings.get(place).unwrap());
            let after = rings.places[place as usize].after;
            at = (after != ring as u32).then_some(after);
        }
        found
    }

    #[test]
    fn a_place_of_a_pointer_takes_16_bytes() {
        assert_eq!(size_of::<Spot<Box<u32>>>(), 16);
    }

    proptest! {
        /// The same as two queues, in which a value is looked for.
        #[test]
        fn rings_are_queues_that_can_be_left_anywhere(
            steps in proptest::collection::vec((0..4, any::<bool>(), any::<prop::sample::Index>()), 1..200),
        ) {
            let mut rings = Rings::new();
            let mut model = [VecDeque::new(), VecDeque::new()];
            let mut places = Vec::new();
            for (number, (step, is_hot, which)) in (0_u32..).zip(steps) {
                let ring = if is_hot { Ring::Hot } else { Ring::Cold };
                if step < 2 || places.is_empty() {
                    places.push((number, rings.push(ring, number)));
                    model[ring as usize].push_back(number);
                    continue;
                }
                let which = which.index(places.len());
                let (value, at) = places[which];
                model.iter_mut().for_each(|queue| queue.retain(|other| *other != value));
                if step == 2 {
                    rings.move_to(ring, at);
                    model[ring as usize].push_back(value);
                } else {
                    prop_assert_eq!(rings.take(at), Some(value));
                    prop_assert_eq!(rings.get(at), None);
                    places.swap_remove(which);
                }
                prop_assert_eq!(all(&rings, Ring::Cold), model[0].make_contiguous());
                prop_assert_eq!(all(&rings, Ring::Hot), model[1].make_contiguous());
            }
            let most = rings.places.len() - 2;
            prop_assert!(rings.iter().count() == places.len() && places.len() <= most);
        }
    }
}

//! What a writer demands of a product's present state.

use super::Stored;
use crate::cache::Entry;

/// Says of a product as it is held, or of its absence, whether the write may be done; if not, which
/// condition forbids it.
type Check = Box<dyn Fn(Option<&Entry<Stored>>) -> Result<(), &'static str> + Send + Sync>;

/// What must be so for a write to be done. Checked when the write's turn has come, and passed on to the
/// inventory as *still the one that was checked*.
pub struct Precondition(Option<Check>);

// === impl Precondition ===

impl Precondition {
    /// Nothing is demanded.
    pub fn none() -> Self {
        Self(None)
    }

    /// Demands what `check` checks: it is given the current one, `None` where there is no
    /// product, and names the condition that does not hold.
    pub fn new(
        check: impl Fn(Option<&Entry<Stored>>) -> Result<(), &'static str> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Box::new(check)))
    }

    pub(super) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn check(&self, current: Option<&Entry<Stored>>) -> Result<(), &'static str> {
        self.0.as_ref().map_or(Ok(()), |check| check(current))
    }
}

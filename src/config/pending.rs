//! Values that arrive after the start, because their Vault did not answer during it.

use super::schema::{Value, Variable};
use crate::secrets::{Late, Reference, Resolver, SecretError};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// The pause after the first attempt that fails; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A variable whose value is still to come.
pub struct Pending {
    variable: Variable,
    reference: Reference,
    resolver: Arc<Resolver>,
    deliver: Box<Deliver>,
}

/// Takes the text where it is waited for, or says which rule it breaks.
type Deliver = dyn Fn(&str) -> Result<(), String> + Send + Sync;

// === impl Pending ===

impl Pending {
    /// What `variable` refers to, once it is resolved and read by `read`, is delivered to `late`.
    pub fn new<T: Send + Sync + 'static>(
        (reference, variable): (&Reference, &Variable),
        resolver: &Arc<Resolver>,
        late: &Late<T>,
        read: fn(&str) -> Result<T, String>,
    ) -> Self {
        let late = late.clone();
        Self {
            variable: variable.clone(),
            reference: reference.clone(),
            resolver: Arc::clone(resolver),
            deliver: Box::new(move |text| read(text).map(|value| late.deliver(value))),
        }
    }

    /// The variable.
    pub fn variable(&self) -> &str {
        &self.variable.name
    }

    /// Tries once more; on success the value has been delivered.
    ///
    /// # Errors
    /// As [`Resolver::resolve`], and [`SecretError::Refused`] for a value that breaks the
    /// variable's rules.
    pub async fn retry(&self) -> Result<(), SecretError> {
        let secret = self.resolver.resolve(&self.reference).await?;
        let refused = |what| SecretError::Refused { what };
        match self.variable.judge(secret.expose()).map_err(refused)? {
            Value::Text(text) => (self.deliver)(&text).map_err(refused),
            Value::Boolean(_) | Value::Integer(_) | Value::Number(_) => {
                Err(refused("must be text".into()))
            }
        }
    }

    /// Tries until the value has been delivered, with pauses from 1 s to 30 s. To be dropped when
    /// the service stops. A refusal is tried again too: whoever corrects it needs no restart.
    pub async fn arrive(&self) {
        let (variable, reference) = (self.variable(), &self.reference);
        let mut pause = FIRST_PAUSE;
        while let Err(problem) = self.retry().await {
            if problem.is_passing() {
                warn!(variable, %reference, %problem, "{variable} is not here yet, will retry");
            } else {
                error!(variable, %reference, %problem, "{variable} can not be resolved, will retry");
            }
            // Between half and all of it, so that replicas do not ask in step.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        info!(variable, %reference, "{variable} has arrived");
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending")
            .field("variable", &self.variable())
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

//! Who runs a job that changes something by hand.

use clap::Args;

/// Who does it.
#[derive(Debug, Clone, Args)]
pub(super) struct Actor {
    /// The name that is recorded with the action, in the audit log
    #[arg(long, value_name = "NAME", env = "USER", default_value = "operator")]
    actor: String,
}

impl Actor {
    pub(super) fn name(&self) -> &str {
        let name = self.actor.trim();
        if name.is_empty() { "operator" } else { name }
    }
}

//! What every process of the service shares: how it begins and ends, where settings come from,
//! how logs look, how it is asked to stop, and what it tells its probes.

pub mod deadline;
pub mod entry;
pub mod logging;
#[cfg(feature = "probes")]
pub mod probes;
pub mod settings;
pub mod shutdown;
#[cfg(feature = "probes")]
pub mod transactions;
pub mod waiting;

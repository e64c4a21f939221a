//! What every process of the service shares: how it begins and ends, where settings come from,
//! how logs look, how it is asked to stop, and what it tells its probes.

pub mod deadline;
pub mod entry;
pub mod logging;
pub mod probes;
pub mod settings;
pub mod shutdown;
pub mod transactions;

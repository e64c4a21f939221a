//! What every process of the service shares: where settings come from, how logs look, how a
//! process is asked to stop, and what it tells its probes.

pub mod logging;
pub mod probes;
pub mod settings;
pub mod shutdown;

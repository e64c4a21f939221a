//! Code shared by every process of the service: starting and ending, settings, logging, shutdown
//! requests, time limits, and the probes with their metrics.

pub mod deadline;
pub mod entry;
pub mod logging;
pub mod output;
#[cfg(feature = "probes")]
pub mod probes;
pub mod settings;
pub mod shutdown;
#[cfg(feature = "probes")]
pub mod transactions;
pub mod waiting;

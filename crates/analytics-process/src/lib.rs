//! Code shared by every process of the service: starting and ending, settings, logging, shutdown
//! requests, time limits, and the probes with their metrics.

pub mod deadline;
pub mod entry;
pub mod logging;
pub mod probes;
pub mod settings;
pub mod shutdown;
pub mod transactions;

//! What the API reads, and what keeps one seller's numbers from another's eyes.

pub mod basis;
pub mod dead_letters;
pub mod events;
pub mod explain;
pub mod freshness;
pub mod metrics;
mod snapshot;
mod tenant;
mod windows;

pub use snapshot::Snapshot;
pub use tenant::{EventLogAccess, MetricRange, ReadableMetric, Tenant};

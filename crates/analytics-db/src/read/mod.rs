//! What the API reads, and what keeps one seller's numbers from another's eyes.

pub mod dead_letters;
pub mod events;
pub mod explain;
pub mod freshness;
pub mod metrics;
mod tenant;
mod windows;

pub use crate::tables::batches::{AsOf, NotAsOf};
pub use tenant::{EventLogAccess, MetricRange, ReadableMetric, Tenant};

//! What the API reads, and what keeps one seller's numbers from another's eyes.

pub mod events;
pub mod explain;
pub mod freshness;
pub mod metrics;
mod raw_json;
mod snapshot;
mod tenant;

pub use raw_json::RawJson;
pub use snapshot::Snapshot;
pub use tenant::{EventLogAccess, MetricRange, ReadableMetric, Tenant};

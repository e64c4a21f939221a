//! What the API reads, and what keeps one seller's numbers from another's eyes.

pub mod events;
pub mod freshness;
pub mod metrics;
mod raw_json;
mod tenant;

pub use raw_json::RawJson;
pub use tenant::{EventLogAccess, MetricRange, ReadableMetric, Tenant};

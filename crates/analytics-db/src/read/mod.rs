//! What the API reads.

pub mod events;
pub mod metrics;
mod raw_json;

pub use raw_json::RawJson;

//! The queries of the API, and the types that restrict a seller to its own numbers.

pub mod anomalies;
pub mod arrivals;
pub mod business;
pub mod dead_letters;
pub mod directory;
pub mod events;
pub mod explain;
pub mod freshness;
mod metadata;
pub mod metrics;
pub mod orders;
mod own_sales;
pub mod rankings;
pub mod reconciliation;
pub mod sellers;
pub mod series;
pub mod statements;
mod tenant;
pub mod upkeep;
pub mod usage;
pub mod watched;
pub mod weeks;
mod windows;

pub use crate::tables::batches::{AsOf, NotAsOf, watermark};
pub use tenant::{
    EventLogAccess, MetricRange, ReadableAnomalies, ReadableMetric, ReadableOrders, ReadableProducts, Tenant,
};

//! A Prometheus histogram of how long the transactions of a process take.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, Registry};

/// A histogram of durations in seconds, by transaction and outcome.
#[derive(Clone)]
pub struct TransactionSeconds(HistogramVec);

impl TransactionSeconds {
    /// Registers the histogram under a name.
    ///
    /// # Errors
    /// If the registry already has a metric with this name.
    pub fn register(registry: &Registry, name: &str) -> prometheus::Result<Self> {
        let histogram = HistogramVec::new(
            HistogramOpts::new(name, "How long transactions that write took, in seconds, by name and outcome")
                .buckets(vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0]),
            &["transaction", "outcome"],
        )?;
        registry.register(Box::new(histogram.clone()))?;
        Ok(Self(histogram))
    }

    /// Adds a transaction that has ended.
    pub fn observe(&self, name: &str, outcome: &str, took: Duration) {
        self.0.with_label_values(&[name, outcome]).observe(took.as_secs_f64());
    }
}

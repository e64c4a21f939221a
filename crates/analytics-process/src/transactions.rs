//! How often each of a process's transactions ran and how long it took, for Prometheus.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, Registry};

/// A histogram by transaction and outcome.
#[derive(Clone)]
pub struct TransactionSeconds(HistogramVec);

impl TransactionSeconds {
    /// Registers the histogram under a name.
    ///
    /// # Errors
    /// Where the registry has one of this name already.
    pub fn register(registry: &Registry, name: &str) -> prometheus::Result<Self> {
        let histogram = HistogramVec::new(
            HistogramOpts::new(
                name,
                "Transactions that write, by name and by whether they were committed, and how long they took",
            )
            .buckets(vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0]),
            &["transaction", "outcome"],
        )?;
        registry.register(Box::new(histogram.clone()))?;
        Ok(Self(histogram))
    }

    /// Counts a transaction that is over.
    pub fn observe(&self, name: &str, outcome: &str, took: Duration) {
        self.0.with_label_values(&[name, outcome]).observe(took.as_secs_f64());
    }
}

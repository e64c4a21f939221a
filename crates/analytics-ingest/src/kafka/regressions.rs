//! Partitions that end before their stored offset: for how long they have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use analytics_core::record::TopicPartition;

/// How long a partition may end before its stored offset until its records count as lost. A new
/// leader may not know for a moment how much of its log the followers have confirmed.
const REGRESSION: Duration = Duration::from_secs(60);
/// A regression that is observed again after this time counts as a new one.
const SEEN: Duration = Duration::from_secs(30);

/// For each partition that ends before its stored offset: since when, and when that was last
/// observed. Kept over all sessions of the process.
#[derive(Clone, Default)]
pub(crate) struct Regressions(Arc<Mutex<HashMap<TopicPartition, (Instant, Instant)>>>);

impl Regressions {
    /// Notes that the partition ends too early. Returns whether it has done so for long enough that
    /// it will not grow back.
    pub(super) fn is_lasting(&self, partition: &TopicPartition) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (since, seen) = known.entry(partition.clone()).or_insert((now, now));
        if seen.elapsed() > SEEN {
            *since = now;
        }
        *seen = now;
        since.elapsed() > REGRESSION
    }

    /// Forgets that the partition ended too early.
    pub(super) fn is_over(&self, partition: &TopicPartition) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }
}

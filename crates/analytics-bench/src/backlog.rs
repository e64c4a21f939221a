//! A backlog in Kafka: separate topics with events of the traffic generator.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration as StdDuration, Instant};

use analytics_core::family::Family;
use chrono::{DateTime, Duration, Utc};

use analytics_testkit::broker::{self, Sender};
use analytics_testkit::client::SECRET;
use analytics_testkit::database::unique_name;
use analytics_testkit::traffic::{Generator, Marketplace};

/// Number of partitions of each of the four topics.
const PARTITIONS: i32 = 4;

/// Events in Kafka that can be counted any number of times, into different databases.
pub struct Backlog {
    /// Number of events.
    pub events: u64,
    marketplace: Marketplace,
    broker: String,
    prefix: String,
}

impl Backlog {
    /// Creates topics and fills them with events, spread over the `span` before `end`. The same
    /// seed gives the same events, except for their times.
    ///
    /// # Panics
    /// If there is no broker; `scripts/bench` starts one.
    #[must_use]
    pub fn of(marketplace: Marketplace, events: u64, seed: u64, end: DateTime<Utc>, span: Duration) -> Self {
        let broker =
            std::env::var("TEST_KAFKA_BROKER").expect("TEST_KAFKA_BROKER; scripts/bench starts one and sets it");
        let prefix = format!("{}.", unique_name());
        broker::create_topics(&broker, &broker::family_topics(&prefix), PARTITIONS);
        let step = span / i32::try_from(events).unwrap_or(i32::MAX).max(1);
        let sender = Sender::new(&broker, &prefix);
        let mut generator = Generator::of(marketplace, seed, end - span, step);
        for _ in 0..events {
            if let Some(message) = generator.next() {
                sender.queue(&message);
            }
        }
        sender.flush();
        Self { events, marketplace, broker, prefix }
    }

    /// Produces `rate` more events per second, which happen now, until `stop` is set.
    ///
    /// # Panics
    /// If the broker refuses them.
    pub fn extend(&self, rate: u32, stop: &AtomicBool) {
        let sender = Sender::new(&self.broker, &self.prefix);
        let mut generator = Generator::of(self.marketplace, 3, Utc::now(), Duration::zero());
        let began = Instant::now();
        for sent in 1_u32.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            generator.at(Utc::now());
            if let Some(message) = generator.next() {
                sender.queue(&message);
            }
            let due = began + StdDuration::from_secs(1) * sent / rate;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        sender.flush();
    }

    /// Returns settings of processes that count the backlog into this database, in a new consumer
    /// group.
    #[must_use]
    pub fn settings(&self, database_url: &str) -> BTreeMap<String, String> {
        let Self { broker, prefix, .. } = self;
        let topics: Vec<String> =
            Family::ALL.iter().map(|family| format!("{}={prefix}{}", family.name(), family.name())).collect();
        [
            ("DATABASE_URL", database_url),
            ("KAFKA_BROKER", broker),
            ("KAFKA_TOPICS", &topics.join(",")),
            ("KAFKA_GROUP_ID", &unique_name()),
            ("JWT_SECRET", SECRET),
            ("RUST_LOG", "warn"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

/// Returns the number of partitions of all topics of a backlog.
#[must_use]
pub fn partitions() -> i64 {
    i64::from(PARTITIONS) * 4
}

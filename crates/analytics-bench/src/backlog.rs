//! A backlog in Kafka: topics of their own, full of the traffic generator's events.

use std::collections::BTreeMap;

use analytics_core::family::Family;
use chrono::{DateTime, Duration, Utc};

use analytics_testkit::broker::{self, Sender};
use analytics_testkit::client::SECRET;
use analytics_testkit::database::unique_name;
use analytics_testkit::traffic::Generator;

/// Partitions of each of the four topics.
const PARTITIONS: i32 = 4;

/// Events that wait to be counted, as often as somebody likes.
pub struct Backlog {
    /// How many.
    pub events: u64,
    broker: String,
    prefix: String,
}

impl Backlog {
    /// Fills topics with events, spread over the `span` before `end`. The same seed makes the same
    /// events at other times.
    ///
    /// # Panics
    /// Without a broker; `scripts/bench` starts one.
    #[must_use]
    pub fn of(events: u64, seed: u64, end: DateTime<Utc>, span: Duration) -> Self {
        let broker =
            std::env::var("TEST_KAFKA_BROKER").expect("TEST_KAFKA_BROKER; scripts/bench starts one and sets it");
        let prefix = format!("{}.", unique_name());
        broker::create_topics(&broker, &broker::family_topics(&prefix), PARTITIONS);
        let step = span / i32::try_from(events).unwrap_or(i32::MAX).max(1);
        let sender = Sender::new(&broker, &prefix);
        let mut generator = Generator::new(seed, end - span, step);
        for _ in 0..events {
            if let Some(message) = generator.next() {
                sender.queue(&message);
            }
        }
        sender.flush();
        Self { events, broker, prefix }
    }

    /// Settings of processes that count it into this database, as a consumer group of their own.
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

/// How many partitions all topics of a backlog have.
#[must_use]
pub fn partitions() -> i64 {
    i64::from(PARTITIONS) * 4
}

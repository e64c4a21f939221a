//! Membership in the consumer group: partitions come with their stored offsets, and go only after
//! what was begun with them is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use analytics_core::record::{Offset, TopicPartition};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use crate::intake::{End, Intake};
use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;

use super::start::{self, StartError};

/// How long partitions are held back for a transaction that is under way.
const DRAIN: Duration = Duration::from_secs(8);

/// A member of the group.
pub(crate) type Consumer = BaseConsumer<Membership>;

/// What happens when partitions come and go. Runs on the thread that polls.
pub(crate) struct Membership {
    pub(crate) settings: Arc<IngestSettings>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) telemetry: Telemetry,
}

/// Makes a consumer that has not joined yet.
///
/// # Errors
/// A property that librdkafka refuses.
pub(crate) fn consumer(membership: Membership) -> anyhow::Result<Consumer> {
    let config = membership.settings.kafka.clone();
    config
        .create_with_context(membership)
        .map_err(|error| anyhow::anyhow!("the Kafka client cannot be made, check KAFKA_PROPERTIES: {error}"))
}

impl Membership {
    /// Starts every partition at its stored offset. The offsets are part of the assignment
    /// itself; a seek afterwards would race with the first fetch.
    fn assign(&self, consumer: &Consumer, partitions: &TopicPartitionList) {
        let partitions: Vec<TopicPartition> = partitions
            .elements()
            .iter()
            .map(|element| TopicPartition { topic: element.topic().into(), partition: element.partition() })
            .collect();
        let started = start::points(consumer, &self.settings, &self.telemetry, &partitions).unwrap_or_else(|error| {
            self.intake.end(match error {
                StartError::Database(error) => End::DatabaseAway(error.to_string()),
                StartError::Kafka(error) => End::Kafka(error),
            });
            HashMap::new()
        });
        let mut list = TopicPartitionList::with_capacity(started.len());
        for (partition, Offset(offset)) in &started {
            let at = rdkafka::Offset::Offset(*offset);
            if let Err(error) = list.add_partition_offset(&partition.topic, partition.partition, at) {
                self.intake.end(End::Kafka(error.to_string()));
            }
        }
        self.intake.assign(started);
        if let Err(error) = consumer.assign(&list) {
            self.intake.end(End::Kafka(error.to_string()));
        }
        if self.intake.ended().is_none() {
            self.telemetry.assigned(&partitions);
        }
    }

    fn revoke(&self, consumer: &Consumer) {
        self.intake.revoke(DRAIN);
        if let Err(error) = consumer.unassign() {
            self.intake.end(End::Kafka(error.to_string()));
        }
        self.telemetry.revoked();
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &Consumer, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, partitions),
            _ => self.revoke(consumer),
        }
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let level = match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => log::Level::Error,
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => log::Level::Warn,
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => log::Level::Info,
            RDKafkaLogLevel::Debug => log::Level::Debug,
        };
        log::log!(target: "librdkafka", level, "{facility} {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // librdkafka goes on by itself; errors that end a session come out of poll.
        log::warn!(target: "librdkafka", "{error}: {reason}");
    }

    fn stats(&self, statistics: Statistics) {
        let mut ends = HashMap::new();
        for topic in statistics.topics.values() {
            for partition in topic.partitions.values().filter(|partition| partition.hi_offset >= 0) {
                let name = TopicPartition { topic: topic.topic.as_str().into(), partition: partition.partition };
                ends.insert(name, Offset(partition.hi_offset));
            }
        }
        self.intake.note_ends(&ends);
        self.telemetry.lag(&self.intake.lag());
    }
}

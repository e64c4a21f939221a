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

use super::start;

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
            self.intake.end(error.into());
            HashMap::new()
        });
        let mut list = TopicPartitionList::with_capacity(started.len());
        for (partition, begin) in &started {
            let at = rdkafka::Offset::Offset(begin.fetched_from().0);
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

/// Whether librdkafka says that a topic it knew has another id now. It has no other way to say
/// so, and goes on reading the new topic where it was in the old one.
fn tells_of_another_topic(message: &str) -> bool {
    // At first it knows none, nor from a broker that is too old to say.
    const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    let ids = message.split_once(" changed id from ").map(|(_, ids)| ids.trim());
    ids.is_some_and(|ids| !ids.starts_with(NONE) && !ids.ends_with(NONE))
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
        if tells_of_another_topic(message) {
            // It would go on at the old offset of the new log. The next session looks at what is
            // there. Nothing of the new log was fetched yet: fetches name the topic by its id.
            self.intake.end(End::Kafka("a topic was deleted and made again".into()));
        }
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

#[cfg(test)]
mod tests {
    use super::tells_of_another_topic;

    #[test]
    fn only_a_topic_that_was_known_can_be_another_one() {
        for (message, other) in [
            ("[thrd:main]: Topic t changed id from qFTLVj0nSeyKI9pzyVKJuQ to b1XnzyyzR3mM7Zs8Z3Cq2g", true),
            ("[thrd:main]: Topic t changed id from AAAAAAAAAAAAAAAAAAAAAA to b1XnzyyzR3mM7Zs8Z3Cq2g", false),
            ("[thrd:main]: Topic t changed id from qFTLVj0nSeyKI9pzyVKJuQ to AAAAAAAAAAAAAAAAAAAAAA", false),
            ("[thrd:main]: Topic t partition 1 Leader 1 Epoch 0", false),
        ] {
            assert_eq!(tells_of_another_topic(message), other, "{message}");
        }
    }
}

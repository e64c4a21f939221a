//! Membership in the consumer group: assigned partitions start at their stored offsets, and
//! revoked ones are released only after the transactions in progress on them have ended, or after a
//! time limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use analytics_core::record::TopicPartition;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use crate::buffer::{Buffer, End};
use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;

use super::ends::named;
use super::regressions::Regressions;
use super::start::{self, Start};

/// How long a revocation waits for transactions that are in progress.
const DRAIN: Duration = Duration::from_secs(8);

/// A member of the group.
pub(crate) type Consumer = BaseConsumer<Membership>;

/// Handles assigned and revoked partitions. Runs on the thread that polls.
pub(crate) struct Membership {
    pub(crate) settings: Arc<IngestSettings>,
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) telemetry: Telemetry,
    pub(crate) regressions: Regressions,
    /// The ids of the topics, as far as they are known.
    topic_ids: Mutex<HashMap<String, String>>,
}

/// Creates a consumer that has not joined the group yet.
///
/// # Errors
/// If librdkafka refuses a property that it accepted when the settings were read.
pub(crate) fn consumer(membership: Membership) -> anyhow::Result<Consumer> {
    let config = membership.settings.kafka.clone();
    let made: Result<Consumer, _> = config.create_with_context(membership);
    // The settings were tested when they were read; librdkafka's error text may contain a secret.
    made.map_err(|_| anyhow::anyhow!("KAFKA_PROPERTIES: the Kafka client can no longer be created with them"))
}

impl Membership {
    pub(crate) fn new(
        settings: Arc<IngestSettings>,
        buffer: Arc<Buffer>,
        telemetry: Telemetry,
        regressions: Regressions,
    ) -> Self {
        Self { settings, buffer, telemetry, regressions, topic_ids: Mutex::default() }
    }

    /// Starts every partition at its stored offset. The offsets are part of the assignment itself:
    /// a seek afterwards would race with the first fetch. Partitions that cannot be read yet are
    /// left out and checked again later; the others are counted meanwhile.
    pub(crate) fn assign(&self, consumer: &Consumer, partitions: &[(String, i32)]) {
        let partitions: Vec<TopicPartition> = partitions.iter().map(|(t, p)| named(t, *p)).collect();
        let started = start::points(&self.settings, &self.telemetry, &self.regressions, &partitions);
        let Start { begins, waiting, topic_ids, ends } = started.unwrap_or_else(|error| {
            self.buffer.end(error.into());
            Start::default()
        });
        topic_ids.iter().for_each(|(topic, id)| self.heard_of(topic, id));
        let mut list = TopicPartitionList::with_capacity(begins.len());
        for (partition, begin) in &begins {
            let at = rdkafka::Offset::Offset(begin.fetched_from().0);
            if let Err(error) = list.add_partition_offset(&partition.topic, partition.partition, at) {
                self.buffer.end(End::Kafka(error.to_string()));
            }
        }
        self.buffer.assign(begins, waiting);
        // So that it is known at once how much there is to catch up with, not only after the first round of queries.
        ends.iter().for_each(|(partition, end, asked)| self.buffer.note_end(partition, *end, *asked));
        if let Err(error) = consumer.assign(&list) {
            self.buffer.end(End::Kafka(error.to_string()));
        }
        if self.buffer.ended().is_none() {
            self.telemetry.assigned(&partitions);
        }
    }

    /// Gives up all partitions.
    pub(crate) fn revoke(&self, consumer: &Consumer) {
        self.buffer.revoke(DRAIN);
        if let Err(error) = consumer.unassign() {
            self.buffer.end(End::Kafka(error.to_string()));
        }
        self.telemetry.revoked();
    }

    /// Notes a topic's id, as reported by the broker or by the client's log. The broker's id is
    /// that of the topic to which the stored offsets refer, the client's that of the topic from
    /// which it fetches: if they differ, the topic was recreated, and the session ends.
    fn heard_of(&self, topic: &str, id: &str) {
        let mut known = self.topic_ids.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(topic.to_owned(), id.to_owned()).is_some_and(|before| before != id) {
            // The next session starts from the recreated topic. Nothing was fetched from that topic
            // yet: fetches refer to a topic by its id.
            self.buffer.end(End::Kafka(format!("{topic} was deleted and recreated")));
        }
    }

    /// Forwards a line of librdkafka's log to our log, and reads changed topic ids from it.
    /// librdkafka continues in a recreated topic at the offset it had reached in the old one, and
    /// reports the change in time in no other way.
    pub(crate) fn log(&self, level: RDKafkaLogLevel, line: &str) {
        if let Some((topic, id)) = topic_id(line) {
            self.heard_of(topic, id);
        }
        let level = match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => log::Level::Error,
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => log::Level::Warn,
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => log::Level::Info,
            RDKafkaLogLevel::Debug => log::Level::Debug,
        };
        log::log!(target: "librdkafka", level, "{line}");
    }
}

/// Returns the topic and its new id if this line of librdkafka's debug log reports a changed id.
fn topic_id(line: &str) -> Option<(&str, &str)> {
    let (before, ids) = line.split_once(" changed id from ")?;
    let (_, topic) = before.rsplit_once("Topic ")?;
    let (_, id) = ids.split_once(" to ")?;
    Some((topic.trim(), id.trim())).filter(|(_, id)| *id != kafka_events::topics::NONE)
}

impl ConsumerContext for Membership {
    /// Called only while the consumer is being closed: before that, rebalances are polled as
    /// events.
    fn rebalance(&self, consumer: &Consumer, event: RDKafkaRespErr, _: &mut TopicPartitionList) {
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS {
            self.revoke(consumer);
        }
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Self::log(self, level, &format!("{facility} {message}"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // librdkafka recovers by itself; errors that end a session are polled as events.
        log::warn!(target: "librdkafka", "{error}: {reason}");
    }
}

#[cfg(test)]
mod tests {
    use super::topic_id;

    #[test]
    fn changed_topic_ids_are_read_from_the_log() {
        for (line, told) in [
            (
                "[thrd:main]: Topic t changed id from qFTLVj0nSeyKI9pzyVKJuQ to b1XnzyyzR3mM7Zs8Z3Cq2g",
                Some(("t", "b1XnzyyzR3mM7Zs8Z3Cq2g")),
            ),
            (
                "METADATA [thrd:main]: Topic a.b-c changed id from AAAAAAAAAAAAAAAAAAAAAA to b1XnzyyzR3mM7Zs8Z3Cq2g",
                Some(("a.b-c", "b1XnzyyzR3mM7Zs8Z3Cq2g")),
            ),
            ("[thrd:main]: Topic t changed id from qFTLVj0nSeyKI9pzyVKJuQ to AAAAAAAAAAAAAAAAAAAAAA", None),
            ("[thrd:main]: Topic t partition 1 Leader 1 Epoch 0", None),
        ] {
            assert_eq!(topic_id(line), told, "{line}");
        }
    }
}

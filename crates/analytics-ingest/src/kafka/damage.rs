//! Records whose checksum is wrong, or that cannot be unpacked: rotten bytes on a broker's disk. They
//! cannot be counted, and are never skipped in silence: once another connection has read the same, they
//! are a gap, and counting goes on after them.

use std::time::{Duration, Instant};

use analytics_core::record::{Offset, TopicPartition};
use analytics_db::offsets::Gap;
use kafka_events::{Event, Events};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;

use super::ends::{asking, ends};
use super::start::{StartError, record_gap};

/// How long the broker may take to send what is at an offset.
const ANSWER: Duration = Duration::from_secs(10);

/// Whether an error of the client's is about bytes that it received.
pub(crate) const fn is_damage(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{BadCompression, BadMessage, InvalidMessage, NotImplemented};
    matches!(code, BadMessage | BadCompression | NotImplemented | InvalidMessage)
}

/// Looks at the records from the stored offset on. If they are damaged where they lie, their stretch is
/// recorded as a gap; else they were on the way, and are read again.
///
/// # Errors
/// [`StartError`]; the next session finds the same again.
pub(crate) fn record_damage(
    settings: &IngestSettings,
    telemetry: &Telemetry,
    partition: &TopicPartition,
    stored: Offset,
) -> Result<(), StartError> {
    let (_, end) = ends(&asking(settings)?, partition)?;
    if stored >= end || is_readable(settings, partition, stored)? {
        return Ok(());
    }
    // A batch is damaged as a whole, and nothing tells where it ends. Ever longer steps find an offset
    // after it; what lies between that and the step before is halved.
    let (mut damaged, mut step) = (stored.0, 1);
    let mut readable = loop {
        let next = (stored.0 + step).min(end.0);
        if next == end.0 || is_readable(settings, partition, Offset(next))? {
            break next;
        }
        (damaged, step) = (next, step * 2);
    };
    while readable - damaged > 1 {
        let middle = damaged.midpoint(readable);
        if is_readable(settings, partition, Offset(middle))? {
            readable = middle;
        } else {
            damaged = middle;
        }
    }
    let gap = Gap { from: stored, to: Offset(readable), resume_at: Offset(readable) };
    record_gap(settings, telemetry, partition, gap, "the records are damaged: their checksum is wrong")
}

/// Whether the batch at an offset can be read.
fn is_readable(settings: &IngestSettings, partition: &TopicPartition, at: Offset) -> Result<bool, StartError> {
    let mut config = settings.kafka_queries.clone();
    config
        // The client wants one to read at all; no group is joined.
        .set("group.id", &settings.group_id)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true");
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&partition.topic, partition.partition, rdkafka::Offset::Offset(at.0))?;
    consumer.assign(&list)?;
    let events = Events::of(&consumer).ok_or(KafkaError::Canceled)?;
    let deadline = Instant::now() + ANSWER;
    while Instant::now() < deadline {
        match events.poll(Duration::from_millis(100)) {
            Some(Event::Message(_) | Event::EndOfPartition(_)) => return Ok(true),
            Some(Event::Failure(failure)) if is_damage(failure.code) => return Ok(false),
            _ => {}
        }
    }
    Err(StartError::Kafka(format!("the broker did not send what it holds of {partition} at {at}")))
}

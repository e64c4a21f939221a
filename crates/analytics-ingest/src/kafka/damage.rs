//! Handling of records whose checksum is wrong, or that cannot be decompressed: their bytes on the
//! broker's disk are corrupt. They cannot be counted, and are never skipped silently: once another
//! connection has failed on the same bytes, they are recorded as a gap, and counting continues
//! after it.

use std::thread;
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, TopicPartition};
use analytics_db::tables::ingest_offsets::Gap;
use kafka_events::{Event, Events};
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;

use super::ends::{asking, client, ends};
use super::start::{StartError, record_gap};

/// How long the broker may take to send the batch at an offset.
const ANSWER: Duration = Duration::from_secs(10);

/// Whether an error of the client means that the bytes it received are damaged.
pub(crate) const fn is_damage(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{BadCompression, BadMessage, InvalidMessage, NotImplemented};
    matches!(code, BadMessage | BadCompression | NotImplemented | InvalidMessage)
}

/// Reads the batch that could not be read once more. If it is damaged on the broker, records a gap
/// from the stored offset to the end of the batch; the offsets before the batch hold no records to
/// count (only aborted transactions). Otherwise it was damaged in transit: nothing is recorded, and
/// the next session reads it again.
///
/// # Errors
/// [`StartError`]; the next session will find the same damage.
pub(crate) fn record_damage(
    settings: &IngestSettings,
    telemetry: &Telemetry,
    partition: &TopicPartition,
    stored: Offset,
    failed_at: Offset,
) -> Result<(), StartError> {
    let (_, end) = ends(&asking(settings)?, partition)?;
    let first = stored.max(failed_at);
    if first >= end {
        return Ok(());
    }
    let Batch::Damaged(batch) = batch_at(settings, partition, first)? else { return Ok(()) };
    // A batch is damaged as a whole, and where it ends is unknown. Ever longer steps find an offset
    // after it; a binary search between that offset and the previous step finds the end. The batch
    // after it may be damaged, too, and is handled separately.
    let is_after =
        |offset: i64| Ok::<_, StartError>(batch_at(settings, partition, Offset(offset))? != Batch::Damaged(batch));
    let (mut damaged, mut step) = (first.0, 1);
    let mut after = loop {
        let next = (first.0 + step).min(end.0);
        if next == end.0 || is_after(next)? {
            break next;
        }
        (damaged, step) = (next, step * 2);
    };
    while after - damaged > 1 {
        let middle = damaged.midpoint(after);
        if is_after(middle)? {
            after = middle;
        } else {
            damaged = middle;
        }
    }
    let gap = Gap { from: stored, to: Offset(after), resume_at: Offset(after) };
    record_gap(settings, telemetry, partition, gap, "the records are damaged: their checksum is wrong")
}

/// Whether a batch of records can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    Readable,
    /// It is damaged. The offset is the one that the client reports, which identifies the batch; -1
    /// if it reports none.
    Damaged(i64),
}

/// Reads the batch at an offset over a connection of its own.
fn batch_at(settings: &IngestSettings, partition: &TopicPartition, at: Offset) -> Result<Batch, StartError> {
    let mut config = settings.kafka_queries.clone();
    config
        // The client does not read without a group id; it joins no group.
        .set("group.id", &settings.group_id)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true");
    let consumer = client(settings, &config, DefaultConsumerContext)?;
    let read = read_at(&consumer, partition, at);
    // Closing a consumer takes a moment, and has been observed to hang: do not wait for it.
    let closing = thread::Builder::new().name("closing".into()).spawn(move || drop(consumer));
    if let Err(error) = closing {
        log::warn!("a consumer could not be closed: {error}");
    }
    read
}

fn read_at(consumer: &BaseConsumer, partition: &TopicPartition, at: Offset) -> Result<Batch, StartError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&partition.topic, partition.partition, rdkafka::Offset::Offset(at.0))?;
    consumer.assign(&list)?;
    let events = Events::of(consumer).ok_or(KafkaError::Canceled)?;
    let deadline = Instant::now() + ANSWER;
    while Instant::now() < deadline {
        match events.poll(Duration::from_millis(100)) {
            Some(Event::Message(_) | Event::EndOfPartition(_)) => return Ok(Batch::Readable),
            Some(Event::Failure(failure)) if is_damage(failure.code) => {
                return Ok(Batch::Damaged(failure.place.map_or(-1, |place| place.offset)));
            }
            _ => {}
        }
    }
    Err(StartError::Kafka(format!("the broker did not send the records of {partition} at offset {at} in time")))
}

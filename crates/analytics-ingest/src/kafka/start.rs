//! Where the partitions of an assignment start: where the database says, and for one that was
//! never read, where `KAFKA_START` says. A stored offset that the log no longer holds is a gap,
//! which is recorded before anything goes on.

use std::collections::HashMap;
use std::time::Duration;

use analytics_core::record::{Offset, TopicPartition};
use analytics_db::offsets::StoredOffset;
use analytics_db::{Connection, DbError, connection, offsets};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::intake::End;
use crate::settings::{IngestSettings, Start};
use crate::telemetry::Telemetry;

const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the partitions could not be started. The session ends, and the next one tries again.
pub(crate) enum StartError {
    Database(DbError),
    Kafka(String),
}

impl From<StartError> for End {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Database(error) => Self::DatabaseAway(error.to_string()),
            StartError::Kafka(error) => Self::Kafka(error),
        }
    }
}

impl From<DbError> for StartError {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

impl From<KafkaError> for StartError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(format!("the broker did not say what it holds: {error}"))
    }
}

/// The oldest offset of a partition and the one after its newest.
struct Held {
    low: Offset,
    high: Offset,
}

/// Where a partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begin {
    /// The stored offset: the first that is not counted.
    pub(crate) stored: Offset,
    /// The timestamp of the last record that was counted, where it is known: the record itself is
    /// fetched once more, to see that the log is still the one that was counted.
    pub(crate) witness: Option<i64>,
}

impl Begin {
    /// The offset that is asked for first.
    pub(super) fn fetched_from(self) -> Offset {
        Offset(self.stored.0 - i64::from(self.witness.is_some()))
    }
}

/// Where each partition starts.
pub(super) fn points<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    settings: &IngestSettings,
    telemetry: &Telemetry,
    partitions: &[TopicPartition],
) -> Result<HashMap<TopicPartition, Begin>, StartError> {
    if partitions.is_empty() {
        return Ok(HashMap::new());
    }
    let group = &settings.group_id;
    let database = &mut connection::connect(&settings.database_url, "analytics-ingest")?;
    let stored = offsets::load(database, group, partitions)?;
    let mut oldest = HashMap::new();
    for partition in partitions {
        let held = held(consumer, partition)?;
        match stored.get(partition) {
            None => {
                let at = first(consumer, settings.start, partition, &held)?;
                offsets::start(database, group, partition, at)?;
            }
            Some(at) if (held.low..=held.high).contains(at) => {}
            Some(at) => gap(database, group, telemetry, partition, *at, &held)?,
        }
        oldest.insert(partition.clone(), held.low);
    }
    let rows = offsets::load_rows(database, group, partitions)?;
    let begin = |(partition, row): (TopicPartition, StoredOffset)| {
        let stored = Offset(row.next_offset);
        // Retention may have taken just the record that could be compared.
        let is_held = oldest.get(&partition).is_some_and(|low| *low < stored);
        (partition, Begin { stored, witness: row.witness().filter(|_| is_held) })
    };
    Ok(rows.into_iter().map(begin).collect())
}

fn held<C: ConsumerContext>(consumer: &BaseConsumer<C>, partition: &TopicPartition) -> Result<Held, StartError> {
    let (low, high) = consumer.fetch_watermarks(&partition.topic, partition.partition, BROKER_TIMEOUT)?;
    Ok(Held { low: Offset(low.max(0)), high: Offset(high.max(0)) })
}

/// Where a partition starts that was never read.
fn first<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    start: Start,
    partition: &TopicPartition,
    held: &Held,
) -> Result<Offset, StartError> {
    match start {
        Start::Earliest => Ok(held.low),
        Start::Latest => Ok(held.high),
        Start::At(time) => {
            let mut query = TopicPartitionList::new();
            let at = rdkafka::Offset::Offset(time.timestamp_millis());
            query.add_partition_offset(&partition.topic, partition.partition, at)?;
            let found = consumer.offsets_for_times(query, BROKER_TIMEOUT)?;
            let offset = found.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset);
            Ok(match offset {
                Some(rdkafka::Offset::Offset(offset)) => Offset(offset),
                // Nothing is as late as that yet.
                _ => held.high,
            })
        }
    }
}

/// Records that the log does not hold the stored offset any more, and moves to the oldest that it
/// does hold.
fn gap(
    database: &mut Connection,
    group: &str,
    telemetry: &Telemetry,
    partition: &TopicPartition,
    at: Offset,
    held: &Held,
) -> Result<(), StartError> {
    let reason = if at < held.low {
        "retention removed records before they were counted"
    } else {
        "the topic ends before the stored offset: it was deleted and made again, or lost records"
    };
    if offsets::record_gap(database, group, partition, (at, held.low), reason)? {
        telemetry.gap(partition, (at, held.low), reason);
    }
    Ok(())
}

/// Records that the record before the stored offset is not the one that was counted, and moves
/// to the beginning of what is there now.
///
/// # Errors
/// [`StartError`]; the next session finds the same again.
pub(crate) fn record_remade<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    settings: &IngestSettings,
    telemetry: &Telemetry,
    partition: &TopicPartition,
    at: Offset,
) -> Result<(), StartError> {
    let reason = "another record stands before the stored offset: the topic was deleted and made again";
    let database = &mut connection::connect(&settings.database_url, "analytics-ingest")?;
    let low = held(consumer, partition)?.low;
    if offsets::record_gap(database, &settings.group_id, partition, (at, low), reason)? {
        telemetry.gap(partition, (at, low), reason);
    }
    Ok(())
}

//! Where the partitions of an assignment start: where the database says, and for one that was
//! never read, where `KAFKA_START` says. A stored offset that the log no longer holds is a gap,
//! which is recorded before anything goes on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, TopicPartition};
use analytics_db::tables::ingest_offsets::{Gap, StoredOffset};
use analytics_db::tables::{ingest_offsets, ingest_topics};
use analytics_db::transactions::assignment;
use analytics_db::{Connection, DbError, connection};
use analytics_process::deadline;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::buffer::End;
use crate::settings::{IngestSettings, Start as StartAt};
use crate::telemetry::Telemetry;

use super::ends::{MOST_SILENT, asking, ends, is_silence, leaders};

const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the database may take for all that is asked of it at once.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a partition may end before its stored offset. A new leader may not know for a moment how far
/// its followers have confirmed what it has; what is gone for longer is gone.
const REGRESSION: Duration = Duration::from_secs(60);

const REMADE: &str = "the topic was deleted and made again";

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

/// Where a partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begin {
    /// The stored offset: the first that is not counted.
    pub(crate) stored: Offset,
    /// The timestamp of the last record that was counted, where it is known: the record itself is
    /// fetched once more, to see that the log is still the one that was counted.
    pub(crate) last_timestamp: Option<i64>,
}

impl Begin {
    /// The offset that is asked for first.
    pub(super) fn fetched_from(self) -> Offset {
        Offset(self.stored.0 - i64::from(self.last_timestamp.is_some()))
    }
}

/// How the partitions of an assignment start.
#[derive(Default)]
pub(super) struct Start {
    /// Those that can be read, or have a place from which they will be.
    pub(super) begins: HashMap<TopicPartition, Begin>,
    /// Those that cannot be started before their broker says that they reach this offset.
    pub(super) waiting: HashMap<TopicPartition, Offset>,
    /// The ids of the topics, where they have one: what the offsets are of.
    pub(super) topic_ids: HashMap<String, String>,
}

/// What was not seen for so long is another regression.
const SEEN: Duration = Duration::from_secs(30);

/// Since when partitions end before their stored offsets, and when that was seen last, over all sessions of the
/// process.
#[derive(Clone, Default)]
pub(crate) struct Regressions(Arc<Mutex<HashMap<TopicPartition, (Instant, Instant)>>>);

impl Regressions {
    /// Whether the partition has ended too early for so long that it will not grow back.
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

    fn is_over(&self, partition: &TopicPartition) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }
}

/// Asks something of the database, which is given up if it does not answer.
fn ask<T: Send + 'static>(
    settings: &IngestSettings,
    work: impl FnOnce(&mut Connection, &str) -> Result<T, DbError> + Send + 'static,
) -> Result<T, DbError> {
    let (url, group) = (settings.database_url.clone(), settings.group_id.clone());
    let asked =
        deadline::within(DATABASE_TIMEOUT, move || work(&mut connection::connect(&url, "analytics-ingest")?, &group));
    asked.unwrap_or_else(|| Err(DbError::Unreachable("it did not answer in time".into())))
}

/// Where each partition starts.
pub(super) fn points(
    settings: &IngestSettings,
    telemetry: &Telemetry,
    regressions: &Regressions,
    partitions: &[TopicPartition],
) -> Result<Start, StartError> {
    if partitions.is_empty() {
        return Ok(Start::default());
    }
    let client = asking(settings)?;
    let names: BTreeSet<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let described = kafka_events::topics::ids(&client, &names, BROKER_TIMEOUT).unwrap_or_else(|error| {
        // The ids are the controller's to tell, and its absence holds up no partition: the timestamp of the last
        // counted record is compared all the same, and the client's own ids among themselves.
        log::warn!("the broker did not tell the topics' ids: {error}");
        names.iter().map(|name| ((*name).to_owned(), None)).collect()
    });
    let topic_ids = described.iter().filter_map(|(topic, id)| Some((topic.clone(), id.clone()?)));
    let mut start = Start { topic_ids: topic_ids.collect(), ..Start::default() };
    let (ids, wanted) = (start.topic_ids.clone(), partitions.to_vec());
    let (mut rows, at_first, remade) = ask(settings, move |database, group| {
        let mut remade = Vec::new();
        for (topic, id) in &ids {
            if assignment::identify(database, group, topic, id, REMADE)? {
                remade.push(topic.clone());
            }
        }
        Ok((
            ingest_offsets::load_rows(database, group, &wanted)?,
            ingest_topics::partitions_at_first(database, group)?,
            remade,
        ))
    })?;
    remade.iter().for_each(|topic| telemetry.remade(topic, REMADE));
    let mut known = HashMap::new();
    for partition in partitions {
        if !known.contains_key(&partition.topic) {
            known.insert(Arc::clone(&partition.topic), leaders(&client, &partition.topic, BROKER_TIMEOUT)?);
        }
    }
    let (mut first_offsets, mut gaps, mut silent) = (Vec::new(), Vec::new(), 0);
    for partition in partitions {
        let has_leader = known
            .get(&partition.topic)
            .and_then(|leaders| leaders.get(usize::try_from(partition.partition).ok()?).copied());
        // A broker that is away must not keep this thread from the partitions of all others.
        let held = if has_leader == Some(true) && silent < MOST_SILENT {
            ends(&client, partition).inspect_err(|error| {
                silent += u32::from(is_silence(error));
                log::warn!("{partition}: the broker did not say what it holds: {error}");
            })
        } else {
            Err(KafkaError::Canceled)
        };
        let held = held.ok();
        match (rows.remove(partition), held) {
            // Without a leader nothing can be asked, and nothing be fetched before there is one again.
            (Some(row), None) if described.contains_key(&*partition.topic) => {
                start.begins.insert(partition.clone(), begin(&row, Offset(0)));
            }
            // A topic that is not there may be another one when it is there again.
            (_, None) => drop(start.waiting.insert(partition.clone(), Offset(0))),
            (None, Some((low, high))) => {
                let at_first = at_first.get(&*partition.topic).copied().unwrap_or(0);
                let at = if partition.partition < at_first {
                    first(&client, settings.start, partition, (low, high))?
                } else {
                    low
                };
                first_offsets.push((partition.clone(), at));
            }
            (Some(row), Some((low, high))) => {
                let stored = Offset(row.next_offset);
                if (low..=high).contains(&stored) {
                    regressions.is_over(partition);
                    start.begins.insert(partition.clone(), begin(&row, low));
                } else if stored < low {
                    let reason = "retention removed records before they were counted";
                    gaps.push((partition.clone(), Gap { from: stored, to: low, resume_at: low }, reason));
                } else if start.topic_ids.contains_key(&*partition.topic) && !regressions.is_lasting(partition) {
                    // It is the same topic.
                    log::warn!(
                        "{partition} ends at {high}, before the stored offset {stored}: waiting for it to grow back"
                    );
                    start.waiting.insert(partition.clone(), stored);
                } else {
                    regressions.is_over(partition);
                    let reason = "the partition ends before the stored offset: it lost records, or was made again";
                    gaps.push((partition.clone(), Gap { from: stored, to: stored, resume_at: low }, reason));
                }
            }
        }
    }
    if first_offsets.is_empty() && gaps.is_empty() {
        return Ok(start);
    }
    let to_record = gaps.clone();
    let to_load: Vec<TopicPartition> =
        first_offsets.iter().map(|(partition, _)| partition).chain(gaps.iter().map(|(p, ..)| p)).cloned().collect();
    let (recorded, rows) = ask(settings, move |database, group| {
        for (partition, at) in &first_offsets {
            assignment::start(database, group, partition, *at)?;
        }
        let mut recorded = Vec::new();
        for (partition, gap, reason) in &to_record {
            recorded.push(assignment::record_gap(database, group, partition, *gap, reason)?);
        }
        Ok((recorded, ingest_offsets::load_rows(database, group, &to_load)?))
    })?;
    for ((partition, gap, reason), _) in gaps.iter().zip(recorded).filter(|(_, recorded)| *recorded) {
        telemetry.gap(partition, *gap, reason);
    }
    let begun = rows
        .into_iter()
        .map(|(partition, row)| (partition, Begin { stored: Offset(row.next_offset), last_timestamp: None }));
    start.begins.extend(begun);
    Ok(start)
}

/// A partition that goes on. Retention may have taken just the record that could be compared.
fn begin(row: &StoredOffset, low: Offset) -> Begin {
    let stored = Offset(row.next_offset);
    Begin { stored, last_timestamp: row.last_counted_timestamp().filter(|_| low < stored) }
}

/// Where a partition starts that was there before the group, and was never read.
fn first(
    client: &BaseConsumer,
    start: StartAt,
    partition: &TopicPartition,
    (low, high): (Offset, Offset),
) -> Result<Offset, StartError> {
    match start {
        StartAt::Earliest => Ok(low),
        StartAt::Latest => Ok(high),
        StartAt::At(time) => {
            let mut query = TopicPartitionList::new();
            let at = rdkafka::Offset::Offset(time.timestamp_millis());
            query.add_partition_offset(&partition.topic, partition.partition, at)?;
            let found = client.offsets_for_times(query, BROKER_TIMEOUT)?;
            let offset = found.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset);
            Ok(match offset {
                Some(rdkafka::Offset::Offset(offset)) => Offset(offset),
                // Nothing is as late as that yet.
                _ => high,
            })
        }
    }
}

/// Records that the record before the stored offset is not the one that was counted, and moves
/// to the beginning of what is there now.
///
/// # Errors
/// [`StartError`]; the next session finds the same again.
pub(crate) fn record_remade(
    settings: &IngestSettings,
    telemetry: &Telemetry,
    partition: &TopicPartition,
    at: Offset,
) -> Result<(), StartError> {
    let reason = "another record stands before the stored offset: the topic was deleted and made again";
    let (low, _) = ends(&asking(settings)?, partition)?;
    record_gap(settings, telemetry, partition, Gap { from: at, to: at, resume_at: low }, reason)
}

/// Records a gap, unless somebody has moved on meanwhile.
pub(super) fn record_gap(
    settings: &IngestSettings,
    telemetry: &Telemetry,
    partition: &TopicPartition,
    gap: Gap,
    reason: &'static str,
) -> Result<(), StartError> {
    let place = partition.clone();
    if ask(settings, move |database, group| assignment::record_gap(database, group, &place, gap, reason))? {
        telemetry.gap(partition, gap, reason);
    }
    Ok(())
}

//! Decides where the partitions of an assignment start: at the stored offset; if there is none and
//! the partition existed before the group, where `KAFKA_START` says; otherwise at the beginning. A
//! stored offset that the log no longer holds is a gap, which is recorded before reading continues.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
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
use super::regressions::Regressions;

const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one connection with all its requests to the database may take.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(15);

const REMADE: &str = "the topic was deleted and recreated";

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
        Self::Kafka(format!("a query to the broker failed: {error}"))
    }
}

/// Where reading of a partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begin {
    /// The stored offset: the first that is not counted yet.
    pub(crate) stored: Offset,
    /// The timestamp of the last counted record, if known. That record is fetched once more, to
    /// verify that the log is still the one that was counted.
    pub(crate) last_timestamp: Option<i64>,
}

impl Begin {
    /// Returns the first offset to fetch.
    pub(super) fn fetched_from(self) -> Offset {
        Offset(self.stored.0 - i64::from(self.last_timestamp.is_some()))
    }
}

/// How the partitions of an assignment start.
#[derive(Default)]
pub(super) struct Start {
    /// Partitions that can be read, or whose first offset is known although they have no leader.
    pub(super) begins: HashMap<TopicPartition, Begin>,
    /// Partitions that cannot start before the broker reports that they reach this offset.
    pub(super) waiting: HashMap<TopicPartition, Offset>,
    /// The ids of the topics to which the offsets refer, as far as the topics have ids.
    pub(super) topic_ids: HashMap<String, String>,
    /// Where the partitions ended when the broker was queried, and the moment before that.
    pub(super) ends: Vec<(TopicPartition, Offset, Instant)>,
}

/// Runs `work` on a new connection to the database, and gives up if the database does not answer in
/// time.
fn ask<T: Send + 'static>(
    settings: &IngestSettings,
    work: impl FnOnce(&mut Connection, &str) -> Result<T, DbError> + Send + 'static,
) -> Result<T, DbError> {
    let (url, group) = (settings.database_url.clone(), settings.group_id.clone());
    let asked =
        deadline::within(DATABASE_TIMEOUT, move || work(&mut connection::connect(&url, "analytics-ingest")?, &group));
    asked.unwrap_or_else(|| Err(DbError::Unreachable("it did not answer in time".into())))
}

/// What is known before the partitions of an assignment are examined one by one.
struct Known<'a> {
    settings: &'a IngestSettings,
    client: &'a BaseConsumer,
    regressions: &'a Regressions,
    /// The topics that exist, with their ids.
    topics: HashMap<String, Option<String>>,
    /// Whether the broker reported which topics exist.
    are_told: bool,
    /// How many partitions each topic had when the group first registered it.
    partitions_at_first: HashMap<String, i32>,
}

/// How one partition starts.
enum Beginning {
    /// At the stored offset.
    Stored(Begin),
    /// Not before it reaches this offset.
    Later(Offset),
    /// For the first time, at this offset.
    First(Offset),
    /// After a gap, for this reason.
    AfterGap(Gap, &'static str),
}

/// Returns where each partition starts.
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
    let (topics, are_told) = described(&client, partitions);
    let topic_ids = topics.iter().filter_map(|(topic, id)| Some((topic.clone(), id.clone()?)));
    let mut start = Start { topic_ids: topic_ids.collect(), ..Start::default() };
    let (mut rows, partitions_at_first) = stored(settings, telemetry, &start.topic_ids, partitions)?;
    let known = Known { settings, client: &client, regressions, topics, are_told, partitions_at_first };
    let (mut first_offsets, mut gaps) = (Vec::new(), Vec::new());
    let asked = Instant::now();
    for (partition, held) in held(settings, &client, partitions)? {
        start.ends.extend(held.map(|(_, end)| (partition.clone(), end, asked)));
        match known.beginning(partition, rows.remove(partition), held)? {
            Beginning::Stored(begin) => drop(start.begins.insert(partition.clone(), begin)),
            Beginning::Later(offset) => drop(start.waiting.insert(partition.clone(), offset)),
            Beginning::First(at) => first_offsets.push((partition.clone(), at)),
            Beginning::AfterGap(gap, reason) => gaps.push((partition.clone(), gap, reason)),
        }
    }
    start.begins.extend(store(settings, telemetry, first_offsets, gaps)?);
    Ok(start)
}

/// Returns those topics of the partitions that exist, with their ids, and whether the broker
/// reported them. If it did not, all topics are returned, without ids.
fn described(client: &BaseConsumer, partitions: &[TopicPartition]) -> (HashMap<String, Option<String>>, bool) {
    let names: BTreeSet<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
    let names: Vec<&str> = names.into_iter().collect();
    match kafka_events::topics::ids(client, &names, BROKER_TIMEOUT) {
        Ok(topics) => (topics, true),
        Err(error) => {
            // Only the controller reports ids, and its absence must not hold up any partition: the
            // timestamp of the last counted record is compared in any case, and a change of the ids
            // in the client's log is noticed.
            log::warn!("the broker did not report the ids of the topics: {error}");
            (names.into_iter().map(|name| (name.to_owned(), None)).collect(), false)
        }
    }
}

/// The stored offsets of partitions, and how many partitions each topic had at first.
type Stored = (HashMap<TopicPartition, StoredOffset>, HashMap<String, i32>);

/// Loads the stored offsets of the partitions, after resetting those of recreated topics (the ones
/// whose id has changed) to the beginning.
fn stored(
    settings: &IngestSettings,
    telemetry: &Telemetry,
    topic_ids: &HashMap<String, String>,
    partitions: &[TopicPartition],
) -> Result<Stored, StartError> {
    let (ids, wanted) = (topic_ids.clone(), partitions.to_vec());
    let (rows, at_first, remade) = ask(settings, move |database, group| {
        let mut remade = Vec::new();
        for (topic, id) in &ids {
            if assignment::identify(database, group, topic, id, REMADE)? {
                remade.push(topic.clone());
            }
        }
        let rows = ingest_offsets::load_rows(database, group, &wanted)?;
        Ok((rows, ingest_topics::partitions_at_first(database, group)?, remade))
    })?;
    remade.iter().for_each(|topic| telemetry.remade(topic, REMADE));
    Ok((rows, at_first))
}

/// A partition with its first offset and its end, if its leader reported them.
type Held<'a> = (&'a TopicPartition, Option<(Offset, Offset)>);

/// Queries the broker for the first offset and the end of each partition.
fn held<'a>(
    settings: &IngestSettings,
    client: &BaseConsumer,
    partitions: &'a [TopicPartition],
) -> Result<Vec<Held<'a>>, StartError> {
    let mut known = HashMap::new();
    for partition in partitions {
        if !known.contains_key(&partition.topic) {
            let leaders = leaders(client, &settings.decoder.topics, &partition.topic, BROKER_TIMEOUT)?;
            known.insert(Arc::clone(&partition.topic), leaders);
        }
    }
    let mut silent = 0;
    let held = |partition: &'a TopicPartition| {
        let leaders = known.get(&partition.topic);
        let has_leader = leaders.and_then(|leaders| leaders.get(usize::try_from(partition.partition).ok()?).copied());
        // One unreachable broker must not keep this thread from the partitions of the others.
        if has_leader != Some(true) || silent >= MOST_SILENT {
            return (partition, None);
        }
        let held = ends(client, partition).inspect_err(|error| {
            silent += u32::from(is_silence(error));
            log::warn!("{partition}: the broker did not report its offsets: {error}");
        });
        (partition, held.ok())
    };
    Ok(partitions.iter().map(held).collect())
}

impl Known<'_> {
    /// Decides how one partition starts.
    fn beginning(
        &self,
        partition: &TopicPartition,
        row: Option<StoredOffset>,
        held: Option<(Offset, Offset)>,
    ) -> Result<Beginning, StartError> {
        Ok(match (row, held) {
            // Without a leader, its offsets cannot be queried, and nothing is fetched until it has
            // one.
            (Some(row), None) if self.topics.contains_key(&*partition.topic) => {
                Beginning::Stored(begin(&row, Offset(0)))
            }
            // A topic that does not exist now may be a different one once it exists again.
            (_, None) => Beginning::Later(Offset(0)),
            (None, Some((low, high))) => {
                let at_first = self.partitions_at_first.get(&*partition.topic).copied().unwrap_or(0);
                Beginning::First(if partition.partition < at_first {
                    first(self.client, self.settings.start, partition, (low, high))?
                } else {
                    low
                })
            }
            (Some(row), Some((low, high))) => self.going_on(partition, &row, low, high),
        })
    }

    /// Decides how a partition that was read before continues.
    fn going_on(&self, partition: &TopicPartition, row: &StoredOffset, low: Offset, high: Offset) -> Beginning {
        let stored = Offset(row.next_offset);
        if (low..=high).contains(&stored) {
            self.regressions.is_over(partition);
            return Beginning::Stored(begin(row, low));
        }
        if stored < low {
            let gap = Gap { from: stored, to: low, resume_at: low };
            return Beginning::AfterGap(gap, "retention removed records before they were counted");
        }
        // A topic with an id is the same one, since a changed id has reset the stored offset;
        // without an answer of the broker it may be the same.
        let may_be_the_same = !self.are_told || self.topics.get(&*partition.topic).is_some_and(Option::is_some);
        if may_be_the_same && !self.regressions.is_lasting(partition) {
            log::warn!("{partition} ends at {high}, before the stored offset {stored}: waiting for it to grow back");
            return Beginning::Later(stored);
        }
        self.regressions.is_over(partition);
        let gap = Gap { from: stored, to: stored, resume_at: low };
        Beginning::AfterGap(gap, "the partition ends before the stored offset: it lost records, or was recreated")
    }
}

/// Stores the offsets at which partitions start for the first time, and records gaps. Returns where
/// all of these partitions begin.
fn store(
    settings: &IngestSettings,
    telemetry: &Telemetry,
    first_offsets: Vec<(TopicPartition, Offset)>,
    gaps: Vec<(TopicPartition, Gap, &'static str)>,
) -> Result<HashMap<TopicPartition, Begin>, StartError> {
    if first_offsets.is_empty() && gaps.is_empty() {
        return Ok(HashMap::new());
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
    let begin = |row: StoredOffset| Begin { stored: Offset(row.next_offset), last_timestamp: None };
    Ok(rows.into_iter().map(|(partition, row)| (partition, begin(row))).collect())
}

/// Returns where a partition with a stored offset continues. The last counted record is compared
/// only if retention has not removed it.
fn begin(row: &StoredOffset, low: Offset) -> Begin {
    let stored = Offset(row.next_offset);
    Begin { stored, last_timestamp: row.last_counted_timestamp().filter(|_| low < stored) }
}

/// Returns where a partition that existed before the group and was never read starts.
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
                // There is no record of that time or later yet.
                _ => high,
            })
        }
    }
}

/// Records that the record before the stored offset is not the one that was counted, and moves the
/// stored offset to the beginning of the current log.
///
/// # Errors
/// [`StartError`]; the next session will find the same difference.
pub(crate) fn record_remade(
    settings: &IngestSettings,
    telemetry: &Telemetry,
    partition: &TopicPartition,
    at: Offset,
) -> Result<(), StartError> {
    let reason = "a different record precedes the stored offset: the topic was deleted and recreated";
    let (low, _) = ends(&asking(settings)?, partition)?;
    record_gap(settings, telemetry, partition, Gap { from: at, to: at, resume_at: low }, reason)
}

/// Records a gap, unless the stored offset has moved in the meantime.
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

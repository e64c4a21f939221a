//! `ingest_offsets`: up to where each partition is counted. Only a worker that knows the stored
//! offset can move it.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use analytics_core::record::{Offset, TopicPartition};
use chrono::{DateTime, Utc};

use super::all_taken;
use crate::batch::{Progress, Span, Tally};
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

row! {
    /// Up to where one partition is counted.
    #[derive(Debug, Clone)]
    pub struct StoredOffset {
        /// The consumer group.
        pub consumer_group: String,
        /// The topic.
        pub topic: String,
        /// The partition.
        pub partition: i32,
        /// Offset of the first record that is not logged yet.
        pub next_offset: i64,
        /// Offset of the first record that the numbers do not include yet.
        pub counted_offset: i64,
        /// The end of the partition, as last reported by the broker.
        pub high_watermark: Option<i64>,
        /// Everything below this offset is consumed. Between `next_offset` and it there may be
        /// offsets without records.
        pub consumed_to: Option<i64>,
        /// The latest time of a counted event.
        pub last_event_time: Option<DateTime<Utc>>,
        /// Offset of the last counted record.
        pub last_record_offset: Option<i64>,
        /// Timestamp of that record, in milliseconds, if it has one.
        pub last_record_timestamp: Option<i64>,
        /// When ingest last updated the row.
        pub updated_at: DateTime<Utc>,
        /// Number of events counted.
        pub events: i64,
        /// Number of duplicates ignored.
        pub duplicates: i64,
        /// Number of records rejected.
        pub rejected: i64,
    }
}

/// Returns how long ago a moment was, in seconds. The database subtracts it from its own clock.
pub(crate) fn age(moment: Option<Instant>) -> Option<f64> {
    moment.map(|moment| moment.elapsed().as_secs_f64())
}

/// A range of records that were gone before they could be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The stored offset, where the gap begins.
    pub from: Offset,
    /// The first offset after the gap. If the topic was recreated, an offset of the deleted topic.
    pub to: Offset,
    /// Where counting continues.
    pub resume_at: Offset,
}

impl StoredOffset {
    /// Returns how many offsets of the partition the numbers do not include yet; `None` if its end is
    /// not known.
    #[must_use]
    pub fn lag(&self) -> Option<i64> {
        let counted = match self.counted_offset < self.next_offset {
            true => self.counted_offset,
            false => self.next_offset.max(self.consumed_to.unwrap_or(0)),
        };
        self.high_watermark.map(|end| (end - counted).max(0))
    }

    /// Returns the timestamp of the record before `next_offset`, if that record was the last one
    /// counted. `None` if an operator set the offset, and after a gap.
    #[must_use]
    pub fn last_counted_timestamp(&self) -> Option<i64> {
        self.last_record_timestamp.filter(|_| self.last_record_offset == Some(self.next_offset - 1))
    }
}

/// Returns all stored offsets, of all groups.
///
/// # Errors
/// [`DbError`].
pub fn all(connection: &mut Connection) -> Result<Vec<StoredOffset>, DbError> {
    Ok(statement("SELECT * FROM ingest_offsets ORDER BY consumer_group, topic, partition").load(connection)?)
}

/// Returns how many records the living workers have still to count.
pub(crate) fn behind(connection: &mut Connection) -> Result<i64, DbError> {
    row! {
        struct Behind {
            records: i64,
        }
    }
    let query = "SELECT coalesce(sum(greatest(high_watermark - greatest(next_offset, consumed_to), 0)), 0)::bigint AS records \
                 FROM ingest_offsets WHERE updated_at > now() - interval '30 s'";
    Ok(statement(query).get_result::<Behind>(connection)?.records)
}

/// Returns the stored offsets of some partitions.
///
/// # Errors
/// [`DbError`].
pub fn load(
    connection: &mut Connection,
    consumer_group: &str,
    partitions: &[TopicPartition],
) -> Result<HashMap<TopicPartition, Offset>, DbError> {
    let rows = load_rows(connection, consumer_group, partitions)?;
    Ok(rows.into_iter().map(|(partition, row)| (partition, Offset(row.next_offset))).collect())
}

/// Returns the complete rows of some partitions.
///
/// # Errors
/// [`DbError`].
pub fn load_rows(
    connection: &mut Connection,
    consumer_group: &str,
    partitions: &[TopicPartition],
) -> Result<HashMap<TopicPartition, StoredOffset>, DbError> {
    let rows: Vec<StoredOffset> = statement(
        "SELECT o.* FROM unnest($2, $3) AS p (topic, partition) JOIN ingest_offsets o USING (topic, partition) \
         WHERE o.consumer_group = $1",
    )
    .value(consumer_group)
    .column(partitions.iter().map(|p| &*p.topic))
    .column(partitions.iter().map(|p| p.partition))
    .load(connection)?;
    let partition = |row: &StoredOffset| TopicPartition { topic: row.topic.as_str().into(), partition: row.partition };
    Ok(rows.into_iter().map(|row| (partition(&row), row)).collect())
}

/// Stores where counting of a partition starts. A row that exists already stays unchanged.
///
/// # Errors
/// [`DbError`].
pub(crate) fn start(
    connection: &mut Connection,
    consumer_group: &str,
    partition: &TopicPartition,
    at: Offset,
) -> Result<(), DbError> {
    statement(
        "INSERT INTO ingest_offsets (consumer_group, topic, partition, next_offset, counted_offset, log_start) \
         VALUES ($1, $2, $3, $4, $4, $4) \
         ON CONFLICT DO NOTHING",
    )
    .value(consumer_group)
    .value(&*partition.topic)
    .value(partition.partition)
    .value(at.0)
    .execute(connection)?;
    Ok(())
}

/// Records a gap, and moves the stored offset over it. Returns false, without changing anything, if
/// the stored offset is not where the gap begins.
///
/// # Errors
/// [`DbError`].
pub(crate) fn record_gap(
    connection: &mut Connection,
    consumer_group: &str,
    partition: &TopicPartition,
    gap: Gap,
    reason: &str,
) -> Result<bool, DbError> {
    let recorded = statement(include_str!("record_gap.sql"))
        .value(consumer_group)
        .value(&*partition.topic)
        .value(partition.partition)
        .value(gap.from.0)
        .value(gap.to.0)
        .value(gap.resume_at.0)
        .value(reason)
        .execute(connection)?;
    Ok(recorded == 1)
}

/// Sets the stored offset of a partition, for operators. A running worker notices at its next batch
/// and continues from there. Returns whether the row exists.
///
/// # Errors
/// [`DbError`].
pub fn set(
    connection: &mut Connection,
    consumer_group: &str,
    partition: &TopicPartition,
    to: Offset,
) -> Result<bool, DbError> {
    let set = statement(include_str!("set_offset.sql"))
        .value(consumer_group)
        .value(&*partition.topic)
        .value(partition.partition)
        .value(to.0)
        .execute(connection)?;
    Ok(set == 1)
}

/// Stores that a worker is alive, and what it knows about its partitions. Only updates rows whose
/// stored offset is where the worker expects it; returns how many.
///
/// # Errors
/// [`DbError`].
pub(crate) fn heartbeat(
    connection: &mut Connection,
    consumer_group: &str,
    partitions: &[(TopicPartition, Offset, Progress)],
) -> Result<usize, DbError> {
    let of = |known: fn(&Progress) -> Option<i64>| partitions.iter().map(|(.., p)| known(p)).collect::<Vec<_>>();
    let ages = |known: fn(&Progress) -> Option<f64>| partitions.iter().map(|(.., p)| known(p)).collect::<Vec<_>>();
    lock(connection, consumer_group, partitions.iter().map(|(partition, ..)| partition))?;
    let beat = statement(include_str!("heartbeat.sql"))
        .value(consumer_group)
        .column(partitions.iter().map(|(p, ..)| &*p.topic))
        .column(partitions.iter().map(|(p, ..)| p.partition))
        .column(partitions.iter().map(|(_, next, _)| next.0))
        .column(of(|p| p.end.map(|(end, _)| end.0)))
        .column(ages(|p| age(p.end.map(|(_, asked)| asked))))
        .column(of(|p| p.consumed_to.map(|offset| offset.0)))
        .column(ages(|p| age(p.caught_up)))
        .execute(connection)?;
    Ok(beat)
}

/// Deletes the stored offsets of a retired topic, or of one of its partitions. Returns how many
/// partitions were deleted; `None` if nothing was stored for the topic.
///
/// # Errors
/// [`DbError`].
pub fn forget(
    connection: &mut Connection,
    consumer_group: &str,
    topic: &str,
    partition: Option<i32>,
) -> Result<Option<usize>, DbError> {
    let partitions = statement(
        "DELETE FROM ingest_offsets WHERE consumer_group = $1 AND topic = $2 AND ($3 IS NULL OR partition = $3)",
    )
    .value(consumer_group)
    .value(topic)
    .value(partition)
    .execute(connection)?;
    statement("DELETE FROM offset_ranges WHERE consumer_group = $1 AND topic = $2 AND ($3 IS NULL OR partition = $3)")
        .value(consumer_group)
        .value(topic)
        .value(partition)
        .execute(connection)?;
    let topics = statement(
        "DELETE FROM ingest_topics t WHERE consumer_group = $1 AND topic = $2 AND NOT EXISTS \
         (SELECT FROM ingest_offsets o WHERE o.consumer_group = t.consumer_group AND o.topic = t.topic)",
    )
    .value(consumer_group)
    .value(topic)
    .execute(connection)?;
    Ok(Some(partitions).filter(|_| partitions + topics > 0))
}

/// Moves the stored offsets of all spans, or fails with [`WriteError::Fenced`] if one of them is
/// not where it is expected. Returns of which log each partition's offsets are: since when it is counted.
pub(crate) fn move_offsets(
    connection: &mut Connection,
    consumer_group: &str,
    spans: &[Span],
    tallies: &BTreeMap<TopicPartition, Tally>,
) -> Result<HashMap<TopicPartition, DateTime<Utc>>, WriteError> {
    let mut spans: Vec<_> =
        spans.iter().map(|span| (span, tallies.get(&span.partition).copied().unwrap_or_default())).collect();
    spans.sort_unstable_by(|(a, _), (b, _)| a.partition.cmp(&b.partition));
    let of = |known: fn(&Span) -> Option<i64>| spans.iter().map(|(span, _)| known(span)).collect::<Vec<_>>();
    let ages = |known: fn(&Span) -> Option<f64>| spans.iter().map(|(span, _)| known(span)).collect::<Vec<_>>();
    let logs = lock(connection, consumer_group, spans.iter().map(|(span, _)| &span.partition))?;
    let sql = include_str!("move_offsets.sql");
    #[cfg(feature = "mutants")]
    let sql = crate::mutant::without_fence(sql);
    let moved = statement(sql)
        .value(consumer_group)
        .column(spans.iter().map(|(span, _)| &*span.partition.topic))
        .column(spans.iter().map(|(span, _)| span.partition.partition))
        .column(spans.iter().map(|(span, _)| span.expected.0))
        .column(spans.iter().map(|(span, _)| span.next.0))
        .column(of(|span| span.progress.end.map(|(end, _)| end.0)))
        .column(ages(|span| age(span.progress.end.map(|(_, asked)| asked))))
        .column(of(|span| span.progress.consumed_to.map(|offset| offset.0)))
        .column(spans.iter().map(|(_, tally)| tally.events))
        .column(spans.iter().map(|(_, tally)| tally.duplicates))
        .column(spans.iter().map(|(_, tally)| tally.rejected))
        .column(of(|span| span.last_timestamp))
        .execute(connection)?;
    if moved == spans.len() {
        return Ok(logs);
    }
    #[cfg(feature = "mutants")]
    crate::mutant::commit_instead_of_rolling_back(connection)?;
    if moved + standing(connection, consumer_group, &spans)? == spans.len() {
        // All offsets are where they are expected, but some rows were not updated: a trigger
        // dropped them.
        all_taken("ingest_offsets", moved, spans.len())?;
    }
    Err(WriteError::Fenced)
}

/// Locks the rows of partitions in the order of their keys, as everybody does who changes several:
/// two transactions never wait for each other. Returns since when the log of each is counted.
fn lock<'a>(
    connection: &mut Connection,
    consumer_group: &str,
    partitions: impl Iterator<Item = &'a TopicPartition> + Clone,
) -> Result<HashMap<TopicPartition, DateTime<Utc>>, DbError> {
    row! {
        struct Row {
            topic: String,
            partition: i32,
            log_since: DateTime<Utc>,
        }
    }
    let rows: Vec<Row> = statement(
        "SELECT o.topic, o.partition, o.log_since FROM ingest_offsets o \
         JOIN unnest($2, $3) AS p (topic, partition) \
         ON o.topic = p.topic AND o.partition = p.partition \
         WHERE o.consumer_group = $1 ORDER BY o.topic, o.partition FOR UPDATE OF o",
    )
    .value(consumer_group)
    .column(partitions.clone().map(|p| &*p.topic))
    .column(partitions.map(|p| p.partition))
    .load(connection)?;
    let log = |row: Row| (TopicPartition { topic: row.topic.into(), partition: row.partition }, row.log_since);
    Ok(rows.into_iter().map(log).collect())
}

/// What the fold has counted of a partition.
pub(crate) struct Counted {
    pub(crate) consumer_group: String,
    pub(crate) partition: TopicPartition,
    /// The first offset that was not counted.
    pub(crate) to: i64,
    /// Timestamp of the last record, in milliseconds.
    pub(crate) last_timestamp: Option<i64>,
    /// Everything that was in the partition at this time is counted.
    pub(crate) caught_up_at: Option<DateTime<Utc>>,
    /// The latest time of an event.
    pub(crate) last_event: Option<DateTime<Utc>>,
}

/// Stores up to where partitions are counted: those of `counted`, and all others of which that is not
/// known. To be called at the end of a transaction: writers that log records of these partitions wait
/// for it. It never waits for them: a row that somebody else has locked is left to the next call.
pub(crate) fn counted(connection: &mut Connection, _: &CountingLock, counted: &[Counted]) -> Result<(), DbError> {
    row! {
        struct Row {
            consumer_group: String,
            topic: String,
            partition: i32,
        }
    }
    let locked: Vec<Row> = statement(
        "SELECT o.consumer_group, o.topic, o.partition FROM ingest_offsets o \
         WHERE o.counted_offset <> o.next_offset \
             OR (o.consumer_group, o.topic, o.partition) IN (SELECT * FROM unnest($1, $2, $3)) \
         FOR UPDATE SKIP LOCKED",
    )
    .column(counted.iter().map(|counted| &*counted.consumer_group))
    .column(counted.iter().map(|counted| &*counted.partition.topic))
    .column(counted.iter().map(|counted| counted.partition.partition))
    .load(connection)?;
    // A statement of its own: it sees every batch that those who held the locks before have logged.
    statement(include_str!("counted_offsets.sql"))
        .column(locked.iter().map(|row| &*row.consumer_group))
        .column(locked.iter().map(|row| &*row.topic))
        .column(locked.iter().map(|row| row.partition))
        .column(counted.iter().map(|counted| &*counted.consumer_group))
        .column(counted.iter().map(|counted| &*counted.partition.topic))
        .column(counted.iter().map(|counted| counted.partition.partition))
        .column(counted.iter().map(|counted| counted.to))
        .column(counted.iter().map(|counted| counted.last_timestamp))
        .column(counted.iter().map(|counted| counted.caught_up_at))
        .column(counted.iter().map(|counted| counted.last_event))
        .execute(connection)?;
    Ok(())
}

/// Returns how many stored offsets are where the batch expects them.
fn standing(connection: &mut Connection, consumer_group: &str, spans: &[(&Span, Tally)]) -> Result<usize, WriteError> {
    row! {
        struct Row {
            offsets: i64,
        }
    }
    let row: Row = statement(
        "SELECT count(*) AS offsets FROM ingest_offsets o JOIN unnest($2, $3, $4) AS s (topic, partition, expected) \
         ON o.topic = s.topic AND o.partition = s.partition AND o.next_offset = s.expected WHERE o.consumer_group = $1",
    )
    .value(consumer_group)
    .column(spans.iter().map(|(span, _)| &*span.partition.topic))
    .column(spans.iter().map(|(span, _)| span.partition.partition))
    .column(spans.iter().map(|(span, _)| span.expected.0))
    .get_result(connection)?;
    Ok(usize::try_from(row.offsets).unwrap_or(0))
}

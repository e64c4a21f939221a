//! `ingest_offsets`: how far each partition is counted. The row moves only for the worker that
//! knows where it stands.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use analytics_core::record::{Offset, TopicPartition};
use chrono::{DateTime, Utc};

use super::all_taken;
use crate::batch::{Progress, Span, Tally};
use crate::error::WriteError;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

row! {
    /// How far one partition is counted.
    #[derive(Debug, Clone)]
    pub struct StoredOffset {
        /// The consumer group.
        pub consumer_group: String,
        /// The topic.
        pub topic: String,
        /// The partition.
        pub partition: i32,
        /// The first offset that is not counted yet.
        pub next_offset: i64,
        /// The end of the partition as the broker last told it.
        pub high_watermark: Option<i64>,
        /// All below this offset is consumed; offsets without records may lie between it and
        /// `next_offset`.
        pub consumed_to: Option<i64>,
        /// The latest event time that was counted.
        pub last_event_time: Option<DateTime<Utc>>,
        /// The last record that was counted: its offset.
        pub last_record_offset: Option<i64>,
        /// The same record's timestamp, in milliseconds, if it has one.
        pub last_record_timestamp: Option<i64>,
        /// When ingest last said anything about it.
        pub updated_at: DateTime<Utc>,
        /// Events counted.
        pub events: i64,
        /// Repetitions ignored.
        pub duplicates: i64,
        /// Dead letters.
        pub rejected: i64,
    }
}

/// How long ago a moment was, in seconds, for the database's own clock to take away.
pub(crate) fn age(moment: Option<Instant>) -> Option<f64> {
    moment.map(|moment| moment.elapsed().as_secs_f64())
}

/// Records that were gone before they could be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The stored offset, where the gap begins.
    pub from: Offset,
    /// Where it ends, in the log that it is in.
    pub to: Offset,
    /// Where counting goes on.
    pub resume_at: Offset,
}

impl StoredOffset {
    /// How many messages are in the partition and not consumed, as far as its end is known.
    #[must_use]
    pub fn lag(&self) -> Option<i64> {
        let consumed = self.next_offset.max(self.consumed_to.unwrap_or(0));
        self.high_watermark.map(|end| (end - consumed).max(0))
    }

    /// The timestamp of the record before the next one, if that is the last that was counted:
    /// not where an operator set the offset, or after a gap.
    #[must_use]
    pub fn last_counted_timestamp(&self) -> Option<i64> {
        self.last_record_timestamp.filter(|_| self.last_record_offset == Some(self.next_offset - 1))
    }
}

/// All stored offsets, of all groups.
///
/// # Errors
/// [`DbError`].
pub fn all(connection: &mut Connection) -> Result<Vec<StoredOffset>, DbError> {
    Ok(statement("SELECT * FROM ingest_offsets ORDER BY consumer_group, topic, partition").load(connection)?)
}

/// The stored offsets of some partitions.
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

/// All that is stored about some partitions.
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

/// Stores where a partition that was never assigned before starts; a row that is there stays.
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
        "INSERT INTO ingest_offsets (consumer_group, topic, partition, next_offset) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .value(consumer_group)
    .value(&*partition.topic)
    .value(partition.partition)
    .value(at.0)
    .execute(connection)?;
    Ok(())
}

/// Records a gap, and moves the stored offset over it. Returns whether the offset still stood where
/// the gap begins.
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

/// Sets the stored offset of a partition, for operators. A running worker notices at its next
/// batch and goes on from there. Returns whether there was such a row.
///
/// # Errors
/// [`DbError`].
pub fn set(
    connection: &mut Connection,
    consumer_group: &str,
    partition: &TopicPartition,
    to: Offset,
) -> Result<bool, DbError> {
    let set = statement(
        "UPDATE ingest_offsets SET next_offset = $4, consumed_to = $4 \
         WHERE consumer_group = $1 AND topic = $2 AND partition = $3",
    )
    .value(consumer_group)
    .value(&*partition.topic)
    .value(partition.partition)
    .value(to.0)
    .execute(connection)?;
    Ok(set == 1)
}

/// Says that a worker is alive and what it knows of its partitions. Only for rows that stand where
/// the worker believes them to be; returns how many did.
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

/// Forgets how far a group counted a topic, or one partition of it, that is retired. Returns how
/// many partitions were forgotten; `None` where the group knew nothing of it.
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
    let topics = statement(
        "DELETE FROM ingest_topics t WHERE consumer_group = $1 AND topic = $2 AND NOT EXISTS \
         (SELECT FROM ingest_offsets o WHERE o.consumer_group = t.consumer_group AND o.topic = t.topic)",
    )
    .value(consumer_group)
    .value(topic)
    .execute(connection)?;
    Ok(Some(partitions).filter(|_| partitions + topics > 0))
}

/// Moves the offsets of all spans, or finds that one of them is not where it should be.
pub(crate) fn move_offsets(
    connection: &mut Connection,
    consumer_group: &str,
    spans: &[Span],
    tallies: &BTreeMap<TopicPartition, Tally>,
) -> Result<(), WriteError> {
    let mut spans: Vec<_> =
        spans.iter().map(|span| (span, tallies.get(&span.partition).copied().unwrap_or_default())).collect();
    spans.sort_unstable_by(|(a, _), (b, _)| a.partition.cmp(&b.partition));
    let of = |known: fn(&Span) -> Option<i64>| spans.iter().map(|(span, _)| known(span)).collect::<Vec<_>>();
    let ages = |known: fn(&Span) -> Option<f64>| spans.iter().map(|(span, _)| known(span)).collect::<Vec<_>>();
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
        .column(ages(|span| age(span.progress.caught_up)))
        .column(spans.iter().map(|(_, tally)| tally.last_event.map(|time| time.utc())))
        .column(spans.iter().map(|(_, tally)| tally.events))
        .column(spans.iter().map(|(_, tally)| tally.duplicates))
        .column(spans.iter().map(|(_, tally)| tally.rejected))
        .column(of(|span| span.last_timestamp))
        .execute(connection)?;
    if moved == spans.len() {
        return Ok(());
    }
    #[cfg(feature = "mutants")]
    crate::mutant::commit_instead_of_rolling_back(connection)?;
    if moved + standing(connection, consumer_group, &spans)? == spans.len() {
        // Nobody moved them, and they did not move.
        return all_taken("ingest_offsets", moved, spans.len());
    }
    Err(WriteError::Fenced)
}

/// How many offsets stand where the batch expects them.
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

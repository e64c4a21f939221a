//! `offset_ranges`: what ingest was given of each range of offsets, and what the audit found there.
//!
//! A batch keeps it for its own ranges in its row of `batches`, in the transaction that moves the stored
//! offsets. The fold adds it here. The audit compares each range with Kafka; audited neighbours are joined.

use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::transactions::run;
use crate::{Connection, DbError};

/// The most records of a range, unless a single batch has more, and the longest time from its first batch to
/// its last. A difference is known to be somewhere in its range.
const MOST_RECORDS: i64 = 50_000;
const LONGEST_SECONDS: f64 = 300.0;

/// The offsets that are counted although they are in no range.
pub(crate) const IN_NO_RANGE: &str = include_str!("offsets_in_no_range.sql");

/// Adds the ranges of batches that are being counted. To be called before they are numbered.
pub(crate) fn add(connection: &mut Connection, _: &CountingLock, batches: &[i64]) -> Result<(), WriteError> {
    statement(include_str!("add_ranges.sql"))
        .column(batches.iter().copied())
        .value(MOST_RECORDS)
        .value(LONGEST_SECONDS)
        .execute(connection)?;
    Ok(())
}

row! {
    /// A range of offsets of one partition that is not audited yet.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Range {
        /// Its number. Ranges of a partition have them in the order in which they were logged.
        pub id: i64,
        /// The topic.
        pub topic: String,
        /// The partition.
        pub partition: i32,
        /// The first offset.
        pub from_offset: i64,
        /// The first offset after the range.
        pub to_offset: i64,
        /// How many records ingest was given.
        pub records: i64,
        /// Their digest, in decimal: see `analytics_core::range_digest`.
        pub digest: String,
        /// Whether it is a range of the log that is counted at present. If not, the topic was recreated
        /// since, or has lost its end.
        pub is_current: bool,
    }
}

/// What the audit found of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Kafka holds what ingest was given.
    Equal,
    /// It does not.
    Different {
        /// How.
        reason: String,
        /// How many records Kafka holds.
        records: i64,
        /// Their digest, in decimal.
        digest: String,
    },
    /// Kafka does not hold the whole range any more.
    Gone {
        /// Why.
        reason: String,
    },
}

/// Lets the fold extend none of the present ranges of a group any longer, so that they can be audited.
///
/// # Errors
/// [`DbError`].
pub fn close(connection: &mut Connection, consumer_group: &str) -> Result<(), DbError> {
    run(connection, "audit", |connection| {
        // One that a fold is extending is left to the next audit.
        let close = statement(
            "UPDATE offset_ranges SET is_open = false WHERE id IN ( \
                 SELECT id FROM offset_ranges WHERE consumer_group = $1 AND state = 'waiting' AND is_open \
                 FOR UPDATE SKIP LOCKED)",
        );
        close.value(consumer_group).execute(connection)?;
        Ok(())
    })
}

/// Returns the partitions of a group that have ranges to audit.
///
/// # Errors
/// [`DbError`].
pub fn to_audit(connection: &mut Connection, consumer_group: &str) -> Result<Vec<(String, i32)>, DbError> {
    row! {
        struct Row {
            topic: String,
            partition: i32,
        }
    }
    let rows: Vec<Row> = statement(
        "SELECT DISTINCT topic, partition FROM offset_ranges \
         WHERE consumer_group = $1 AND state = 'waiting' AND NOT is_open ORDER BY topic, partition",
    )
    .value(consumer_group)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.topic, row.partition)).collect())
}

/// Returns the next ranges to audit of a partition, at most `limit`, those behind the one with the number
/// `after`.
///
/// # Errors
/// [`DbError`].
pub fn waiting(
    connection: &mut Connection,
    consumer_group: &str,
    (topic, partition): (&str, i32),
    after: i64,
    limit: i64,
) -> Result<Vec<Range>, DbError> {
    Ok(statement(
        "SELECT r.id, r.topic, r.partition, r.from_offset, r.to_offset, r.records, r.digest::text AS digest, \
             EXISTS (SELECT FROM ingest_offsets o WHERE o.consumer_group = r.consumer_group AND o.topic = r.topic \
                 AND o.partition = r.partition AND o.log_since = r.log_since) AS is_current \
         FROM offset_ranges r \
         WHERE r.consumer_group = $1 AND r.topic = $2 AND r.partition = $3 AND r.state = 'waiting' AND NOT r.is_open \
             AND r.id > $4 ORDER BY r.id LIMIT $5",
    )
    .value(consumer_group)
    .value(topic)
    .value(partition)
    .value(after)
    .value(limit)
    .load(connection)?)
}

/// Returns whether a range still is one of the log that is counted at present.
///
/// # Errors
/// [`DbError`].
pub fn is_current(connection: &mut Connection, range: &Range) -> Result<bool, DbError> {
    row! {
        struct Row {
            found: bool,
        }
    }
    let row: Row = statement(
        "SELECT EXISTS (SELECT FROM offset_ranges r JOIN ingest_offsets o \
             USING (consumer_group, topic, partition, log_since) WHERE r.id = $1) AS found",
    )
    .value(range.id)
    .get_result(connection)?;
    Ok(row.found)
}

/// Stores what was found of a range, and joins the range with the one before it. Changes nothing if another
/// audit has stored something, or if the range was joined with others meanwhile.
///
/// # Errors
/// [`DbError`].
pub fn settle(connection: &mut Connection, range: &Range, finding: &Finding) -> Result<(), DbError> {
    let (state, reason, found) = match finding {
        Finding::Equal => ("equal", None, None),
        Finding::Different { reason, records, digest } => ("different", Some(reason), Some((*records, digest))),
        Finding::Gone { reason } => ("gone", Some(reason), None),
    };
    run(connection, "audit", |connection| {
        statement(include_str!("settle_range.sql"))
            .value(range.id)
            .value(state)
            .value(reason)
            .value(found.map(|(records, _)| records))
            .value(found.map(|(_, digest)| digest))
            .value(range.to_offset)
            .value(&range.digest)
            .execute(connection)?;
        statement(include_str!("join_range.sql")).value(range.id).execute(connection)?;
        Ok(())
    })
}

/// Returns how many ranges of a group differ, and were not read again since.
///
/// # Errors
/// [`DbError`].
pub fn different(connection: &mut Connection, consumer_group: &str) -> Result<i64, DbError> {
    row! {
        struct Row {
            ranges: i64,
        }
    }
    let row: Row =
        statement("SELECT count(*) AS ranges FROM offset_ranges WHERE consumer_group = $1 AND state = 'different'")
            .value(consumer_group)
            .get_result(connection)?;
    Ok(row.ranges)
}

/// Accepts everything that differs in a topic, or in one partition of it: it is told and nothing more from then
/// on. Returns how many ranges. To be called in a transaction.
///
/// # Errors
/// [`DbError`].
pub fn accept(
    connection: &mut Connection,
    consumer_group: &str,
    topic: &str,
    partition: Option<i32>,
) -> Result<usize, DbError> {
    const WHERE: &str = "WHERE consumer_group = $1 AND topic = $2 AND ($3 IS NULL OR partition = $3)";
    let of_topic = |sql: String| statement(sql).value(consumer_group).value(topic).value(partition);
    let different = of_topic(format!(
        "UPDATE offset_ranges SET state = 'accepted', reason = reason || '; an operator accepted it' \
             {WHERE} AND state = 'different'"
    ));
    let unknown = of_topic(format!(
        "INSERT INTO offset_ranges (consumer_group, topic, partition, log_since, from_offset, to_offset, state, reason) \
             SELECT consumer_group, topic, partition, log_since, from_offset, to_offset, 'gap', \
                 reason || '; an operator accepted it' FROM ({IN_NO_RANGE}) AS unknown {WHERE}"
    ));
    Ok(different.execute(connection)? + unknown.execute(connection)?)
}

/// Deletes the ranges of logs that are not counted any more, `days` after they were logged, and joins those
/// that are as old and were never audited. Returns how many rows less there are.
///
/// # Errors
/// [`DbError`].
pub(crate) fn tidy(connection: &mut Connection, days: i32) -> Result<usize, DbError> {
    run(connection, "maintenance", |connection| {
        let deleted = statement(
            "DELETE FROM offset_ranges r WHERE r.last_logged_at < now() - make_interval(days => $1) \
             AND r.state <> 'different' \
             AND NOT EXISTS (SELECT FROM ingest_offsets o WHERE o.consumer_group = r.consumer_group \
                 AND o.topic = r.topic AND o.partition = r.partition AND o.log_since = r.log_since)",
        )
        .value(days)
        .execute(connection)?;
        Ok(deleted + statement(include_str!("join_old_ranges.sql")).value(days).execute(connection)?)
    })
}

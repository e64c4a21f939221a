//! `batches` and `watermark`: the one order in which batches are counted.
//!
//! A batch has an id before it is known when it will be committed. It gets its number when it is
//! counted, under the counting lock, which one transaction at a time holds. Therefore numbers have no
//! gaps, and a reader that continues after a number misses no batch.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// The id of a transaction that logs events or changes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BatchId(pub(crate) i64);

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Counted records of partitions.
    Ingest,
    /// Counted dead letters.
    Replay,
    /// Set a metric by hand.
    Adjustment,
    /// Stored vendors for logged events that had none.
    Reattribution,
    /// Corrected numbers from the event log.
    Repair,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Replay => "replay",
            Self::Adjustment => "adjustment",
            Self::Reattribution => "reattribution",
            Self::Repair => "repair",
        }
    }
}

/// Draws an id for a new batch. If the batch is rolled back, its id is never used.
pub(crate) fn new_id(connection: &mut Connection) -> Result<BatchId, DbError> {
    row! {
        struct Row {
            id: i64,
        }
    }
    let row: Row = statement("SELECT nextval('batch_ids') AS id").get_result(connection)?;
    Ok(BatchId(row.id))
}

/// Gives logged batches the next numbers, in the order of `ids`, and moves the watermark to the last
/// of them. What they add is not kept any longer.
pub(crate) fn number_logged(connection: &mut Connection, _: &CountingLock, ids: &[i64]) -> Result<(), WriteError> {
    let (watermark, _) = watermark(connection)?;
    let last = watermark.saturating_add(i64::try_from(ids.len()).unwrap_or(i64::MAX));
    let numbered = statement(
        "UPDATE batches b SET number = $2 + n.position, counted_at = clock_timestamp(), deltas = NULL, \
             learned = NULL, partitions = NULL, starts = NULL, ends = NULL, delivered = NULL, digests = NULL, logs = NULL, \
             orders = NULL, reversed = NULL \
         FROM unnest($1) WITH ORDINALITY AS n (id, position) WHERE b.id = n.id AND b.number IS NULL",
    )
    .column(ids)
    .value(watermark)
    .execute(connection)?;
    super::all_taken("batches", numbered, ids.len())?;
    // Nobody else has moved it: that would count the same batches twice.
    let moved = statement(
        "UPDATE watermark SET number = $2, derived = CASE WHEN derived = number THEN $2 ELSE derived END \
         WHERE number = $1",
    )
    .value(watermark)
    .value(last);
    super::all_taken("watermark", moved.execute(connection)?, 1)
}

/// Gives a batch the next number, and moves the watermark to it.
pub(crate) fn number(
    connection: &mut Connection,
    _: &CountingLock,
    batch: BatchId,
    kind: Kind,
) -> Result<(), WriteError> {
    let numbered = statement(
        "WITH moved AS (UPDATE watermark SET number = number + 1, \
             derived = CASE WHEN derived = number THEN number + 1 ELSE derived END RETURNING number) \
         INSERT INTO batches (id, number, kind, counted_at) SELECT $1, m.number, $2, clock_timestamp() FROM moved m",
    )
    .value(batch.0)
    .value(kind.name())
    .execute(connection)?;
    super::all_taken("batches", numbered, 1)
}

/// Returns whether a batch of this kind has a number above `after`, up to `until`.
pub(crate) fn any(connection: &mut Connection, kind: Kind, after: i64, until: i64) -> Result<bool, DbError> {
    row! {
        struct Row {
            found: bool,
        }
    }
    let query = "SELECT EXISTS (SELECT FROM batches WHERE number > $1 AND number <= $2 AND kind = $3) AS found";
    let row: Row = statement(query).value(after).value(until).value(kind.name()).get_result(connection)?;
    Ok(row.found)
}

/// If this many batches were counted after a number, events are no longer read as of it. It takes
/// hours to count as many.
const MOST_LATER: usize = 200_000;

/// The batch up to which a read sees events: everything up to it, and nothing after it.
///
/// To be created inside the transaction that reads. Metrics and rollups are always read as of the
/// latest number; events can be read as of any recent one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsOf {
    /// The number of the last batch that is seen.
    pub number: i64,
    /// When this was read, by the database's clock.
    pub time: DateTime<Utc>,
    /// Ids of later batches, whose events may be in the log and are not seen.
    unseen: HashSet<i64>,
    /// The only batches of which events are seen, if the read is restricted to some.
    since: Option<HashSet<i64>>,
}

/// Why events cannot be read as of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAsOf {
    /// The database has no batch with this number yet: a replica that lags behind.
    Ahead,
    /// Too many batches were counted since, or vendors were stored for logged events since.
    Changed,
}

impl AsOf {
    /// Returns a view as of the last counted batch.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn latest(connection: &mut Connection) -> Result<Self, DbError> {
        let (number, time) = watermark(connection)?;
        let unseen = after(connection, number, usize::MAX)?.into_iter().collect();
        Ok(Self { number, time, unseen, since: None })
    }

    /// Returns a view of all that is logged, counted or not.
    pub(crate) fn everything() -> Self {
        Self { number: i64::MAX, time: Utc::now(), unseen: HashSet::new(), since: None }
    }

    /// Returns a view as of an earlier batch.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn at(connection: &mut Connection, number: i64) -> Result<Result<Self, NotAsOf>, DbError> {
        let (watermark, time) = watermark(connection)?;
        if number > watermark {
            return Ok(Err(NotAsOf::Ahead));
        }
        let unseen: HashSet<i64> = after(connection, number, MOST_LATER)?.into_iter().collect();
        if unseen.len() >= MOST_LATER || changed_after(connection, number, &[Kind::Reattribution])? {
            return Ok(Err(NotAsOf::Changed));
        }
        Ok(Ok(Self { number, time, unseen, since: None }))
    }

    /// Returns the batches whose events are not seen.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = i64> {
        self.unseen.iter().copied()
    }

    /// Restricts the read to batches that were counted after a number.
    ///
    /// # Errors
    /// [`DbError`]; [`NotAsOf::Changed`] if too much has been counted since, or numbers of events that were counted before
    /// have changed.
    pub fn since(self, connection: &mut Connection, number: i64) -> Result<Result<Self, NotAsOf>, DbError> {
        let since: HashSet<i64> = after(connection, number, MOST_LATER)?.into_iter().collect();
        if since.len() >= MOST_LATER || changed_after(connection, number, &[Kind::Reattribution, Kind::Repair])? {
            return Ok(Err(NotAsOf::Changed));
        }
        Ok(Ok(Self { since: Some(since), ..self }))
    }

    /// Returns the least and the greatest id of the batches to which the read is restricted.
    pub(crate) fn batch_range(&self) -> Option<(i64, i64)> {
        let since = self.since.as_ref()?;
        Some((since.iter().min().copied().unwrap_or(0), since.iter().max().copied().unwrap_or(0)))
    }

    /// Returns the batches to which the read is restricted and that are seen.
    pub(crate) fn seen_since(&self) -> impl Iterator<Item = i64> {
        self.since.iter().flatten().copied().filter(|batch| !self.unseen.contains(batch))
    }

    /// Returns the batches to which the read is restricted.
    pub(crate) fn only(&self) -> Option<Vec<i64>> {
        self.since.as_ref().map(|since| since.iter().copied().collect())
    }

    /// Returns whether a batch is counted as of this number, whatever the read is restricted to.
    pub(crate) fn is_counted(&self, batch: i64) -> bool {
        !self.unseen.contains(&batch)
    }

    /// Returns whether the events of a batch are seen.
    pub(crate) fn sees(&self, batch: i64) -> bool {
        !self.unseen.contains(&batch) && self.since.as_ref().is_none_or(|since| since.contains(&batch))
    }
}

/// Returns the number of the last counted batch, and the time of the database's clock.
///
/// # Errors
/// [`DbError`].
pub fn watermark(connection: &mut Connection) -> Result<(i64, DateTime<Utc>), DbError> {
    row! {
        struct Row {
            number: i64,
            time: DateTime<Utc>,
        }
    }
    let row: Row = statement("SELECT number, now() AS time FROM watermark").get_result(connection)?;
    Ok((row.number, row.time))
}

/// Returns the ids of batches that were counted after a number or are not counted yet, at most
/// `limit` of each.
fn after(connection: &mut Connection, number: i64, limit: usize) -> Result<Vec<i64>, DbError> {
    row! {
        struct Row {
            ids: Vec<i64>,
        }
    }
    // Two branches, each of which reads a part of the index on numbers.
    let row: Row = statement(
        "SELECT ARRAY((SELECT b.id FROM batches b WHERE b.number > $1 LIMIT $2) \
         UNION ALL (SELECT b.id FROM batches b WHERE b.number IS NULL LIMIT $2)) AS ids",
    )
    .value(number)
    .value(i64::try_from(limit).unwrap_or(i64::MAX))
    .get_result(connection)?;
    Ok(row.ids)
}

/// Returns the number of the last batch that was counted by a time.
///
/// # Errors
/// [`DbError`].
pub fn number_at(connection: &mut Connection, time: DateTime<Utc>) -> Result<i64, DbError> {
    row! {
        struct Row {
            number: i64,
        }
    }
    let rows: Vec<Row> = statement(
        "SELECT b.number FROM batches b WHERE b.number > (SELECT number FROM watermark) - $2 AND b.counted_at <= $1 \
         ORDER BY b.number DESC LIMIT 1",
    )
    .value(time)
    .value(i64::try_from(MOST_LATER).unwrap_or(i64::MAX))
    .load(connection)?;
    Ok(rows.first().map_or(0, |row| row.number))
}

/// Returns whether a batch of one of these kinds, which change numbers of earlier events, was counted after a number.
fn changed_after(connection: &mut Connection, number: i64, kinds: &[Kind]) -> Result<bool, DbError> {
    row! {
        struct Row {
            found: bool,
        }
    }
    let row: Row = statement("SELECT EXISTS (SELECT FROM batches b WHERE b.kind = ANY($2) AND b.number > $1) AS found")
        .value(number)
        .column(kinds.iter().map(|kind| kind.name()))
        .get_result(connection)?;
    Ok(row.found)
}

//! Adds what logged batches add to the numbers: many batches at once, each exactly once.
//!
//! One transaction at a time folds. It numbers the batches, adds their sum to the numbers, and moves
//! the watermark and the counted offsets, all or nothing. Every read sees the batches that are
//! folded, and nothing else.

use std::time::Duration;

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use diesel::connection::SimpleConnection;

use super::runner::run_once;
use super::settling::Settling;
use super::{pay, reverse};
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::tables::batches::BatchId;
use crate::tables::waiting::Waiting;
use crate::tables::{
    batches, event_days, ingest_offsets, metrics, offset_ranges, payments, product_vendors, ratings, reversals,
    rollups, waiting,
};
use crate::{Connection, DbError};

/// Maximum weight of the batches of one fold, unless a single one has more: about the number of rows
/// of their deltas, which are in memory at once.
pub const MOST: i64 = 200_000;
/// How many sums are added at once.
const PIECE: usize = 20_000;
/// How long a fold may be idle, so that others take over soon from a process that froze.
const IDLE: &str = "4s";

/// How a fold gets its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Only if nobody else is counting.
    IfFree,
    /// After those who wait already, unless that takes longer than this.
    Within(Duration),
    /// After those who wait already.
    Queued,
}

/// The result of one fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// Another process is folding, or changes numbers.
    Elsewhere,
    /// These many batches with these many records; none if none waited.
    Batches {
        /// Number of batches.
        batches: usize,
        /// Number of records that they took from Kafka.
        records: i64,
    },
}

/// Counts the batches that have waited longest, until their weights sum to `at_most` (see [`MOST`]).
///
/// # Errors
/// [`WriteError`]; then nothing is counted.
pub fn fold(connection: &mut Connection, business: Business, turn: Turn, at_most: i64) -> Result<Folded, WriteError> {
    let folded = run_once(connection, "fold", |connection| {
        connection.batch_execute(&format!("SET LOCAL idle_in_transaction_session_timeout = '{IDLE}'"))?;
        let lock = match turn {
            Turn::IfFree => CountingLock::take_if_free(connection)?,
            Turn::Within(time) => Some(CountingLock::take_within(connection, time)?),
            Turn::Queued => Some(CountingLock::take(connection)?),
        };
        let Some(lock) = lock else { return Ok(Folded::Elsewhere) };
        let batches = waiting::longest(connection, &lock, at_most)?;
        let mut waiting = waiting::load(connection, &lock, business, &batches)?;
        if !batches.is_empty() {
            if let Some(last) = batches.last() {
                let deltas = &mut waiting.deltas;
                let settling = Settling { lock: &lock, business, counting: &batches, batch: BatchId(*last) };
                let orders = payments::affected(connection, &batches)?;
                pay::settle(connection, &settling, &orders, deltas)?;
                // After payments: a reversal waits until its order counts.
                let orders = reversals::affected(connection, &batches)?;
                reverse::settle(connection, &settling, &orders, deltas)?;
            }
            add(connection, &lock, business, &waiting)?;
            let vendors = waiting::learned_by(connection, &lock, &batches)?;
            product_vendors::store(connection, &lock, &vendors)?;
            offset_ranges::add(connection, &lock, &batches)?;
            batches::number_logged(connection, &lock, &batches)?;
            metrics::derive(connection, &lock)?;
        }
        ingest_offsets::counted(connection, &lock, &waiting.counted)?;
        Ok(Folded::Batches { batches: batches.len(), records: waiting.records })
    });
    match (folded, turn) {
        (Err(WriteError::Busy), Turn::Within(_)) => Ok(Folded::Elsewhere),
        (folded, _) => folded,
    }
}

/// Adds what batches add. Their sums come sorted by what they are about, and are added in pieces: the rows of
/// all of them would need several times the memory.
fn add(
    connection: &mut Connection,
    lock: &CountingLock,
    business: Business,
    Waiting { sums, deltas, .. }: &Waiting,
) -> Result<(), WriteError> {
    let mut sums = sums.merged(deltas)?.peekable();
    while sums.peek().is_some() {
        let mut added = Deltas::default();
        for sums in sums.by_ref().take(PIECE) {
            let (bucket, measures) = sums?;
            added.add_finest(&bucket, &measures, business.calendar);
        }
        metrics::add(connection, lock, &added)?;
        rollups::add(connection, lock, &added.rollups)?;
        #[cfg(feature = "mutants")]
        if crate::mutant::counts_twice() {
            metrics::add(connection, lock, &added)?;
        }
    }
    ratings::settle(connection, lock, &deltas.ratings)?;
    event_days::add(connection, lock, &deltas.events)
}

/// Counts every batch that is logged when it is called. Waits while others count.
///
/// # Errors
/// [`WriteError`].
pub fn catch_up(connection: &mut Connection, business: Business) -> Result<(), WriteError> {
    let Some((_, last)) = waiting_ids(connection)? else { return Ok(()) };
    while waiting_ids(connection)?.is_some_and(|(first, _)| first <= last) {
        if let Folded::Batches { batches: 0, .. } = fold(connection, business, Turn::Queued, MOST)? {
            // What is left has a newer format.
            break;
        }
    }
    Ok(())
}

/// Returns the least and the greatest id of the batches that wait.
fn waiting_ids(connection: &mut Connection) -> Result<Option<(i64, i64)>, DbError> {
    row! {
        struct Row {
            first: Option<i64>,
            last: Option<i64>,
        }
    }
    let row: Row =
        statement("SELECT min(id) AS first, max(id) AS last FROM batches WHERE number IS NULL AND format <= $1")
            .value(waiting::FORMAT)
            .get_result(connection)?;
    Ok(row.first.zip(row.last))
}

/// What is logged and not counted, but for what only a newer program can count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Backlog {
    /// Number of batches.
    pub batches: i64,
    /// Number of records that they took from Kafka.
    pub records: i64,
    /// How long the first of them has waited.
    pub oldest: Duration,
    /// How long ago the last batch was counted.
    pub last_counted: Duration,
    /// Whether a partition's counted offset is another one than its stored offset.
    pub offsets_differ: bool,
}

impl Backlog {
    /// Returns whether a fold has anything to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches == 0 && !self.offsets_differ
    }
}

/// Returns what is logged and not counted.
///
/// # Errors
/// [`DbError`].
pub fn backlog(connection: &mut Connection) -> Result<Backlog, DbError> {
    row! {
        struct Row {
            batches: i64,
            records: i64,
            oldest: f64,
            last_counted: Option<f64>,
            offsets_differ: bool,
        }
    }
    let row: Row = statement(
        "SELECT count(*) AS batches, coalesce(sum(records), 0)::bigint AS records, \
             coalesce(extract(epoch FROM clock_timestamp() - min(logged_at)), 0)::float8 AS oldest, \
             (SELECT extract(epoch FROM clock_timestamp() - b.counted_at)::float8 \
              FROM batches b JOIN watermark w ON w.number = b.number) AS last_counted, \
             EXISTS (SELECT FROM ingest_offsets WHERE counted_offset <> next_offset) AS offsets_differ \
         FROM batches WHERE number IS NULL AND format <= $1",
    )
    .value(waiting::FORMAT)
    .get_result(connection)?;
    // Times are negative after the clock was set back. Then the last batch was counted long ago.
    let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    Ok(Backlog {
        batches: row.batches,
        records: row.records,
        oldest: duration(row.oldest).unwrap_or_default(),
        last_counted: row.last_counted.and_then(duration).unwrap_or(Duration::MAX),
        offsets_differ: row.offsets_differ,
    })
}

//! The queue for counting and the fence: `ingest_offsets` moves only for the worker that knows where
//! it stands.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use analytics_core::record::TopicPartition;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use super::{LOCK_TIMEOUT, Span, Tally, WriteError, all_taken};
use crate::locks::Lock;
use crate::offsets::age;
use crate::{Connection, DbError};

/// How long a writer stands in the queue for the counting lock before it lets others pass.
const QUEUE_TIMEOUT: &str = "30s";
/// What fails later than this failed by that timeout.
const IN_THE_QUEUE: Duration = Duration::from_secs(25);

/// Waits until this transaction may add to metrics. The queue moves on: waiting in it is no failure.
pub(crate) fn lock_counting(connection: &mut Connection) -> Result<(), WriteError> {
    let (lock, began) = (Lock::Counting as i64, Instant::now());
    // One message: one round trip.
    let taken = connection.batch_execute(&format!(
        "SET LOCAL lock_timeout = '{QUEUE_TIMEOUT}'; SELECT pg_advisory_xact_lock({lock}); \
         SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"
    ));
    taken.map_err(|error| match error.into() {
        DbError::Statement(_) if began.elapsed() > IN_THE_QUEUE => WriteError::Busy,
        error => WriteError::Database(error),
    })
}

/// Moves the offsets of all spans, or finds that one of them is not where it should be.
pub(super) fn move_offsets(
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
    let statement = include_str!("../sql/move_offsets.sql");
    #[cfg(feature = "mutants")]
    let statement = super::mutant::without_fence(statement);
    let moved = sql_query(statement)
        .bind::<Text, _>(consumer_group)
        .bind::<Array<Text>, _>(spans.iter().map(|(span, _)| &*span.partition.topic).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(spans.iter().map(|(span, _)| span.partition.partition).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.iter().map(|(span, _)| span.expected.0).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.iter().map(|(span, _)| span.next.0).collect::<Vec<_>>())
        .bind::<Array<Nullable<BigInt>>, _>(of(|span| span.progress.end.map(|(end, _)| end.0)))
        .bind::<Array<Nullable<Double>>, _>(ages(|span| age(span.progress.end.map(|(_, asked)| asked))))
        .bind::<Array<Nullable<BigInt>>, _>(of(|span| span.progress.consumed_to.map(|offset| offset.0)))
        .bind::<Array<Nullable<Double>>, _>(ages(|span| age(span.progress.caught_up)))
        .bind::<Array<Nullable<Timestamptz>>, _>(
            spans.iter().map(|(_, tally)| tally.last_event.map(|time| time.utc())).collect::<Vec<_>>(),
        )
        .bind::<Array<BigInt>, _>(spans.iter().map(|(_, tally)| tally.events).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.iter().map(|(_, tally)| tally.duplicates).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.iter().map(|(_, tally)| tally.rejected).collect::<Vec<_>>())
        .bind::<Array<Nullable<BigInt>>, _>(of(|span| span.last_timestamp))
        .execute(connection)?;
    if moved == spans.len() {
        return Ok(());
    }
    #[cfg(feature = "mutants")]
    super::mutant::commit_instead_of_rolling_back(connection)?;
    if moved + standing(connection, consumer_group, &spans)? == spans.len() {
        // Nobody moved them, and they did not move.
        return all_taken("ingest_offsets", moved, spans.len());
    }
    Err(WriteError::Fenced)
}

/// How many offsets stand where the batch expects them.
fn standing(connection: &mut Connection, consumer_group: &str, spans: &[(&Span, Tally)]) -> Result<usize, WriteError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        offsets: i64,
    }
    let row: Row = sql_query(
        "SELECT count(*) AS offsets FROM ingest_offsets o JOIN unnest($2, $3, $4) AS s (topic, partition, expected) \
         ON o.topic = s.topic AND o.partition = s.partition AND o.next_offset = s.expected WHERE o.consumer_group = $1",
    )
    .bind::<Text, _>(consumer_group)
    .bind::<Array<Text>, _>(spans.iter().map(|(span, _)| &*span.partition.topic).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(spans.iter().map(|(span, _)| span.partition.partition).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(spans.iter().map(|(span, _)| span.expected.0).collect::<Vec<_>>())
    .get_result(connection)?;
    Ok(usize::try_from(row.offsets).unwrap_or(0))
}

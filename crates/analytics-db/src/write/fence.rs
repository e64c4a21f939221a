//! The counting lock and the fence: `ingest_offsets` moves only for the worker that knows where
//! it stands.

use std::collections::BTreeMap;

use analytics_core::record::TopicPartition;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel::{RunQueryDsl, sql_query};

use super::{Span, Tally, WriteError};
use crate::Connection;

/// One writer counts at a time. Everything that adds to metrics takes this lock, so no two can
/// wait for each other's rows.
pub const COUNTING_LOCK: i64 = 0x636f_756e_7469_6e67;

pub(crate) fn lock_counting(connection: &mut Connection) -> Result<(), WriteError> {
    sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(COUNTING_LOCK).execute(connection)?;
    Ok(())
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
    let statement = include_str!("../sql/move_offsets.sql");
    #[cfg(feature = "mutants")]
    let statement = super::mutant::without_fence(statement);
    let moved = sql_query(statement)
        .bind::<Text, _>(consumer_group)
        .bind::<Array<Text>, _>(spans.iter().map(|(span, _)| &*span.partition.topic).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(spans.iter().map(|(span, _)| span.partition.partition).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.iter().map(|(span, _)| span.expected.0).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.iter().map(|(span, _)| span.next.0).collect::<Vec<_>>())
        .bind::<Array<Nullable<BigInt>>, _>(
            spans.iter().map(|(span, _)| span.high_watermark.map(|end| end.0)).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Timestamptz>>, _>(
            spans.iter().map(|(_, tally)| tally.last_event.map(|time| time.utc())).collect::<Vec<_>>(),
        )
        .bind::<Array<BigInt>, _>(spans.iter().map(|(_, tally)| tally.events).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.iter().map(|(_, tally)| tally.duplicates).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(spans.iter().map(|(_, tally)| tally.rejected).collect::<Vec<_>>())
        .bind::<Array<Nullable<BigInt>>, _>(spans.iter().map(|(span, _)| span.last_timestamp).collect::<Vec<_>>())
        .execute(connection)?;
    if moved == spans.len() {
        return Ok(());
    }
    #[cfg(feature = "mutants")]
    super::mutant::commit_instead_of_rolling_back(connection)?;
    Err(WriteError::Fenced)
}

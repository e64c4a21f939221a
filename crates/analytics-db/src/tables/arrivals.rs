//! `arrivals`: what became of the records of each partition, by the hour in which they arrived.

use std::collections::BTreeMap;

use analytics_core::record::{Record, TopicPartition};
use analytics_core::rejection::Rejection;

use super::all_taken;
use crate::Connection;
use crate::batch::Tally;
use crate::error::WriteError;
use crate::sql::statement;

/// The outcome of counted records.
pub(crate) const EVENT: &str = "event";
/// The outcome of ignored records. The others are the codes of [reasons](Rejection).
pub(crate) const DUPLICATE: &str = "duplicate";

/// Adds the records of a batch. To be called after the batch has moved the stored offsets of its
/// partitions: until the end of the transaction, no other one adds to the same rows.
pub(crate) fn add(
    connection: &mut Connection,
    tallies: &BTreeMap<TopicPartition, Tally>,
    rejected: &[(&Record, Rejection)],
) -> Result<(), WriteError> {
    let mut rows: BTreeMap<(&TopicPartition, &str), i64> = BTreeMap::new();
    for (partition, tally) in tallies {
        for (outcome, records) in [(EVENT, tally.events), (DUPLICATE, tally.duplicates)] {
            if records > 0 {
                rows.insert((partition, outcome), records);
            }
        }
    }
    for (record, why) in rejected {
        *rows.entry((&record.place.partition, why.reason.code())).or_default() += 1;
    }
    if rows.is_empty() {
        return Ok(());
    }
    let taken = statement(include_str!("arrivals.sql"))
        .column(rows.keys().map(|(partition, _)| &*partition.topic))
        .column(rows.keys().map(|(partition, _)| partition.partition))
        .column(rows.keys().map(|(_, outcome)| *outcome))
        .column(rows.values().copied())
        .execute(connection)?;
    all_taken("arrivals", taken, rows.len())
}

//! `event_days`: how many events of each type were counted, by business day.

use analytics_core::maps::HashMap;
use analytics_core::topics::EventType;
use chrono::NaiveDate;
use diesel::sql_types::{Array, BigInt, Date, Text};
use diesel::{RunQueryDsl, sql_query};

use super::all_taken;
use crate::Connection;
use crate::error::WriteError;
use crate::locks::CountingLock;

/// Adds a batch's events. Rows are taken in the order of their key.
pub(crate) fn add(
    connection: &mut Connection,
    _: &CountingLock,
    events: &HashMap<(NaiveDate, EventType), i64>,
) -> Result<(), WriteError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<_> = events.iter().collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    let taken = sql_query(
        "INSERT INTO event_days AS d (day, event_type, events) SELECT * FROM unnest($1, $2, $3) \
         ON CONFLICT (day, event_type) DO UPDATE SET events = d.events + excluded.events",
    )
    .bind::<Array<Date>, _>(rows.iter().map(|((day, _), _)| *day).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|((_, event_type), _)| event_type.name()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|(_, events)| **events).collect::<Vec<_>>())
    .execute(connection)?;
    all_taken("event_days", taken, rows.len())
}

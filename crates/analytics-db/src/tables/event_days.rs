//! `event_days`: how many events of each type were counted, by business day.

use analytics_core::maps::HashMap;
use analytics_core::topics::EventType;
use chrono::NaiveDate;

use super::all_taken;
use crate::Connection;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::statement;

/// Adds the events of a batch. Rows are locked in the order of their keys.
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
    let taken = statement(
        "INSERT INTO event_days AS d (day, event_type, events) SELECT * FROM unnest($1, $2, $3) \
         ON CONFLICT (day, event_type) DO UPDATE SET events = d.events + excluded.events",
    )
    .column(rows.iter().map(|((day, _), _)| *day))
    .column(rows.iter().map(|((_, event_type), _)| event_type.name()))
    .column(rows.iter().map(|(_, events)| **events))
    .execute(connection)?;
    all_taken("event_days", taken, rows.len())
}

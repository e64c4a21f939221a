//! Reads events back and recounts them, in chunks that fit in memory.

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::identity::EventId;
use analytics_core::rules;
use analytics_core::time::EventTime;
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::{Log, VerifyError};
use crate::tables::logged_events::{self, Logged};
use crate::{Connection, DbError};

/// Number of events that are in memory at once.
const PIECE: i64 = 5_000;

/// Returns the lowest id that an event of this time or a later one can have.
pub(super) fn first_id(time: DateTime<Utc>) -> EventId {
    EventId::lowest_at(time.into())
}

/// Returns the time in an event id, in whole milliseconds.
pub(super) fn time_of(id: Uuid) -> EventTime {
    EventTime::from_micros(EventId(id).millis() * 1000)
}

/// Returns the ranges of ids of a business day: from the first id up to the second (exclusive).
pub(super) fn ids_of(business: Business, day: NaiveDate) -> Vec<(EventId, EventId)> {
    let ranges = business.calendar.day_ranges(day);
    ranges.into_iter().map(|range| (first_id(range.start), first_id(range.end))).collect()
}

/// Passes every event of a day to `work`, one chunk at a time.
///
/// # Errors
/// Those of `work`, and [`DbError`].
pub(super) fn pieces<E: From<DbError>>(
    connection: &mut Connection,
    log: Log<'_>,
    day: NaiveDate,
    mut work: impl FnMut(&mut Connection, Vec<Logged>) -> Result<(), E>,
) -> Result<(), E> {
    for (from, to) in ids_of(log.business, day) {
        let mut next = Some(from);
        while let Some(from) = next {
            let piece = logged_events::range(connection, log.as_of, from, to, PIECE)?;
            next = piece.next;
            work(connection, piece.events)?;
        }
    }
    Ok(())
}

/// Counts a logged event by the rules by which it was first counted. An event that cannot be read
/// adds nothing.
pub(super) fn count(logged: &Logged, business: Business, deltas: &mut Deltas) -> Result<(), VerifyError> {
    if let Ok(event) = &logged.event {
        rules::recount(logged.rules_version, event, business, deltas)?;
    }
    Ok(())
}

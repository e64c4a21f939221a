//! How many events of each type happened on which days.

use chrono::NaiveDate;

use crate::sql::{row, statement};
use crate::{Connection, DbError};

row! {
    /// The number of events of a type on a business day.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct EventDay {
        /// The day.
        pub day: NaiveDate,
        /// The type of the events.
        pub event_type: String,
        /// Their number.
        pub events: i64,
    }
}

/// Returns the first business day of which events were counted, if there is one.
///
/// # Errors
/// [`DbError`].
pub fn first_day(connection: &mut Connection) -> Result<Option<NaiveDate>, DbError> {
    row! {
        struct First {
            day: Option<NaiveDate>,
        }
    }
    let first: First = statement("SELECT min(day) AS day FROM event_days").get_result(connection)?;
    Ok(first.day)
}

/// Returns the counts of the days from `first` to `last`, both included; of one type, if it is given.
///
/// # Errors
/// [`DbError`].
pub fn by_day(
    connection: &mut Connection,
    first: NaiveDate,
    last: NaiveDate,
    event_type: Option<&str>,
) -> Result<Vec<EventDay>, DbError> {
    Ok(statement(
        "SELECT d.day, d.event_type, d.events FROM event_days d \
         WHERE d.day BETWEEN $1 AND $2 AND ($3 IS NULL OR d.event_type = $3) ORDER BY d.day, d.event_type",
    )
    .value(first)
    .value(last)
    .value(event_type)
    .load(connection)?)
}

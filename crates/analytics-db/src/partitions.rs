//! Monthly partitions of the event log, made ahead of time.

use analytics_core::identity::EventId;
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};

use crate::{Connection, DbError};

/// The partitioned tables, each by the event id in its first key column.
const TABLES: [&str; 2] = ["event_logs", "order_lines"];

/// How many months before and after the present get their own partition.
const MONTHS_BEHIND: u32 = 3;
const MONTHS_AHEAD: u32 = 12;

/// Makes the partitions around `now` that are missing. A month whose events are in the default
/// partition already stays there.
///
/// # Errors
/// [`DbError`] of the statements.
pub fn ensure(connection: &mut Connection, now: DateTime<Utc>) -> Result<(), DbError> {
    let this_month = now.date_naive().with_day(1).unwrap_or_default();
    let first = this_month.checked_sub_months(Months::new(MONTHS_BEHIND)).unwrap_or(this_month);
    for months in 0..=MONTHS_BEHIND + MONTHS_AHEAD {
        let Some(month) = first.checked_add_months(Months::new(months)) else { continue };
        for table in TABLES {
            make(connection, table, month)?;
        }
    }
    Ok(())
}

fn make(connection: &mut Connection, table: &str, month: NaiveDate) -> Result<(), DbError> {
    let Some(next) = month.checked_add_months(Months::new(1)) else { return Ok(()) };
    let statement = format!(
        "CREATE TABLE IF NOT EXISTS {table}_{} PARTITION OF {table} FOR VALUES FROM ('{}') TO ('{}')",
        month.format("%Y_%m"),
        lowest_id(month),
        lowest_id(next),
    );
    match connection.batch_execute(&statement) {
        Err(Error::DatabaseError(DatabaseErrorKind::CheckViolation, _)) => {
            log::warn!("{table} keeps the events of {month} in its default partition, where they already are");
            Ok(())
        }
        made => Ok(made?),
    }
}

/// The lowest id that an event of this month (UTC) or a later one can have.
fn lowest_id(month: NaiveDate) -> uuid::Uuid {
    EventId::lowest_at(month.and_time(NaiveTime::MIN).and_utc().into()).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_begin_with_the_month_in_milliseconds() {
        let id = lowest_id(NaiveDate::from_ymd_opt(2026, 11, 1).unwrap());
        assert_eq!(id.as_u128() >> 80, 1_793_491_200_000);
        assert_eq!(id.as_u128() << 48, 0);
    }
}

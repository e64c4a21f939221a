//! Whether the jobs that keep the service going have run: the audit, and the creation of partitions.

use analytics_core::identity::EventId;
use chrono::{DateTime, Utc};
use diesel::OptionalExtension as _;
use uuid::Uuid;

use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// What the jobs have left to do.
#[derive(Debug, Clone, Copy)]
pub struct Upkeep {
    /// Since when the first of the records is logged that were not compared with Kafka yet; `None` if all were.
    pub unaudited_since: Option<DateTime<Utc>>,
    /// How many records Kafka held no longer when they were to be compared.
    pub gone_unaudited: i64,
    /// Until when there are partitions of the event log; `None` without any.
    pub partitions_until: Option<DateTime<Utc>>,
}

row! {
    struct Ranges {
        unaudited_since: Option<DateTime<Utc>>,
        gone_unaudited: i64,
    }
}

row! {
    struct Last {
        to: Uuid,
    }
}

/// Reads what the jobs have left to do.
///
/// # Errors
/// [`DbError`].
pub fn upkeep(connection: &mut Connection) -> Result<Upkeep, DbError> {
    let Ranges { unaudited_since, gone_unaudited } = statement(
        "SELECT min(first_logged_at) FILTER (WHERE state = 'waiting') AS unaudited_since, \
             coalesce(sum(records) FILTER (WHERE state = 'gone'), 0)::bigint AS gone_unaudited \
         FROM offset_ranges WHERE state IN ('waiting', 'gone')",
    )
    .get_result(connection)?;
    // The partitions of lines of orders are created together with those of events.
    let last: Option<Last> = statement(concat!(
        "SELECT \"to\" FROM (",
        include_str!("../tables/partitions/existing.sql"),
        ") AS p ORDER BY 1 DESC LIMIT 1"
    ))
    .value("event_logs")
    .get_result(connection)
    .optional()?;
    let partitions_until = last.and_then(|last| DateTime::from_timestamp_millis(EventId(last.to).millis()));
    Ok(Upkeep { unaudited_since, gone_unaudited, partitions_until })
}

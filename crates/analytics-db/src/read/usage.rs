//! How many events of each type happened, and which values their payloads have: by day as they were
//! counted, or by any hours, from the event log itself.

use analytics_core::identity::EventId;
use analytics_core::metadata::{Condition, MAX_VALUE_CHARS, MetadataPath};
use analytics_core::period::Span;
use chrono::{DateTime, NaiveDate, Utc};

use super::{AsOf, EventLogAccess, metadata};
use crate::sql::{Statement, row, statement};
use crate::tables::metadata_indexes::value_of;
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

/// Greatest number of values of a field that are counted one by one.
pub const MOST_VALUES: usize = 50;

/// Which events of the log to count.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Consecutive ranges of time, by which events are counted. They begin and end at full
    /// milliseconds, like the times in events' ids.
    pub buckets: Vec<Span>,
    /// Only events of this type.
    pub event_type: Option<String>,
    /// Only events with these values.
    pub conditions: Vec<Condition>,
    /// The field by whose values to count.
    pub by: Option<MetadataPath>,
}

/// Number of events of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// Of this type.
    Type(String),
    /// With this value, which is one of the most frequent.
    Value(String),
    /// With another value.
    Other,
    /// Without a value.
    Missing,
}

row! {
    struct GroupRow {
        bucket: i32,
        kind: String,
        name: Option<String>,
        events: i64,
    }
}

/// Counts events from the log: for each bucket by type, and by the values of a field, if one is
/// given. Returns the index of the bucket, the group, and the number of events. Reads all events of
/// the range of time unless a condition has an index.
///
/// # Errors
/// [`DbError`].
pub fn count(
    connection: &mut Connection,
    _: EventLogAccess,
    as_of: &AsOf,
    counted: &Counted,
) -> Result<Vec<(usize, Group, i64)>, DbError> {
    let (Some(first), Some(last)) = (counted.buckets.first(), counted.buckets.last()) else { return Ok(Vec::new()) };
    let lowest = |time: DateTime<Utc>| EventId::lowest_at(time.into()).0;
    let query = statement(counted.sql())
        .value(lowest(first.from))
        .value(lowest(last.to))
        .column(counted.buckets.iter().map(|bucket| lowest(bucket.from)))
        .column(as_of.unseen())
        .value(counted.event_type.as_deref());
    let values = counted.conditions.iter().filter_map(|condition| condition.value.as_deref());
    let rows: Vec<GroupRow> = values.fold(query, Statement::value).load(connection)?;
    let group = |row: GroupRow| {
        let group = match (row.kind.as_str(), row.name) {
            ("type", Some(name)) => Group::Type(name),
            ("value", Some(name)) => Group::Value(name),
            ("missing", _) => Group::Missing,
            _ => Group::Other,
        };
        Some((usize::try_from(row.bucket).ok()?, group, row.events))
    };
    Ok(rows.into_iter().filter_map(group).collect())
}

impl Counted {
    /// Returns the statement. $1 and $2 are the range of ids, $3 where each bucket begins, $4 batches
    /// that are not seen, $5 the type; the values of the conditions follow.
    fn sql(&self) -> String {
        let of_type = if self.event_type.is_some() { "AND e.event_type = $5" } else { "" };
        let conditions = match self.conditions.as_slice() {
            [] => String::new(),
            conditions => format!("AND {}", metadata::all_hold(conditions, 6)),
        };
        let events = format!(
            "FROM event_logs e WHERE e.id >= $1 AND e.id < $2 AND e.batch_id <> ALL ($4) {of_type} {conditions}"
        );
        const BUCKET: &str = "width_bucket(e.id, $3) - 1 AS bucket";
        let Some(by) = &self.by else {
            return format!(
                "SELECT {BUCKET}, 'type' AS kind, e.event_type AS name, count(*) AS events {events} GROUP BY 1, 3"
            );
        };
        // The events are read once. The rest works on the numbers of each bucket, type and value.
        format!(
            "WITH groups AS MATERIALIZED (SELECT {BUCKET}, e.event_type, {} AS value, count(*) AS events {events} \
             GROUP BY 1, 2, 3), \
             top AS (SELECT g.value FROM groups g WHERE length(g.value) <= {MAX_VALUE_CHARS} GROUP BY g.value \
             ORDER BY sum(g.events) DESC, g.value LIMIT {MOST_VALUES}) \
             SELECT g.bucket, 'type' AS kind, g.event_type::text AS name, sum(g.events)::bigint AS events \
             FROM groups g GROUP BY 1, 3 \
             UNION ALL \
             SELECT g.bucket, CASE WHEN g.value IS NULL THEN 'missing' WHEN t.value IS NULL THEN 'other' ELSE 'value' END, \
             t.value, sum(g.events)::bigint FROM groups g LEFT JOIN top t ON t.value = g.value GROUP BY 1, 2, 3",
            value_of(by, "e.metadata")
        )
    }
}

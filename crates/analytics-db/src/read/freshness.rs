//! Reads what ingest last reported about the topics that it counts.

use analytics_core::freshness::{PartitionReport, TopicReport};
use chrono::{DateTime, Utc};

use crate::sql::{row, statement};
use crate::{Connection, DbError};

row! {
    struct Row {
        topic: String,
        partitions: i32,
        optional: bool,
        last_event_time: Option<DateTime<Utc>>,
        lag_messages: Option<i64>,
        heard_at: Option<DateTime<Utc>>,
        ends_known_at: Option<DateTime<Utc>>,
        caught_up_at: Option<DateTime<Utc>>,
        counted_timestamp: Option<i64>,
    }
}

/// Returns what is known about every counted topic, and the time of the database's clock. If
/// several groups count the same topic, the rows that were updated last are used: the other groups
/// were renamed or retired.
///
/// # Errors
/// [`DbError`].
pub fn reports(connection: &mut Connection) -> Result<(Vec<TopicReport>, DateTime<Utc>), DbError> {
    let rows: Vec<Row> = statement(include_str!("freshness.sql")).load(connection)?;
    let mut topics: Vec<TopicReport> = Vec::new();
    for row in rows {
        let Row { topic, partitions, optional, last_event_time, .. } = row;
        if topics.last().is_none_or(|last| last.topic != topic) {
            let (is_optional, reports) = (optional, Vec::new());
            topics.push(TopicReport { topic, partitions, is_optional, last_event_time: None, reports });
        }
        let (Some(report), Some(heard_at)) = (topics.last_mut(), row.heard_at) else { continue };
        report.last_event_time = report.last_event_time.max(last_event_time);
        report.reports.push(PartitionReport {
            heard_at,
            ends_known_at: row.ends_known_at,
            caught_up_at: row.caught_up_at,
            lag_messages: row.lag_messages.unwrap_or(0),
            last_record_at: row.counted_timestamp.and_then(DateTime::from_timestamp_millis),
        });
    }
    Ok((topics, crate::now(connection)?))
}

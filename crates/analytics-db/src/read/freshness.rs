//! What ingest last said of the topics that it counts.

use analytics_core::freshness::{PartitionReport, TopicReport};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamptz};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::{Connection, DbError};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    topic: String,
    #[diesel(sql_type = Integer)]
    partitions: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_event_time: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    lag_messages: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    heard_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ends_known_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    caught_up_at: Option<DateTime<Utc>>,
}

/// What is known of every topic that is counted, and the time by the database's clock. Of groups that
/// count the same topic the one that was heard of last counts: others were renamed or retired.
///
/// # Errors
/// [`DbError`].
pub fn reports(connection: &mut Connection) -> Result<(Vec<TopicReport>, DateTime<Utc>), DbError> {
    let rows: Vec<Row> = sql_query(include_str!("freshness.sql")).load(connection)?;
    let mut topics: Vec<TopicReport> = Vec::new();
    for row in rows {
        let Row { topic, partitions, last_event_time, .. } = row;
        if topics.last().is_none_or(|last| last.topic != topic) {
            topics.push(TopicReport { topic, partitions, last_event_time: None, reports: Vec::new() });
        }
        let (Some(report), Some(heard_at)) = (topics.last_mut(), row.heard_at) else { continue };
        report.last_event_time = report.last_event_time.max(last_event_time);
        report.reports.push(PartitionReport {
            heard_at,
            ends_known_at: row.ends_known_at,
            caught_up_at: row.caught_up_at,
            lag_messages: row.lag_messages.unwrap_or(0),
        });
    }
    Ok((topics, crate::now(connection)?))
}

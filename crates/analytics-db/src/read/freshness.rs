//! How fresh the numbers are, by what ingest last said of itself.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::{Connection, DbError};

/// What ingest last said of one topic.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct TopicFreshness {
    /// The topic.
    #[diesel(sql_type = Text)]
    pub topic: String,
    /// The latest event time that was counted.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_event_time: Option<DateTime<Utc>>,
    /// Messages that were in the topic and not counted, as of `heard_at`.
    #[diesel(sql_type = BigInt)]
    pub lag_messages: i64,
    /// When the partition that was heard of least recently was heard of.
    #[diesel(sql_type = Timestamptz)]
    pub heard_at: DateTime<Utc>,
}

/// The freshness of every topic that was ever read. Of groups that read the same partition, the
/// one that was heard of last counts: others were renamed or retired.
///
/// # Errors
/// [`DbError`].
pub fn by_topic(connection: &mut Connection) -> Result<Vec<TopicFreshness>, DbError> {
    Ok(sql_query(include_str!("../sql/freshness.sql")).load(connection)?)
}

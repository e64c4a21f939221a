//! The event log, newest first.

use super::RawJson;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::event_logs;
use crate::{Connection, DbError};

/// A logged event.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = event_logs)]
pub struct LoggedEvent {
    /// Its id: sorts by event time.
    pub id: Uuid,
    /// Its type.
    pub event_type: String,
    /// The person it is about.
    pub user_id: Option<String>,
    /// The payload.
    pub metadata: Option<RawJson>,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// When it was counted.
    pub ingested_at: DateTime<Utc>,
}

/// Events, newest first: at most `limit`, of one type if one is named, older than `before`.
///
/// # Errors
/// [`DbError`].
pub fn newest(
    connection: &mut Connection,
    event_type: Option<&str>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<LoggedEvent>, DbError> {
    let mut query = event_logs::table.select(LoggedEvent::as_select()).into_boxed();
    if let Some(event_type) = event_type {
        query = query.filter(event_logs::event_type.eq(event_type));
    }
    if let Some(before) = before {
        query = query.filter(event_logs::id.lt(before));
    }
    Ok(query.order(event_logs::id.desc()).limit(limit).load(connection)?)
}

//! The event log, newest first.

use analytics_core::identity::EventId;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::{EventLogAccess, RawJson};
use crate::schema::event_logs;
use crate::{Connection, DbError};

/// A logged event.
#[derive(Debug, Clone, Queryable, Selectable, QueryableByName)]
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

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this type.
    pub event_type: Option<String>,
    /// About this user.
    pub user: Option<String>,
    /// About this product: viewed, rated, or in a line of the order.
    pub product: Option<String>,
    /// About this vendor, named or learned.
    pub vendor: Option<String>,
    /// Happened at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Happened before this time.
    pub to: Option<DateTime<Utc>>,
    /// Older than the event of this id, in the order of ids.
    pub before: Option<Uuid>,
}

/// Events, newest first, at most `limit`.
///
/// # Errors
/// [`DbError`].
pub fn newest(
    connection: &mut Connection,
    _: EventLogAccess,
    filter: &EventFilter,
    limit: i64,
) -> Result<Vec<LoggedEvent>, DbError> {
    // Only a filter by product or vendor has to look into the lines of orders.
    let sql = if filter.product.is_some() || filter.vendor.is_some() {
        include_str!("../sql/events_of_subject.sql")
    } else {
        include_str!("../sql/events.sql")
    };
    Ok(diesel::sql_query(sql)
        .bind::<Nullable<Text>, _>(&filter.event_type)
        .bind::<Nullable<Text>, _>(&filter.user)
        .bind::<Nullable<Timestamptz>, _>(filter.from)
        .bind::<Nullable<Timestamptz>, _>(filter.to)
        .bind::<Nullable<SqlUuid>, _>(filter.from.map(lowest_id))
        .bind::<Nullable<SqlUuid>, _>(filter.highest_id())
        .bind::<BigInt, _>(limit)
        .bind::<Nullable<Text>, _>(&filter.product)
        .bind::<Nullable<Text>, _>(&filter.vendor)
        .load(connection)?)
}

impl EventFilter {
    /// Ids begin with the time, so a range of time is a range of ids. Ends are exclusive.
    fn highest_id(&self) -> Option<Uuid> {
        // The millisecond of `to` itself may still hold events before it.
        let end = self.to.map(|to| lowest_id(to + chrono::Duration::milliseconds(1)));
        match (self.before, end) {
            (Some(before), Some(end)) => Some(before.min(end)),
            (before, end) => before.or(end),
        }
    }
}

fn lowest_id(time: DateTime<Utc>) -> Uuid {
    EventId::lowest_at(time.into()).0
}

/// The event of an id.
///
/// # Errors
/// [`DbError`].
pub fn by_id(connection: &mut Connection, _: EventLogAccess, id: Uuid) -> Result<Option<LoggedEvent>, DbError> {
    Ok(event_logs::table.find(id).select(LoggedEvent::as_select()).first(connection).optional()?)
}

//! The event log, newest first.

use analytics_core::identity::EventId;
use analytics_core::topics::Family;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::windows::{Window, newest_first};
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
    let limit = usize::try_from(limit).unwrap_or(0);
    let sql = filter.sql();
    newest_first(filter.range(), limit, |window, limit| {
        let rows = diesel::sql_query(&sql)
            .bind::<Nullable<Text>, _>(&filter.event_type)
            .bind::<Nullable<Text>, _>(&filter.user)
            .bind::<Nullable<Timestamptz>, _>(filter.from)
            .bind::<Nullable<Timestamptz>, _>(filter.to)
            .bind::<SqlUuid, _>(window.from)
            .bind::<SqlUuid, _>(window.to)
            .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind::<Nullable<Text>, _>(&filter.product)
            .bind::<Nullable<Text>, _>(&filter.vendor)
            .load(connection)?;
        Ok(rows)
    })
}

impl EventFilter {
    /// SQL with no conditions but those that are given: PostgreSQL plans for them. $1 is the type, $2
    /// the user, $3 and $4 the times, $5 and $6 a window of ids, $7 how many, $8 the product, $9 the
    /// vendor.
    fn sql(&self) -> String {
        let about_event = [
            (self.user.is_some(), "e.user_id = $2"),
            (self.from.is_some(), "e.created_at >= $3"),
            (self.to.is_some(), "e.created_at < $4"),
        ];
        let own = [
            (true, "e.id >= $5 AND e.id < $6"),
            (self.event_type.is_some(), "e.event_type = $1"),
            (self.product.is_some(), "e.product_id = $8"),
            (self.vendor.is_some(), "e.vendor_id = $9"),
        ];
        let own = format!(
            "SELECT e.id FROM event_logs e WHERE {} ORDER BY e.id DESC LIMIT $7",
            given(own.iter().chain(&about_event))
        );
        let found = if self.may_be_in_a_line() {
            let of_line = [
                (true, "l.event_id >= $5 AND l.event_id < $6"),
                (self.product.is_some(), "l.product_id = $8"),
                (self.vendor.is_some(), "l.vendor_id = $9"),
            ];
            let about_order = about_event.iter().any(|(given, _)| *given);
            let order = if about_order { "JOIN event_logs e ON e.id = l.event_id" } else { "" };
            let of_lines = format!(
                "SELECT DISTINCT l.event_id FROM order_lines l {order} WHERE {} ORDER BY l.event_id DESC LIMIT $7",
                given(of_line.iter().chain(&about_event))
            );
            format!("({own}) UNION ({of_lines})")
        } else {
            own
        };
        format!(
            "SELECT e.id, e.event_type, e.user_id, e.metadata, e.created_at, e.ingested_at \
             FROM ({found}) AS found (id) JOIN event_logs e ON e.id = found.id AND e.id >= $5 AND e.id < $6 \
             ORDER BY e.id DESC LIMIT $7"
        )
    }

    /// Products and vendors of orders are in their lines.
    fn may_be_in_a_line(&self) -> bool {
        let about_line = self.product.is_some() || self.vendor.is_some();
        about_line && self.event_type.as_deref().is_none_or(|name| name == Family::OrderCreated.name())
    }

    /// Ids begin with the time, so a range of time is a range of ids.
    fn range(&self) -> Window {
        // The millisecond of `to` itself may still hold events before it.
        let end = self.to.map(|to| lowest_id(to + chrono::Duration::milliseconds(1)));
        Window {
            from: self.from.map_or(Window::ALL.from, lowest_id),
            to: self.before.into_iter().chain(end).fold(Window::ALL.to, Uuid::min),
        }
    }
}

fn given<'a>(conditions: impl Iterator<Item = &'a (bool, &'a str)>) -> String {
    conditions.filter(|(given, _)| *given).map(|(_, sql)| *sql).collect::<Vec<_>>().join(" AND ")
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

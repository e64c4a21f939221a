//! The event log, newest first.

use analytics_core::family::{Family, Shape};
use analytics_core::identity::EventId;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::EventLogAccess;
use super::windows::{Window, newest_first};
use crate::raw_json::RawJson;
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
    let Some(sql) = filter.sql() else { return Ok(Vec::new()) };
    newest_first(connection, filter.range(), limit, |connection, window, limit| {
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
    /// SQL with no conditions but those that are given: PostgreSQL plans for them. `None` where there
    /// can be no such event. $1 is the type, $2 the user, $3 and $4 the times, $5 and $6 a window of
    /// ids, $7 how many, $8 the product, $9 the vendor.
    fn sql(&self) -> Option<String> {
        const COLUMNS: &str = "e.id, e.event_type, e.user_id, e.metadata, e.created_at, e.ingested_at";
        const WINDOW: &str = "e.id >= $5 AND e.id < $6";
        let own = |columns| {
            let conditions = given([
                (true, WINDOW),
                (self.event_type.is_some(), "e.event_type = $1"),
                (self.product.is_some(), "e.product_id = $8"),
                (self.vendor.is_some(), "e.vendor_id = $9"),
                (true, &self.about_event()),
            ]);
            format!("SELECT {columns} FROM event_logs e WHERE {conditions} ORDER BY e.id DESC LIMIT $7")
        };
        let found = match self.places() {
            (true, false) => return Some(own(COLUMNS)),
            (true, true) => format!("({}) UNION ({})", own("e.id"), self.in_lines()),
            (false, true) => self.in_lines(),
            (false, false) => return None,
        };
        // An array, so that each event is looked up by its id, whatever is known of the window.
        Some(format!(
            "SELECT {COLUMNS} FROM event_logs e WHERE e.id = ANY(ARRAY({found})) AND {WINDOW} ORDER BY e.id DESC LIMIT $7"
        ))
    }

    /// The ids of orders of which a line is about the product and the vendor.
    fn in_lines(&self) -> String {
        const WINDOW: &str = "l.event_id >= $5 AND l.event_id < $6";
        let about_line =
            given([(self.product.is_some(), "l.product_id = $8"), (self.vendor.is_some(), "l.vendor_id = $9")]);
        let about_event = self.about_event();
        if self.user.is_some() {
            // A user has few orders, a product may have any number.
            let with_lines: Vec<String> =
                Shape::Lines.families().map(|family| format!("'{}'", family.name())).collect();
            let with_lines = with_lines.join(", ");
            return format!(
                "SELECT o.id FROM (SELECT e.id FROM event_logs e WHERE e.id >= $5 AND e.id < $6 \
                 AND e.event_type IN ({with_lines}) AND {about_event} OFFSET 0) AS o \
                 WHERE EXISTS (SELECT FROM order_lines l WHERE l.event_id = o.id AND {WINDOW} AND {about_line}) \
                 ORDER BY o.id DESC LIMIT $7"
            );
        }
        let order = if self.from.or(self.to).is_some() { "JOIN event_logs e ON e.id = l.event_id" } else { "" };
        format!(
            "SELECT DISTINCT l.event_id FROM order_lines l {order} WHERE {WINDOW} AND {about_line} AND {about_event} \
             ORDER BY l.event_id DESC LIMIT $7"
        )
    }

    fn about_event(&self) -> String {
        given([
            (true, "true"),
            (self.user.is_some(), "e.user_id = $2"),
            (self.from.is_some(), "e.created_at >= $3"),
            (self.to.is_some(), "e.created_at < $4"),
        ])
    }

    /// Whether such events are found by their own columns, and by the lines of orders: products and
    /// vendors of views and ratings are their own, those of orders are in the lines, others have none.
    fn places(&self) -> (bool, bool) {
        if self.product.is_none() && self.vendor.is_none() {
            return (true, false);
        }
        let Some(wanted) = &self.event_type else { return (true, true) };
        match Family::named(wanted).map(Family::shape) {
            Some(Shape::Part | Shape::Rating) => (true, false),
            Some(Shape::Lines) => (false, true),
            Some(Shape::Nothing) | None => (false, false),
        }
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

fn given<const N: usize>(conditions: [(bool, &str); N]) -> String {
    let given: Vec<&str> = conditions.into_iter().filter(|(given, _)| *given).map(|(_, sql)| sql).collect();
    given.join(" AND ")
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

//! Reads the event log, newest events first.

use analytics_core::calendar::Calendar;
use analytics_core::family::{Family, Shape};
use analytics_core::ids::{ProductId, VendorId};
use analytics_core::metadata::Condition;
use analytics_core::rollup::Scope;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::windows::{Expected, Listed, MOST_AT_ONCE, Window, first_hours, lowest_id, newest_first};
use super::{AsOf, EventLogAccess, metadata};
use crate::raw_json::RawJson;
use crate::schema::event_logs;
use crate::sql::{Statement, statement};
use crate::{Connection, DbError};

/// A logged event.
#[derive(Debug, Clone, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = event_logs)]
pub struct LoggedEvent {
    /// Its id; sorts by event time.
    pub id: Uuid,
    /// Its type.
    pub event_type: String,
    /// The user it is about.
    pub user_id: Option<String>,
    /// The payload.
    pub metadata: Option<RawJson>,
    /// The event time.
    pub created_at: DateTime<Utc>,
    /// When it was logged.
    pub ingested_at: DateTime<Utc>,
    /// The batch that logged it.
    pub(crate) batch_id: i64,
}

/// A page of the event log.
#[derive(Debug)]
pub struct EventPage {
    /// The events, newest first.
    pub events: Vec<LoggedEvent>,
    /// The event after which the next page begins, if there is one.
    pub next: Option<Uuid>,
}

impl Listed for LoggedEvent {
    fn id(&self) -> Uuid {
        self.id
    }

    fn batch(&self) -> i64 {
        self.batch_id
    }
}

/// Conditions that events must meet.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// With this type.
    pub event_type: Option<String>,
    /// About this user.
    pub user: Option<String>,
    /// About this product: viewed, rated, named, or in a line of the order.
    pub product: Option<String>,
    /// About this vendor, whether the event named it or it was attributed.
    pub vendor: Option<String>,
    /// With an event time at or after this.
    pub from: Option<DateTime<Utc>>,
    /// With an event time before this.
    pub to: Option<DateTime<Utc>>,
    /// With these values in the payload.
    pub conditions: Vec<Condition>,
    /// Before the event with this id, in the order of ids.
    pub before: Option<Uuid>,
}

/// Returns a page of at most `limit` events as of a batch, newest first.
///
/// # Errors
/// [`DbError`].
pub fn newest(
    connection: &mut Connection,
    _: EventLogAccess,
    as_of: &AsOf,
    calendar: Calendar,
    filter: &EventFilter,
    limit: usize,
) -> Result<EventPage, DbError> {
    let Some(sql) = filter.sql() else { return Ok(EventPage { events: Vec::new(), next: None }) };
    let (range, more) = (filter.range(), limit.saturating_add(1));
    let hours = first_hours(connection, filter.expected(more), calendar, as_of, range)?;
    let mut events: Vec<LoggedEvent> =
        newest_first(connection, as_of, range, hours, more, |connection, window, limit| {
            let query = statement(&sql)
                .value(&filter.event_type)
                .value(&filter.user)
                .value(filter.from)
                .value(filter.to)
                .value(window.from)
                .value(window.to)
                .value(i64::try_from(limit).unwrap_or(i64::MAX))
                .value(&filter.product)
                .value(&filter.vendor);
            Ok(filter
                .conditions
                .iter()
                .filter_map(|condition| condition.value.as_deref())
                .fold(query, Statement::value)
                .load(connection)?)
        })?;
    let is_last = events.len() <= limit;
    events.truncate(limit);
    let next = events.last().map(|event| event.id).filter(|_| !is_last);
    Ok(EventPage { events, next })
}

impl EventFilter {
    /// Returns SQL with only the conditions that are given, so that PostgreSQL plans for these.
    /// `None` if no event can match. $1 is the type, $2 the user, $3 and $4 the times, $5 and $6 a
    /// window of ids, $7 the limit, $8 the product, $9 the vendor; values in the payload follow.
    fn sql(&self) -> Option<String> {
        const COLUMNS: &str = "e.id, e.event_type, e.user_id, e.metadata, e.created_at, e.ingested_at, e.batch_id";
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
        // LIMIT has each event looked up by its id, in the partition that the id belongs to.
        Some(format!(
            "SELECT {COLUMNS} FROM unnest(ARRAY({found})) AS found (id) \
             CROSS JOIN LATERAL (SELECT * FROM event_logs e WHERE e.id = found.id AND {WINDOW} LIMIT 1) AS e \
             ORDER BY e.id DESC LIMIT $7"
        ))
    }

    /// Returns SQL for the ids of orders of which one line is about the product and the vendor.
    fn in_lines(&self) -> String {
        const WINDOW: &str = "l.event_id >= $5 AND l.event_id < $6";
        let about_line =
            given([(self.product.is_some(), "l.product_id = $8"), (self.vendor.is_some(), "l.vendor_id = $9")]);
        let about_event = self.about_event();
        if self.user.is_some() {
            // A user has few orders, while a product may have any number.
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
        let order = if self.from.or(self.to).is_some() || !self.conditions.is_empty() {
            "JOIN event_logs e ON e.id = l.event_id"
        } else {
            ""
        };
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
            (!self.conditions.is_empty(), &metadata::all_hold(&self.conditions, 10)),
        ])
    }

    /// Returns whether matching events are found by their own columns, and whether by order lines.
    /// Views, ratings and names store product and vendor in their own row, orders in their lines; other
    /// events have neither.
    fn places(&self) -> (bool, bool) {
        if self.product.is_none() && self.vendor.is_none() {
            return (true, false);
        }
        let Some(wanted) = &self.event_type else { return (true, true) };
        match Family::named(wanted).map(Family::shape) {
            Some(Shape::Part | Shape::Rating | Shape::Name) => (true, false),
            Some(Shape::Lines) => (false, true),
            Some(Shape::Nothing | Shape::Reversal) | None => (false, false),
        }
    }

    /// Returns the product or the seller that the events are about.
    fn scope(&self) -> Option<Scope> {
        match (&self.product, &self.vendor) {
            (Some(product), _) => ProductId::parse(product).ok().map(Scope::Product),
            (None, Some(vendor)) => VendorId::parse(vendor).ok().map(Scope::Seller),
            (None, None) => None,
        }
    }

    /// Returns what the first window should find.
    fn expected(&self, limit: usize) -> Option<Expected> {
        let is_of = |family: Family| self.event_type.as_ref().is_none_or(|wanted| *wanted == family.name());
        let conditions =
            [self.product.is_some(), self.vendor.is_some(), self.user.is_some(), !self.conditions.is_empty()];
        let is_only = conditions.into_iter().filter(|given| *given).count() == 1;
        // Several conditions leave few of the events that meet one of them.
        Expected::of(self.scope(), is_of, if is_only { limit } else { limit.max(MOST_AT_ONCE) })
    }

    /// Returns the range of ids that contains the filter's range of time: ids begin with the time.
    fn range(&self) -> Window {
        // The millisecond of `to` itself may contain events before `to`.
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

/// Returns the event with an id, if it was counted.
///
/// # Errors
/// [`DbError`].
pub fn by_id(connection: &mut Connection, _: EventLogAccess, id: Uuid) -> Result<Option<LoggedEvent>, DbError> {
    let as_of = AsOf::latest(connection)?;
    let found: Option<LoggedEvent> =
        event_logs::table.find(id).select(LoggedEvent::as_select()).first(connection).optional()?;
    Ok(found.filter(|event| as_of.sees(event.batch_id)))
}

//! `reversals` and `reversal_entries`: what cancellations and refunds say, and what that came to.

use std::collections::HashMap;

use analytics_core::event::{Content, Event, Line, Part};
use analytics_core::identity::{EventId, IdentityKey};
use analytics_core::ids::{ProductId, VendorId};
use analytics_core::money::Currency;
use analytics_core::reversal::{Claim, Entry, Reversal, Took};
use analytics_core::topics::EventType;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::all_taken;
use super::batches::{AsOf, BatchId};
use super::logged_events::{self, LineRow};
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Writes what the reversals among the events of a batch say.
pub(crate) fn store(connection: &mut Connection, batch: BatchId, events: &[&Event]) -> Result<(), WriteError> {
    let reversals: Vec<(&Event, &Reversal)> =
        events.iter().filter_map(|event| Some((*event, event.content.reversal()?))).collect();
    if reversals.is_empty() {
        return Ok(());
    }
    let rows = statement(
        "INSERT INTO reversals (event_id, order_key, batch_id, claim) \
         SELECT r.event_id, r.order_key, $3, r.claim::jsonb FROM unnest($1, $2, $4) AS r (event_id, order_key, claim)",
    )
    .column(reversals.iter().map(|(event, _)| event.id.0))
    .column(reversals.iter().map(|(_, reversal)| reversal.order.0))
    .value(batch.0)
    .column(reversals.iter().map(|(_, reversal)| reversal.claim.to_json()))
    .execute(connection)?;
    all_taken("reversals", rows, reversals.len())
}

/// Returns the orders for which logged batches decide something: those that their reversals are about, and those of
/// their own that reversals wait for.
pub(crate) fn affected(connection: &mut Connection, batches: &[i64]) -> Result<Vec<Uuid>, DbError> {
    let mut affected = statement(
        "SELECT DISTINCT r.order_key AS id FROM batches b CROSS JOIN LATERAL unnest(b.reversed) AS r (order_key) \
         WHERE b.id = ANY ($1) AND b.reversed IS NOT NULL",
    )
    .column(batches)
    .ids(connection)?;
    if is_any_waiting(connection)? {
        let of_orders = statement(
            "SELECT DISTINCT o.order_key AS id FROM batches b CROSS JOIN LATERAL unnest(b.orders) AS o (order_key) \
             WHERE b.id = ANY ($1) AND b.orders IS NOT NULL \
             AND EXISTS (SELECT FROM reversals r WHERE r.order_key = o.order_key AND r.order_id IS NULL)",
        )
        .column(batches)
        .ids(connection)?;
        affected.extend(of_orders);
    }
    Ok(affected)
}

/// Returns those of the orders that reversals wait for.
pub(crate) fn awaited(connection: &mut Connection, orders: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
    if orders.is_empty() || !is_any_waiting(connection)? {
        return Ok(Vec::new());
    }
    Ok(statement(
        "SELECT DISTINCT r.order_key AS id FROM reversals r WHERE r.order_key = ANY ($1) AND r.order_id IS NULL",
    )
    .column(orders.iter().copied())
    .ids(connection)?)
}

/// Returns orders that are known although reversals still wait for them, at most `limit`, after the order `after`:
/// those that a program counted that knows no reversals.
pub(crate) fn overdue(connection: &mut Connection, after: Uuid, limit: i64) -> Result<Vec<Uuid>, DbError> {
    Ok(statement(
        "SELECT DISTINCT r.order_key AS id FROM reversals r \
         CROSS JOIN LATERAL (SELECT FROM order_keys k WHERE k.key = r.order_key LIMIT 1) AS k \
         WHERE r.order_id IS NULL AND r.order_key > $1 \
         AND NOT EXISTS (SELECT FROM unpaid_orders u WHERE u.order_key = r.order_key AND u.paid_batch IS NULL) \
         ORDER BY 1 LIMIT $2",
    )
    .value(after)
    .value(limit)
    .ids(connection)?)
}

fn is_any_waiting(connection: &mut Connection) -> Result<bool, DbError> {
    row! {
        struct Row {
            found: bool,
        }
    }
    // In the order of the index of those that wait, so that it is used whatever the planner knows of them.
    let rows: Vec<Row> =
        statement("SELECT true AS found FROM reversals WHERE order_id IS NULL ORDER BY order_key LIMIT 1")
            .load(connection)?;
    Ok(rows.first().is_some_and(|row| row.found))
}

/// Returns how many reversals wait for their orders.
///
/// # Errors
/// [`DbError`].
pub fn waiting(connection: &mut Connection) -> Result<i64, DbError> {
    row! {
        struct Row {
            waiting: i64,
        }
    }
    let row: Row =
        statement("SELECT count(*) AS waiting FROM reversals WHERE order_id IS NULL").get_result(connection)?;
    Ok(row.waiting)
}

/// A reversal of the log.
pub(crate) struct Logged {
    pub(crate) event: EventId,
    pub(crate) event_type: EventType,
    pub(crate) time: DateTime<Utc>,
    pub(crate) order: IdentityKey,
    /// What it says; `None` if that cannot be read.
    pub(crate) claim: Option<Claim>,
    /// The order, if it was found.
    pub(crate) order_id: Option<Uuid>,
    pub(crate) batch: Batch,
}

/// The batch that logged something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) id: i64,
    pub(crate) is_counted: bool,
}

/// Returns all reversals of some orders.
pub(crate) fn of_orders(connection: &mut Connection, orders: &[Uuid]) -> Result<Vec<Logged>, DbError> {
    row! {
        struct Row {
            event_id: Uuid,
            event_type: String,
            rules_version: i16,
            created_at: DateTime<Utc>,
            order_key: Uuid,
            claim: String,
            order_id: Option<Uuid>,
            batch_id: i64,
            is_counted: bool,
        }
    }
    // Batches that were counted long ago are not kept.
    let rows: Vec<Row> = statement(
        "SELECT r.event_id, e.event_type, e.rules_version, e.created_at, r.order_key, r.claim::text AS claim, r.order_id, \
             r.batch_id, b.id IS NULL OR b.number IS NOT NULL AS is_counted \
         FROM reversals r \
         CROSS JOIN LATERAL (SELECT * FROM event_logs e WHERE e.id = r.event_id LIMIT 1) AS e \
         LEFT JOIN batches b ON b.id = r.batch_id \
         WHERE r.order_key = ANY ($1) ORDER BY r.order_key, r.event_id",
    )
    .column(orders.iter().copied())
    .load(connection)?;
    let logged = |row: Row| Logged {
        event: EventId(row.event_id),
        event_type: EventType::logged(&row.event_type, row.rules_version),
        time: row.created_at,
        order: IdentityKey(row.order_key),
        claim: Claim::from_json(&row.claim),
        order_id: row.order_id,
        batch: Batch { id: row.batch_id, is_counted: row.is_counted },
    };
    Ok(rows.into_iter().map(logged).collect())
}

fn unreadable(event: Uuid) -> DbError {
    DbError::Unusable(format!("what the reversal {event} says cannot be read"))
}

/// Finds orders by their keys: for each, its event and the batch that counts it. One that is not paid yet, and counts
/// once it is, is not found.
pub(crate) fn orders(connection: &mut Connection, keys: &[Uuid]) -> Result<HashMap<Uuid, (Uuid, Batch)>, DbError> {
    row! {
        struct Row {
            key: Uuid,
            event_id: Uuid,
            batch_id: i64,
            is_counted: bool,
        }
    }
    // An order that was forgotten can come again: the later one is meant.
    let rows: Vec<Row> = statement(
        "SELECT DISTINCT ON (k.key) k.key, k.event_id, coalesce(u.paid_batch, e.batch_id) AS batch_id, \
             b.id IS NULL OR b.number IS NOT NULL AS is_counted \
         FROM order_keys k \
         CROSS JOIN LATERAL (SELECT * FROM event_logs e WHERE e.id = k.event_id LIMIT 1) AS e \
         LEFT JOIN unpaid_orders u ON u.event_id = k.event_id \
         LEFT JOIN batches b ON b.id = coalesce(u.paid_batch, e.batch_id) \
         WHERE k.key = ANY ($1) AND (u.event_id IS NULL OR u.paid_batch IS NOT NULL) ORDER BY k.key, k.generation DESC",
    )
    .column(keys.iter().copied())
    .load(connection)?;
    let found = |row: Row| (row.key, (row.event_id, Batch { id: row.batch_id, is_counted: row.is_counted }));
    Ok(rows.into_iter().map(found).collect())
}

/// Returns the reversals of orders, each with its order. Both are events.
pub(crate) fn of_order_events(connection: &mut Connection, orders: Vec<Uuid>) -> Result<HashMap<Uuid, Uuid>, DbError> {
    row! {
        struct Row {
            event_id: Uuid,
            order_id: Uuid,
        }
    }
    let rows: Vec<Row> = statement("SELECT event_id, order_id FROM reversals WHERE order_id = ANY ($1)")
        .column(orders)
        .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.event_id, row.order_id)).collect())
}

/// Returns the lines of orders, by the order's event.
pub(crate) fn lines(connection: &mut Connection, orders: &[Uuid]) -> Result<HashMap<Uuid, Vec<Line>>, DbError> {
    let rows: Vec<LineRow> = statement(include_str!("lines_of.sql")).column(orders.iter().copied()).load(connection)?;
    let mut lines: HashMap<Uuid, Vec<Line>> = HashMap::new();
    for row in rows {
        let order = row.event_id;
        let line = logged_events::line(row)
            .map_err(|why| DbError::Unusable(format!("the order {order} in the log has {why}")))?;
        lines.entry(order).or_default().push(line);
    }
    Ok(lines)
}

/// Returns the entries of reversals that are seen, added up for each line.
pub(crate) fn entries(
    connection: &mut Connection,
    reversals: &[Uuid],
    as_of: Option<&AsOf>,
) -> Result<HashMap<Uuid, Vec<Entry>>, DbError> {
    row! {
        struct Row {
            event_id: Uuid,
            line: i32,
            currency: String,
            units: i64,
            amount: i64,
            excess: i64,
            cancelled: i64,
            product_id: Option<String>,
            vendor_id: Option<String>,
            vendor_learned: Option<bool>,
        }
    }
    let mut entries: HashMap<Uuid, Vec<Entry>> = HashMap::new();
    if reversals.is_empty() {
        return Ok(entries);
    }
    let unseen: Vec<i64> = as_of.map_or_else(Vec::new, |as_of| as_of.unseen().collect());
    let only: Option<Vec<i64>> = as_of.and_then(AsOf::only);
    let rows: Vec<Row> = statement(
        "SELECT n.*, l.product_id, l.vendor_id, l.vendor_learned FROM ( \
             SELECT n.event_id, n.line, n.currency, sum(n.units)::bigint AS units, sum(n.amount)::bigint AS amount, \
                 sum(n.excess)::bigint AS excess, sum(n.cancelled)::bigint AS cancelled \
             FROM reversal_entries n WHERE n.event_id = ANY ($1) AND n.batch_id <> ALL ($2) \
                 AND (NOT $4 OR n.batch_id = ANY ($3)) GROUP BY 1, 2, 3) AS n \
         JOIN reversals r ON r.event_id = n.event_id \
         LEFT JOIN LATERAL ( \
             SELECT * FROM order_lines l WHERE n.line > 0 AND l.event_id = r.order_id AND l.line = n.line LIMIT 1) AS l ON true \
         ORDER BY n.event_id, n.line, n.currency",
    )
    .column(reversals.iter().copied())
    .column(unseen)
    .column(only.clone().unwrap_or_default())
    .value(only.is_some())
    .load(connection)?;
    for row in rows {
        let unreadable = || unreadable(row.event_id);
        let part = Part {
            product: row.product_id.map(|id| ProductId::parse(&id)).transpose().map_err(|_| unreadable())?,
            vendor: logged_events::decided(
                row.vendor_id.map(|id| VendorId::parse(&id)).transpose().map_err(|_| unreadable())?,
                row.vendor_learned.unwrap_or_default(),
            ),
        };
        let currency = match row.currency.as_str() {
            "" => None,
            code => Some(Currency::parse(code).ok_or_else(unreadable)?),
        };
        let took = Took { units: row.units, amount: row.amount, excess: row.excess, cancelled: row.cancelled };
        let entry = Entry { line: (row.line > 0).then_some((row.line, part)), currency, took };
        entries.entry(row.event_id).or_default().push(entry);
    }
    Ok(entries)
}

/// Adds entries, which a batch booked, and notes the orders of reversals that waited.
pub(crate) fn book(
    connection: &mut Connection,
    _: &CountingLock,
    batch: BatchId,
    booked: &[Event],
    found: &[(EventId, Uuid)],
) -> Result<(), WriteError> {
    let entries: Vec<(Uuid, &Entry)> = booked
        .iter()
        .filter_map(|event| match &event.content {
            Content::Reversal(reversal) => Some(reversal.entries.iter().map(|entry| (event.id.0, entry))),
            _ => None,
        })
        .flatten()
        .collect();
    if !entries.is_empty() {
        let rows = statement(
            "INSERT INTO reversal_entries (event_id, line, currency, batch_id, units, amount, excess, cancelled) \
             SELECT n.event_id, n.line, n.currency, $8, n.units, n.amount, n.excess, n.cancelled \
             FROM unnest($1, $2, $3, $4, $5, $6, $7) AS n (event_id, line, currency, units, amount, excess, cancelled)",
        )
        .column(entries.iter().map(|(event, _)| *event))
        .column(entries.iter().map(|(_, entry)| entry.line.as_ref().map_or(0, |(line, _)| *line)))
        .column(entries.iter().map(|(_, entry)| entry.currency.map_or("", Currency::code)))
        .column(entries.iter().map(|(_, entry)| entry.took.units))
        .column(entries.iter().map(|(_, entry)| entry.took.amount))
        .column(entries.iter().map(|(_, entry)| entry.took.excess))
        .column(entries.iter().map(|(_, entry)| entry.took.cancelled))
        .value(batch.0)
        .execute(connection)?;
        all_taken("reversal_entries", rows, entries.len())?;
    }
    if !found.is_empty() {
        let rows = statement(
            "UPDATE reversals r SET order_id = f.order_id FROM unnest($1, $2) AS f (event_id, order_id) \
             WHERE r.event_id = f.event_id",
        )
        .column(found.iter().map(|(event, _)| event.0))
        .column(found.iter().map(|(_, order)| *order))
        .execute(connection)?;
        all_taken("reversals", rows, found.len())?;
    }
    Ok(())
}

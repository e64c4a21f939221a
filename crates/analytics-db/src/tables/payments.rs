//! `unpaid_orders` and `payments`: orders that count once they are paid, and what says that orders are paid.

use std::collections::HashMap;

use analytics_core::event::Event;
use analytics_core::identity::IdentityKey;
use uuid::Uuid;

use super::all_taken;
use super::batches::{AsOf, BatchId};
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Writes which orders of a batch are not paid, and which orders it says are paid.
pub(crate) fn store(connection: &mut Connection, batch: BatchId, events: &[&Event]) -> Result<(), WriteError> {
    let unpaid = events.iter().filter(|event| event.content.is_unpaid());
    let unpaid = unpaid.filter_map(|event| Some((event.id.0, event.order()?.0))).collect::<Vec<_>>();
    let payments = events.iter().filter_map(|event| Some((event.id.0, event.content.payment()?.0))).collect::<Vec<_>>();
    for (table, rows) in [("unpaid_orders", unpaid), ("payments", payments)] {
        if rows.is_empty() {
            continue;
        }
        let stored = statement(format!(
            "INSERT INTO {table} (event_id, order_key, batch_id) SELECT r.event_id, r.order_key, $3 \
             FROM unnest($1, $2) AS r (event_id, order_key)"
        ))
        .column(rows.iter().map(|(event, _)| *event))
        .column(rows.iter().map(|(_, order)| *order))
        .value(batch.0)
        .execute(connection)?;
        all_taken(table, stored, rows.len())?;
    }
    Ok(())
}

/// Returns the keys of the orders of logged batches that may count now: those of their own orders that are paid already,
/// and those that their payments are about.
pub(crate) fn affected(connection: &mut Connection, batches: &[i64]) -> Result<Vec<Uuid>, DbError> {
    if !is_any_waiting(connection)? {
        return Ok(Vec::new());
    }
    Ok(statement(
        "SELECT DISTINCT o.order_key AS id FROM batches b \
         CROSS JOIN LATERAL (SELECT unnest(b.orders) UNION ALL SELECT unnest(b.reversed)) AS o (order_key) \
         WHERE b.id = ANY ($1) AND EXISTS (SELECT FROM payments p WHERE p.order_key = o.order_key)",
    )
    .column(batches)
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
        statement("SELECT true AS found FROM unpaid_orders WHERE paid_batch IS NULL ORDER BY order_key LIMIT 1")
            .load(connection)?;
    Ok(rows.first().is_some_and(|row| row.found))
}

/// Returns the events of those of the orders that wait and are paid. What is logged is seen if it was counted, or is of
/// the batches `counting`.
pub(crate) fn due(connection: &mut Connection, orders: &[Uuid], counting: &[i64]) -> Result<Vec<Uuid>, DbError> {
    // Batches that were counted long ago are not kept.
    Ok(statement(
        "SELECT u.event_id AS id FROM unpaid_orders u \
         WHERE u.paid_batch IS NULL AND u.order_key = ANY ($1) \
         AND (u.batch_id = ANY ($2) OR NOT EXISTS (SELECT FROM batches b WHERE b.id = u.batch_id AND b.number IS NULL)) \
         AND EXISTS (SELECT FROM payments p WHERE p.order_key = u.order_key AND (p.batch_id = ANY ($2) \
             OR NOT EXISTS (SELECT FROM batches b WHERE b.id = p.batch_id AND b.number IS NULL))) \
         ORDER BY u.event_id",
    )
    .column(orders.iter().copied())
    .column(counting.iter().copied())
    .ids(connection)?)
}

/// Number of orders that are looked at at once.
const PAGE: i64 = 20_000;

/// Looks at the next orders that wait, after the key `after`. Returns the keys of those of which a payment is logged,
/// and after which key to go on; `None` at the end.
pub(crate) fn overdue(connection: &mut Connection, after: Uuid) -> Result<(Vec<Uuid>, Option<Uuid>), DbError> {
    row! {
        struct Row {
            order_key: Uuid,
            is_paid: bool,
        }
    }
    let rows: Vec<Row> = statement(
        "SELECT w.order_key, EXISTS (SELECT FROM payments p WHERE p.order_key = w.order_key) AS is_paid FROM ( \
             SELECT u.order_key FROM unpaid_orders u WHERE u.paid_batch IS NULL AND u.order_key > $1 \
             ORDER BY u.order_key LIMIT $2) AS w ORDER BY 1",
    )
    .value(after)
    .value(PAGE)
    .load(connection)?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= PAGE);
    let next = rows.last().filter(|_| is_full).map(|row| row.order_key);
    let mut paid: Vec<Uuid> = rows.into_iter().filter(|row| row.is_paid).map(|row| row.order_key).collect();
    paid.dedup();
    Ok((paid, next))
}

/// Notes that a batch counts orders that waited.
pub(crate) fn settle(
    connection: &mut Connection,
    _: &CountingLock,
    batch: BatchId,
    orders: &[Uuid],
) -> Result<(), WriteError> {
    let rows = statement("UPDATE unpaid_orders SET paid_batch = $2 WHERE event_id = ANY ($1) AND paid_batch IS NULL")
        .column(orders.iter().copied())
        .value(batch.0)
        .execute(connection)?;
    all_taken("unpaid_orders", rows, orders.len())
}

/// Returns, for those of the orders that were logged unpaid, the batch that counted them; `None` for those that wait.
pub(crate) fn of_orders(connection: &mut Connection, orders: &[Uuid]) -> Result<HashMap<Uuid, Option<i64>>, DbError> {
    row! {
        struct Row {
            event_id: Uuid,
            paid_batch: Option<i64>,
        }
    }
    let rows: Vec<Row> = statement("SELECT event_id, paid_batch FROM unpaid_orders WHERE event_id = ANY ($1)")
        .column(orders.iter().copied())
        .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.event_id, row.paid_batch)).collect())
}

/// Returns the event that says that an order is paid, if one is seen.
pub(crate) fn of_order(connection: &mut Connection, order: IdentityKey, as_of: &AsOf) -> Result<Option<Uuid>, DbError> {
    let events = statement(
        "SELECT event_id AS id FROM payments WHERE order_key = $1 AND batch_id <> ALL ($2) ORDER BY event_id LIMIT 1",
    )
    .value(order.0)
    .column(as_of.unseen())
    .ids(connection)?;
    Ok(events.first().copied())
}

/// Returns the SQL condition that the order with the event `event` counts, as of what does not see the batches `unseen`.
pub(crate) fn counts(event: &str, unseen: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM unpaid_orders u WHERE u.event_id = {event} \
         AND (u.paid_batch IS NULL OR u.paid_batch = ANY ({unseen})))"
    )
}

/// Returns how many orders wait for their payments.
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
        statement("SELECT count(*) AS waiting FROM unpaid_orders WHERE paid_batch IS NULL").get_result(connection)?;
    Ok(row.waiting)
}

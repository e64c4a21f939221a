//! `event_logs`, `order_lines`, and what reversals and payments say: writes events.

use std::borrow::Borrow;
use std::io;

use analytics_core::RULES_VERSION;
use analytics_core::event::{Content, Event, Line};
use analytics_core::identity::EventId;
use analytics_core::ids::{ProductId, UserId, VendorId};
use analytics_core::maps::HashSet;
use analytics_core::seal::seal;
use diesel::ExecuteCopyFromDsl;
use diesel::pg::CopyFormat;
use uuid::Uuid;

use super::all_taken;
use super::batches::BatchId;
use super::rows::{Json, Rows};
use super::{payments, reversals};
use crate::Connection;
use crate::batch::Item;
use crate::error::WriteError;
use crate::schema::{event_logs, order_lines};
use crate::sql::{row, statement};

/// Writes the events of a batch, their lines, and what reversals and payments say. Fails as a whole if one of the ids is in the log
/// already.
pub(crate) fn copy<E: Borrow<Event>>(
    connection: &mut Connection,
    batch: BatchId,
    events: &[E],
) -> Result<(), WriteError> {
    // In the order of the key, so that the index grows at its end.
    let mut events: Vec<&Event> = events.iter().map(Borrow::borrow).collect();
    events.sort_unstable_by_key(|event| event.id);
    let lines = events.iter().map(|event| event.content.lines().len()).sum();
    all_taken("event_logs", copy_events(connection, batch, &events)?, events.len())?;
    if lines > 0 {
        all_taken("order_lines", copy_lines(connection, &events)?, lines)?;
    }
    reversals::store(connection, batch, &events)?;
    payments::store(connection, batch, &events)
}

fn copy_events(connection: &mut Connection, batch: BatchId, events: &[&Event]) -> Result<usize, WriteError> {
    use event_logs::{
        batch_id, created_at, event_type, id, metadata, product_id, rules_version, seal as seal_column, stars, table,
        user_id, vendor_id, vendor_learned,
    };
    let columns = (
        id,
        event_type,
        user_id,
        metadata,
        created_at,
        batch_id,
        rules_version,
        product_id,
        vendor_id,
        vendor_learned,
        stars,
        seal_column,
    );
    Ok(diesel::copy_from(table)
        .from_raw_data(columns, |out| Rows::send(out, events, |rows, event| event_row(rows, batch, event)))
        .with_format(CopyFormat::Binary)
        .execute(connection)?)
}

fn event_row(rows: &mut Rows<'_>, batch: BatchId, event: &Event) -> io::Result<()> {
    let (product, vendor) = event.content.about();
    let learned = matches!(&event.content, Content::Part(part) if part.vendor.is_learned());
    let stars = event.content.rating().map(|rating| i16::from(rating.stars.get()));
    rows.row([
        &event.id.0,
        &event.event_type.name(),
        &event.user.as_ref().map(UserId::as_str),
        &Json(&event.metadata),
        &event.time.utc(),
        &batch.0,
        &RULES_VERSION,
        &product.map(ProductId::as_str),
        &vendor.map(VendorId::as_str),
        &learned,
        &stars,
        &seal(event, RULES_VERSION),
    ])
}

fn copy_lines(connection: &mut Connection, events: &[&Event]) -> Result<usize, WriteError> {
    use order_lines::{amount, currency, event_id, line, product_id, quantity, table, vendor_id, vendor_learned};
    let columns = (event_id, line, product_id, vendor_id, vendor_learned, quantity, amount, currency);
    Ok(diesel::copy_from(table)
        .from_raw_data(columns, |out| Rows::send(out, events, |rows, event| line_rows(rows, event)))
        .with_format(CopyFormat::Binary)
        .execute(connection)?)
}

fn line_rows(rows: &mut Rows<'_>, event: &Event) -> io::Result<()> {
    (1_i32..).zip(event.content.lines()).try_for_each(|(number, Line { part, sale })| {
        rows.row([
            &event.id.0,
            &number,
            &part.product.as_ref().map(ProductId::as_str),
            &part.vendor.id().map(VendorId::as_str),
            &part.vendor.is_learned(),
            // At most 10^6, ensured by the type.
            &i32::try_from(sale.quantity.units()).unwrap_or(i32::MAX),
            &sale.amount.0,
            &sale.currency.code(),
        ])
    })
}

/// Returns which of the batch's events are in the log already.
pub(crate) fn logged(connection: &mut Connection, items: &[Item]) -> Result<HashSet<EventId>, WriteError> {
    let events = items.iter().filter_map(|item| item.decoded.as_ref().ok());
    logged_ids(connection, events.map(|event| event.id.0).collect())
}

/// Returns which of these ids are in the log already.
fn logged_ids(connection: &mut Connection, ids: Vec<Uuid>) -> Result<HashSet<EventId>, WriteError> {
    row! {
        struct Row {
            id: Uuid,
        }
    }
    let rows: Vec<Row> = statement("SELECT id FROM event_logs WHERE id = ANY($1)").column(ids).load(connection)?;
    Ok(rows.into_iter().map(|row| EventId(row.id)).collect())
}

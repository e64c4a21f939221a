//! `event_logs` and `order_lines`: the events themselves, by COPY.

use std::borrow::Borrow;
use std::io;

use analytics_core::RULES_VERSION;
use analytics_core::event::{Body, Event, Vendor};
use analytics_core::identity::EventId;
use analytics_core::ids::{ProductId, UserId, VendorId};
use analytics_core::maps::HashSet;
use analytics_core::seal::seal;
use diesel::pg::CopyFormat;
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel::{ExecuteCopyFromDsl, QueryableByName, RunQueryDsl, sql_query};
use uuid::Uuid;

use super::rows::{Json, Rows};
use super::{Item, WriteError, all_taken};
use crate::Connection;
use crate::schema::{event_logs, order_lines};

const fn is_learned(vendor: &Vendor) -> bool {
    matches!(vendor, Vendor::Learned(_))
}

/// Writes the events and their lines. Fails as a whole where one id is in the log already.
pub(super) fn copy<E: Borrow<Event>>(connection: &mut Connection, events: &[E]) -> Result<(), WriteError> {
    // In the order of the key, so that its index grows at its end.
    let mut events: Vec<&Event> = events.iter().map(Borrow::borrow).collect();
    events.sort_unstable_by_key(|event| event.id);
    let lines = events.iter().map(|event| event.lines().len()).sum();
    all_taken("event_logs", copy_events(connection, &events)?, events.len())?;
    if lines > 0 {
        all_taken("order_lines", copy_lines(connection, &events)?, lines)?;
    }
    Ok(())
}

fn copy_events(connection: &mut Connection, events: &[&Event]) -> Result<usize, WriteError> {
    use event_logs::{
        created_at, event_type, id, metadata, product_id, rules_version, seal as seal_column, stars, table, user_id,
        vendor_id, vendor_learned,
    };
    let columns = (
        id,
        event_type,
        user_id,
        metadata,
        created_at,
        rules_version,
        product_id,
        vendor_id,
        vendor_learned,
        stars,
        seal_column,
    );
    Ok(diesel::copy_from(table)
        .from_raw_data(columns, |out| Rows::send(out, events, |rows, event| event_row(rows, event)))
        .with_format(CopyFormat::Binary)
        .execute(connection)?)
}

fn event_row(rows: &mut Rows<'_>, event: &Event) -> io::Result<()> {
    let (product, vendor, learned, stars) = match &event.body {
        Body::View { product, vendor } => (Some(product), vendor.id(), is_learned(vendor), None),
        Body::Rating { product, vendor, stars } => {
            (product.as_ref(), vendor.as_ref(), false, Some(i16::from(stars.get())))
        }
        Body::Signup | Body::Order { .. } | Body::Adjustment { .. } | Body::Logged => (None, None, false, None),
    };
    rows.row([
        &event.id.0,
        &event.event_type.name(),
        &event.user.as_ref().map(UserId::as_str),
        &Json(&event.metadata),
        &event.time.utc(),
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
    (1_i32..).zip(event.lines()).try_for_each(|(number, line)| {
        rows.row([
            &event.id.0,
            &number,
            &line.product.as_ref().map(ProductId::as_str),
            &line.vendor.id().map(VendorId::as_str),
            &is_learned(&line.vendor),
            // At most 10^6, by the type.
            &i32::try_from(line.quantity.units()).unwrap_or(i32::MAX),
            &line.amount.0,
            &line.currency.code(),
        ])
    })
}

/// Which of the batch's events are in the log already.
pub(super) fn logged(connection: &mut Connection, items: &[Item]) -> Result<HashSet<EventId>, WriteError> {
    let events = items.iter().filter_map(|item| item.decoded.as_ref().ok());
    logged_ids(connection, events.map(|event| event.id.0).collect())
}

/// Which of these ids are in the log already.
fn logged_ids(connection: &mut Connection, ids: Vec<Uuid>) -> Result<HashSet<EventId>, WriteError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let rows: Vec<Row> =
        sql_query("SELECT id FROM event_logs WHERE id = ANY($1)").bind::<Array<SqlUuid>, _>(ids).load(connection)?;
    Ok(rows.into_iter().map(|row| EventId(row.id)).collect())
}

//! `event_logs` and `order_lines`: the events themselves, by COPY.

use std::borrow::Borrow;
use std::io::Write as _;

use analytics_core::RULES_VERSION;
use analytics_core::event::{Body, Event, Vendor};
use analytics_core::identity::EventId;
use analytics_core::ids::{ProductId, UserId, VendorId};
use analytics_core::maps::HashSet;
use analytics_core::seal::seal;
use chrono::{DateTime, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::pg::Pg;
use diesel::serialize::{IsNull, Output, ToSql};
use diesel::sql_types::{Array, Jsonb, Uuid as SqlUuid};
use diesel::{ExecuteCopyFromDsl, Insertable, QueryableByName, RunQueryDsl, sql_query};
use uuid::Uuid;

use super::{Item, WriteError};
use crate::Connection;
use crate::schema::{event_logs, order_lines};

/// JSON text that was checked when it was decoded.
#[derive(Debug, Clone, Copy, AsExpression, FromSqlRow)]
#[diesel(sql_type = Jsonb)]
struct JsonText<'a>(&'a str);

impl ToSql<Jsonb, Pg> for JsonText<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> diesel::serialize::Result {
        // The version of jsonb's binary form, then the text.
        out.write_all(&[1])?;
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

/// Diesel holds the rows of a COPY twice while it writes them.
const ROWS_AT_ONCE: usize = 4_000;

#[derive(Insertable)]
#[diesel(table_name = event_logs, treat_none_as_default_value = false)]
struct EventRow<'a> {
    id: Uuid,
    event_type: &'a str,
    user_id: Option<&'a str>,
    metadata: JsonText<'a>,
    created_at: DateTime<Utc>,
    rules_version: i16,
    product_id: Option<&'a str>,
    vendor_id: Option<&'a str>,
    vendor_learned: bool,
    stars: Option<i16>,
    seal: i64,
}

#[derive(Insertable)]
#[diesel(table_name = order_lines, treat_none_as_default_value = false)]
struct LineRow<'a> {
    event_id: Uuid,
    line: i32,
    product_id: Option<&'a str>,
    vendor_id: Option<&'a str>,
    vendor_learned: bool,
    quantity: i32,
    amount: i64,
    currency: &'a str,
}

impl<'a> EventRow<'a> {
    fn of(event: &'a Event) -> Self {
        let (product, vendor, learned, stars) = match &event.body {
            Body::View { product, vendor } => (Some(product), vendor.id(), is_learned(vendor), None),
            Body::Rating { product, vendor, stars } => {
                (product.as_ref(), vendor.as_ref(), false, Some(i16::from(stars.get())))
            }
            Body::Signup | Body::Order { .. } | Body::Adjustment { .. } | Body::Logged => (None, None, false, None),
        };
        Self {
            id: event.id.0,
            event_type: event.event_type.name(),
            user_id: event.user.as_ref().map(UserId::as_str),
            metadata: JsonText(&event.metadata),
            created_at: event.time.utc(),
            rules_version: RULES_VERSION,
            product_id: product.map(ProductId::as_str),
            vendor_id: vendor.map(VendorId::as_str),
            vendor_learned: learned,
            stars,
            seal: seal(event, RULES_VERSION),
        }
    }
}

const fn is_learned(vendor: &Vendor) -> bool {
    matches!(vendor, Vendor::Learned(_))
}

fn lines(event: &Event) -> impl Iterator<Item = LineRow<'_>> {
    (1..).zip(event.lines()).map(|(number, line)| LineRow {
        event_id: event.id.0,
        line: number,
        product_id: line.product.as_ref().map(ProductId::as_str),
        vendor_id: line.vendor.id().map(VendorId::as_str),
        vendor_learned: is_learned(&line.vendor),
        // At most 10^6, by the type.
        quantity: line.quantity.units().try_into().unwrap_or(i32::MAX),
        amount: line.amount.0,
        currency: line.currency.code(),
    })
}

/// Writes the events and their lines. Fails as a whole where one id is in the log already.
pub(super) fn copy<E: Borrow<Event>>(connection: &mut Connection, events: &[E]) -> Result<(), WriteError> {
    for events in events.chunks(ROWS_AT_ONCE) {
        let rows: Vec<_> = events.iter().map(|event| EventRow::of(event.borrow())).collect();
        diesel::copy_from(event_logs::table).from_insertable(rows).execute(connection)?;
    }
    for events in events.chunks(ROWS_AT_ONCE) {
        let lines: Vec<_> = events.iter().flat_map(|event| lines(event.borrow())).collect();
        if !lines.is_empty() {
            diesel::copy_from(order_lines::table).from_insertable(lines).execute(connection)?;
        }
    }
    Ok(())
}

/// Which of the batch's events are in the log already.
pub(super) fn logged(connection: &mut Connection, items: &[Item]) -> Result<HashSet<EventId>, WriteError> {
    let events = items.iter().filter_map(|item| item.decoded.as_ref().ok());
    logged_ids(connection, events.map(|event| event.id.0).collect())
}

/// Which of these ids are in the log already.
pub(super) fn logged_ids(connection: &mut Connection, ids: Vec<Uuid>) -> Result<HashSet<EventId>, WriteError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let rows: Vec<Row> =
        sql_query("SELECT id FROM event_logs WHERE id = ANY($1)").bind::<Array<SqlUuid>, _>(ids).load(connection)?;
    Ok(rows.into_iter().map(|row| EventId(row.id)).collect())
}

//! Reads events back from the log, with the decisions that were made when they were counted.

use std::collections::HashMap;

use analytics_core::event::{Content, Event, Line, Named, Naming, Part, Rating, Sale, Stars, Vendor};
use analytics_core::family::{Family, Shape};
use analytics_core::identity::{EventId, IdentityKey};
use analytics_core::ids::{ProductId, UserId, VendorId};
use analytics_core::metric_type::Subject;
use analytics_core::money::{Currency, Minor, Quantity};
use analytics_core::reversal::{Claim, Reversal};
use analytics_core::seal::seal;
use analytics_core::time::EventTime;
use analytics_core::topics::EventType;
use chrono::{DateTime, Utc};
use diesel::RunQueryDsl;
use diesel::prelude::*;
use uuid::Uuid;

use super::batches::AsOf;
use super::payments;
use crate::schema::{event_logs, order_lines};
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// An event of the log.
#[derive(Debug)]
pub struct Logged {
    /// Its id.
    pub id: EventId,
    /// Version of the rules by which it was counted.
    pub rules_version: i16,
    /// When it was logged.
    pub ingested_at: DateTime<Utc>,
    /// The event, or what was found instead of a valid row.
    pub event: Result<Event, String>,
    /// What was found instead of the event that was counted, if the row can be read nevertheless.
    pub tampered: Option<&'static str>,
}

#[derive(Queryable, Selectable, QueryableByName)]
#[diesel(table_name = event_logs)]
struct Row {
    id: Uuid,
    event_type: String,
    user_id: Option<String>,
    created_at: DateTime<Utc>,
    ingested_at: DateTime<Utc>,
    batch_id: i64,
    rules_version: i16,
    product_id: Option<String>,
    vendor_id: Option<String>,
    vendor_learned: bool,
    stars: Option<i16>,
    seal: i64,
}

#[derive(QueryableByName)]
#[diesel(table_name = order_lines)]
pub(super) struct LineRow {
    pub(super) event_id: Uuid,
    product_id: Option<String>,
    vendor_id: Option<String>,
    vendor_learned: bool,
    quantity: i32,
    amount: i64,
    currency: String,
}

/// A chunk of the log.
#[derive(Debug)]
pub struct Piece {
    /// Its events, in the order of their ids.
    pub events: Vec<Logged>,
    /// Where the next chunk begins; `None` at the end of the range.
    pub next: Option<EventId>,
}

/// Returns at most `limit` events with ids from `from` up to `to` (exclusive), in the order of
/// their ids.
///
/// # Errors
/// [`DbError`].
pub fn range(
    connection: &mut Connection,
    as_of: &AsOf,
    from: EventId,
    to: EventId,
    limit: i64,
) -> Result<Piece, DbError> {
    let rows = event_logs::table
        .filter(event_logs::id.ge(from.0).and(event_logs::id.lt(to.0)))
        .order(event_logs::id)
        .limit(limit)
        .select(Row::as_select())
        .load(connection)?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|length| length >= limit);
    let next =
        rows.last().filter(|_| is_full).map(|last| EventId(Uuid::from_u128(last.id.as_u128().saturating_add(1))));
    Ok(Piece { events: complete(connection, as_of, rows)?, next })
}

/// Returns the events with these ids, in the order of their ids.
///
/// # Errors
/// [`DbError`].
pub fn by_ids(connection: &mut Connection, as_of: &AsOf, ids: &[Uuid]) -> Result<Vec<Logged>, DbError> {
    let rows = statement(include_str!("by_ids.sql")).column(ids.iter().copied()).load(connection)?;
    complete(connection, as_of, rows)
}

/// Returns all ratings of these users.
///
/// # Errors
/// [`DbError`].
pub fn ratings_of(connection: &mut Connection, as_of: &AsOf, users: &[&str]) -> Result<Vec<Logged>, DbError> {
    let rows = event_logs::table
        .filter(event_logs::event_type.eq_any(types_of(Shape::Rating)).and(event_logs::user_id.eq_any(users)))
        .select(Row::as_select())
        .load(connection)?;
    complete(connection, as_of, rows)
}

/// Returns the ratings of these users that are about one product or one vendor.
///
/// # Errors
/// [`DbError`].
pub fn ratings_of_target(
    connection: &mut Connection,
    as_of: &AsOf,
    users: &[&str],
    target: &Subject,
) -> Result<Vec<Logged>, DbError> {
    let rated = event_logs::event_type.eq_any(types_of(Shape::Rating)).and(event_logs::user_id.eq_any(users));
    let query = event_logs::table.filter(rated).select(Row::as_select()).into_boxed();
    let query = match target {
        Subject::Product(product) => query.filter(event_logs::product_id.eq(product.as_str())),
        Subject::Vendor(vendor) => query.filter(event_logs::vendor_id.eq(vendor.as_str())),
        Subject::Marketplace | Subject::Day(_) => return Ok(Vec::new()),
    };
    let rows = query.load(connection)?;
    complete(connection, as_of, rows)
}

/// Returns the number of the batch that counted an event.
pub(crate) fn batch_number(connection: &mut Connection, event: EventId) -> Result<Option<i64>, DbError> {
    row! {
        struct Numbered {
            number: Option<i64>,
        }
    }
    let rows: Vec<Numbered> = statement(
        "SELECT b.number FROM event_logs e LEFT JOIN unpaid_orders u ON u.event_id = e.id \
             JOIN batches b ON b.id = coalesce(u.paid_batch, e.batch_id) WHERE e.id = $1",
    )
    .value(event.0)
    .load(connection)?;
    Ok(rows.into_iter().next().and_then(|row| row.number))
}

/// Drops rows that `as_of` does not see, and loads what other rows hold: the lines of orders, and
/// the contents of adjustments.
fn complete(connection: &mut Connection, as_of: &AsOf, mut rows: Vec<Row>) -> Result<Vec<Logged>, DbError> {
    let of_shape = |rows: &[Row], shape: Shape| -> Vec<Uuid> {
        let event_types = types_of(shape);
        rows.iter().filter(|row| event_types.contains(&row.event_type.as_str())).map(|row| row.id).collect()
    };
    let unpaid = payments::of_orders(connection, &of_shape(&rows, Shape::Lines))?;
    // What a reversal came to belongs to the batches that booked it, and an unpaid order to the one that counted it.
    let of_reversals = types_of(Shape::Reversal);
    rows.retain(|row| match of_reversals.contains(&row.event_type.as_str()) || unpaid.contains_key(&row.id) {
        true => as_of.is_counted(row.batch_id),
        false => as_of.sees(row.batch_id),
    });
    let mut lines: HashMap<Uuid, Vec<LineRow>> = HashMap::new();
    let orders = of_shape(&rows, Shape::Lines);
    if !orders.is_empty() {
        let found: Vec<LineRow> = statement(include_str!("lines_of.sql")).column(orders).load(connection)?;
        for line in found {
            lines.entry(line.event_id).or_default().push(line);
        }
    }
    let mut reversals = reversals(connection, as_of, of_shape(&rows, Shape::Reversal))?;
    let adjusted = rows.iter().filter(|row| row.event_type == EventType::Adjustment.name()).map(|row| row.id);
    let mut said = adjustments(connection, adjusted.collect())?;
    let logged = |row: Row| {
        let lines = lines.remove(&row.id).unwrap_or_default();
        let waits = unpaid.get(&row.id).is_some_and(|paid| paid.is_none_or(|batch| !as_of.sees(batch)));
        let parts = Parts { lines, waits, said: said.remove(&row.id), reversal: reversals.remove(&row.id) };
        logged(row, parts)
    };
    Ok(rows.into_iter().map(logged).collect())
}

/// Returns the types of the events that have this shape.
pub(crate) fn types_of(shape: Shape) -> Vec<&'static str> {
    shape.families().map(Family::name).collect()
}

/// Returns what reversals say, and what that came to.
fn reversals(
    connection: &mut Connection,
    as_of: &AsOf,
    ids: Vec<Uuid>,
) -> Result<HashMap<Uuid, Result<Reversal, String>>, DbError> {
    row! {
        struct Row {
            event_id: Uuid,
            order_key: Uuid,
            claim: String,
            order_id: Option<Uuid>,
        }
    }
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut entries = super::reversals::entries(connection, &ids, Some(as_of))?;
    let rows: Vec<Row> = statement(
        "SELECT event_id, order_key, claim::text AS claim, order_id FROM reversals WHERE event_id = ANY ($1)",
    )
    .column(ids)
    .load(connection)?;
    let reversal = |row: Row| {
        let entries = entries.remove(&row.event_id).unwrap_or_default();
        let claim = Claim::from_json(&row.claim).ok_or_else(|| "a claim that cannot be read".to_owned());
        let (order, order_event) = (IdentityKey(row.order_key), row.order_id.map(EventId));
        (row.event_id, claim.map(|claim| Reversal { order, order_event, claim, entries }))
    };
    Ok(rows.into_iter().map(reversal).collect())
}

/// What an adjustment changed: the metric's type, and by how much.
type Said = (Option<String>, Option<i64>);

fn adjustments(connection: &mut Connection, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Said>, DbError> {
    row! {
        struct Row {
            id: Uuid,
            metric_type: Option<String>,
            delta: Option<i64>,
        }
    }
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<Row> = statement(include_str!("adjustments.sql")).column(ids).load(connection)?;
    Ok(rows.into_iter().map(|row| (row.id, (row.metric_type, row.delta))).collect())
}

/// What other rows hold of an event.
struct Parts {
    lines: Vec<LineRow>,
    /// Whether the order waits for its payment.
    waits: bool,
    said: Option<Said>,
    reversal: Option<Result<Reversal, String>>,
}

fn logged(row: Row, parts: Parts) -> Logged {
    let (id, rules_version, ingested_at, sealed) = (EventId(row.id), row.rules_version, row.ingested_at, row.seal);
    let mut tampered = None;
    let event = event(row, parts).map(|mut event| {
        if sealed != seal(&event, rules_version) {
            tampered = Some("a broken seal: it was changed after it was counted");
        }
        if event.time.millis() != id.millis() {
            tampered = Some("a created_at that differs from the time in its id: it was changed after it was counted");
            event.time = EventTime::from_micros(id.millis() * 1000);
        }
        event
    });
    Logged { id, rules_version, ingested_at, event, tampered }
}

fn event(row: Row, parts: Parts) -> Result<Event, String> {
    let Parts { lines, waits, said, reversal } = parts;
    let product = row.product_id.as_deref().map(product).transpose()?;
    let vendor_id = row.vendor_id.as_deref().map(vendor).transpose()?;
    let user = row
        .user_id
        .as_deref()
        .map(|id| UserId::parse(id).map_err(|why| format!("a user_id that {why}")))
        .transpose()?;
    let event_type = EventType::logged(&row.event_type, row.rules_version);
    let shape = match &event_type {
        EventType::Counted(family) => family.shape(),
        EventType::Extra(_) => Shape::Nothing,
        EventType::Adjustment => match said {
            Some((Some(metric_type), delta)) => {
                let content = Content::Adjustment { metric_type, delta };
                return Ok(Event::logged(EventId(row.id), event_type, user, row.created_at.into(), content));
            }
            _ => return Err("an adjustment without a metric type".into()),
        },
    };
    let content = match shape {
        Shape::Nothing => Content::Nothing,
        Shape::Part if product.is_none() => return Err("no product_id".into()),
        Shape::Part => Content::Part(Part { product, vendor: decided(vendor_id, row.vendor_learned) }),
        Shape::Lines if lines.is_empty() => return Err("an order without lines".into()),
        Shape::Lines if waits => Content::Unpaid(lines.into_iter().map(line).collect::<Result<_, _>>()?),
        Shape::Lines => Content::Lines(lines.into_iter().map(line).collect::<Result<_, _>>()?),
        // Of a status other than a cancellation, of a payment, and of an extra topic of this name, nothing is stored.
        Shape::Reversal => reversal.transpose()?.map_or(Content::Nothing, Content::Reversal),
        // Before there were such families, these topics could be extra ones, whose events name
        // nothing.
        Shape::Name => match (product, vendor_id) {
            (Some(product), vendor) => naming(Named::Product { product, vendor }),
            (None, Some(vendor)) => naming(Named::Vendor(vendor)),
            (None, None) => Content::Nothing,
        },
        Shape::Rating => {
            let stars = row.stars.and_then(|stars| Stars::new(u32::try_from(stars).ok()?));
            Content::Rating(Rating { product, vendor: vendor_id, stars: stars.ok_or("a rating without stars")? })
        }
    };
    Ok(Event::logged(EventId(row.id), event_type, user, row.created_at.into(), content))
}

/// What an event named; the name itself is not needed for counting.
const fn naming(subject: Named) -> Content {
    Content::Naming(Naming { subject, name: None })
}

pub(super) fn line(row: LineRow) -> Result<Line, String> {
    let part = Part {
        product: row.product_id.as_deref().map(product).transpose()?,
        vendor: decided(row.vendor_id.as_deref().map(vendor).transpose()?, row.vendor_learned),
    };
    let sale = Sale {
        quantity: u32::try_from(row.quantity).ok().and_then(Quantity::new).ok_or("a line without a valid quantity")?,
        amount: Minor(row.amount),
        currency: Currency::parse(&row.currency).ok_or("a line without a valid currency")?,
    };
    Ok(Line { part, sale })
}

pub(super) fn decided(vendor: Option<VendorId>, learned: bool) -> Vendor {
    match vendor {
        Some(vendor) if learned => Vendor::Learned(vendor),
        Some(vendor) => Vendor::Named(vendor),
        None => Vendor::Unknown,
    }
}

fn product(id: &str) -> Result<ProductId, String> {
    ProductId::parse(id).map_err(|why| format!("a product_id that {why}"))
}

fn vendor(id: &str) -> Result<VendorId, String> {
    VendorId::parse(id).map_err(|why| format!("a vendor_id that {why}"))
}

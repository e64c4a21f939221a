//! What became of an order, by its order id: counted, or rejected.

use std::collections::BTreeSet;

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::event::Event;
use analytics_core::events::vendors_named_in;
use analytics_core::identity::{EventId, IdentityKey, order_key};
use analytics_core::ids::OrderId;
use analytics_core::ratios::Fraction;
use analytics_core::rules;
use chrono::{DateTime, Utc};

use uuid::Uuid;

use super::{AsOf, EventLogAccess};
use crate::sql::{row, statement};
use crate::tables::{event_keys, logged_events, payments};
use crate::{Connection, DbError, RawJson};

/// An order that was counted, or waits for its payment.
#[derive(Debug)]
pub struct Order {
    /// Its event.
    pub event: Event,
    /// When it was logged.
    pub ingested_at: DateTime<Utc>,
    /// The number of the batch that counted it; `None` if it waits.
    pub batch: Option<i64>,
    /// The event that says that it is paid, if one came after it.
    pub payment: Option<Uuid>,
    /// How many records repeated it and were ignored, and when the last of them arrived.
    pub repeats: (i32, Option<DateTime<Utc>>),
    /// For each line, how the payload names its vendor, as far as it says.
    pub named: Vec<Option<bool>>,
    /// Its cancellations and refunds, with what they took back, in the order in which they happened.
    pub reversals: Vec<Event>,
    /// What it added to counters, by metric type.
    pub counters: Vec<(String, i64)>,
    /// What it added to the components of rates, by metric type.
    pub ratios: Vec<(String, Fraction)>,
}

/// Finds an order by its id within the namespaces of the topics that are counted.
///
/// # Errors
/// [`DbError`].
pub fn find(
    connection: &mut Connection,
    _: EventLogAccess,
    id: &OrderId,
    namespaces: &[Option<String>],
    business: Business,
) -> Result<Option<Order>, DbError> {
    let as_of = AsOf::latest(connection)?;
    for key in keys(id, namespaces) {
        let Some(found) = event_keys::order(connection, key)? else { continue };
        let Some(logged) = logged_events::by_ids(connection, &as_of, &[found.event_id])?.pop() else { continue };
        let (version, ingested_at) = (logged.rules_version, logged.ingested_at);
        let event =
            logged.event.map_err(|problem| DbError::Unusable(format!("the order cannot be read: {problem}")))?;
        let mut deltas = Deltas::default();
        rules::recount(version, &event, business, &mut deltas).map_err(|why| DbError::Unusable(why.to_string()))?;
        let number = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
        return Ok(Some(Order {
            reversals: reversals(connection, &as_of, event.id)?,
            payment: payments::of_order(connection, key, &as_of)?,
            repeats: (found.repeats, found.repeated_at),
            named: payload(connection, event.id)?.map(|payload| vendors_named_in(payload.text())).unwrap_or_default(),
            batch: match event.content.is_unpaid() {
                true => None,
                false => logged_events::batch_number(connection, event.id)?,
            },
            counters: deltas.counters.iter().map(|(metric, sum)| (metric.to_string(), number(*sum))).collect(),
            ratios: deltas.ratios.iter().map(|(metric, fraction)| (metric.to_string(), *fraction)).collect(),
            event,
            ingested_at,
        }));
    }
    Ok(None)
}

fn reversals(connection: &mut Connection, as_of: &AsOf, order: EventId) -> Result<Vec<Event>, DbError> {
    let of_order = crate::tables::reversals::of_order_events(connection, vec![order.0])?;
    let ids: Vec<Uuid> = of_order.into_keys().collect();
    let mut logged: Vec<Event> =
        logged_events::by_ids(connection, as_of, &ids)?.into_iter().filter_map(|logged| logged.event.ok()).collect();
    logged.sort_unstable_by_key(|event| (event.time, event.id));
    Ok(logged)
}

/// Returns the keys that the order has in each of the namespaces.
fn keys(id: &OrderId, namespaces: &[Option<String>]) -> BTreeSet<IdentityKey> {
    namespaces.iter().map(|namespace| order_key(id, namespace.as_deref())).collect()
}

fn payload(connection: &mut Connection, event: EventId) -> Result<Option<RawJson>, DbError> {
    row! {
        struct Row {
            metadata: Option<RawJson>,
        }
    }
    let row: Row = statement("SELECT metadata FROM event_logs WHERE id = $1").value(event.0).get_result(connection)?;
    Ok(row.metadata)
}

/// Greatest number of dead letters of one order that are returned.
const MOST_LETTERS: i64 = 100;

row! {
    /// A record about an order that was rejected.
    #[derive(Debug)]
    pub struct RejectedOrder {
        /// The dead letter.
        pub id: Uuid,
        /// The topic.
        pub topic: String,
        /// The partition.
        pub partition: i32,
        /// The offset.
        pub offset: i64,
        /// The code of the reason.
        pub reason: String,
        /// A sentence that names the field.
        pub detail: String,
        /// `open`, `replayed` or `discarded`.
        pub state: String,
        /// When it was rejected.
        pub created_at: DateTime<Utc>,
        /// The event that it was counted as, once it was replayed.
        pub event_id: Option<Uuid>,
    }
}

/// Returns the records about an order that were rejected, the latest 100, newest first.
///
/// # Errors
/// [`DbError`].
pub fn rejected(
    connection: &mut Connection,
    _: EventLogAccess,
    id: &OrderId,
    namespaces: &[Option<String>],
) -> Result<Vec<RejectedOrder>, DbError> {
    Ok(statement(
        "SELECT d.id, d.topic, d.partition, d.\"offset\", d.reason, d.detail, d.state, d.created_at, \
         (SELECT a.event_id FROM dead_letter_actions a WHERE a.dead_letter_id = d.id AND a.event_id IS NOT NULL \
          ORDER BY a.id DESC LIMIT 1) AS event_id \
         FROM dead_letters d WHERE d.order_key = ANY($1) ORDER BY d.created_at DESC, d.id LIMIT $2",
    )
    .column(keys(id, namespaces).iter().map(|key| key.0))
    .value(MOST_LETTERS)
    .load(connection)?)
}

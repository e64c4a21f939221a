//! What became of an order, by its order id.

use std::collections::BTreeSet;

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::event::Event;
use analytics_core::identity::order_key;
use analytics_core::ids::OrderId;
use analytics_core::ratios::Fraction;
use analytics_core::rules;
use chrono::{DateTime, Utc};

use super::{AsOf, EventLogAccess};
use crate::tables::{event_keys, logged_events};
use crate::{Connection, DbError};

/// An order that was counted.
#[derive(Debug)]
pub struct Order {
    /// Its event.
    pub event: Event,
    /// When it was logged.
    pub ingested_at: DateTime<Utc>,
    /// The number of the batch that counted it.
    pub batch: Option<i64>,
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
    let namespaces: BTreeSet<&Option<String>> = namespaces.iter().collect();
    for namespace in namespaces {
        let key = order_key(id, namespace.as_deref());
        let Some(event) = event_keys::order(connection, key)? else { continue };
        let Some(logged) = logged_events::by_ids(connection, &as_of, &[event.0])?.pop() else { continue };
        let (version, ingested_at) = (logged.rules_version, logged.ingested_at);
        let event =
            logged.event.map_err(|problem| DbError::Unusable(format!("the order cannot be read: {problem}")))?;
        let mut deltas = Deltas::default();
        rules::recount(version, &event, business, &mut deltas).map_err(|why| DbError::Unusable(why.to_string()))?;
        let number = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
        return Ok(Some(Order {
            batch: logged_events::batch_number(connection, event.id)?,
            counters: deltas.counters.iter().map(|(metric, sum)| (metric.to_string(), number(*sum))).collect(),
            ratios: deltas.ratios.iter().map(|(metric, fraction)| (metric.to_string(), *fraction)).collect(),
            event,
            ingested_at,
        }));
    }
    Ok(None)
}

//! Decides what the cancellations and refunds of orders come to.
//!
//! A reversal is logged by whoever reads it, and may be committed before its order or after it. It is decided when
//! the later of the two is counted, under the counting lock, by all reversals of the order that are counted by then.
//! What has been booked before is never changed: only the difference is added, on the reversal's own day.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::event::{Content, Event, Line};
use analytics_core::identity::EventId;
use analytics_core::reversal::{Entry, Placed, Reversal, Took, decide};
use analytics_core::rules;
use diesel::connection::SimpleConnection;
use uuid::Uuid;

use super::runner::run;
use super::settling::Settling;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::tables::batches::{self, Kind};
use crate::tables::reversals::{self, Batch, Logged};
use crate::tables::{metrics, rollups};
use crate::{Connection, DbError};

/// Number of orders that are decided at once. Each may have thousands of lines.
const PIECE: usize = 100;

/// How long deciding may go on without a statement.
const LONGEST_IDLE: Duration = Duration::from_secs(1);

/// Decides the reversals of orders, books what changes, and adds it to `deltas`.
pub(super) fn settle(
    connection: &mut Connection,
    Settling { lock, business, counting, batch }: &Settling<'_>,
    orders: &[Uuid],
    deltas: &mut Deltas,
) -> Result<(), WriteError> {
    let counting: HashSet<i64> = counting.iter().copied().collect();
    let sees = |of: Batch| of.is_counted || counting.contains(&of.id);
    for piece in orders.chunks(PIECE) {
        let decided = Decided::load(connection, piece, sees)?;
        let known: Vec<Uuid> = decided.orders.iter().flat_map(Order::events).collect();
        let mut booked = reversals::entries(connection, &known, None)?;
        let (mut changes, mut began) = (Vec::new(), Instant::now());
        for (number, order) in decided.orders.iter().enumerate() {
            // The server ends a session that is idle for seconds in a transaction, and an order can be large.
            if number > 0 && began.elapsed() > LONGEST_IDLE {
                connection.batch_execute("SELECT")?;
                began = Instant::now();
            }
            for (logged, entries) in order.decide() {
                let missing = difference(entries, booked.remove(&logged.event.0).unwrap_or_default());
                if !missing.is_empty() {
                    changes.extend(booking(logged, missing));
                }
            }
        }
        changes.iter().for_each(|event| rules::book(event, *business, deltas));
        reversals::book(connection, lock, *batch, &changes, &decided.found)?;
    }
    Ok(())
}

/// Decides reversals whose orders were counted by a program that does not know reversals. Returns the number of orders.
///
/// # Errors
/// [`WriteError`].
pub fn settle_overdue(connection: &mut Connection, business: Business) -> Result<usize, WriteError> {
    let (mut settled, mut after) = (0, Uuid::nil());
    loop {
        let most = i64::try_from(PIECE).unwrap_or(i64::MAX);
        let orders = reversals::overdue(connection, after, most)?;
        let Some(last) = orders.last() else { return Ok(settled) };
        after = *last;
        settled += run(connection, "settle reversals", |connection| {
            let lock = CountingLock::take(connection)?;
            let (batch, mut deltas) = (batches::new_id(connection)?, Deltas::default());
            settle(connection, &Settling { lock: &lock, business, counting: &[], batch }, &orders, &mut deltas)?;
            if deltas.rollups.is_empty() {
                return Ok(0);
            }
            batches::number(connection, &lock, batch, Kind::Repair)?;
            metrics::add(connection, &lock, &deltas)?;
            rollups::add(connection, &lock, &deltas.rollups)?;
            metrics::derive(connection, &lock)?;
            Ok::<_, WriteError>(orders.len())
        })?;
    }
}

/// Calculates net revenue and refund rates again if a program that does not know them has counted.
///
/// # Errors
/// [`WriteError`].
pub fn derive(connection: &mut Connection) -> Result<(), WriteError> {
    run(connection, "derive", |connection| {
        let lock = CountingLock::take(connection)?;
        metrics::derive(connection, &lock)
    })
}

/// Orders with their reversals, as far as both are known.
pub(crate) struct Decided {
    pub(crate) orders: Vec<Order>,
    /// The reversals whose orders are found now, each with its order.
    pub(crate) found: Vec<(EventId, Uuid)>,
}

/// An order with its reversals.
pub(crate) struct Order {
    lines: Vec<Line>,
    reversals: Vec<Logged>,
}

impl Decided {
    pub(crate) fn load(
        connection: &mut Connection,
        orders: &[Uuid],
        sees: impl Fn(Batch) -> bool,
    ) -> Result<Self, DbError> {
        let mut by_order: BTreeMap<Uuid, Vec<Logged>> = BTreeMap::new();
        for logged in reversals::of_orders(connection, orders)?.into_iter().filter(|logged| sees(logged.batch)) {
            by_order.entry(logged.order.0).or_default().push(logged);
        }
        // The identity of an order may have been forgotten since its first reversal.
        let mut ids: HashMap<Uuid, Uuid> = HashMap::new();
        for (key, logged) in &by_order {
            ids.extend(logged.iter().find_map(|logged| logged.order_id).map(|order| (*key, order)));
        }
        let unknown: Vec<Uuid> = by_order.keys().filter(|key| !ids.contains_key(key)).copied().collect();
        if !unknown.is_empty() {
            let found = reversals::orders(connection, &unknown)?;
            ids.extend(found.into_iter().filter(|(_, (_, batch))| sees(*batch)).map(|(key, (order, _))| (key, order)));
        }
        let mut lines = reversals::lines(connection, &ids.values().copied().collect::<Vec<_>>())?;
        let mut decided = Self { orders: Vec::new(), found: Vec::new() };
        for (key, logged) in by_order {
            if logged.iter().any(|logged| logged.claim.is_none()) {
                log::error!("the reversals of an order cannot be decided: one of them cannot be read; see verify");
                continue;
            }
            let Some(order) = ids.get(&key) else { continue };
            let Some(lines) = lines.remove(order) else { continue };
            let waited = logged.iter().filter(|logged| logged.order_id.is_none());
            decided.found.extend(waited.map(|logged| (logged.event, *order)));
            decided.orders.push(Order { lines, reversals: logged });
        }
        Ok(decided)
    }
}

impl Order {
    pub(crate) fn events(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.reversals.iter().map(|logged| logged.event.0)
    }

    /// Returns what each reversal comes to.
    pub(crate) fn decide(&self) -> Vec<(&Logged, Vec<Entry>)> {
        let by_event: HashMap<EventId, &Logged> = self.reversals.iter().map(|logged| (logged.event, logged)).collect();
        let placed: Vec<Placed<'_>> = self
            .reversals
            .iter()
            .filter_map(|logged| {
                Some(Placed { time: logged.time.into(), event: logged.event, claim: logged.claim.as_ref()? })
            })
            .collect();
        let decided = decide(&self.lines, &placed);
        decided.into_iter().filter_map(|(event, entries)| Some((*by_event.get(&event)?, entries))).collect()
    }
}

/// Returns the event that books entries.
fn booking(logged: &Logged, entries: Vec<Entry>) -> Option<Event> {
    let content = Content::Reversal(Reversal {
        order: logged.order,
        order_event: logged.order_id.map(EventId),
        claim: logged.claim.clone()?,
        entries,
    });
    Some(Event::logged(logged.event, logged.event_type.clone(), None, logged.time.into(), content))
}

/// Returns what is missing from what was booked.
pub(crate) fn difference(decided: Vec<Entry>, booked: Vec<Entry>) -> Vec<Entry> {
    let place = |entry: &Entry| (entry.line.as_ref().map(|(line, _)| *line), entry.currency);
    let mut missing: BTreeMap<_, Entry> = decided.into_iter().map(|entry| (place(&entry), entry)).collect();
    for booked in booked {
        match missing.get_mut(&place(&booked)) {
            Some(entry) => entry.took = entry.took.minus(booked.took),
            None => {
                let took = Took::default().minus(booked.took);
                missing.insert(place(&booked), Entry { took, ..booked });
            }
        }
    }
    missing.into_values().filter(|entry| entry.took != Took::default()).collect()
}

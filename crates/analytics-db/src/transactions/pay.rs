//! Counts orders that were logged unpaid, once they are paid.
//!
//! An order and its payment are logged by whoever reads them, and either may be committed first. The order is counted
//! when the later of the two is, under the counting lock, on the day on which it was placed. That batch is noted with
//! the order, which counts as of it: explanations as of an earlier batch do not have it.

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::event::{Content, Event};
use analytics_core::rules;
use uuid::Uuid;

use super::runner::run;
use super::settling::Settling;
use crate::Connection;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::tables::batches::{self, AsOf, Kind};
use crate::tables::logged_events::{self, Logged};
use crate::tables::{metrics, payments, rollups};

/// Number of orders that are counted at once. Each may have thousands of lines.
const PIECE: usize = 100;
/// Number of orders that are looked up at once.
const LOOKUP: usize = 5_000;

/// Counts those of the orders that wait and are paid: adds what they add to `deltas`. Returns their number.
pub(super) fn settle(
    connection: &mut Connection,
    settling: &Settling<'_>,
    orders: &[Uuid],
    deltas: &mut Deltas,
) -> Result<usize, WriteError> {
    let mut counted = 0;
    for orders in orders.chunks(LOOKUP) {
        for due in payments::due(connection, orders, settling.counting)?.chunks(PIECE) {
            counted += count(connection, settling, due, deltas)?;
        }
    }
    Ok(counted)
}

/// Counts orders, and notes which batch did. Returns their number. One that cannot be read, or was decided by rules that this program does not
/// have, goes on waiting: it holds up nothing else, and `verify` reports it.
fn count(
    connection: &mut Connection,
    Settling { lock, business, batch, .. }: &Settling<'_>,
    orders: &[Uuid],
    deltas: &mut Deltas,
) -> Result<usize, WriteError> {
    let mut counted = Vec::new();
    for Logged { id, rules_version, event, .. } in logged_events::by_ids(connection, &AsOf::everything(), orders)? {
        let Ok(Event { content: Content::Unpaid(lines), event_type, user, time, .. }) = event else { continue };
        let order = Event::logged(id, event_type, user, time, Content::Lines(lines));
        if rules::count_paid(rules_version, &order, *business, deltas).is_ok() {
            counted.push(id.0);
        }
    }
    payments::settle(connection, lock, *batch, &counted)?;
    Ok(counted.len())
}

/// Counts orders that are paid and wait nevertheless: those whose payment a program counted that does not know payments,
/// and those that could not be read then. Returns their number. Reversals that waited for them are decided by
/// [`reverse::settle_overdue`](super::reverse::settle_overdue).
///
/// # Errors
/// [`WriteError`].
pub fn settle_overdue(connection: &mut Connection, business: Business) -> Result<usize, WriteError> {
    let (mut settled, mut after) = (0, Some(Uuid::nil()));
    while let Some(from) = after {
        // Found without the lock: there may be millions that wait.
        let (orders, next) = payments::overdue(connection, from)?;
        after = next;
        for orders in orders.chunks(PIECE) {
            settled += run(connection, "settle payments", |connection| {
                let lock = CountingLock::take(connection)?;
                let (batch, mut deltas) = (batches::new_id(connection)?, Deltas::default());
                let settling = Settling { lock: &lock, business, counting: &[], batch };
                let counted = settle(connection, &settling, orders, &mut deltas)?;
                if counted == 0 {
                    return Ok(0);
                }
                batches::number(connection, &lock, batch, Kind::Repair)?;
                metrics::add(connection, &lock, &deltas)?;
                rollups::add(connection, &lock, &deltas.rollups)?;
                metrics::derive(connection, &lock)?;
                Ok::<_, WriteError>(counted)
            })?;
        }
    }
    Ok(settled)
}

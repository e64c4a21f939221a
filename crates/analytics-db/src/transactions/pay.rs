//! Counts orders that were logged unpaid, once they are paid.
//!
//! An order and its payment are logged by whoever reads them, and either may be committed first. The order is counted
//! when the later of the two is, under the counting lock, on the day on which it was placed. That batch is noted with
//! the order, which counts as of it: explanations as of an earlier batch do not have it.

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::rules;
use uuid::Uuid;

use super::runner::run;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::tables::batches::{self, AsOf, BatchId, Kind};
use crate::tables::logged_events::{self, Logged};
use crate::tables::{metrics, payments, rollups};
use crate::{Connection, DbError};

/// Number of orders that are counted at once. Each may have thousands of lines.
const PIECE: i64 = 100;
/// Number of orders that are looked up at once.
const LOOKUP: usize = 5_000;

/// Counts those of the orders that wait and are paid: adds what they add to `deltas`. What is logged is seen if it was
/// counted, or is of the batches `counting`, which are counted now; `batch` is one of them.
pub(super) fn settle(
    connection: &mut Connection,
    lock: &CountingLock,
    business: Business,
    orders: &[Uuid],
    counting: &[i64],
    batch: BatchId,
    deltas: &mut Deltas,
) -> Result<(), WriteError> {
    for orders in orders.chunks(LOOKUP) {
        loop {
            let due = payments::due(connection, orders, counting, PIECE)?;
            if due.is_empty() {
                break;
            }
            count(connection, lock, business, &due, batch, deltas)?;
        }
    }
    Ok(())
}

/// Counts orders, and notes which batch did.
fn count(
    connection: &mut Connection,
    lock: &CountingLock,
    business: Business,
    orders: &[Uuid],
    batch: BatchId,
    deltas: &mut Deltas,
) -> Result<(), WriteError> {
    payments::settle(connection, lock, batch, orders)?;
    for Logged { rules_version, event, .. } in logged_events::by_ids(connection, &AsOf::everything(), orders)? {
        // Whoever counts the log again counts nothing of an order that cannot be read, and reports it.
        let Ok(order) = event else { continue };
        rules::count_paid(rules_version, &order, business, deltas).map_err(|why| DbError::Unusable(why.to_string()))?;
    }
    Ok(())
}

/// Counts orders that are paid and wait nevertheless: those whose payment a program counted that does not know payments.
/// Returns their number. Reversals that waited for them are decided by [`reverse::settle_overdue`](super::reverse).
///
/// # Errors
/// [`WriteError`].
pub fn settle_overdue(connection: &mut Connection, business: Business) -> Result<usize, WriteError> {
    let mut settled = 0;
    loop {
        let counted = run(connection, "settle payments", |connection| {
            let lock = CountingLock::take(connection)?;
            let due = payments::overdue(connection, PIECE)?;
            if due.is_empty() {
                return Ok(0);
            }
            let (batch, mut deltas) = (batches::new_id(connection)?, Deltas::default());
            count(connection, &lock, business, &due, batch, &mut deltas)?;
            batches::number(connection, &lock, batch, Kind::Repair)?;
            metrics::add(connection, &lock, &deltas)?;
            rollups::add(connection, &lock, &deltas.rollups)?;
            metrics::derive(connection, &lock)?;
            Ok::<_, WriteError>(due.len())
        })?;
        if counted == 0 {
            return Ok(settled);
        }
        settled += counted;
    }
}

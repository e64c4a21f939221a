//! Decides the reversals of whole orders again, and compares what they come to with what was booked.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Difference, Findings, Log, VerifyError};
use crate::Connection;
use crate::tables::logged_events::Logged;
use crate::tables::reversals;
use crate::transactions::reverse::{Decided, Order, difference};

/// Number of orders that are decided at once.
const PIECE: usize = 1_000;

/// Checks the reversals among some events of the log.
pub(super) fn check(
    connection: &mut Connection,
    log: Log<'_>,
    piece: &[Logged],
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    let reversal = |logged: &Logged| Some((logged.id.0, logged.event.as_ref().ok()?.content.reversal()?.order.0));
    let (events, orders): (BTreeSet<Uuid>, BTreeSet<Uuid>) = piece.iter().filter_map(reversal).unzip();
    for orders in orders.into_iter().collect::<Vec<_>>().chunks(PIECE) {
        let decided = Decided::load(connection, orders, |batch| log.as_of.sees(batch.id))?;
        let known: Vec<Uuid> = decided.orders.iter().flat_map(Order::events).filter(|id| events.contains(id)).collect();
        let mut booked = reversals::entries(connection, &known, Some(log.as_of))?;
        for (logged, entries) in decided.orders.iter().flat_map(Order::decide) {
            if !events.contains(&logged.event.0) {
                continue;
            }
            findings.keys_checked += 1;
            let missing = difference(entries, booked.remove(&logged.event.0).unwrap_or_default());
            if !missing.is_empty() {
                findings.differences.push(Difference::Reversal { id: logged.event, order: logged.order });
            }
        }
    }
    Ok(())
}

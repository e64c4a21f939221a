//! Checks that orders that wait for their payments are not paid, and that those that were paid later are.

use analytics_core::identity::EventId;
use uuid::Uuid;

use super::{Difference, Findings};
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Finds orders that wait although they are paid, and those that count although nothing says so.
pub(super) fn check(connection: &mut Connection, findings: &mut Findings) -> Result<(), DbError> {
    row! {
        struct Row {
            event_id: Uuid,
            counts: bool,
        }
    }
    // Batches that were counted long ago are not kept.
    let wrong: Vec<Row> = statement(
        "WITH counted AS (SELECT p.order_key FROM payments p \
             WHERE NOT EXISTS (SELECT FROM batches b WHERE b.id = p.batch_id AND b.number IS NULL)) \
         SELECT u.event_id, u.paid_batch IS NOT NULL AS counts FROM unpaid_orders u \
         WHERE NOT EXISTS (SELECT FROM batches b WHERE b.id = u.batch_id AND b.number IS NULL) \
         AND (u.paid_batch IS NOT NULL) <> EXISTS (SELECT FROM counted c WHERE c.order_key = u.order_key) \
         ORDER BY 1",
    )
    .load(connection)?;
    findings.differences.extend(wrong.into_iter().map(|row| {
        let problem = if row.counts { "no payment, and counts nevertheless" } else { "a payment, and is not counted" };
        Difference::Event { id: EventId(row.event_id), problem: problem.into() }
    }));
    Ok(())
}

//! What has to be done regularly besides partitions and generations: deletes what is not needed any more from
//! tables that grow slowly, and collects statistics.

use diesel::connection::SimpleConnection;

use super::offset_ranges;
use crate::sql::statement;
use crate::transactions::run;
use crate::{Connection, DbError};

/// How many rows were deleted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Proofs, but for the last one, and the last that read every day.
    pub proofs: usize,
    /// Gaps.
    pub gaps: usize,
    /// Anomalies that are resolved.
    pub anomalies: usize,
    /// Notifications, delivered or not.
    pub notifications: usize,
    /// Batches that no read can be as of any more.
    pub batches: usize,
    /// Stored offsets of topics that are not wanted any more.
    pub offsets: usize,
    /// Ranges of offsets of logs that are not counted any more, and old ones that are one now.
    pub ranges: usize,
}

/// Proofs, gaps, resolved anomalies and notifications are kept so long.
const RECORDS_DAYS: i32 = 400;
/// Batches are kept so long, and at least so many of them. Ranges of offsets that ended as well.
const BATCHES_DAYS: i32 = 40;
const BATCHES: i64 = 300_000;
/// The most rows that one statement deletes.
const PIECE: i64 = 10_000;

/// Deletes what ended. `dedupe_days`: so long after its last report, the stored offset of a retired topic is
/// kept, because its records count again without their identities.
///
/// # Errors
/// [`DbError`] of the statements; what was deleted before stays deleted.
pub fn delete_leftovers(connection: &mut Connection, dedupe_days: u32) -> Result<Deleted, DbError> {
    let dedupe_days = i32::try_from(dedupe_days).unwrap_or(i32::MAX);
    let proofs = run(connection, "maintenance", |connection| {
        Ok::<_, DbError>(
            statement(
                "DELETE FROM proofs WHERE proved_at < now() - make_interval(days => $1) \
                 AND id NOT IN (SELECT max(id) FROM proofs UNION SELECT coalesce(max(id), 0) FROM proofs WHERE complete)",
            )
            .value(RECORDS_DAYS)
            .execute(connection)?,
        )
    })?;
    let gaps = run(connection, "maintenance", |connection| {
        let gaps = statement("DELETE FROM ingest_gaps WHERE noticed_at < now() - make_interval(days => $1)");
        Ok::<_, DbError>(gaps.value(RECORDS_DAYS).execute(connection)?)
    })?;
    let anomalies = run(connection, "maintenance", |connection| {
        let anomalies = statement(
            "DELETE FROM anomalies WHERE state = 'resolved' AND resolved_at < now() - make_interval(days => $1)",
        );
        Ok::<_, DbError>(anomalies.value(RECORDS_DAYS).execute(connection)?)
    })?;
    let notifications = run(connection, "maintenance", |connection| {
        let notifications = statement(
            "DELETE FROM notifications WHERE queued_at < now() - make_interval(days => $1) \
             AND number NOT IN (SELECT coalesce(max(number), 0) FROM notifications WHERE topic = 'verify')",
        );
        Ok::<_, DbError>(notifications.value(RECORDS_DAYS).execute(connection)?)
    })?;
    let offsets = run(connection, "maintenance", |connection| {
        let offsets = statement(
            "DELETE FROM ingest_offsets o USING ingest_topics t \
             WHERE o.consumer_group = t.consumer_group AND o.topic = t.topic AND NOT t.wanted \
             AND greatest(o.updated_at, t.updated_at) < now() - make_interval(days => $1)",
        );
        Ok::<_, DbError>(offsets.value(dedupe_days).execute(connection)?)
    })?;
    let ranges = offset_ranges::tidy(connection, BATCHES_DAYS)?;
    let mut batches = 0;
    loop {
        let piece = run(connection, "maintenance", |connection| {
            let piece = statement(
                "DELETE FROM batches WHERE id IN ( \
                     SELECT b.id FROM batches b WHERE b.number < (SELECT number FROM watermark) - $2 \
                     AND b.counted_at < now() - make_interval(days => $1) ORDER BY b.number LIMIT $3)",
            );
            Ok::<_, DbError>(piece.value(BATCHES_DAYS).value(BATCHES).value(PIECE).execute(connection)?)
        })?;
        batches += piece;
        if piece == 0 {
            return Ok(Deleted { proofs, gaps, anomalies, notifications, batches, offsets, ranges });
        }
    }
}

/// Collects statistics of the partitioned tables as a whole. PostgreSQL does that for their partitions only.
///
/// # Errors
/// [`DbError`].
pub fn analyze(connection: &mut Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute("ANALYZE event_logs; ANALYZE order_lines; ANALYZE event_keys; ANALYZE order_keys")?)
}

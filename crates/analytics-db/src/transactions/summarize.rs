//! Adds the newest events to the BRIN indexes of the partition that they stream into.
//!
//! PostgreSQL does so when it vacuums the partition, after 200,000 events and at most once a minute.
//! Until then every read of a rare user, product or vendor goes through all of them. A range is added
//! once, whoever does it, so this costs nothing that vacuum would not cost later.

use analytics_core::identity::EventId;
use chrono::Utc;

use super::runner::run_once;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// The most ranges of an index that are added at once, 23,000 events in 42 ms: what is left after a
/// burst is added by vacuum.
const MOST: i32 = 100;

row! {
    struct Partition {
        event_logs: String,
        order_lines: String,
        is_free: bool,
    }
}

row! {
    struct Added {
        ranges: i64,
    }
}

/// Adds the newest ranges of pages to the indexes, and returns how many. While the partition is
/// vacuumed or indexed, it adds none: PostgreSQL ends the vacuum of a table for which somebody waits.
///
/// # Errors
/// [`DbError`]; then none are added.
pub fn summarize(connection: &mut Connection) -> Result<i64, DbError> {
    run_once(connection, "summarize", |connection| {
        let newest: Vec<Partition> = statement(
            "SELECT t.event_logs, t.order_lines, NOT EXISTS ( \
                 SELECT FROM pg_locks l WHERE l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock') \
                 AND l.relation IN (to_regclass(t.event_logs), to_regclass(t.order_lines))) AS is_free \
             FROM (SELECT e.tableoid FROM event_logs e WHERE e.id < $1 ORDER BY e.id DESC LIMIT 1) AS n \
             CROSS JOIN LATERAL (SELECT n.tableoid::regclass::text AS event_logs, \
                 replace(n.tableoid::regclass::text, 'event_logs', 'order_lines') AS order_lines) AS t \
             WHERE to_regclass(t.order_lines) IS NOT NULL",
        )
        // Few events are ahead of the clock, but they may be in a later partition.
        .value(EventId::lowest_at(Utc::now().into()).0)
        .load(connection)?;
        let mut ranges = 0;
        for Partition { event_logs, order_lines, .. } in newest.iter().filter(|partition| partition.is_free) {
            for table in [event_logs, order_lines] {
                let added: Added = statement("SELECT summarize_newest($1::regclass, $2) AS ranges")
                    .value(table)
                    .value(MOST)
                    .get_result(connection)?;
                ranges += added.ranges;
            }
        }
        Ok(ranges)
    })
}

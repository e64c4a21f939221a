//! Ends the sessions of writers that froze in the middle of a COPY.
//!
//! PostgreSQL waits for the rest of a COPY as long as the connection exists, whatever time limits
//! are set, and a frozen process keeps its connections. Such a writer would hold the ids and
//! identities of its batch, for which others wait, without end. Therefore a waiting writer ends its
//! session. Its transaction is rolled back, and its records, which are not counted yet, are counted
//! by the current owner of the partition.

use std::thread;
use std::time::Duration;

use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Pause between two looks at a COPY. A healthy one makes progress between them.
const PAUSE: Duration = Duration::from_secs(1);

/// COPY commands into the log, run by our own role, for whose data the server has been waiting for
/// more than 5 seconds.
const COPIES: &str = "pg_stat_progress_copy JOIN pg_stat_activity USING (pid) \
     WHERE pid <> pg_backend_pid() AND pg_stat_activity.datname = current_database() AND usename = current_user \
     AND relid IN ('event_logs'::regclass, 'order_lines'::regclass) AND wait_event = 'ClientRead' \
     AND state_change < now() - interval '5 seconds'";

row! {
    struct Row {
        pid: i32,
        /// Number of bytes of the COPY that have arrived.
        bytes: i64,
    }
}

/// Ends the sessions of writers that froze during a COPY, and returns how many.
///
/// # Errors
/// [`DbError`].
pub fn end_frozen(connection: &mut Connection) -> Result<usize, DbError> {
    let suspects: Vec<Row> =
        statement(format!("SELECT pid, bytes_processed AS bytes FROM {COPIES}")).load(connection)?;
    if suspects.is_empty() {
        return Ok(0);
    }
    thread::sleep(PAUSE);
    let query = format!(
        // OFFSET 0 keeps the planner from ending sessions before it has checked them.
        "SELECT pid, bytes FROM (SELECT pid, bytes_processed AS bytes FROM {COPIES} OFFSET 0) s \
         WHERE (pid, bytes) IN (SELECT * FROM unnest($1, $2)) AND pg_terminate_backend(pid, $3)"
    );
    let ended: Vec<Row> = statement(query)
        .column(suspects.iter().map(|row| row.pid))
        .column(suspects.iter().map(|row| row.bytes))
        // How long to wait for the session to end, in milliseconds.
        .value(2_000)
        .load(connection)?;
    Ok(ended.len())
}

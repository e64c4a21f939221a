//! Writers that froze in the middle of a COPY.
//!
//! PostgreSQL waits for the rest of a COPY for as long as the connection stands, whatever limits
//! are set, and a frozen process keeps its connections. What such a writer holds (the ids and
//! identities of its batch) others wait for in vain: they end it. Its transaction is taken back,
//! and its records, which nobody has counted, are counted by whoever owns the partition now.

use std::thread;
use std::time::Duration;

use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Between two looks at a COPY. One that is well goes on between them.
const PAUSE: Duration = Duration::from_secs(1);

/// Copies into the log by our own role that began seconds ago, and of which the server waits for
/// the rest.
const COPIES: &str = "pg_stat_progress_copy JOIN pg_stat_activity USING (pid) \
     WHERE pid <> pg_backend_pid() AND pg_stat_activity.datname = current_database() AND usename = current_user \
     AND relid IN ('event_logs'::regclass, 'order_lines'::regclass) AND wait_event = 'ClientRead' \
     AND state_change < now() - interval '5 seconds'";

row! {
    struct Row {
        pid: i32,
        /// How much of the COPY has come.
        bytes: i64,
    }
}

/// Ends writers that froze in mid-COPY, and returns how many.
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
        // OFFSET keeps the planner from ending sessions before it has looked at them.
        "SELECT pid, bytes FROM (SELECT pid, bytes_processed AS bytes FROM {COPIES} OFFSET 0) s \
         WHERE (pid, bytes) IN (SELECT * FROM unnest($1, $2)) AND pg_terminate_backend(pid, $3)"
    );
    let ended: Vec<Row> = statement(query)
        .column(suspects.iter().map(|row| row.pid))
        .column(suspects.iter().map(|row| row.bytes))
        // How long to wait for its end, in milliseconds.
        .value(2_000)
        .load(connection)?;
    Ok(ended.len())
}

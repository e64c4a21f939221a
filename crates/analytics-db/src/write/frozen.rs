//! Writers that froze in the middle of a COPY.
//!
//! PostgreSQL waits for the rest of a COPY for as long as the connection stands, whatever limits are set,
//! and a frozen process keeps its connections. What such a writer holds (the ids and identities of its
//! batch) others wait for in vain: they end it. Its transaction is taken back, and its records, which
//! nobody has counted, are counted by whoever owns the partition now.

use std::thread;
use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Integer};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::{Connection, DbError};

/// Between two looks at a COPY. One that is well goes on between them.
const PAUSE: Duration = Duration::from_secs(1);

/// Sessions of our own role in this database of which the server waits for the rest of a COPY, and has
/// done so for seconds.
const WAITING_FOR_THE_REST: &str = "pid <> pg_backend_pid() AND datname = current_database() \
     AND usename = current_user AND state = 'active' AND wait_event_type = 'Client' AND wait_event = 'ClientRead' \
     AND query ILIKE 'COPY %' AND state_change < now() - interval '5 seconds'";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

/// Ends writers that froze in mid-COPY, and returns how many.
///
/// # Errors
/// [`DbError`].
pub fn end_frozen(connection: &mut Connection) -> Result<usize, DbError> {
    let query = format!("SELECT pid FROM pg_stat_activity WHERE {WAITING_FOR_THE_REST}");
    let suspects: Vec<Row> = sql_query(query).load(connection)?;
    if suspects.is_empty() {
        return Ok(0);
    }
    thread::sleep(PAUSE);
    let query = format!(
        // OFFSET keeps the planner from ending sessions before it has looked at them.
        "SELECT pid FROM (SELECT pid FROM pg_stat_activity WHERE pid = ANY($1) AND {WAITING_FOR_THE_REST} OFFSET 0) s \
         WHERE pg_terminate_backend(pid, $2)"
    );
    let ended: Vec<Row> = sql_query(query)
        .bind::<Array<Integer>, _>(suspects.iter().map(|row| row.pid).collect::<Vec<_>>())
        // How long to wait for its end, in milliseconds.
        .bind::<BigInt, _>(2_000)
        .load(connection)?;
    Ok(ended.len())
}

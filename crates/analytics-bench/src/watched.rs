//! Measures the cost of a run besides time: processor time while idle, and bytes of WAL.

use std::time::{Duration, Instant};

use analytics_testkit::database::Database;
use analytics_testkit::process::Process;

/// Returns the share of one core that an idle process uses, in percent, measured over `over`.
///
/// # Panics
/// If it is not running.
#[must_use]
pub fn idle_percent(process: &Process, over: Duration) -> f64 {
    let (before, began) = (process.cpu_seconds(), Instant::now());
    // A fixed sleep is right here: the processor time of a fixed period is measured.
    std::thread::sleep(over);
    (process.cpu_seconds() - before) / began.elapsed().as_secs_f64() * 100.0
}

/// Returns the position of the end of the write-ahead log, in bytes.
#[must_use]
pub fn wal_position(database: &Database) -> i64 {
    database.number("SELECT pg_current_wal_insert_lsn() - '0/0'").unwrap_or(0)
}

/// Forces a checkpoint, so that a run does not write what earlier runs left in memory.
pub fn settle(database: &Database) {
    database.execute("CHECKPOINT");
}

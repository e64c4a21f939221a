//! What a run costs besides time: processors, memory, and what the database wrote.

use std::time::{Duration, Instant};

use analytics_testkit::database::Database;
use analytics_testkit::process::Process;

/// The share of one core that a process with nothing to do takes, in percent.
///
/// # Panics
/// If it does not run.
#[must_use]
pub fn idle_percent(process: &Process, over: Duration) -> f64 {
    let (before, began) = (process.cpu_seconds(), Instant::now());
    // What is measured is the passing of time itself.
    std::thread::sleep(over);
    (process.cpu_seconds() - before) / began.elapsed().as_secs_f64() * 100.0
}

/// Where the database's log of changes ends, in bytes.
#[must_use]
pub fn wal_position(database: &Database) -> i64 {
    database.number("SELECT pg_current_wal_insert_lsn() - '0/0'").unwrap_or(0)
}

/// Writes out what earlier runs left in memory, so that it is not this one's to pay.
pub fn settle(database: &Database) {
    database.execute("CHECKPOINT");
}

//! A lock in the database that a fault holds, so that a worker waits for it at a known point of its
//! transaction.

use std::time::Duration;

use analytics_db::Connection;
use diesel::connection::SimpleConnection;

use crate::arena::Run;
use analytics_testkit::wait;

/// A lock that is held until this value is dropped.
pub(super) struct Obstacle {
    _connection: Connection,
    waiting: &'static str,
}

impl Obstacle {
    /// Locks the stored offsets. A worker that waits for it has copied its events into the event log,
    /// and is at the fence.
    pub(super) fn fence(run: &Run<'_>) -> Self {
        let statement = "BEGIN; LOCK TABLE ingest_offsets IN SHARE MODE";
        Self::hold(run, statement, "l.locktype = 'relation' AND a.query LIKE '-- The fence.%'")
    }

    /// Locks the counts of arrivals. A worker that waits for it has moved its stored offsets.
    pub(super) fn commit(run: &Run<'_>) -> Self {
        Self::hold(run, "BEGIN; LOCK TABLE arrivals IN SHARE MODE", "l.locktype = 'relation'")
    }

    /// Locks the row of a metric. A worker that waits for it is folding: it has the counting lock, and
    /// has numbered batches.
    pub(super) fn fold(run: &Run<'_>) -> Self {
        let statement = "BEGIN; SELECT 1 FROM metrics WHERE type = 'total_views' FOR UPDATE";
        Self::hold(run, statement, "l.locktype <> 'advisory'")
    }

    /// Locks the event log. A worker that waits for it has claimed the identities of a batch, and
    /// is at its first COPY.
    pub(super) fn log(run: &Run<'_>) -> Self {
        Self::hold(run, "BEGIN; LOCK TABLE event_logs IN SHARE MODE", "l.locktype = 'relation'")
    }

    fn hold(run: &Run<'_>, statement: &str, waiting: &'static str) -> Self {
        let mut connection = run.database.connect();
        connection.batch_execute(statement).expect("the obstacle");
        Self { _connection: connection, waiting }
    }

    /// Waits until a worker waits for the lock, and returns its index in `run.workers`.
    pub(super) fn wait_for_worker(&self, run: &Run<'_>) -> usize {
        wait::until("a worker to wait for the lock", Duration::from_secs(60), || self.worker(run))
    }

    /// Returns the index of a worker that waits for the lock now.
    pub(super) fn worker(&self, run: &Run<'_>) -> Option<usize> {
        let names = run.database.lines(&format!(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
             WHERE NOT l.granted AND a.datname = current_database() AND {}",
            self.waiting
        ));
        run.workers.iter().position(|worker| names.contains(&worker.name))
    }
}

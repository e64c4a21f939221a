//! Something in the database that workers need and the harness holds, so that one of them stands
//! still at a known place of its transaction.

use std::time::Duration;

use analytics_db::Connection;
use analytics_db::locks::Lock;
use diesel::connection::SimpleConnection;

use crate::arena::Run;
use analytics_testkit::wait;

/// Held until it is dropped.
pub(super) struct Obstacle {
    _connection: Connection,
    waiting: &'static str,
}

impl Obstacle {
    /// The lock under which batches are counted: who waits for it has copied its events.
    pub(super) fn counting_lock(run: &Run<'_>) -> Self {
        let statement = format!("SELECT pg_advisory_lock({})", Lock::Counting as i64);
        Self::hold(run, &statement, "l.locktype = 'advisory'")
    }

    /// The row of a metric: who waits for it has the counting lock, and has moved its offsets.
    pub(super) fn total(run: &Run<'_>) -> Self {
        let statement = "BEGIN; SELECT 1 FROM metrics WHERE type = 'total_views' FOR UPDATE";
        Self::hold(run, statement, "l.locktype <> 'advisory'")
    }

    /// The log itself: who waits for it has claimed the identities of a batch, and stands at its
    /// first COPY.
    pub(super) fn log(run: &Run<'_>) -> Self {
        Self::hold(run, "BEGIN; LOCK TABLE event_logs IN SHARE MODE", "l.locktype = 'relation'")
    }

    fn hold(run: &Run<'_>, statement: &str, waiting: &'static str) -> Self {
        let mut connection = run.database.connect();
        connection.batch_execute(statement).expect("the obstacle");
        Self { _connection: connection, waiting }
    }

    /// Waits until a worker stands before it, and says which of those that run.
    pub(super) fn wait_for_worker(&self, run: &Run<'_>) -> usize {
        wait::until("a worker in mid-batch", Duration::from_secs(60), || self.worker(run))
    }

    /// A worker that stands before it now.
    pub(super) fn worker(&self, run: &Run<'_>) -> Option<usize> {
        let names = run.database.lines(&format!(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
             WHERE NOT l.granted AND a.datname = current_database() AND {}",
            self.waiting
        ));
        run.workers.iter().position(|worker| names.contains(&worker.name))
    }
}

//! Single metrics, looked up together: while one query is under way, those who come wait, and the
//! next query asks for all of them. A query begins after every request that it answers came in, so
//! nobody reads anything older than by a query of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::web;
use analytics_db::read::ReadableMetric;
use analytics_db::read::metrics::{self, Metric};
use analytics_db::{Connection, DbError, Pool, connection};
use tokio::sync::oneshot;

use crate::problem::Problem;

/// The most metrics in one query.
const MOST_TOGETHER: usize = 256;

/// Requests that wait, and the query that is under way. Clones share them.
#[derive(Clone)]
pub(crate) struct Lookups {
    pool: Pool,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether a query is under way.
    asking: bool,
}

/// A request that waits. Without an answer it learns that there is none by the end of its sender.
struct Waiting {
    metric: ReadableMetric,
    answer: oneshot::Sender<Option<Metric>>,
}

impl Lookups {
    /// How many connections they need: one query at a time.
    pub(crate) const CONNECTIONS: u32 = 1;

    /// Lookups with connections of their own, which plan the one statement once.
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool, queue: Arc::default() }
    }

    /// Connections in use and idle.
    pub(crate) fn connections(&self) -> (u32, u32) {
        connection::busy_and_idle(&self.pool)
    }

    /// The metric, if it was ever counted.
    pub(crate) async fn one(&self, metric: ReadableMetric) -> Result<Option<Metric>, Problem> {
        let (answer, answered) = oneshot::channel();
        if let Some(asking) = self.wait(Waiting { metric, answer }) {
            // It goes on by itself; whoever began it gets its answer no sooner than others.
            drop(web::block(move || asking.go_on()));
        }
        answered.await.map_err(|_| Problem::database_unavailable())
    }

    /// Waits in the queue; whoever finds no query under way is to begin one.
    fn wait(&self, waiting: Waiting) -> Option<Asking> {
        let mut queue = self.lock();
        queue.waiting.push(waiting);
        let begins = !std::mem::replace(&mut queue.asking, true);
        drop(queue);
        begins.then(|| Asking { lookups: self.clone(), over: false })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to ask.
struct Asking {
    lookups: Lookups,
    over: bool,
}

impl Asking {
    /// Asks for all who wait, until nobody does.
    fn go_on(mut self) {
        // A connection is tested when it is borrowed, and lent for as long as it works.
        let mut borrowed = None;
        while let Some(waiting) = self.next() {
            let connection = match borrowed.take() {
                Some(connection) => Ok(connection),
                None => self.lookups.pool.get(),
            };
            match connection.map_err(DbError::from).and_then(|mut connection| {
                answer(&mut connection, waiting)?;
                Ok(connection)
            }) {
                Ok(connection) => borrowed = Some(connection),
                Err(error) => log::warn!("requests failed: {error}"),
            }
        }
    }

    /// Those who wait. The right ends with the look that finds nobody: whoever comes after it
    /// begins anew.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut queue = self.lookups.lock();
        if queue.waiting.is_empty() {
            queue.asking = false;
            self.over = true;
            return None;
        }
        let together = queue.waiting.len().min(MOST_TOGETHER);
        Some(queue.waiting.drain(..together).collect())
    }
}

impl Drop for Asking {
    /// After a panic: nobody is to wait for who does not ask any more.
    fn drop(&mut self) {
        if !self.over {
            let mut queue = self.lookups.lock();
            queue.asking = false;
            queue.waiting.clear();
        }
    }
}

fn answer(connection: &mut Connection, waiting: Vec<Waiting>) -> Result<(), DbError> {
    let (metrics, answers): (Vec<_>, Vec<_>) = waiting.into_iter().map(|w| (w.metric, w.answer)).unzip();
    let found = metrics::several(connection, &metrics)?;
    for (metric, answer) in metrics.iter().zip(answers) {
        let place = found.binary_search_by(|row| row.metric_type.as_str().cmp(metric.as_str()));
        // Whoever has gone is not waited for.
        let _gone = answer.send(place.ok().and_then(|place| found.get(place)).cloned());
    }
    Ok(())
}

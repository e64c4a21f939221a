//! Reconciliation: the list of a request is read to its end, then compared in one snapshot, and the answer is streamed
//! as it is made.
//!
//! The list is read first, so that a line that cannot be used is a 400 that names it, and nothing holds a connection
//! while a client sends. It is never written anywhere, nor quoted in a log or a problem.

mod answer;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::timeout;
use analytics_core::business::Business;
use analytics_core::reconciliation::Judge;
use analytics_core::reconciliation::list::Listed;
use analytics_core::reconciliation::sums::Period;
use analytics_db::read::ReadableOrders;
use analytics_db::read::reconciliation::Orders;
use analytics_db::{Connection, DbError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::lines::{Body, Gone, Outlet, Streams};
use crate::problem::Problem;
use answer::Table;

pub(crate) use upload::{LARGEST, read};

/// The most lists in the memory of one process: each takes up to some 40 MB.
const MOST: usize = 2;
/// How long a request waits until another one has finished.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many lines are compared at once.
const CHUNK: usize = 1_000;
/// How long an answer may take altogether.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the database is waited for: a chunk may still be on its way when the time is over.
pub(crate) const AT_MOST: Duration = LONGEST.saturating_add(STALLED);
/// How long a client may take to accept one chunk of the answer. A snapshot is held for it.
const STALLED: Duration = Duration::from_secs(10);

/// The reconciliations that run in this process.
pub(crate) struct Reconciliations {
    free: Arc<Semaphore>,
    /// Where answers are streams.
    streams: Streams,
}

impl Reconciliations {
    pub(crate) fn new(streams: Streams) -> Self {
        Self { free: Arc::new(Semaphore::new(MOST)), streams }
    }

    /// Waits for a place, which is free again when the result is dropped.
    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = timeout(PATIENCE, Arc::clone(&self.free).acquire_owned()).await;
        place.map_err(|_| Problem::busy())?.map_err(|_| Problem::internal_error())
    }

    /// Opens the stream of an answer.
    pub(crate) fn stream(&self) -> Result<(Outlet, Body), Problem> {
        self.streams.open(LONGEST, STALLED)
    }
}

/// A list and what it is to be compared with.
pub(crate) struct Question {
    pub(crate) orders: ReadableOrders,
    pub(crate) list: Vec<Listed>,
    /// The period that was asked for, or else that of the dates in the list.
    pub(crate) period: Option<Period>,
    pub(crate) namespaces: Vec<Option<String>>,
    /// Topics whose records are no orders.
    pub(crate) other_topics: Vec<String>,
    pub(crate) business: Business,
}

impl Question {
    /// Compares and writes the answer. `begun` is told the number of the last batch that it includes, once it is
    /// known that something can be answered.
    pub(crate) fn answer(
        &self,
        connection: &mut Connection,
        begun: oneshot::Sender<i64>,
        outlet: Outlet,
    ) -> Result<(), DbError> {
        let orders = Orders::latest(connection, &self.orders, &self.namespaces, &self.other_topics, self.business)?;
        let mut judge = Judge::new(&self.list, self.orders.asker(), self.period);
        let mut table = Table::new();
        let mut begun = Some(begun);
        for lines in self.list.chunks(CHUNK) {
            let found = orders.find(connection, lines)?;
            // Not before: what fails at once is a 503, and no answer that is cut.
            if begun.take().is_some_and(|begun| begun.send(orders.number).is_err()) {
                return Ok(());
            }
            for (line, found) in lines.iter().zip(&found) {
                table.row(&judge.judge(line, found));
            }
            if outlet.send(table.take()) == Err(Gone) {
                return Ok(());
            }
        }
        let mut is_gone = false;
        if let Some(period) = judge.period() {
            orders.in_period(connection, period, |connection, mut counted| {
                counted.retain(|counted| judge.counted_in_period(counted.event, counted.currency, counted.gross));
                for counted in counted.chunks(CHUNK) {
                    for unlisted in orders.described(connection, counted)? {
                        table.row(&judge.not_listed(unlisted));
                    }
                    is_gone = outlet.send(table.take()) == Err(Gone);
                    if is_gone {
                        return Ok(false);
                    }
                }
                Ok(true)
            })?;
        }
        if !is_gone {
            table.sums(judge.sums());
            if outlet.send(table.take()).is_ok() {
                outlet.end();
            }
        }
        Ok(())
    }
}

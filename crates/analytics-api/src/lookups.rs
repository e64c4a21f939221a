//! Single metrics, looked up together: while one query is under way, those who come wait, and the
//! next query asks for all of them. A query begins after every request that it answers came in, so
//! nobody reads anything older than by a query of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::rt::task::spawn_blocking;
use actix_web::rt::time::timeout;
use analytics_db::connection::{Reading, connect, end};
use analytics_db::read::ReadableMetric;
use analytics_db::read::metrics::{self, Metric};
use analytics_db::{Connection, DatabaseUrl, DbError};
use tokio::sync::oneshot;

use crate::connections::{APPLICATION, Failed};
use crate::problem::Problem;

/// The most metrics in one query.
const MOST_TOGETHER: usize = 256;
/// How long queries that follow each other share a transaction: beginning one costs as much as a query.
/// Each sees what is committed by then.
const TRANSACTION: Duration = Duration::from_millis(50);

/// Requests that wait, and the query that is under way. Clones share them.
#[derive(Clone)]
pub(crate) struct Lookups {
    url: DatabaseUrl,
    reading: Reading,
    patience: Duration,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Who asks, and since when for those of its query.
    asking: Option<(u64, Instant)>,
    /// How many have asked so far.
    asked: u64,
    /// The connection, while nobody asks.
    idle: Option<Connection>,
}

/// A request that waits. Without an answer it learns that there is none by the end of its sender.
struct Waiting {
    metric: ReadableMetric,
    answer: oneshot::Sender<Result<Option<Metric>, Failed>>,
}

impl Lookups {
    /// How many connections they need: one query at a time.
    pub(crate) const CONNECTIONS: u32 = 1;

    /// Lookups with a connection of their own. Nobody waits longer than `patience`.
    pub(crate) fn new(url: DatabaseUrl, reading: Reading, patience: Duration) -> Self {
        Self { url, reading, patience, queue: Arc::default() }
    }

    /// Connections in use and idle.
    pub(crate) fn busy_and_idle(&self) -> (u32, u32) {
        let queue = self.lock();
        (queue.asking.is_some().into(), queue.idle.is_some().into())
    }

    /// The metric, if it was ever counted.
    pub(crate) async fn one(&self, metric: ReadableMetric) -> Result<Option<Metric>, Problem> {
        match timeout(self.patience, self.ask(metric)).await {
            Ok(Ok(answered)) => answered.map_err(|failed| Problem::of_failure(&failed)),
            // No connection could be made; that is logged.
            Ok(Err(_)) => Err(Problem::database_unavailable()),
            Err(_) => {
                log::warn!("a request failed: the database did not answer within {:?}", self.patience);
                self.give_up();
                Err(Problem::database_unavailable())
            }
        }
    }

    /// Puts a metric into the queue. Whoever holds the returned end gets the answer.
    fn ask(&self, metric: ReadableMetric) -> oneshot::Receiver<Result<Option<Metric>, Failed>> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.lock();
        queue.waiting.push(Waiting { metric, answer });
        self.begin(queue);
        answered
    }

    /// Begins to ask for all who wait, unless somebody asks already.
    fn begin(&self, mut queue: MutexGuard<'_, Queue>) {
        if queue.asking.is_none() && !queue.waiting.is_empty() {
            queue.asked += 1;
            let asking = Asking { lookups: self.clone(), number: queue.asked };
            queue.asking = Some((asking.number, Instant::now()));
            let idle = queue.idle.take();
            drop(queue);
            // It goes on by itself; whoever began it gets its answer no sooner than others.
            drop(spawn_blocking(move || asking.go_on(idle)));
        }
    }

    /// Does not wait any longer for a query that has had no answer: who still waits is asked for anew, on
    /// another connection.
    fn give_up(&self) {
        let mut queue = self.lock();
        if queue.asking.is_some_and(|(_, since)| since.elapsed() >= self.reading.statement_timeout) {
            queue.asking = None;
        }
        queue.waiting.retain(|waiting| !waiting.answer.is_closed());
        self.begin(queue);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to ask, until it is given up or taken away.
struct Asking {
    lookups: Lookups,
    number: u64,
}

/// A connection in a transaction, and since when.
type Begun = (Connection, Instant);

impl Asking {
    /// Asks for all who wait, until nobody does.
    fn go_on(self, mut idle: Option<Connection>) {
        let mut begun: Option<Begun> = None;
        loop {
            if let Some((connection, _)) = begun.take_if(|(_, since)| since.elapsed() >= TRANSACTION) {
                idle = Some(ended(connection));
            }
            match self.next() {
                Next::Ask(waiting) => match self.ask(idle.take(), begun.take(), waiting) {
                    Ok(asked) => begun = Some(asked),
                    Err(error) => Failed::from(&error).log(),
                },
                // Nothing is left open for whoever looks next.
                Next::Nobody if begun.is_some() => idle = begun.take().map(|(connection, _)| ended(connection)),
                Next::Nobody => {
                    let mut queue = self.lookups.lock();
                    // Somebody may have come since that look.
                    if queue.waiting.is_empty() && self.has_the_right(&queue) {
                        (queue.asking, queue.idle) = (None, idle);
                        return;
                    }
                }
                Next::TakenAway => return,
            }
        }
    }

    /// Those who wait.
    fn next(&self) -> Next {
        let mut queue = self.lookups.lock();
        if !self.has_the_right(&queue) {
            return Next::TakenAway;
        }
        if queue.waiting.is_empty() {
            return Next::Nobody;
        }
        queue.asking = Some((self.number, Instant::now()));
        let together = queue.waiting.len().min(MOST_TOGETHER);
        Next::Ask(queue.waiting.drain(..together).collect())
    }

    fn has_the_right(&self, queue: &Queue) -> bool {
        queue.asking.is_some_and(|(number, _)| number == self.number)
    }

    /// Asks for those who wait: in the transaction that is open, or in one that is begun on the idle
    /// connection or, where that is broken, on a new one.
    fn ask(&self, idle: Option<Connection>, begun: Option<Begun>, waiting: Vec<Waiting>) -> Result<Begun, DbError> {
        let reading = self.lookups.reading;
        let begin = |mut connection: Connection| reading.begin(&mut connection).map(|()| (connection, Instant::now()));
        let kept = begun.or_else(|| idle.and_then(|connection| begin(connection).ok()));
        let mut begun = match kept {
            Some(begun) => begun,
            None => begin(connect(&self.lookups.url, APPLICATION)?)?,
        };
        answer(&mut begun.0, waiting)?;
        Ok(begun)
    }
}

/// What there is to do next.
enum Next {
    Ask(Vec<Waiting>),
    Nobody,
    TakenAway,
}

fn ended(mut connection: Connection) -> Connection {
    end(&mut connection);
    connection
}

fn answer(connection: &mut Connection, waiting: Vec<Waiting>) -> Result<(), DbError> {
    let (metrics, answers): (Vec<_>, Vec<_>) = waiting.into_iter().map(|w| (w.metric, w.answer)).unzip();
    let found = match metrics::several(connection, &metrics) {
        Ok(found) => found,
        Err(error) => {
            for answer in answers {
                let _gone = answer.send(Err(Failed::from(&error)));
            }
            return Err(error);
        }
    };
    for (metric, answer) in metrics.iter().zip(answers) {
        let place = found.binary_search_by(|row| row.metric_type.as_str().cmp(metric.as_str()));
        // Whoever has gone is not waited for.
        let _gone = answer.send(Ok(place.ok().and_then(|place| found.get(place)).cloned()));
    }
    Ok(())
}

//! Combines concurrent lookups of single metrics into one query: while a query is running, further
//! requests wait, and the next query reads the metrics of all of them. A query begins after all the
//! requests that it answers have arrived, so no answer is older than that of a separate query.

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
/// How long consecutive queries share a transaction, because beginning one takes as long as a
/// query. Each query sees what was committed before it.
const TRANSACTION: Duration = Duration::from_millis(50);

/// The waiting requests and the running query. Clones share them.
///
/// One task at a time, the [`Asking`], runs the queries. A task whose query gets no answer in time
/// is replaced by another one with a higher number.
#[derive(Clone)]
pub(crate) struct Lookups {
    url: DatabaseUrl,
    reading: Reading,
    /// How long a request waits for its answer.
    patience: Duration,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// The number of the current task, and when its query began.
    asking: Option<(u64, Instant)>,
    /// The number of the latest task.
    asked: u64,
    /// The connection, while there is no task.
    idle: Option<Connection>,
}

/// A metric and the number of the last batch that it includes; `None` if it was never counted.
type Found = Option<(Metric, i64)>;

/// A waiting request. If its sender is dropped, the request fails.
struct Waiting {
    metric: ReadableMetric,
    answer: oneshot::Sender<Result<Found, Failed>>,
}

impl Lookups {
    /// Number of connections that lookups use, because there is one query at a time.
    pub(crate) const CONNECTIONS: u32 = 1;

    /// Creates lookups with their own connection. No request waits longer than `patience`.
    pub(crate) fn new(url: DatabaseUrl, reading: Reading, patience: Duration) -> Self {
        Self { url, reading, patience, queue: Arc::default() }
    }

    /// Returns the numbers of connections in use and of idle ones.
    pub(crate) fn busy_and_idle(&self) -> (u32, u32) {
        let queue = self.lock();
        (queue.asking.is_some().into(), queue.idle.is_some().into())
    }

    /// Returns the metric and the number of the last batch that it includes, or `None` if it was never
    /// counted.
    pub(crate) async fn one(&self, metric: ReadableMetric) -> Result<Found, Problem> {
        match timeout(self.patience, self.ask(metric)).await {
            Ok(Ok(answered)) => answered.map_err(|failed| Problem::of_failure(&failed)),
            // The query could not begin. The task has logged why.
            Ok(Err(_)) => Err(Problem::database_unavailable()),
            Err(_) => {
                log::warn!("a request failed: the database did not answer within {:?}", self.patience);
                self.give_up();
                Err(Problem::database_unavailable())
            }
        }
    }

    /// Puts a metric into the queue. Returns the receiver of the answer.
    fn ask(&self, metric: ReadableMetric) -> oneshot::Receiver<Result<Found, Failed>> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.lock();
        queue.waiting.push(Waiting { metric, answer });
        self.begin(queue);
        answered
    }

    /// Starts a task for the waiting requests, unless there is a current one.
    fn begin(&self, mut queue: MutexGuard<'_, Queue>) {
        if queue.asking.is_none() && !queue.waiting.is_empty() {
            queue.asked += 1;
            let asking = Asking { lookups: self.clone(), number: queue.asked };
            queue.asking = Some((asking.number, Instant::now()));
            let idle = queue.idle.take();
            drop(queue);
            // The task runs on its own. Its answers arrive over the channels of the requests.
            drop(spawn_blocking(move || asking.go_on(idle)));
        }
    }

    /// Stops waiting for a query that got no answer within the statement timeout: another task, on
    /// another connection, serves the requests in the queue.
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

/// A task that runs queries for the waiting requests, until there are none or another task has
/// replaced it.
struct Asking {
    lookups: Lookups,
    number: u64,
}

/// A connection in a transaction, and when the transaction began.
type Begun = (Connection, Instant);

impl Asking {
    /// Runs queries for all waiting requests, until there are none.
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
                // The transaction is ended before the task becomes idle.
                Next::Nobody if begun.is_some() => idle = begun.take().map(|(connection, _)| ended(connection)),
                Next::Nobody => {
                    let mut queue = self.lookups.lock();
                    // Requests may have arrived since `next` looked.
                    if queue.waiting.is_empty() && self.has_the_right(&queue) {
                        (queue.asking, queue.idle) = (None, idle);
                        return;
                    }
                }
                Next::TakenAway => return,
            }
        }
    }

    /// Takes the requests of the next query out of the queue.
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

    /// Whether this is still the current task.
    fn has_the_right(&self, queue: &Queue) -> bool {
        queue.asking.is_some_and(|(number, _)| number == self.number)
    }

    /// Runs one query: in the open transaction, or in a new one on the idle connection, or, if that
    /// is broken, on a new connection. Returns the connection with its open transaction.
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

/// What a task does next.
enum Next {
    /// Run a query for these requests.
    Ask(Vec<Waiting>),
    /// No request is waiting.
    Nobody,
    /// Another task has replaced this one.
    TakenAway,
}

fn ended(mut connection: Connection) -> Connection {
    end(&mut connection);
    connection
}

fn answer(connection: &mut Connection, waiting: Vec<Waiting>) -> Result<(), DbError> {
    let (metrics, answers): (Vec<_>, Vec<_>) = waiting.into_iter().map(|w| (w.metric, w.answer)).unzip();
    let (found, number) = match metrics::several_as_of(connection, &metrics) {
        Ok(found) => found.unwrap_or_default(),
        Err(error) => {
            for answer in answers {
                let _gone = answer.send(Err(Failed::from(&error)));
            }
            return Err(error);
        }
    };
    for (metric, answer) in metrics.iter().zip(answers) {
        let place = found.binary_search_by(|row| row.metric_type.as_str().cmp(metric.as_str()));
        // Sending fails if the request has given up.
        let metric = place.ok().and_then(|place| found.get(place)).cloned();
        let _gone = answer.send(Ok(metric.map(|metric| (metric, number))));
    }
    Ok(())
}

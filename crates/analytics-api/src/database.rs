//! Access to the database: runs reads and writes off the async threads, and checks periodically
//! whether the database can be used and how fresh its numbers are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use analytics_core::business::Business;
use analytics_core::freshness::TopicReport;
use analytics_db::connection::{Plans, Reading, View, end, test};
use analytics_db::read::dead_letters::{self, Waiting};
use analytics_db::read::metrics::Metric;
use analytics_db::read::{ReadableMetric, freshness};
use analytics_db::transactions::STATEMENT_SECONDS;
use analytics_db::verify::proofs;
use analytics_db::{Connection, DbError, usable};
use analytics_process::probes::Readiness;
use chrono::{DateTime, Utc};

use crate::connections::{Connections, Failed, Slot};
use crate::lookups::Lookups;
use crate::problem::Problem;
use crate::settings::ApiSettings;

/// Pause between two checks of the database.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Time limit of one check.
const LOOK: Duration = Duration::from_secs(5);
/// A process whose last successful check is older than this is not ready.
const BLIND: Duration = Duration::from_secs(10);
/// Pause between two reads of [`Vitals`], which change slowly.
const VITALS_EVERY: Duration = Duration::from_secs(10);
/// How much longer to wait for an answer than a statement may take. In this time the server reports
/// a statement that it stopped. A server that does not answer at all is given up after it.
const PATIENCE: Duration = Duration::from_millis(600);

/// The database. Clones share its connections and the results of the checks.
#[derive(Clone)]
pub(crate) struct Database {
    connections: Connections,
    /// A connection for the checks, so that they do not wait behind requests.
    looking: Connections,
    lookups: Lookups,
    reading: Reading,
    seen: Arc<Mutex<Seen>>,
}

/// The results of the checks.
struct Seen {
    /// The time of the last successful check. If there was none yet, why the database cannot be
    /// used.
    usable: Result<Instant, String>,
    reports: Vec<TopicReport>,
    /// The time by the database's clock, and when it was read by this process's clock.
    clock: Option<(DateTime<Utc>, Instant)>,
    vitals: Vitals,
}

impl Seen {
    /// Notes that a check failed. The results of the last successful check stay, and grow older.
    fn failed(&mut self, why: String) {
        if self.usable.is_err() {
            self.usable = Err(why);
        } else {
            log::warn!("cannot check the database: {why}");
        }
    }

    /// Stores the results of a successful check.
    fn looked(&mut self, reports: Vec<TopicReport>, time: DateTime<Utc>) {
        let now = Instant::now();
        (self.usable, self.reports, self.clock) = (Ok(now), reports, Some((time, now)));
    }
}

/// The state of the numbers, for operators.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vitals {
    /// The time of the last proof, and the known drift; `None` before the first proof.
    pub(crate) proof: Option<(DateTime<Utc>, i64)>,
    /// Open dead letters, by reason.
    pub(crate) waiting: Vec<Waiting>,
}

impl Vitals {
    /// Replaces what could be read, and keeps the rest.
    fn renew(&mut self, proof: Option<Option<(DateTime<Utc>, i64)>>, waiting: Option<Vec<Waiting>>) {
        self.proof = proof.unwrap_or(self.proof);
        if let Some(waiting) = waiting {
            self.waiting = waiting;
        }
    }
}

impl Database {
    pub(crate) fn new(settings: &ApiSettings) -> Self {
        let ApiSettings { database_url, pool_size, statement_timeout, .. } = settings;
        let reading = |view, plans| Reading { view, plans, statement_timeout: *statement_timeout };
        let lookups = Lookups::new(
            database_url.clone(),
            reading(View::EachStatement, Plans::Once),
            *statement_timeout + PATIENCE,
        );
        let seen = Seen {
            usable: Err("the database was not checked yet".into()),
            reports: Vec::new(),
            clock: None,
            vitals: Vitals::default(),
        };
        Self {
            connections: Connections::new(database_url.clone(), pool_size.saturating_sub(Lookups::CONNECTIONS)),
            looking: Connections::new(database_url.clone(), 1),
            lookups,
            reading: reading(View::OneMoment, Plans::ForValues),
            seen: Arc::new(Mutex::new(seen)),
        }
    }

    /// Runs `read` in a read-only transaction with one snapshot.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Problem> {
        answered(self.read_on(&self.connections, self.reading.statement_timeout + PATIENCE, None, read).await)
    }

    /// Waits for a slot for an expensive read, at most as long as a statement may take.
    pub(crate) async fn slot(&self) -> Result<Slot, Problem> {
        answered(self.connections.slot(self.reading.statement_timeout).await)
    }

    /// Runs a `read` that may take seconds. The same as [`Self::read`], with a slot.
    pub(crate) async fn read_in<T: Send + 'static>(
        &self,
        slot: Slot,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Problem> {
        let at_most = self.reading.statement_timeout + PATIENCE;
        answered(self.read_on(&self.connections, at_most, Some(slot), read).await)
    }

    /// Waits for a slot and runs a `read` that may take seconds.
    pub(crate) async fn read_expensive<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Problem> {
        let slot = self.slot().await?;
        self.read_in(slot, read).await
    }

    /// Runs `write`, which begins and commits its own transactions.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Problem> {
        let at_most = Duration::from_secs(STATEMENT_SECONDS) + PATIENCE;
        answered(self.connections.lend(at_most, None, test, write, |_| {}).await)
    }

    async fn look<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, String> {
        self.read_on(&self.looking, LOOK, None, read).await.map_err(|failed| match failed {
            Failed::Unavailable(why) | Failed::Busy(why) | Failed::Unexpected(why) => why,
        })
    }

    async fn read_on<T: Send + 'static>(
        &self,
        connections: &Connections,
        at_most: Duration,
        slot: Option<Slot>,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Failed> {
        let reading = self.reading;
        connections.lend(at_most, slot, move |connection| reading.begin(connection), read, end).await
    }

    /// Returns a metric, or `None` if it was never counted.
    pub(crate) async fn metric(&self, metric: ReadableMetric) -> Result<Option<Metric>, Problem> {
        self.lookups.one(metric).await
    }

    /// Returns the latest reports of ingest, as of the last successful check.
    pub(crate) fn reports(&self) -> Vec<TopicReport> {
        self.seen().reports.clone()
    }

    /// Returns the time by the database's clock, derived from the last successful check; before the
    /// first one, the time by the clock of this process.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.seen().clock.map_or_else(Utc::now, |(time, seen)| time + seen.elapsed())
    }

    /// Returns the last proof and the open dead letters, as they were last read.
    pub(crate) fn vitals(&self) -> Vitals {
        self.seen().vitals.clone()
    }

    /// Returns the numbers of connections in use and of idle ones, for requests.
    pub(crate) fn connections(&self) -> (u32, u32) {
        let (busy, idle) = self.connections.busy_and_idle();
        let (looking_up, waiting) = self.lookups.busy_and_idle();
        (busy + looking_up, idle + waiting)
    }

    /// Checks the database periodically, for as long as this program can work with it.
    ///
    /// # Errors
    /// Why it cannot: an incompatible schema, encoding, or settings.
    pub(crate) async fn watch(&self, settings: &ApiSettings) -> Result<(), String> {
        let business = settings.business;
        loop {
            match self.look(move |connection| look_at(connection, business)).await {
                Ok(Ok((reports, time))) => self.seen().looked(reports, time),
                Ok(Err(unusable)) => return Err(unusable),
                Err(why) => self.seen().failed(why),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Reads the [`Vitals`] periodically.
    pub(crate) async fn watch_vitals(&self) {
        loop {
            // Read separately, so that a flood of dead letters cannot hide the drift.
            let proof = self.look(proofs::known_drift).await;
            let waiting = self.look(dead_letters::waiting).await;
            self.seen().vitals.renew(proof.ok(), waiting.ok());
            sleep(VITALS_EVERY).await;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reports on the topics and the database's time; or why this program cannot work with the
/// database.
type Look = Result<(Vec<TopicReport>, DateTime<Utc>), String>;

fn look_at(connection: &mut Connection, business: Business) -> Result<Look, DbError> {
    match usable::check(connection, business) {
        Ok(()) => freshness::reports(connection).map(Ok),
        Err(DbError::Unusable(why)) => Ok(Err(why)),
        Err(error) => Err(error),
    }
}

fn answered<T>(answer: Result<T, Failed>) -> Result<T, Problem> {
    answer.inspect_err(Failed::log).map_err(|failed| Problem::of_failure(&failed))
}

impl Readiness for Database {
    fn ready(&self) -> Result<(), String> {
        match &self.seen().usable {
            Ok(looked) if looked.elapsed() < BLIND => Ok(()),
            Ok(_) => Err(format!("the database has not answered for {} s", BLIND.as_secs())),
            Err(why) => Err(why.clone()),
        }
    }
}

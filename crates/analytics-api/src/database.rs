//! The database behind the API: reads and writes off the async threads, whether it can be used, and how
//! fresh what it holds is.

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

use crate::connections::{Connections, Failed};
use crate::lookups::Lookups;
use crate::problem::Problem;
use crate::settings::ApiSettings;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a look may take.
const LOOK: Duration = Duration::from_secs(5);
/// Without a look for this long the process is not ready.
const BLIND: Duration = Duration::from_secs(10);
/// How often what changes slowly is looked at.
const VITALS_EVERY: Duration = Duration::from_secs(10);
/// How much longer than a statement may take an answer is waited for: what the server stops is told by the
/// server, and a server that says nothing is given up.
const PATIENCE: Duration = Duration::from_millis(600);

/// Clones share the connections.
#[derive(Clone)]
pub(crate) struct Database {
    connections: Connections,
    /// For looks at the state of things: they must not wait behind requests.
    looking: Connections,
    lookups: Lookups,
    reading: Reading,
    seen: Arc<Mutex<Seen>>,
}

/// What the last look at the database showed.
struct Seen {
    /// Since the last look that succeeded, or why the database cannot be used.
    usable: Result<Instant, String>,
    reports: Vec<TopicReport>,
    /// The database's clock at a moment of ours.
    clock: Option<(DateTime<Utc>, Instant)>,
    vitals: Vitals,
}

impl Seen {
    /// What was seen last stays, and grows old.
    fn failed(&mut self, why: String) {
        if self.usable.is_err() {
            self.usable = Err(why);
        } else {
            log::warn!("the database could not be looked at: {why}");
        }
    }

    fn looked(&mut self, reports: Vec<TopicReport>, time: DateTime<Utc>) {
        let now = Instant::now();
        (self.usable, self.reports, self.clock) = (Ok(now), reports, Some((time, now)));
    }
}

/// What operators are told about the numbers themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vitals {
    /// When the numbers were last counted again, and how many were not as the log says.
    pub(crate) proof: Option<(DateTime<Utc>, i64)>,
    /// Open dead letters, by reason.
    pub(crate) waiting: Vec<Waiting>,
}

impl Vitals {
    /// Takes what could be read; the rest stays.
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
            usable: Err("the database was not asked yet".into()),
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

    /// Reads something, all of it at one moment.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Problem> {
        answered(self.read_on(&self.connections, self.reading.statement_timeout + PATIENCE, read).await)
    }

    /// Writes something, in transactions of its own.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Problem> {
        let at_most = Duration::from_secs(STATEMENT_SECONDS) + PATIENCE;
        answered(self.connections.lend(at_most, test, write, |_| {}).await)
    }

    async fn look<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, String> {
        self.read_on(&self.looking, LOOK, read).await.map_err(|failed| match failed {
            Failed::Unavailable(why) | Failed::Unexpected(why) => why,
        })
    }

    async fn read_on<T: Send + 'static>(
        &self,
        connections: &Connections,
        at_most: Duration,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Failed> {
        let reading = self.reading;
        connections.lend(at_most, move |connection| reading.begin(connection), read, end).await
    }

    /// A metric, if it was ever counted.
    pub(crate) async fn metric(&self, metric: ReadableMetric) -> Result<Option<Metric>, Problem> {
        self.lookups.one(metric).await
    }

    /// What ingest last said, as of the last look.
    pub(crate) fn reports(&self) -> Vec<TopicReport> {
        self.seen().reports.clone()
    }

    /// The time by the database's clock, as far as it was ever seen.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.seen().clock.map_or_else(Utc::now, |(time, seen)| time + seen.elapsed())
    }

    /// The last proof and the open dead letters, as of a look at most seconds ago.
    pub(crate) fn vitals(&self) -> Vitals {
        self.seen().vitals.clone()
    }

    /// Connections in use and idle.
    pub(crate) fn connections(&self) -> (u32, u32) {
        let (busy, idle) = self.connections.busy_and_idle();
        let (looking_up, waiting) = self.lookups.busy_and_idle();
        (busy + looking_up, idle + waiting)
    }

    /// Looks at the database again and again, for as long as it is one to work with.
    ///
    /// # Errors
    /// Why it is not: a schema or settings that this version does not work with.
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

    /// Looks at what operators are told, again and again.
    pub(crate) async fn watch_vitals(&self) {
        loop {
            // Each for itself: a flood of dead letters must not hide the drift.
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

/// What is known of the topics, and the time; or why the database is none to work with.
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

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
use analytics_db::read::upkeep::{self, Upkeep};
use analytics_db::read::{ReadableMetric, freshness, watermark};
use analytics_db::transactions::STATEMENT_SECONDS;
use analytics_db::verify::proofs::{self, Known};
use analytics_db::{Connection, DbError, usable};
use analytics_process::probes::Readiness;
use chrono::{DateTime, Utc};

use crate::connections::{Connections, Failed, Slot};
use crate::lookups::Lookups;
use crate::problem::Problem;
use crate::settings::ApiSettings;

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
    /// Connections for the checks, so that they do not wait behind requests: one for those on which
    /// readiness and live streams depend, one for the [`Vitals`], which may take longer.
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
    checked: Checked,
    /// The time by the database's clock, and when it was read by this process's clock.
    clock: Option<(DateTime<Utc>, Instant)>,
    vitals: Vitals,
}

/// What the last successful check found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checked {
    /// The latest reports of ingest.
    pub(crate) reports: Vec<TopicReport>,
    /// The number of the last batch that was counted; `None` before the first check.
    pub(crate) number: Option<i64>,
    /// Whether no check has failed since.
    pub(crate) is_last: bool,
}

impl Seen {
    /// Notes that a check failed. The results of the last successful check stay, and grow older.
    fn failed(&mut self, why: String) {
        if self.usable.is_ok() {
            self.checked.is_last = false;
            log::warn!("cannot check the database: {why}");
        } else {
            self.waits(why);
        }
    }

    /// Notes that the database cannot be used yet. Logged if the reason is new.
    fn waits(&mut self, why: String) {
        self.checked.is_last = false;
        if self.usable.as_ref().err() != Some(&why) {
            log::warn!("waiting: {why}");
            self.usable = Err(why);
        }
    }

    /// Stores the results of a successful check.
    fn looked(&mut self, (checked, time): (Checked, DateTime<Utc>)) {
        let now = Instant::now();
        if self.usable.is_err() {
            log::info!("the database can be used");
        }
        (self.usable, self.checked, self.clock) = (Ok(now), checked, Some((time, now)));
    }
}

/// The state of the numbers, for operators.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vitals {
    /// What the last proofs say; `None` before the first proof.
    pub(crate) proof: Option<Known>,
    /// Open dead letters, by reason.
    pub(crate) waiting: Vec<Waiting>,
    /// What the jobs have left to do; `None` before it was read.
    pub(crate) upkeep: Option<Upkeep>,
}

impl Vitals {
    /// Replaces what could be read, and keeps the rest.
    fn renew(&mut self, proof: Option<Option<Known>>, waiting: Option<Vec<Waiting>>, upkeep: Option<Upkeep>) {
        self.proof = proof.unwrap_or(self.proof);
        self.upkeep = upkeep.or(self.upkeep);
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
            checked: Checked::default(),
            clock: None,
            vitals: Vitals::default(),
        };
        Self {
            connections: Connections::new(database_url.clone(), pool_size.saturating_sub(Lookups::CONNECTIONS)),
            looking: Connections::new(database_url.clone(), 2),
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

    /// The same for a `read` of many statements, which may take as long as `at_most` altogether.
    pub(crate) async fn read_long<T: Send + 'static>(
        &self,
        slot: Slot,
        at_most: Duration,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Problem> {
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

    /// Runs a `read`, and returns the number of the last batch that its snapshot includes as well.
    pub(crate) async fn read_as_of<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<(T, i64), Problem> {
        self.read(|connection| with_number(connection, read)).await
    }

    /// The same for an expensive read.
    pub(crate) async fn read_expensive_as_of<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<(T, i64), Problem> {
        self.read_expensive(|connection| with_number(connection, read)).await
    }

    /// Runs `write`, which begins and commits its own transactions.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Problem> {
        let at_most = Duration::from_secs(STATEMENT_SECONDS) + PATIENCE;
        answered(self.connections.lend(at_most, None, test, write, |_| {}).await)
    }

    /// The same, with the number of a batch up to which everything is counted that `write` counted.
    pub(crate) async fn write_as_of<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<(T, i64), Problem> {
        self.write(|connection| {
            let written = write(connection)?;
            Ok((written, watermark(connection)?.0))
        })
        .await
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

    /// Returns a metric and the number of the last batch that it includes, or `None` if it was never
    /// counted.
    pub(crate) async fn metric(&self, metric: ReadableMetric) -> Result<Option<(Metric, i64)>, Problem> {
        self.lookups.one(metric).await
    }

    /// Returns the latest reports of ingest, as of the last successful check.
    pub(crate) fn reports(&self) -> Vec<TopicReport> {
        self.seen().checked.reports.clone()
    }

    /// Returns what the last successful check found.
    pub(crate) fn checked(&self) -> Checked {
        self.seen().checked.clone()
    }

    /// Returns the time by the database's clock, derived from the last successful check; before the
    /// first one, the time by the clock of this process.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.seen().clock.map_or_else(Utc::now, |(time, seen)| time + seen.elapsed())
    }

    /// Returns the [`Vitals`] as they were last read.
    pub(crate) fn vitals(&self) -> Vitals {
        self.seen().vitals.clone()
    }

    /// Returns the numbers of connections in use and of idle ones, for requests.
    pub(crate) fn connections(&self) -> (u32, u32) {
        let (busy, idle) = self.connections.busy_and_idle();
        let (looking_up, waiting) = self.lookups.busy_and_idle();
        (busy + looking_up, idle + waiting)
    }

    /// Checks the database again and again, for as long as this program can work with it. `pause` is
    /// called after each check and returns when the next one is due.
    ///
    /// # Errors
    /// Why it cannot: an incompatible schema, encoding, or settings.
    pub(crate) async fn watch(&self, settings: &ApiSettings, pause: impl AsyncFn()) -> Result<(), String> {
        let business = settings.business;
        loop {
            match self.look(move |connection| look_at(connection, business)).await {
                Ok(Ok(looked)) => self.seen().looked(looked),
                Ok(Err(Unfit::Now(why))) => self.seen().waits(why),
                Ok(Err(Unfit::Always(why))) => return Err(why),
                Err(why) => self.seen().failed(why),
            }
            pause().await;
        }
    }

    /// Reads the [`Vitals`] periodically.
    pub(crate) async fn watch_vitals(&self) {
        loop {
            // Read separately, so that a flood of dead letters cannot hide the drift.
            let proof = self.look(proofs::known).await;
            let waiting = self.look(dead_letters::waiting).await;
            let upkeep = self.look(upkeep::upkeep).await;
            self.seen().vitals.renew(proof.ok(), waiting.ok(), upkeep.ok());
            sleep(VITALS_EVERY).await;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why this program cannot work with the database.
enum Unfit {
    /// It is not migrated yet.
    Now(String),
    /// Waiting does not help.
    Always(String),
}

/// What was found and the database's time.
type Look = Result<(Checked, DateTime<Utc>), Unfit>;

fn look_at(connection: &mut Connection, business: Business) -> Result<Look, DbError> {
    match usable::check(connection, business) {
        Ok(()) => {}
        Err(DbError::NotMigrated(why)) => return Ok(Err(Unfit::Now(why))),
        Err(DbError::Unusable(why)) => return Ok(Err(Unfit::Always(why))),
        Err(error) => return Err(error),
    }
    let (reports, time) = freshness::reports(connection)?;
    let (number, _) = watermark(connection)?;
    Ok(Ok((Checked { reports, number: Some(number), is_last: true }, time)))
}

/// Runs `read`, and returns the number of the last batch that its snapshot includes as well.
fn with_number<T>(
    connection: &mut Connection,
    read: impl FnOnce(&mut Connection) -> Result<T, DbError>,
) -> Result<(T, i64), DbError> {
    let (number, _) = watermark(connection)?;
    Ok((read(connection)?, number))
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

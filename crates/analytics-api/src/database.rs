//! The database behind the API: a pool off the async threads, whether it can be used, and how
//! fresh what it holds is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web;
use analytics_db::audit::proofs;
use analytics_db::connection::{self, Plans, Session};
use analytics_db::read::ReadableMetric;
use analytics_db::read::dead_letters::{self, Waiting};
use analytics_db::read::freshness::{self, TopicFreshness};
use analytics_db::read::metrics::Metric;
use analytics_db::service_settings::ServiceSettings;
use analytics_db::{Connection, DbError, Pool, migrations};
use analytics_process::probes::Readiness;
use analytics_process::shutdown::Shutdown;
use chrono::{DateTime, Utc};

use crate::lookups::Lookups;
use crate::problem::Problem;
use crate::settings::ApiSettings;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Every so many looks also at what changes slowly.
const VITALS_EVERY: u32 = 5;

/// Clones share the pool.
#[derive(Clone)]
pub(crate) struct Database {
    pool: Pool,
    lookups: Lookups,
    seen: Arc<Mutex<Seen>>,
}

/// What the last look at the database showed.
struct Seen {
    usable: Result<(), String>,
    freshness: Vec<TopicFreshness>,
    vitals: Vitals,
}

/// What operators are told about the numbers themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vitals {
    /// When the numbers were last counted again, and how many were not as the log says.
    pub(crate) proof: Option<(DateTime<Utc>, i64)>,
    /// Open dead letters, by reason.
    pub(crate) waiting: Vec<Waiting>,
}

impl Database {
    pub(crate) fn new(settings: &ApiSettings) -> Self {
        let ApiSettings { database_url, access, pool_size, statement_timeout, .. } = settings;
        let session = |plans| Session { access: *access, plans, statement_timeout: *statement_timeout };
        let pool = connection::pool(
            database_url,
            "analytics-api",
            session(Plans::ForValues),
            pool_size.saturating_sub(Lookups::CONNECTIONS),
        );
        let lookups =
            Lookups::new(connection::pool(database_url, "analytics-api", session(Plans::Once), Lookups::CONNECTIONS));
        let seen = Seen {
            usable: Err("the database was not asked yet".into()),
            freshness: Vec::new(),
            vitals: Vitals::default(),
        };
        Self { pool, lookups, seen: Arc::new(Mutex::new(seen)) }
    }

    /// Asks something, on a thread that may wait.
    pub(crate) async fn ask<T: Send + 'static, E: std::fmt::Display + From<DbError> + Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem> {
        let pool = self.pool.clone();
        let answer = web::block(move || ask(&mut *pool.get().map_err(DbError::from)?)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                log::warn!("a request failed: {error}");
                Err(Problem::database_unavailable())
            }
            Err(stopping) => {
                log::warn!("a request came too late: {stopping}");
                Err(Problem::database_unavailable())
            }
        }
    }

    /// A metric, if it was ever counted.
    pub(crate) async fn metric(&self, metric: ReadableMetric) -> Result<Option<Metric>, Problem> {
        self.lookups.one(metric).await
    }

    /// What ingest last said, as of the last look.
    pub(crate) fn freshness(&self) -> Vec<TopicFreshness> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).freshness.clone()
    }

    /// The last proof and the open dead letters, as of a look at most seconds ago.
    pub(crate) fn vitals(&self) -> Vitals {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).vitals.clone()
    }

    /// Connections in use and idle.
    pub(crate) fn connections(&self) -> (u32, u32) {
        let (busy, idle) = connection::busy_and_idle(&self.pool);
        let (looking_up, waiting) = self.lookups.connections();
        (busy + looking_up, idle + waiting)
    }

    /// Looks at the database again and again, until the process stops.
    ///
    /// # Errors
    /// A schema or settings that this version does not work with.
    pub(crate) fn watch(&self, settings: &ApiSettings, shutdown: &Shutdown) -> Result<(), DbError> {
        for look in 0_u32.. {
            let looked = self.look(settings);
            let vitals = if look % VITALS_EVERY == 0 { self.look_at_vitals() } else { None };
            if let Err(error @ DbError::Unusable(_)) = looked {
                return Err(error);
            }
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match looked {
                Ok(freshness) => {
                    (seen.usable, seen.freshness) = (Ok(()), freshness);
                }
                // What was seen last stays, and grows old.
                Err(error) => seen.usable = Err(error.to_string()),
            }
            seen.vitals = vitals.unwrap_or_else(|| seen.vitals.clone());
            drop(seen);
            if shutdown.wait(LOOK_EVERY) {
                break;
            }
        }
        Ok(())
    }

    fn look_at_vitals(&self) -> Option<Vitals> {
        let connection = &mut *self.pool.get().ok()?;
        let before = self.vitals();
        // Each for itself: a flood of dead letters must not hide the drift.
        let proof = proofs::known_drift(connection).unwrap_or(before.proof);
        let waiting = dead_letters::waiting(connection).unwrap_or(before.waiting);
        Some(Vitals { proof, waiting })
    }

    fn look(&self, settings: &ApiSettings) -> Result<Vec<TopicFreshness>, DbError> {
        let connection = &mut *self.pool.get()?;
        migrations::check(connection)?;
        ServiceSettings::from(settings.business).check(connection)?;
        freshness::by_topic(connection)
    }
}

impl Readiness for Database {
    fn ready(&self) -> Result<(), String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).usable.clone()
    }
}

//! The database behind the API: a pool off the async threads, and whether it can be used.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web;
use analytics_db::service_settings::ServiceSettings;
use analytics_db::{Connection, DbError, Pool, connection, migrations};
use analytics_process::probes::Readiness;
use analytics_process::shutdown::Shutdown;

use crate::problem::Problem;
use crate::settings::ApiSettings;

const POOL_SIZE: u32 = 8;
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Clones share the pool.
#[derive(Clone)]
pub(crate) struct Database {
    pool: Pool,
    state: Arc<Mutex<Result<(), String>>>,
}

impl Database {
    pub(crate) fn new(settings: &ApiSettings) -> Self {
        let pool = connection::pool(&settings.database_url, "analytics-api", settings.access, POOL_SIZE);
        Self { pool, state: Arc::new(Mutex::new(Err("the database was not asked yet".into()))) }
    }

    /// Reads something, on a thread that may wait.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Problem> {
        let pool = self.pool.clone();
        let answer = web::block(move || read(&mut *pool.get()?)).await;
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

    /// Looks again and again whether the database can be used, until the process stops.
    ///
    /// # Errors
    /// A schema or settings that this version does not work with.
    pub(crate) fn watch(&self, settings: &ApiSettings, shutdown: &Shutdown) -> Result<(), DbError> {
        loop {
            let state = match self.check(settings) {
                Err(error @ DbError::Unusable(_)) => return Err(error),
                checked => checked.map_err(|error| error.to_string()),
            };
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
            if shutdown.wait(CHECK_EVERY) {
                return Ok(());
            }
        }
    }

    fn check(&self, settings: &ApiSettings) -> Result<(), DbError> {
        let connection = &mut *self.pool.get()?;
        migrations::check(connection)?;
        ServiceSettings::from(settings.business).check(connection)
    }
}

impl Readiness for Database {
    fn ready(&self) -> Result<(), String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

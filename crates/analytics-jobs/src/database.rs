//! The connection of a job.

use std::time::Duration;

use analytics_db::tables::service_settings::ServiceSettings;
use analytics_db::{Connection, DatabaseUrl, DbError, connection, migrations};
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;

/// Between two attempts to reach the database.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the database is.
///
/// # Errors
/// What is wrong with `DATABASE_URL`.
pub(super) fn url(settings: &Settings) -> Result<DatabaseUrl, SettingsError> {
    settings.parse("DATABASE_URL", DatabaseUrl::parse)
}

/// Connects, for as long as it takes: a database that is away comes back.
///
/// # Errors
/// Where the process is to stop first.
pub(super) fn reach(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<Connection> {
    let url = url(settings)?;
    let mut said = None;
    loop {
        match connection::connect(&url, "analytics-jobs") {
            Ok(connection) => return Ok(connection),
            Err(DbError::Unreachable(why)) => {
                if said.as_ref() != Some(&why) {
                    log::warn!("waiting for the database: {why}");
                    said = Some(why);
                }
            }
            Err(error) => return Err(error.into()),
        }
        if shutdown.wait(PAUSE) {
            anyhow::bail!("stopped before the database could be reached");
        }
    }
}

/// The same for jobs that need the schema and the settings of this version.
///
/// # Errors
/// A schema or settings that this version does not work with.
pub(super) fn ready(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<Connection> {
    let mut connection = reach(settings, shutdown)?;
    migrations::check(&mut connection)?;
    ServiceSettings::from(settings.business()?).check(&mut connection)?;
    Ok(connection)
}

//! The connection of a job.

use analytics_db::{Connection, DatabaseUrl, DbError, connection, usable};
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use analytics_process::waiting::{Failed, until_available};

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
    reach_with(settings, shutdown, |_| Ok(()))
}

/// The same for jobs that need the schema and the settings of this version.
///
/// # Errors
/// A schema or settings that this version does not work with.
pub(super) fn ready(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<Connection> {
    let business = settings.business()?;
    reach_with(settings, shutdown, |connection| usable::check(connection, business))
}

fn reach_with(
    settings: &Settings,
    shutdown: &Shutdown,
    check: impl Fn(&mut Connection) -> Result<(), DbError>,
) -> anyhow::Result<Connection> {
    let url = url(settings)?;
    let mut reported = None;
    let connect = || -> Result<Connection, DbError> {
        let mut connection = connection::connect(&url, "analytics-jobs")?;
        check(&mut connection)?;
        Ok(connection)
    };
    let attempt = || {
        connect().map_err(|error| match error {
            DbError::Unreachable(why) => Failed::Away(why),
            error => Failed::Unusable(error),
        })
    };
    let reached = until_available(shutdown, attempt, |why| {
        if reported.as_deref() != Some(why) {
            log::warn!("waiting for the database: {why}");
            reported = Some(why.to_owned());
        }
    })?;
    reached.ok_or_else(|| anyhow::anyhow!("stopped before the database could be reached"))
}

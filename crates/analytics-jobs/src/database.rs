//! Connects a job to the database, and waits while the database cannot be reached.

use analytics_db::{Connection, DatabaseUrl, DbError, connection, usable};
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use analytics_process::waiting::{Failed, until_available};

/// Returns the address of the database.
///
/// # Errors
/// If `DATABASE_URL` is missing or invalid.
pub(super) fn url(settings: &Settings) -> Result<DatabaseUrl, SettingsError> {
    let url = settings.parse("DATABASE_URL", DatabaseUrl::parse)?;
    Ok(url.password_in(settings.get("DATABASE_PASSWORD_FILE")))
}

/// Connects without checking the schema. Tries again until the database can be reached.
///
/// # Errors
/// If the database cannot be used, or if the process is asked to stop first.
pub(super) fn reach(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<Connection> {
    reach_with(settings, shutdown, |_| Ok(()))
}

/// Connects like [`reach`], and checks that this version works with the schema and that the
/// settings that the numbers depend on are those of the database.
///
/// # Errors
/// Those of [`reach`], and a schema or settings that do not fit.
pub(super) fn ready(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<Connection> {
    let business = settings.business()?;
    reach_with(settings, shutdown, |connection| usable::check(connection, business))
}

/// Connects like [`ready`], and waits while the schema is missing or too old, too.
///
/// # Errors
/// Those of [`ready`], except a schema that is too old.
pub(super) fn migrated(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<Connection> {
    let business = settings.business()?;
    connect_when(settings, shutdown, DbError::is_temporary, |connection| usable::check(connection, business))
}

fn reach_with(
    settings: &Settings,
    shutdown: &Shutdown,
    check: impl Fn(&mut Connection) -> Result<(), DbError>,
) -> anyhow::Result<Connection> {
    connect_when(settings, shutdown, |error| matches!(error, DbError::Unreachable(_)), check)
}

/// Connects and checks, and tries again after errors that `may_pass`.
fn connect_when(
    settings: &Settings,
    shutdown: &Shutdown,
    may_pass: impl Fn(&DbError) -> bool,
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
            error if may_pass(&error) => Failed::Away(error.to_string()),
            error => Failed::Unusable(error),
        })
    };
    let reached = until_available(shutdown, attempt, |why| {
        if reported.as_deref() != Some(why) {
            log::warn!("waiting for the database: {why}");
            reported = Some(why.to_owned());
        }
    })?;
    reached.ok_or_else(|| anyhow::anyhow!("stopped before the database could be used"))
}

//! `analytics-jobs migrate`

use std::time::Duration;

use analytics_db::service_settings::ServiceSettings;
use analytics_db::{Connection, DbError, connection, migrations, partitions};
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use chrono::Utc;

/// Between two attempts to reach the database.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn run(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let service = ServiceSettings::from(settings.business()?);
    let connection = &mut reach(settings.required("DATABASE_URL")?, shutdown)?;
    let applied = migrations::exclusively(connection, |connection| {
        let applied = migrations::migrate(connection)?;
        service.store_or_check(connection)?;
        partitions::ensure(connection, Utc::now())?;
        Ok(applied)
    })?;
    match applied.as_slice() {
        [] => println!("the schema is up to date"),
        applied => println!("applied {} migrations: {}", applied.len(), applied.join(", ")),
    }
    Ok(())
}

/// Connects, for as long as it takes: a database that is away comes back.
fn reach(url: &str, shutdown: &Shutdown) -> anyhow::Result<Connection> {
    let mut said = None;
    loop {
        match connection::connect(url, "analytics-jobs") {
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

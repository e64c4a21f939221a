//! `analytics-jobs migrate`: applies the missing migrations, stores the settings that the numbers
//! depend on, and creates the event log's partitions.

use analytics_db::migrations;
use analytics_db::tables::{partitions, service_settings};
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use chrono::Utc;

use crate::database;

pub(super) fn run(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let business = settings.business()?;
    let connection = &mut database::reach(settings, shutdown)?;
    let (applied, ensured) = migrations::exclusively(connection, &database::url(settings)?, |connection| {
        let applied = migrations::migrate(connection)?;
        service_settings::store_or_check(connection, business)?;
        Ok((applied, partitions::ensure(connection, Utc::now())?))
    })?;
    match applied.as_slice() {
        [] => println!("the schema is up to date"),
        applied => println!("applied {} migrations: {}", applied.len(), applied.join(", ")),
    }
    if ensured.postponed > 0 {
        log::warn!(
            "{} partitions were not created, because the event log was in use; \
             run `analytics-jobs partitions` to create them",
            ensured.postponed
        );
    }
    Ok(())
}

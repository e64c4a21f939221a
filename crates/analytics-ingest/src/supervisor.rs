//! Keeps sessions going for as long as the process lives: waits for the database, joins, and
//! joins again.

use std::sync::Arc;
use std::time::Duration;

use analytics_db::service_settings::ServiceSettings;
use analytics_db::{DbError, connection, migrations};
use analytics_process::probes;
use analytics_process::shutdown::Shutdown;

use crate::intake::End;
use crate::session;
use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;

/// Between two attempts to reach the database, and between two sessions.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs ingest until it is asked to stop.
///
/// # Errors
/// What waiting does not mend: a port that is taken, a schema of another version, settings that
/// the database was not made with, a fatal error of the Kafka client.
pub fn run(settings: &IngestSettings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let telemetry = Telemetry::new()?;
    probes::serve(settings.bind, Arc::new(telemetry.clone()), telemetry.registry.clone())?;
    log::info!("consuming {} as {}", settings.decoder.topics, settings.group_id);
    let settings = Arc::new(settings.clone());
    while wait_for_database(&settings, &telemetry, shutdown)? {
        match session::run(&settings, &telemetry, shutdown)? {
            End::Shutdown => break,
            End::Fenced => {}
            End::DatabaseAway(why) => telemetry.waiting(&format!("the database: {why}")),
            End::Kafka(why) => telemetry.waiting(&format!("Kafka: {why}")),
        }
        if shutdown.wait(PAUSE) {
            break;
        }
    }
    log::info!("stopped");
    Ok(())
}

/// Waits until the database can be used; `false` where the process is to stop first.
fn wait_for_database(settings: &IngestSettings, telemetry: &Telemetry, shutdown: &Shutdown) -> anyhow::Result<bool> {
    loop {
        match usable(settings) {
            Ok(()) => return Ok(true),
            Err(error @ DbError::Unusable(_)) => return Err(error.into()),
            Err(error) => telemetry.waiting(&error.to_string()),
        }
        if shutdown.wait(PAUSE) {
            return Ok(false);
        }
    }
}

fn usable(settings: &IngestSettings) -> Result<(), DbError> {
    let connection = &mut connection::connect(&settings.database_url, "analytics-ingest")?;
    migrations::check(connection)?;
    ServiceSettings::from(settings.decoder.business).check(connection)
}

//! Keeps sessions going for as long as the process lives: waits for the database, joins, and
//! joins again.

use std::sync::Arc;
use std::time::Duration;

use analytics_db::tables::service_settings::ServiceSettings;
use analytics_db::transactions::assignment;
use analytics_db::{DbError, connection, migrations};
use analytics_process::shutdown::Shutdown;
use analytics_process::{deadline, probes};

use crate::buffer::End;
use crate::kafka::{self, Regressions};
use crate::session;
use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;
use crate::writer::Pace;

/// Between two attempts to reach the database or the broker, and between two sessions.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the database and the broker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

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
    let (regressions, pace) = (Regressions::default(), Pace::default());
    while wait_until_usable(&settings, &telemetry, shutdown)? {
        match session::run(&settings, &regressions, &pace, &telemetry, shutdown)? {
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

/// Waits until the database and the broker can be used; `false` where the process is to stop first.
fn wait_until_usable(
    settings: &Arc<IngestSettings>,
    telemetry: &Telemetry,
    shutdown: &Shutdown,
) -> anyhow::Result<bool> {
    loop {
        match usable(settings) {
            Ok(()) => return Ok(true),
            Err(Away::Database(error @ DbError::Unusable(_))) => return Err(error.into()),
            Err(Away::Database(error)) => telemetry.waiting(&error.to_string()),
            Err(Away::Broker(why)) => telemetry.waiting(&format!("Kafka: {why}")),
        }
        if shutdown.wait(PAUSE) {
            return Ok(false);
        }
    }
}

enum Away {
    Database(DbError),
    Broker(String),
}

/// Checks that the database is one to work with, and stores which topics there are before the first of
/// their partitions is assigned: whatever comes into being later is counted from its beginning.
fn usable(settings: &Arc<IngestSettings>) -> Result<(), Away> {
    in_time(settings, |settings| {
        let connection = &mut connection::connect(&settings.database_url, "analytics-ingest")?;
        migrations::check(connection)?;
        ServiceSettings::from(settings.decoder.business).check(connection)
    })?;
    let known = kafka::topics(settings, ANSWER).map_err(|error| Away::Broker(error.to_string()))?;
    in_time(settings, move |settings| {
        let connection = &mut connection::connect(&settings.database_url, "analytics-ingest")?;
        assignment::register(connection, &settings.group_id, &known)
    })
}

fn in_time(
    settings: &Arc<IngestSettings>,
    work: impl FnOnce(&IngestSettings) -> Result<(), DbError> + Send + 'static,
) -> Result<(), Away> {
    let settings = Arc::clone(settings);
    deadline::within(ANSWER, move || work(&settings))
        .unwrap_or_else(|| Err(DbError::Unreachable("it does not answer".into())))
        .map_err(Away::Database)
}

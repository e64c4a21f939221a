//! Runs sessions until the process is asked to stop: waits for the database and the broker, joins
//! the consumer group, and joins again after a session has ended.

use std::sync::Arc;
use std::time::Duration;

use analytics_db::transactions::assignment;
use analytics_db::{DbError, connection, usable};
use analytics_process::shutdown::Shutdown;
use analytics_process::waiting::{Failed, until_available};
use analytics_process::{deadline, probes};

use crate::buffer::End;
use crate::fold::Fold;
use crate::kafka::{self, Regressions};
use crate::session;
use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;
use crate::writer::Pace;

/// Pause between two attempts to reach the database or the broker, and between two sessions.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the database and the broker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long counting what is logged may take when the process stops, and stopping altogether.
const COUNT_THE_REST: Duration = Duration::from_secs(2);
const STOP: Duration = Duration::from_millis(9_500);

/// Runs ingest until it is asked to stop.
///
/// # Errors
/// Failures that waiting cannot fix: a port already in use, a schema of another version, settings
/// that differ from those the database was created with, a fatal error of the Kafka client.
pub fn run(settings: &IngestSettings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let telemetry = Telemetry::new()?;
    probes::serve(settings.bind, Arc::new(telemetry.clone()), telemetry.registry.clone())?;
    log::info!("consuming {} as {}", settings.decoder.topics, settings.group_id);
    let mut settings = Arc::new(settings.clone());
    let (regressions, pace, fold) = (Regressions::default(), Pace::default(), Fold::new(settings.most_waiting));
    // What was logged is counted also while Kafka is away.
    if until_available(shutdown, || database_usable(&settings), |why| telemetry.waiting(why))?.is_none() {
        return Ok(());
    }
    let folding = fold.start(&settings, &telemetry)?;
    while until_available(shutdown, || usable_now(&mut settings), |why| telemetry.waiting(why))?.is_some() {
        match session::run(&settings, &regressions, &pace, &fold, &telemetry, shutdown)? {
            End::Shutdown => break,
            End::Fenced => {}
            End::DatabaseAway(why) => telemetry.waiting(&format!("the database: {why}")),
            End::Kafka(why) => telemetry.waiting(&format!("Kafka: {why}")),
        }
        if shutdown.wait(PAUSE) {
            break;
        }
    }
    let at_most = COUNT_THE_REST.min(STOP.saturating_sub(shutdown.since()));
    if !fold.end(&folding, at_most) {
        log::warn!("not everything was counted in time; what is logged will be counted by another process or later");
    }
    log::info!("stopped");
    Ok(())
}

/// Checks the same as [`usable`], with what is in the files of Kafka's properties now.
fn usable_now(settings: &mut Arc<IngestSettings>) -> Result<(), Failed<DbError>> {
    if settings.can_reread_kafka() {
        Arc::make_mut(settings).reread_kafka();
    }
    usable(settings)
}

/// Checks that this version can work with the database.
fn database_usable(settings: &Arc<IngestSettings>) -> Result<(), Failed<DbError>> {
    in_time(settings, |settings| {
        let connection = &mut connection::connect(&settings.database_url, "analytics-ingest")?;
        usable::check(connection, settings.decoder.business)
    })
}

/// Checks that this version can work with the database and the broker, and stores which topics exist before the
/// first of their partitions is assigned: partitions created later are counted from their
/// beginning.
fn usable(settings: &Arc<IngestSettings>) -> Result<(), Failed<DbError>> {
    database_usable(settings)?;
    let known = kafka::topics(settings, ANSWER).map_err(|error| Failed::Away(format!("Kafka: {error}")))?;
    in_time(settings, move |settings| {
        let connection = &mut connection::connect(&settings.database_url, "analytics-ingest")?;
        assignment::register(connection, &settings.group_id, &known)
    })
}

/// Runs `work` against the database, and gives up after [`ANSWER`].
fn in_time(
    settings: &Arc<IngestSettings>,
    work: impl FnOnce(&IngestSettings) -> Result<(), DbError> + Send + 'static,
) -> Result<(), Failed<DbError>> {
    let settings = Arc::clone(settings);
    deadline::within(ANSWER, move || work(&settings))
        .unwrap_or_else(|| Err(DbError::Unreachable("it does not answer".into())))
        .map_err(|error| match error {
            DbError::Unusable(_) => Failed::Unusable(error),
            error => Failed::Away(error.to_string()),
        })
}

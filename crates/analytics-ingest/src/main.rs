//! `analytics-ingest`: counts the events of a marketplace from Kafka into PostgreSQL.

use std::process::ExitCode;

use analytics_ingest::settings::IngestSettings;
use analytics_process::settings::Settings;
use analytics_process::{logging, shutdown::Shutdown};
use clap::Parser;

/// Counts the marketplace's events from Kafka into PostgreSQL, each of them once.
///
/// Everything is set by environment variables; DATABASE_URL and KAFKA_BROKER are needed, the
/// README has the table of all. Run as many of these as there are partitions to share. SIGTERM
/// drains and commits within 10 seconds.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

fn main() -> ExitCode {
    Arguments::parse();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("analytics-ingest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let settings = Settings::load()?;
    logging::start(&settings)?;
    let settings = IngestSettings::from_settings(&settings)?;
    analytics_ingest::run(&settings, &Shutdown::on_signals()?)
}

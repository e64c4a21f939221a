//! `analytics-ingest`: counts the events of a marketplace from Kafka into PostgreSQL.

use std::process::ExitCode;

use analytics_ingest::settings::IngestSettings;
use analytics_process::entry::{self, CommonArguments};
use clap::Parser;

/// Counts the marketplace's events from Kafka into PostgreSQL, each event once.
///
/// All settings are environment variables, listed in the README; DATABASE_URL and KAFKA_BROKER are
/// required. Run up to as many instances as there are partitions to share. On SIGTERM, ingest
/// writes what it has fetched, commits, and exits within 10 seconds.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: CommonArguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    entry::run(
        "analytics-ingest",
        arguments.common,
        |settings| Ok(IngestSettings::from_settings(settings)?),
        |settings, shutdown| analytics_ingest::run(&settings, &shutdown),
    )
}

//! `analytics-ingest`: counts the events of a marketplace from Kafka into PostgreSQL.

use std::process::ExitCode;

use analytics_ingest::settings::IngestSettings;
use analytics_process::entry::{self, CommonArguments};
use clap::Parser;

/// Counts the marketplace's events from Kafka into PostgreSQL, each event once.
///
/// Reads one topic per event family: user.registered, product.viewed, order.created and
/// rating.updated, unless KAFKA_TOPICS names others. Each event, what it adds to the numbers and
/// the offset of its record are committed in one transaction; what is logged is counted within a
/// second. A record that cannot be counted becomes a dead letter.
///
/// Run at most one instance per partition of the busiest topic. `analytics-jobs migrate` must have
/// created the schema. If Kafka or PostgreSQL cannot be reached, ingest waits. On SIGTERM, it
/// writes what it has fetched, commits, and exits within 10 seconds. It serves /health/live,
/// /health/ready and /metrics at INGEST_BIND (0.0.0.0:9090).
///
/// Settings are environment variables. Values that are not set there are read from the TOML file
/// that ANALYTICS_CONFIG names, then from .env in the working directory or its nearest parent that
/// has one. Required are DATABASE_URL and KAFKA_BROKER. The README lists all settings with their
/// defaults.
///
/// Example:
///   export DATABASE_URL=postgresql://analytics:password@localhost:5432/analytics
///   export KAFKA_BROKER=kafka-1:9092,kafka-2:9092
///   export KAFKA_TOPICS=order.created=prod.orders,user.registered=prod.users
///   analytics-ingest --check-settings
///   analytics-ingest
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
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

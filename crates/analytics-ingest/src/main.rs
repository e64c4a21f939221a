//! `analytics-ingest`: counts the events of a marketplace from Kafka into PostgreSQL.

use std::process::ExitCode;

use analytics_ingest::settings::IngestSettings;
use analytics_process::entry::{self, CommonArguments};
use clap::{Parser, Subcommand};

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
///   analytics-ingest audit
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Clone, Copy, Subcommand)]
enum Command {
    /// Read what was counted from Kafka once more, and compare: for cron
    ///
    /// For each range of offsets that ingest has counted, the database has the number of records
    /// that ingest was given and a digest of their offsets, timestamps and payloads. The audit reads
    /// every range that is not audited yet from Kafka, with a consumer of its own, and stores what it
    /// finds: the range is equal, differs, or is gone because retention, compaction or a new topic
    /// has removed its records. `analytics-jobs verify` reports the result as coverage.
    ///
    /// Run it more often than retention deletes records: every hour, for example. Each record is
    /// read once. It runs beside ingest, joins no consumer group, and changes nothing but its
    /// results. A second audit at the same time ends at once. After a crash, or SIGTERM, the next
    /// one continues. AUDIT_RECORDS_PER_SECOND limits how fast it reads. Other settings are those of
    /// ingest; only ranges of KAFKA_GROUP_ID are audited.
    ///
    /// Prints what differs or is gone, and a summary. Exits with 0 if nothing differs, also where
    /// something is gone, and with 1 if something differs, now or since an earlier audit, or if a range
    /// could not be read and is left to the next audit. To count records that were skipped, set the offset back to the first of them
    /// with `analytics-jobs offsets set`: what was counted before does not count again. The
    /// difference is settled once the range was counted and audited again.
    ///
    /// Example:
    ///   analytics-ingest audit
    /// prints, for example:
    ///   order.created/0, offsets 1000 to 1999: Kafka holds 1000 records, ingest was given 990
    ///   audited 52 ranges with 1200000 records: 51 equal, 1 different, 0 gone; 0 ranges left
    #[command(verbatim_doc_comment)]
    Audit,
}

fn main() -> ExitCode {
    let Arguments { command, common } = Arguments::parse();
    kafka_events::memory::return_large_buffers();
    entry::run(
        "analytics-ingest",
        common,
        |settings| Ok(IngestSettings::from_settings(settings)?),
        |settings, shutdown| match command {
            None => analytics_ingest::run(&settings, &shutdown),
            Some(Command::Audit) => analytics_ingest::audit::run(&settings, &shutdown),
        },
    )
}

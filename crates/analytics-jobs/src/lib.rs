//! The subcommands of `analytics-jobs`, one module each.
//!
//! Each prints its results on standard output. [`run`] returns an error if the job failed or if
//! `verify` found a difference; the binary then exits with 1.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod actor;
mod anomalies;
mod audit_log;
mod check_event;
mod database;
mod dead_letters;
mod maintain;
mod metadata_index;
mod migrate;
mod months;
mod notify;
mod offsets;
mod partitions;
mod probe;
mod rebuild;
mod roles;
mod statements;
mod token;
mod verify;
mod weekly;

use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use clap::Subcommand;

/// A subcommand with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create the schema, or upgrade it to this version
    ///
    /// Safe to repeat, and to run several times at once. The first run also stores BASE_CURRENCY
    /// and BUSINESS_TIMEZONE. The numbers depend on them, so they cannot be changed afterwards.
    /// Ingest and the API may start before it: they wait, and are not ready meanwhile. A schema that
    /// is newer than this version's is left as it is.
    Migrate(migrate::Migrate),
    /// Show, set or remove the stored offsets, up to which each partition is counted
    #[command(subcommand)]
    Offsets(offsets::Offsets),
    /// Recount everything from the event log and compare the result with the stored numbers
    ///
    /// Reads one snapshot while ingest continues, changes no number, and stores the result as a
    /// proof. Days that were proved before and have not changed since are not read again, unless
    /// --full or --since requests it. Lists the numbers that differ, and exits with 1 if there are
    /// any. --full also checks every stored statement of a seller: what it is, its signature, and which one it follows.
    ///
    /// Also reports the coverage: how what was counted compares with what Kafka held, as far as
    /// `analytics-ingest audit` has compared it. A difference is listed, and exits with 1, too. What
    /// is not audited yet, was gone before it was audited, or is a gap that ingest gives the reason
    /// of, is only told.
    ///
    /// With NOTIFY_WEBHOOK_URL, differences are told when they change, and when there are none any more. If the
    /// receiver is away, the proof is stored all the same, the job exits with 1, and the next run tells.
    Verify(verify::Verify),
    /// Correct numbers that differ from the event log
    ///
    /// Recounts everything, lists each number that differs, and adds the differences in one
    /// transaction while ingest continues. Readers see either the wrong number or the right one,
    /// and nothing in between.
    Rebuild(rebuild::Rebuild),
    /// List, show, replay, discard and purge dead letters: records that could not be counted
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    /// List administrative writes, newest first: who changed what by hand, and when
    ///
    /// Adjustments, replayed and discarded dead letters, offsets that were set or removed, rebuilds,
    /// indexes and migrations. Each is recorded in the transaction of the change. What `maintain`,
    /// `partitions` and `dead-letters purge` do is upkeep by the settings, and not listed.
    ///
    /// Example:
    ///   analytics-jobs audit-log --action metric.adjust --from 2026-11-01T00:00:00Z
    #[command(verbatim_doc_comment)]
    AuditLog(audit_log::AuditLog),
    /// Create the service's roles in PostgreSQL, each with no more privileges than it needs
    ///
    /// The owner is for `migrate`, `partitions`, `maintain` and `metadata-index`; ingest for ingest;
    /// admin for the admin API and all other jobs; reader for the API, and for SQL clients, which
    /// find documented views in the schema bi. With --apply, DATABASE_URL is that of a superuser, or
    /// of a role with CREATEROLE that owns the database. May be repeated. If the schema exists and
    /// belongs to another role, the owner gets it, and that role becomes a member of the owner.
    ///
    /// Example:
    ///   analytics-jobs roles --print
    ///   analytics-jobs roles --apply --password-file owner=owner.txt --password-file reader=reader.txt
    #[command(verbatim_doc_comment)]
    Roles(roles::Roles),
    /// Create the event log's partitions for the coming weeks, and index those that are over
    ///
    /// For cron, once a day. A partition covers three days. While events stream into it, it has
    /// small indexes only, so that ingest is fast. One day after its last day it gets the indexes
    /// by user, product and vendor. After three months, the partitions of thirty days become one.
    /// Events for whose days there was no partition in time get theirs once these days are over. None
    /// of this blocks ingest or reads; merging needs disk space for a copy of thirty days. Exits with 1
    /// if a partition could not be created or exchanged because the event log was in use all the time;
    /// run the job again then.
    Partitions,
    /// Do everything that has to be done regularly
    ///
    /// For cron, once a day. Creates, indexes and merges partitions, as `partitions` does; begins new generations of
    /// identities, and forgets those that are older than DEDUPE_DAYS, those of orders after REFUND_DAYS; deletes
    /// dead letters that are older than DEAD_LETTER_DAYS, proofs, gaps and resolved anomalies after 400 days, and what is left of
    /// retired topics, old batches and ranges of offsets; collects statistics for the planner. Safe while everything runs, and
    /// several may run at once. If something fails, the rest is still done; then exits with 1.
    Maintain,
    /// Index the event log by a field of the payload, for `where` in the API
    ///
    /// With an index, `where=metadata.source=search` may be asked of a whole year, because only the
    /// matching events are read. Partitions get the index one by one, without blocking ingest, once
    /// their days are over; `partitions` gives it to later ones. A run that was interrupted is
    /// continued by the next one. There may be 8 indexes. Each takes about 50 bytes per event.
    ///
    /// Example:
    ///   analytics-jobs metadata-index --path source --type product.viewed
    ///   analytics-jobs metadata-index --list
    ///   analytics-jobs metadata-index --path source --type product.viewed --drop
    #[command(verbatim_doc_comment)]
    MetadataIndex(metadata_index::MetadataIndex),
    /// Find where numbers are not what they usually are: drops and surges
    ///
    /// For cron, once an hour. Judges every hour and day that is over and completely counted, by the same time of
    /// the week in the 8 weeks before: views, signups, orders, conversion and revenue of the marketplace, events of
    /// each topic, and sellers and products that have enough. An outage of ingest is not a drop: while the numbers
    /// are incomplete, there is one anomaly `delayed`. Anomalies open, continue and end by themselves, and are
    /// listed by GET /api/anomalies. Safe to repeat, and to run several times at once.
    ///
    /// With NOTIFY_WEBHOOK_URL, each is told when it opens and when it ends, at most 20 in one request. If the receiver
    /// is away, anomalies are stored all the same, the job exits with 1, and the next run tells.
    ///
    /// With --csv, judges the series in a file, each bucket by the ones before it, and needs no database. The file
    /// has rows of timestamp,value in order of time, with or without a header; several rows of a bucket are
    /// averaged. There is no verdict until there are 10 days of history; from 4 weeks on, the time of the week is
    /// taken into account. The last anomaly that is printed may not be over.
    ///
    /// Example:
    ///   analytics-jobs anomalies
    ///   analytics-jobs anomalies --since 2026-11-01 --backtest
    ///   analytics-jobs anomalies --csv nyc_taxi.csv --interval 30m --format json
    #[command(verbatim_doc_comment)]
    Anomalies(anomalies::Anomalies),
    /// Send each seller's last week to the marketplace, once, for it to mail
    ///
    /// For cron, every day. Calls NOTIFY_WEBHOOK_URL once for each seller that had views or orders in
    /// the week or the one before: views, orders, units, conversion, revenue in each currency, all with the
    /// change against the week before, and the current rating. A request has the numbers of one seller and
    /// nothing else. Weeks go from Monday to Sunday in BUSINESS_TIMEZONE, and are sent once they are over and
    /// completely counted. What was delivered is remembered: repeat the job after a failure, and it sends the rest.
    ///
    /// Requests are signed as Standard Webhooks says, if NOTIFY_WEBHOOK_SECRET is set. A receiver that
    /// answered but whose answer was lost gets a request again, with the same header webhook-id. Exits with 1 if
    /// something could not be delivered.
    ///
    /// Example:
    ///   analytics-jobs weekly
    ///   analytics-jobs weekly --week 2026-W47 --vendor v-1 --dry-run
    #[command(verbatim_doc_comment)]
    Weekly(weekly::Weekly),
    /// Close months for sellers: make, list and check their statements
    #[command(subcommand)]
    Statements(statements::Statements),
    /// Calculate what each month came to for the marketplace
    ///
    /// For cron, once a day. Sums of the days' numbers, for GET /api/months. A month is open until it is over and
    /// everything of it is counted, then complete; and closed once `statements close` has made the statements of all
    /// sellers. Safe to repeat, and to run several times at once.
    Months,
    /// Say how the events in a file would be counted, for the CI of producers
    ///
    /// For each record: the event and its identity, its parts, and what it adds to which metrics;
    /// or why it would be rejected. A second record of the same event is a duplicate, or rejected
    /// if its content differs. Earlier events are not known: in production, a part without a vendor
    /// gets the known vendor of its product, and a record may repeat an event of another file.
    ///
    /// Needs no database. Use the settings of ingest: KAFKA_TOPICS, KAFKA_EXTRA_TOPICS,
    /// BASE_CURRENCY, BUSINESS_TIMEZONE, MAX_RECORD_BYTES and REDACT_FIELDS.
    ///
    /// Exits with 0 if no record would be rejected, with 1 if one would be (or if a setting is
    /// invalid), and with 2 if the file cannot be read, has no records, or the topic is unknown.
    ///
    /// Example:
    ///   analytics-jobs check-event --topic order.created orders.ndjson
    ///   echo '{"productId":"tea"}' | analytics-jobs check-event --topic product.viewed -
    ///   echo '{"id":"o-1","total":"12,50"}' | analytics-jobs check-event --topic order.created -
    /// The last one exits with 1 and prints:
    ///   -:1: rejected, invalid_amount: total "12,50" is not a decimal number
    #[command(verbatim_doc_comment)]
    CheckEvent(check_event::CheckEvent),
    /// Ask a process whether it is ready: succeed if an address answers with a status of 200 to 299
    ///
    /// For containers, whose image has neither a shell nor curl. Reads no settings of the service.
    ///
    /// Example:
    ///   analytics-jobs probe http://localhost:9090/health/ready
    #[command(verbatim_doc_comment)]
    Probe(probe::Probe),
    /// Print a token for development, signed with JWT_SECRET
    ///
    /// The token is an HS256 JWT for the Authorization header of requests to the API.
    Token(token::Token),
}

/// Checks the settings that jobs read: for `--check-settings`.
///
/// # Errors
/// The first setting that is missing or invalid, in one sentence.
pub fn check(settings: &Settings) -> anyhow::Result<()> {
    database::url(settings)?;
    settings.decoder()?;
    dead_letters::days(settings)?;
    maintain::days(settings)?;
    anomalies::check(settings)?;
    notify::Notifier::from_settings(settings)?;
    statements::check_settings(settings)?;
    Ok(())
}

/// Runs a subcommand to its end, or until it is asked to stop.
///
/// # Errors
/// If the job fails, or finds what an operator has to act on, such as drift. The error is a
/// sentence to print.
pub fn run(command: Command, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    match command {
        Command::Migrate(migrate) => migrate::run(&migrate, settings, shutdown),
        Command::Offsets(offsets) => offsets::run(offsets, settings, shutdown),
        Command::DeadLetters(letters) => dead_letters::run(letters, settings, shutdown),
        Command::Roles(arguments) => roles::run(&arguments, settings, shutdown),
        Command::AuditLog(log) => audit_log::run(log, settings, shutdown),
        Command::Verify(verify) => verify::run(&verify, settings, shutdown),
        Command::Rebuild(rebuild) => rebuild::run(&rebuild, settings, shutdown),
        Command::Partitions => partitions::run(settings, shutdown),
        Command::Maintain => maintain::run(settings, shutdown),
        Command::MetadataIndex(index) => metadata_index::run(&index, settings, shutdown),
        Command::Anomalies(anomalies) => anomalies::run(&anomalies, settings, shutdown),
        Command::Weekly(weekly) => weekly::run(&weekly, settings, shutdown),
        Command::Statements(statements) => statements::run(&statements, settings, shutdown),
        Command::Months => months::run(settings, shutdown),
        Command::CheckEvent(check_event) => check_event::run(&check_event, settings, shutdown),
        Command::Probe(probe) => probe::run(&probe),
        Command::Token(token) => token::run(&token, settings),
    }
}

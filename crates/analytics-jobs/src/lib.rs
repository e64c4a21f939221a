//! One-shot jobs: each subcommand is a module.

mod database;
mod dead_letters;
mod migrate;
mod offsets;
mod partitions;
mod rebuild;
mod token;
mod verify;

use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use clap::Subcommand;

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the database to the schema of this version
    ///
    /// Safe to run again, and by several at once. The first run also stores BASE_CURRENCY and
    /// BUSINESS_TIMEZONE, which the numbers depend on and which cannot be changed afterwards.
    Migrate,
    /// Show or set how far each partition is counted
    #[command(subcommand)]
    Offsets(offsets::Offsets),
    /// Count everything again from the log and compare it with what stands
    ///
    /// Works on one snapshot while ingest goes on, changes no number, and stores a proof. Days that
    /// were proved before and have not changed since are not read again, unless --full or --since
    /// says so. Ends with 1 where anything differs, and names it.
    Verify(verify::Verify),
    /// Set numbers right that are not as the log says
    ///
    /// Shows each number that differs, and adds what is missing in one transaction while ingest
    /// goes on. Readers never see anything between the wrong number and the right one.
    Rebuild(rebuild::Rebuild),
    /// List, show, replay and discard records that could not be counted
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    /// Make the partitions of the coming weeks, and index those that are quiet
    ///
    /// For cron, once a day. While its three days last a partition has small indexes only, so that
    /// ingest is fast; a day after its end it gets those by user, product and vendor, while ingest
    /// goes on.
    Partitions,
    /// Mint a token for development, signed with JWT_SECRET
    Token(token::Token),
}

/// Checks every setting that some job reads.
///
/// # Errors
/// The first that is missing or cannot be used, in a sentence.
pub fn check(settings: &Settings) -> anyhow::Result<()> {
    database::url(settings)?;
    settings.decoder()?;
    dead_letters::days(settings)?;
    Ok(())
}

/// Does it.
///
/// # Errors
/// What the subcommand says.
pub fn run(command: Command, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    match command {
        Command::Migrate => migrate::run(settings, shutdown),
        Command::Offsets(offsets) => offsets::run(offsets, settings, shutdown),
        Command::DeadLetters(letters) => dead_letters::run(letters, settings, shutdown),
        Command::Verify(verify) => verify::run(&verify, settings, shutdown),
        Command::Rebuild(rebuild) => rebuild::run(&rebuild, settings, shutdown),
        Command::Partitions => partitions::run(settings, shutdown),
        Command::Token(token) => token::run(&token, settings),
    }
}

//! `analytics-jobs statements`: closes months for sellers, and checks what was closed.

mod check;
mod close;
mod list;

use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use clap::Subcommand;

pub(crate) use check::public_key;

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Statements {
    /// Make the statements of months that are over
    ///
    /// For each seller with orders, refunds or adjustments in the month. The month must be over for STATEMENT_GRACE,
    /// and proved: everything counted, no drift in the last complete proof and later ones, and the audit's comparison
    /// with Kafka whole. --accept-gaps closes it all the same; --accept-missing only if records are missing, not if a
    /// proof found something to be wrong. Every statement says what was accepted.
    ///
    /// Without --month, the last three months are closed, or restated: run that every day.
    ///
    /// Statements are never changed. If something arrived for a month that is closed, another run makes a later
    /// version, which lists each late event and what it changes; sellers without a change get none. Safe to repeat, to
    /// stop, and to run several times at once.
    ///
    /// Needs STATEMENT_SIGNING_KEY.
    ///
    /// Example:
    ///   openssl genpkey -algorithm ed25519 -out statements.pem
    ///   export STATEMENT_SIGNING_KEY=@statements.pem
    ///   analytics-ingest audit && analytics-jobs verify --full
    ///   analytics-jobs statements close --month 2026-10
    #[command(verbatim_doc_comment)]
    Close(close::Close),
    /// Check statements: their sums, digests and signatures
    ///
    /// Needs no database and no settings. Several files of a seller, in the order in which they were closed, are also
    /// checked to be a chain: each names the digest of the one before. Exits with 0, or with 1 and the line that is
    /// wrong.
    ///
    /// Without --public-key, the signature is checked with the key that the statement names: compare that with the
    /// one that the marketplace publishes. Statements from before and after a change of the key need both.
    ///
    /// Example:
    ///   analytics-jobs statements check 2026-10.csv 2026-11.csv --public-key old.pub --public-key statements.pub
    #[command(verbatim_doc_comment)]
    Check(check::Check),
    /// List statements
    List(list::List),
}

/// Checks the settings of this job.
pub(super) fn check_settings(settings: &Settings) -> Result<(), SettingsError> {
    close::grace(settings)?;
    if settings.get("STATEMENT_SIGNING_KEY").is_some() {
        close::key(settings)?;
    }
    Ok(())
}

pub(super) fn run(statements: &Statements, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    match statements {
        Statements::Close(close) => close::run(close, settings, shutdown),
        Statements::Check(check) => check::run(check),
        Statements::List(list) => list::run(list, settings, shutdown),
    }
}

//! One-shot jobs: each subcommand is a module.

mod migrate;
mod offsets;
mod token;

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
    /// Mint a token for development, signed with JWT_SECRET
    Token(token::Token),
}

/// Does it.
///
/// # Errors
/// What the subcommand says.
pub fn run(command: Command, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    match command {
        Command::Migrate => migrate::run(settings, shutdown),
        Command::Offsets(offsets) => offsets::run(offsets, settings),
        Command::Token(token) => token::run(&token, settings),
    }
}

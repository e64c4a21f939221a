//! `analytics-api`: serves the marketplace's metrics over REST.

use std::process::ExitCode;

use analytics_api::settings::ApiSettings;
use analytics_process::settings::Settings;
use analytics_process::{logging, shutdown::Shutdown};
use clap::Parser;

/// Serves the marketplace's metrics over REST to whoever has a valid token.
///
/// Everything is set by environment variables; DATABASE_URL and JWT_SECRET are needed, the README
/// has the table of all.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

fn main() -> ExitCode {
    Arguments::parse();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("analytics-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let settings = Settings::load()?;
    logging::start(&settings)?;
    let settings = ApiSettings::from_settings(&settings)?;
    analytics_api::run(settings, Shutdown::on_signals()?)
}

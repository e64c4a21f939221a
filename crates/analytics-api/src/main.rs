//! `analytics-api`: serves the marketplace's metrics over REST.

use std::process::ExitCode;

use analytics_api::settings::ApiSettings;
use analytics_process::entry;
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
    entry::run("analytics-api", |settings, shutdown| {
        analytics_api::run(ApiSettings::from_settings(settings)?, shutdown)
    })
}

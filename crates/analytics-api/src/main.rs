//! `analytics-api`: serves the marketplace's metrics over REST.

use std::process::ExitCode;

use analytics_api::settings::ApiSettings;
use analytics_process::entry::{self, CommonArguments};
use clap::Parser;

/// Serves the marketplace's metrics over REST to whoever has a valid token.
///
/// Everything is set by environment variables; DATABASE_URL and JWT_SECRET are needed, the README
/// has the table of all.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: CommonArguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    entry::run(
        "analytics-api",
        arguments.common,
        |settings| Ok(ApiSettings::from_settings(settings)?),
        |settings, shutdown| analytics_api::run(settings, &shutdown),
    )
}

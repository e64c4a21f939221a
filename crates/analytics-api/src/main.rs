//! `analytics-api`: serves the marketplace's metrics over REST.

use std::process::ExitCode;

use analytics_api::settings::ApiSettings;
use analytics_process::entry::{self, CommonArguments};
use clap::Parser;

/// Serves the marketplace's metrics over REST to callers with a valid token.
///
/// All settings are environment variables, listed in the README. DATABASE_URL is required, and one
/// of JWT_SECRET, JWT_PUBLIC_KEY and JWT_JWKS.
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

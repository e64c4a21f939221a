//! `analytics-api`: serves the marketplace's metrics over REST.

use std::process::ExitCode;

use analytics_api::settings::ApiSettings;
use analytics_process::entry::{self, CommonArguments};
use clap::Parser;

/// Serves the metrics that analytics-ingest counts, as JSON over a REST API.
///
/// Requests need a bearer token (a JWT): admins read everything, sellers read their own metrics.
/// The API only reads, unless API_MODE=read-write. It documents its routes at /api/docs and serves
/// their OpenAPI document at /api/openapi.json. /health/live, /health/ready and /metrics are for
/// probes and Prometheus. Any number of instances may run.
///
/// Settings are environment variables. Values that are not set there are read from the TOML file
/// that ANALYTICS_CONFIG names, then from .env in the working directory or its nearest parent that
/// has one. Required are DATABASE_URL and one of JWT_SECRET, JWT_PUBLIC_KEY and JWT_JWKS. The
/// README lists all settings with their defaults.
///
/// Example:
///   export DATABASE_URL=postgresql://analytics:password@localhost:5432/analytics
///   export JWT_SECRET=0123456789abcdef0123456789abcdef
///   analytics-api --check-settings
///   analytics-api &
///   TOKEN=$(analytics-jobs token --role admin)
///   curl -H "Authorization: Bearer $TOKEN" localhost:8080/api/metrics/total_views
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
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

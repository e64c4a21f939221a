//! `analytics-jobs`: one-shot jobs for operators and cron.

use std::process::ExitCode;
use std::time::Duration;

use analytics_jobs::Command;
use analytics_process::entry::{self, CommonArguments};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};

/// How long a job may continue after it was asked to stop.
const GRACE: Duration = Duration::from_secs(6);

/// Runs one-shot jobs on the database of the analytics service, for operators and cron.
///
/// `migrate` creates or upgrades the schema. `verify` recounts all numbers from the event log, and
/// `rebuild` corrects those that differ. `offsets` and `dead-letters` work on what ingest has
/// stored. For cron: `verify`, `anomalies`, `maintain`, `weekly`. For the CI of producers:
/// `check-event`. Every subcommand has its own --help.
///
/// A job exits with 0 if it succeeded. Otherwise it exits with 1 and reports the reason in one line
/// on standard error. If PostgreSQL cannot be reached, a job waits. On SIGTERM, it stops within 10
/// seconds, and an open transaction is rolled back.
///
/// Settings are environment variables. Values that are not set there are read from the TOML file
/// that ANALYTICS_CONFIG names, then from .env in the working directory or its nearest parent that
/// has one. DATABASE_URL is required, except by `check-event`, and by `token`, which needs
/// JWT_SECRET. All other settings should be those of ingest. The README lists them with their
/// defaults.
///
/// Example:
///   export DATABASE_URL=postgresql://analytics:password@localhost:5432/analytics
///   analytics-jobs migrate
///   analytics-jobs offsets show
///   analytics-jobs verify --full
///   analytics-jobs rebuild --dry-run
///   analytics-jobs dead-letters list --reason invalid_amount
#[derive(Parser)]
#[command(version, verbatim_doc_comment, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: CommonArguments,
}

fn main() -> ExitCode {
    let Arguments { command, common } = Arguments::parse();
    if command.is_none() && !common.check_settings {
        Arguments::command().error(ErrorKind::MissingSubcommand, "a subcommand is required; --help lists them").exit();
    }
    entry::run(
        "analytics-jobs",
        common,
        |settings| {
            if common.check_settings {
                analytics_jobs::check(settings)?;
            }
            Ok(settings.clone())
        },
        |settings, shutdown| {
            shutdown.enforce(GRACE)?;
            command.map_or(Ok(()), |command| analytics_jobs::run(command, &settings, &shutdown))
        },
    )
}

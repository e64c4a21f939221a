//! `analytics-jobs`: one-shot jobs for operators and cron.

use std::process::ExitCode;
use std::time::Duration;

use analytics_jobs::Command;
use analytics_process::entry::{self, CommonArguments};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};

/// A job that is asked to stop has stopped after this time.
const GRACE: Duration = Duration::from_secs(6);

/// One-shot jobs of the analytics service. DATABASE_URL says on which database.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: CommonArguments,
}

fn main() -> ExitCode {
    let Arguments { command, common } = Arguments::parse();
    if command.is_none() && !common.check_settings {
        Arguments::command().error(ErrorKind::MissingSubcommand, "a subcommand is needed; --help lists them").exit();
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

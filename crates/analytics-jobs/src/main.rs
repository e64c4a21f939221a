//! `analytics-jobs`: one-shot jobs for operators and cron.

use std::process::ExitCode;

use analytics_jobs::Command;
use analytics_process::logging;
use analytics_process::settings::Settings;
use clap::Parser;

/// One-shot jobs of the analytics service. DATABASE_URL says on which database.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("analytics-jobs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let settings = Settings::load()?;
    logging::start(&settings)?;
    analytics_jobs::run(arguments.command, &settings)
}

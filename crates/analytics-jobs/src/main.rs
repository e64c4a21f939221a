//! `analytics-jobs`: one-shot jobs for operators and cron.

use std::process::ExitCode;

use analytics_jobs::Command;
use analytics_process::entry;
use clap::Parser;

/// One-shot jobs of the analytics service. DATABASE_URL says on which database.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    entry::run("analytics-jobs", |settings, shutdown| analytics_jobs::run(command, settings, &shutdown))
}

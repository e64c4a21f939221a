//! `analytics-jobs anomalies`: finds where numbers are not what they usually are.

mod file;
mod rows;

use std::path::PathBuf;

use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use anomaly_detector::Interval;
use chrono::NaiveDate;
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct Anomalies {
    /// Judge the series in this file instead of the database: rows of timestamp,value; - for standard input
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// The length of the buckets of the file, such as 30m, 1h or 1d [default: that of its first rows]
    #[arg(long, requires = "csv")]
    interval: Option<Interval>,
    /// The format of the output: text for people, json for one JSON object per anomaly
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Also judge buckets since this day that were judged before [default: those of the last 3 days]
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "csv")]
    since: Option<NaiveDate>,
    /// Print what would be found, and store nothing
    #[arg(long, conflicts_with = "csv")]
    backtest: bool,
}

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(arguments: &Anomalies, _settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    match &arguments.csv {
        Some(path) => file::run(path, arguments.interval, arguments.format, shutdown),
        None => anyhow::bail!("not yet"),
    }
}

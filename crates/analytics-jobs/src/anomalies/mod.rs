//! `analytics-jobs anomalies`: finds where numbers are not what they usually are.

mod file;
mod judge;
mod quiet;
mod rows;
mod watch;

use std::path::PathBuf;

use analytics_core::events::OrderCounts;
use analytics_db::read::freshness;
use analytics_db::tables::anomalies::{self, Found};
use analytics_db::{Connection, DbError};
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use analytics_process::{remark, say};
use anomaly_detector::Interval;
use chrono::{DateTime, Duration, NaiveDate, SecondsFormat, Utc};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::database;
use crate::notify::{ALERTS, Notifier};
use quiet::Quiet;
use watch::{Watch, Watched};

/// How far back anomalies are stored that were not stored before.
const NEW_FOR: Duration = Duration::days(3);

#[derive(Debug, Args)]
pub struct Anomalies {
    /// Judge the series in this file instead of the database: rows of timestamp,value; - for standard input
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// The length of the buckets of the file, such as 30m, 1h or 1d [default: that of its first rows]
    #[arg(long, requires = "csv")]
    interval: Option<Interval>,
    /// The format of the output: text for people, json for one JSON object per anomaly [default: json with --csv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Also report anomalies that ended since this day [default: those of the last 3 days]
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

/// The settings of this job.
struct Limits {
    floor: u32,
    grace: Duration,
    payment_time: Duration,
    quiet: Quiet,
}

impl Limits {
    fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            floor: settings.number("ANOMALY_FLOOR", 1..=1_000_000, "events or orders")?,
            grace: Duration::minutes(settings.number("ANOMALY_GRACE_MINUTES", 1..=10_080, "minutes")?),
            payment_time: Duration::hours(settings.number("ANOMALY_PAYMENT_HOURS", 0..=168, "hours")?),
            quiet: Quiet::load(settings, settings.business()?.calendar)?,
        })
    }
}

/// Checks the settings of this job.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    Limits::from_settings(settings).map(drop)
}

pub(super) fn run(arguments: &Anomalies, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    match &arguments.csv {
        Some(path) => file::run(path, arguments.interval, arguments.format.unwrap_or(Format::Json), shutdown),
        None => judge(arguments, settings, shutdown),
    }
}

fn judge(arguments: &Anomalies, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let limits = Limits::from_settings(settings)?;
    let notifier = Notifier::from_settings(settings)?;
    let connection = &mut database::ready(settings, shutdown)?;
    let Watched { subjects, found, latest } = watched(connection, arguments, settings, &limits)?;
    for found in &found {
        print(found, arguments.format.unwrap_or(Format::Text));
    }
    if arguments.backtest {
        remark!("{} subjects judged, {} anomalies found, none stored", subjects.len(), found.len());
        return Ok(());
    }
    let stored = anomalies::store(connection, &subjects, &found, &latest)?;
    let anomalies::Stored { opened, changed, resolved } = stored;
    remark!("{} subjects judged; {opened} new anomalies, {changed} judged again, {resolved} resolved", subjects.len());
    let Some(notifier) = notifier else { return Ok(()) };
    notifier.queue_anomalies(connection)?;
    notifier.deliver(connection, ALERTS, settings, shutdown)
}

fn watched(
    connection: &mut Connection,
    arguments: &Anomalies,
    settings: &Settings,
    limits: &Limits,
) -> anyhow::Result<Watched> {
    let decoder = settings.decoder()?;
    let business = settings.business()?;
    let (reports, now) = freshness::reports(connection)?;
    let since = arguments.since.map_or(now - NEW_FOR, |day| business.calendar.day_start(day));
    let Limits { floor, grace, payment_time, quiet } = limits;
    let (decoder, floor, grace) = (&decoder, *floor, *grace);
    let payment_time = match decoder.order_counts {
        OrderCounts::Paid => *payment_time,
        OrderCounts::Created => Duration::zero(),
    };
    let watch = Watch { business, decoder, reports: &reports, now, quiet, floor, grace, payment_time, since };
    watch.run(connection).map_err(|error: DbError| error.into())
}

fn print(found: &Found, format: Format) {
    let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let Found { subject, verdict, observed, expected, lower, upper, .. } = found;
    let (from, to, is_open) = (written(found.from), written(found.to), found.is_open);
    match format {
        Format::Json => say!(
            "{}",
            json!({
                "type": subject, "vendorId": found.vendor, "verdict": verdict, "open": is_open, "start": from, "end": to,
                "observed": observed, "expected": expected, "lower": lower, "upper": upper,
                "confidence": found.confidence,
            })
        ),
        Format::Text => {
            let still = if is_open { ", still" } else { "" };
            say!(
                "{subject}, {from} to {to}{still}: {verdict}, {observed} instead of {expected:.1} ({lower:.1} to {upper:.1})"
            );
        }
    }
}

//! `analytics-jobs verify`

use std::time::Instant;

use analytics_db::verify::{Day, Extent, Verification, Watcher, proofs};
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use chrono::{NaiveDate, SecondsFormat};
use clap::Args;

use crate::database;

#[derive(Debug, Args)]
pub struct Verify {
    /// Read every day from the log, and check every identity and every rating
    #[arg(long)]
    full: bool,
    /// Read every day from this one on, besides those that have changed since they were proved
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "full")]
    since: Option<NaiveDate>,
}

/// The most differences that are printed.
const SHOWN: usize = 100;

pub(super) fn run(verify: &Verify, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let extent = match (verify.full, verify.since) {
        (true, _) => Extent::Everything,
        (false, Some(day)) => Extent::Since(day),
        (false, None) => Extent::Unproved,
    };
    let connection = &mut database::ready(settings, shutdown)?;
    let mut watcher = Watcher { progress: &mut progress(), wanted: &|| !shutdown.requested() };
    let verification = analytics_db::verify::verify(connection, settings.business()?, extent, &mut watcher)?;
    let proof = proofs::store(connection, &verification)?;
    for difference in verification.differences.iter().take(SHOWN) {
        println!("{difference}");
    }
    if verification.differences.len() > SHOWN {
        println!("... and {} more, which `rebuild --dry-run` lists", verification.differences.len() - SHOWN);
    }
    println!("{}", summary(&verification));
    println!("proof {proof}, digest {}", verification.digest);
    match verification.differences.len() {
        0 => Ok(()),
        drift => bail!("{drift} of {} numbers are not as the log says", verification.keys_checked),
    }
}

/// Says on stderr how far it is, every few seconds.
pub(super) fn progress() -> impl FnMut(&Day) {
    let (mut said, mut events, mut days) = (Instant::now(), 0, 0);
    move |day| {
        events += day.events;
        days += 1;
        if said.elapsed().as_secs() >= 2 {
            eprintln!("{}: {events} events of {days} days counted again", day.day);
            said = Instant::now();
        }
    }
}

pub(super) fn summary(verification: &Verification) -> String {
    let read = verification.days.iter().filter(|day| day.read).count();
    format!(
        "as of {}: {} events of {read} days counted again, {} days were proved before, {} numbers checked, drift {}, {:.1} s",
        verification.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        verification.events_read(),
        verification.days.len() - read,
        verification.keys_checked,
        verification.differences.len(),
        verification.took.as_secs_f64(),
    )
}

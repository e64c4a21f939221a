//! `analytics-jobs verify`

use std::time::Instant;

use analytics_db::verify::{Audit, Day, Extent, Watcher, audit, proofs};
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
    let audit = audit(connection, settings.business()?, extent, &mut watcher)?;
    let proof = proofs::store(connection, &audit)?;
    for difference in audit.differences.iter().take(SHOWN) {
        println!("{difference}");
    }
    if audit.differences.len() > SHOWN {
        println!("... and {} more, which `rebuild --dry-run` lists", audit.differences.len() - SHOWN);
    }
    println!("{}", summary(&audit));
    println!("proof {proof}, digest {}", audit.digest);
    match audit.differences.len() {
        0 => Ok(()),
        drift => bail!("{drift} of {} numbers are not as the log says", audit.keys_checked),
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

pub(super) fn summary(audit: &Audit) -> String {
    let read = audit.days.iter().filter(|day| day.read).count();
    format!(
        "as of {}: {} events of {read} days counted again, {} days were proved before, {} numbers checked, drift {}, {:.1} s",
        audit.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        audit.events_read(),
        audit.days.len() - read,
        audit.keys_checked,
        audit.differences.len(),
        audit.took.as_secs_f64(),
    )
}

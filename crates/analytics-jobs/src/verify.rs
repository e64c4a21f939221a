//! `analytics-jobs verify`: recounts everything from the event log, stores a proof, and fails if
//! any number differs.

use std::time::Instant;

use analytics_db::verify::{Coverage, Day, Extent, Verification, Watcher, proofs};
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use analytics_process::{remark, say};
use anyhow::bail;
use chrono::{NaiveDate, SecondsFormat};
use clap::Args;

use crate::database;
use crate::notify::{ALERTS, Notifier};
use crate::statements::public_key;

#[derive(Debug, Args)]
pub struct Verify {
    /// Recount every day, and check every identity, every rating and every statement
    #[arg(long)]
    full: bool,
    /// A key that may have signed statements: in base64, or a file with it in base64 or PEM form. Once for each of them
    /// [default: any key]
    #[arg(long = "public-key", value_name = "KEY", requires = "full")]
    public_keys: Vec<String>,
    /// Recount every day from this one on, and earlier ones that changed since they were proved
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "full")]
    since: Option<NaiveDate>,
    /// How many days to recount at once. Each takes a core here, and one of the database
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
}

/// Maximum number of differences that are printed.
const SHOWN: usize = 100;

pub(super) fn run(verify: &Verify, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let extent = match (verify.full, verify.since) {
        (true, _) => Extent::Everything,
        (false, Some(day)) => Extent::Since(day),
        (false, None) => Extent::Unproved,
    };
    let signers = verify.public_keys.iter().map(|key| public_key(key)).collect::<anyhow::Result<Vec<_>>>()?;
    let notifier = Notifier::from_settings(settings)?;
    let mut connections: Vec<_> =
        (0..verify.parallel).map(|_| database::ready(settings, shutdown)).collect::<Result<_, _>>()?;
    let mut watcher = Watcher { progress: &mut progress(), wanted: &|| !shutdown.requested() };
    let business = settings.business()?;
    let verification = analytics_db::verify::verify(&mut connections, business, extent, &signers, &mut watcher)?;
    drop(connections);
    let connection = &mut database::ready(settings, shutdown)?;
    let proof = proofs::store(connection, &verification)?;
    for difference in verification.differences.iter().take(SHOWN) {
        say!("{difference}");
    }
    if verification.differences.len() > SHOWN {
        say!("... and {} more; `rebuild --dry-run` lists all", verification.differences.len() - SHOWN);
    }
    say!("{}", summary(&verification));
    coverage(&verification.coverage);
    say!("proof {proof}, digest {}", verification.digest);
    let mut problems = Vec::new();
    if !verification.differences.is_empty() {
        let drift = verification.differences.len();
        problems.push(format!("{drift} of {} numbers differ from the event log", verification.keys_checked));
    }
    match verification.coverage.differences.len() {
        0 => {}
        ranges => problems.push(format!("{ranges} ranges of offsets differ from what Kafka held")),
    }
    if let Some(notifier) = notifier {
        notifier.queue_verify(connection, proof, &verification)?;
        if let Err(error) = notifier.deliver(connection, ALERTS, settings, shutdown) {
            problems.push(format!("{error:#}"));
        }
    }
    if problems.is_empty() { Ok(()) } else { bail!(problems.join("; ")) }
}

/// Prints how what was counted compares with Kafka.
fn coverage(coverage: &Coverage) {
    for (what, stretches) in [("gap", &coverage.gaps), ("difference", &coverage.differences)] {
        for stretch in stretches.iter().take(SHOWN) {
            say!("{what}: {stretch}");
        }
        if stretches.len() > SHOWN {
            say!("... and {} more", stretches.len() - SHOWN);
        }
    }
    let Coverage { equal, waiting, gone, gaps, differences, .. } = coverage;
    let since = coverage
        .waiting_since
        .map_or_else(String::new, |time| format!(" since {}", time.to_rfc3339_opts(SecondsFormat::Secs, true)));
    say!(
        "coverage: {}, {} records audited, {} not yet audited{since}, {} gone before they were audited, {} gaps, \
         {} differences",
        if coverage.is_whole() { "whole" } else { "not whole" },
        equal.records,
        waiting.records,
        gone.records,
        gaps.len(),
        differences.len(),
    );
}

/// Returns a function that reports progress on standard error, at most every 2 seconds.
pub(super) fn progress() -> impl FnMut(&Day) {
    let (mut said, mut events, mut days) = (Instant::now(), 0, 0);
    move |day| {
        events += day.events;
        days += 1;
        if said.elapsed().as_secs() >= 2 {
            remark!("{}: {events} events of {days} days recounted", day.day);
            said = Instant::now();
        }
    }
}

pub(super) fn summary(verification: &Verification) -> String {
    let read = verification.days.iter().filter(|day| day.read).count();
    format!(
        "as of {}: {} events of {read} days recounted, {} days proved before, {} numbers checked, drift {}, {:.1} s",
        verification.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        verification.events_read(),
        verification.days.len() - read,
        verification.keys_checked,
        verification.differences.len(),
        verification.took.as_secs_f64(),
    )
}

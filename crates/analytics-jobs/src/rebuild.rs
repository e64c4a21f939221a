//! `analytics-jobs rebuild`

use std::collections::BTreeMap;

use analytics_core::identity::EventId;
use analytics_db::Connection;
use analytics_db::locks::{Guard, Lock};
use analytics_db::transactions::reattribute::reattribute;
use analytics_db::verify::{Difference, Extent, Watcher, repair, verify};
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use clap::Args;

use crate::{database, verify};

#[derive(Debug, Args)]
pub struct Rebuild {
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Only metrics whose type matches, as in 'seller_revenue:*'; * stands for anything
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    metrics: String,
    /// Before that, give views and lines that belong to nobody the vendor that is known now
    ///
    /// Counting takes a vendor from earlier records only. This looks at what is known by now,
    /// whatever the order in which it came, changes what the log says about whose they are, and
    /// reports what moved to whom.
    #[arg(long)]
    reattribute: bool,
    /// Follow the log although it is not what was counted: events were changed or are missing
    ///
    /// Without this nothing is changed then, because the numbers may be right and the log wrong.
    #[arg(long)]
    accept_log: bool,
}

pub(super) fn run(rebuild: &Rebuild, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let business = settings.business()?;
    let connection = &mut database::ready(settings, shutdown)?;
    let Some(mut guard) = Guard::at_once(&database::url(settings)?, Lock::Repair)? else {
        bail!("another rebuild is at work on this database");
    };
    if rebuild.reattribute {
        give_vendors(connection, rebuild.dry_run, settings, shutdown)?;
    }
    let mut watcher = Watcher { progress: &mut verify::progress(), wanted: &|| !shutdown.requested() };
    let verification = verify(connection, business, Extent::Everything, &mut watcher)?;
    let (repairable, beyond): (Vec<_>, Vec<_>) = verification
        .differences
        .into_iter()
        .filter(|difference| matches(&rebuild.metrics, difference) || difference.accuses_the_log())
        .partition(Difference::is_repairable);
    for difference in &repairable {
        println!("{difference}");
    }
    for difference in &beyond {
        println!("beyond repair from the log: {difference}");
    }
    let damaged = beyond.iter().chain(&repairable).filter(|difference| difference.accuses_the_log()).count();
    if damaged > 0 && !rebuild.dry_run && !rebuild.accept_log {
        bail!(
            "{damaged} of these say that the log is not what was counted: restore it, \
             or let the numbers follow it with --accept-log; nothing was changed"
        );
    }
    match (repairable.len(), rebuild.dry_run) {
        (0, _) => println!("nothing to rebuild: {} numbers are as the log says", verification.keys_checked),
        (found, true) => println!("{found} numbers would change; nothing was changed"),
        (found, false) => {
            repair::repair(connection, &mut guard, business, &repairable)?;
            println!("{found} numbers were set right");
        }
    }
    Ok(())
}

/// Whether the difference is about a metric that was asked for.
fn matches(pattern: &str, difference: &Difference) -> bool {
    difference
        .metric_type()
        .map_or(pattern == "*", |metric_type| wildmatch::WildMatch::new(pattern).matches(metric_type))
}

/// Attributes what can be attributed now, a piece of the log at a time, and says what moved.
fn give_vendors(
    connection: &mut Connection,
    dry_run: bool,
    settings: &Settings,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let business = settings.business()?;
    let mut totals: BTreeMap<String, i128> = BTreeMap::new();
    let (mut events, mut after) = (0, EventId(uuid::Uuid::nil()));
    loop {
        let moved = reattribute(connection, business, after, dry_run)?;
        events += moved.events;
        for (counter, amount) in moved.deltas.counters {
            *totals.entry(counter.to_string()).or_default() += amount;
        }
        match moved.next {
            Some(next) if !shutdown.requested() => after = next,
            _ => break,
        }
    }
    for (counter, amount) in totals.iter().filter(|(_, amount)| **amount != 0) {
        println!("{counter} {amount:+}");
    }
    let would = if dry_run { "would get" } else { "got" };
    println!("{events} events {would} a vendor");
    Ok(())
}

//! `analytics-jobs rebuild`: recounts everything from the event log, and corrects the numbers that
//! differ.

use std::collections::BTreeMap;

use analytics_core::identity::EventId;
use analytics_db::Connection;
use analytics_db::locks::{Guard, Lock};
use analytics_db::transactions::fold;
use analytics_db::transactions::reattribute::reattribute;
use analytics_db::verify::{Difference, Extent, Watcher, repair, verify};
use analytics_process::say;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use clap::Args;

use crate::actor::Actor;
use crate::{database, verify};

#[derive(Debug, Args)]
pub struct Rebuild {
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Correct only metrics whose type matches, such as 'seller_revenue:*'; * matches any text
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    metrics: String,
    /// First attribute views and order lines without a vendor to the vendor that is known now
    ///
    /// Counting takes a product's vendor from earlier records only. This option uses what is known
    /// now, no matter when it arrived. It changes the vendor in the event log, adds the difference
    /// to the numbers, and lists by how much each number changed.
    #[arg(long)]
    reattribute: bool,
    /// Correct the numbers even if events in the log were changed or are missing
    ///
    /// Without this option nothing is corrected in that case, because the numbers may be right and
    /// the event log wrong.
    #[arg(long)]
    accept_log: bool,
    #[command(flatten)]
    actor: Actor,
}

pub(super) fn run(rebuild: &Rebuild, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let business = settings.business()?;
    let connection = &mut database::ready(settings, shutdown)?;
    let Some(mut guard) = Guard::at_once(&database::url(settings)?, Lock::Repair)? else {
        bail!("another rebuild is running on this database");
    };
    // What is logged and not counted is neither a difference nor without a vendor.
    fold::catch_up(connection, business)?;
    if rebuild.reattribute {
        give_vendors(connection, rebuild, settings, shutdown)?;
    }
    let mut watcher = Watcher { progress: &mut verify::progress(), wanted: &|| !shutdown.requested() };
    let verification = verify(std::slice::from_mut(connection), business, Extent::Everything, &[], &mut watcher)?;
    let (repairable, beyond): (Vec<_>, Vec<_>) = verification
        .differences
        .into_iter()
        .filter(|difference| matches(&rebuild.metrics, difference) || difference.accuses_the_log())
        .partition(Difference::is_repairable);
    for difference in &repairable {
        say!("{difference}");
    }
    for difference in &beyond {
        say!("cannot be corrected from the event log: {difference}");
    }
    let damaged = beyond.iter().chain(&repairable).filter(|difference| difference.accuses_the_log()).count();
    if damaged > 0 && !rebuild.dry_run && !rebuild.accept_log {
        bail!(
            "{damaged} of these differences are events that were changed or are missing in the event log: \
             restore it, or accept it as it is with --accept-log; no number was corrected"
        );
    }
    match (repairable.len(), rebuild.dry_run) {
        (0, _) => say!("nothing to rebuild: {} numbers checked", verification.keys_checked),
        (found, true) => say!("{found} numbers would change; nothing was changed"),
        (found, false) => {
            repair::repair(connection, &mut guard, business, &repairable, rebuild.actor.name())?;
            say!("{found} numbers were corrected");
        }
    }
    Ok(())
}

/// Returns whether the pattern selects the difference. Differences that are not about a metric are
/// selected by `*` only.
fn matches(pattern: &str, difference: &Difference) -> bool {
    difference
        .metric_type()
        .map_or(pattern == "*", |metric_type| wildmatch::WildMatch::new(pattern).matches(metric_type))
}

/// Attributes events without a vendor to the vendors that are known now, one piece of the log per
/// transaction, and prints by how much each counter changed.
fn give_vendors(
    connection: &mut Connection,
    rebuild: &Rebuild,
    settings: &Settings,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let business = settings.business()?;
    let mut totals: BTreeMap<String, i128> = BTreeMap::new();
    let actor = Some(rebuild.actor.name()).filter(|_| !rebuild.dry_run);
    let (mut events, mut after) = (0, EventId(uuid::Uuid::nil()));
    loop {
        let moved = reattribute(connection, business, after, actor)?;
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
        say!("{counter} {amount:+}");
    }
    let would = if rebuild.dry_run { "would get" } else { "got" };
    say!("{events} events {would} a vendor");
    Ok(())
}

//! `analytics-jobs maintain`: everything that has to be done regularly, in one run.

use analytics_db::migrations;
use analytics_db::read::business::{self, Undecided};
use analytics_db::tables::generations::{self, Keys, Turned};
use analytics_db::tables::maintenance;
use analytics_db::transactions::{pay, reverse};
use analytics_process::say;
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use anyhow::bail;

use crate::{database, dead_letters, partitions};

/// Does everything, also after something failed, and reports what did.
pub(super) fn run(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    type Task = fn(&Settings, &Shutdown) -> anyhow::Result<()>;
    let tasks: [(&str, Task); 6] = [
        ("partitions", partitions::run),
        ("identities", identities),
        ("dead letters", dead_letters::purge_old),
        ("reversals", reversals),
        ("leftovers", leftovers),
        ("statistics", statistics),
    ];
    let mut failures = Vec::new();
    for (what, task) in tasks {
        if shutdown.requested() {
            bail!("stopped before {what}");
        }
        if let Err(error) = task(settings, shutdown) {
            log::error!("{what}: {error:#}");
            failures.push(format!("{what}: {error:#}"));
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!(failures.join("; ")) }
}

/// Returns for how many days identities of events and those of orders are kept.
pub(super) fn days(settings: &Settings) -> Result<[u32; 2], SettingsError> {
    let days = settings.number("DEDUPE_DAYS", 1..=36_500, "days")?;
    Ok([days, settings.number("REFUND_DAYS", 1..=36_500, "days")?.max(days)])
}

fn identities(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let connection = &mut database::ready(settings, shutdown)?;
    let url = database::url(settings)?;
    let mut postponed = false;
    for (keys, days) in Keys::ALL.into_iter().zip(days(settings)?) {
        let turned = migrations::exclusively(connection, &url, |connection| generations::turn(connection, keys, days))?;
        let Turned { begun, dropped, .. } = turned;
        say!("{}: began {} generations, dropped {dropped}", keys.table(), u8::from(begun));
        postponed |= turned.postponed;
    }
    if postponed {
        bail!("some generations were not begun or dropped, because they were in use; run this job again");
    }
    Ok(())
}

fn reversals(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let business = settings.business()?;
    let connection = &mut database::ready(settings, shutdown)?;
    let paid = pay::settle_overdue(connection, business)?;
    let settled = reverse::settle_overdue(connection, business)?;
    let Undecided { reversals, orders } = business::undecided(connection)?;
    say!("counted {paid} paid orders; {orders} orders wait for their payments");
    say!("decided reversals of {settled} orders; {reversals} reversals wait for their orders");
    Ok(())
}

fn leftovers(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let [dedupe_days, _] = days(settings)?;
    let deleted = maintenance::delete_leftovers(&mut database::ready(settings, shutdown)?, dedupe_days)?;
    let maintenance::Deleted { proofs, gaps, anomalies, notifications, batches, offsets, ranges } = deleted;
    say!("deleted {proofs} proofs, {gaps} gaps, {anomalies} anomalies, {batches} batches and {offsets} stored offsets");
    say!("deleted {notifications} notifications");
    say!("deleted or joined {ranges} ranges of offsets");
    Ok(())
}

fn statistics(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    maintenance::analyze(&mut database::ready(settings, shutdown)?)?;
    say!("collected statistics");
    Ok(())
}

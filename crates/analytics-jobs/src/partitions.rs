//! `analytics-jobs partitions`: creates the event log's missing partitions, merges those that are old, and
//! creates the indexes of those whose days are over.

use analytics_db::tables::partitions::{self, Moved};
use analytics_db::{migrations, roles};
use analytics_process::say;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use chrono::Utc;

use crate::database;

pub(super) fn run(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let connection = &mut database::ready(settings, shutdown)?;
    let (url, now) = (database::url(settings)?, Utc::now());
    let ensured = migrations::exclusively(connection, &url, |connection| {
        let ensured = partitions::ensure(connection, now)?;
        roles::grant(connection)?;
        Ok(ensured)
    })?;
    // What keeps partitions from being exchanged does not keep others from being indexed.
    let arranged = partitions::arrange(connection, &url, now, |step| log::info!("{step}"));
    roles::grant(connection)?;
    let indexed = partitions::index_quiet(connection, &url, now, |name| log::info!("creating the index {name}"))?;
    let made = ensured.made;
    match indexed {
        Some(indexed) => say!("created {made} partitions, and {indexed} indexes on partitions whose days are over"),
        None => say!("created {made} partitions; another run is creating indexes"),
    }
    let Moved { merged, separated, postponed } = arranged?.unwrap_or_default();
    if merged > 0 {
        say!("merged {merged} partitions of old days");
    }
    if separated > 0 {
        say!("moved events out of the default partition into {separated} partitions of their days");
    }
    match ensured.postponed + postponed {
        0 => Ok(()),
        postponed => bail!(
            "{postponed} partitions were not created or exchanged, because the event log was in use; run this job again"
        ),
    }
}

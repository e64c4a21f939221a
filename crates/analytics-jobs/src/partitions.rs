//! `analytics-jobs partitions`

use analytics_db::migrations;
use analytics_db::tables::partitions;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use chrono::Utc;

use crate::database;

pub(super) fn run(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let connection = &mut database::ready(settings, shutdown)?;
    let (url, now) = (database::url(settings)?, Utc::now());
    let ensured = migrations::exclusively(connection, &url, |connection| partitions::ensure(connection, now))?;
    let indexed = partitions::index_quiet(connection, &url, now, |name| log::info!("making the index {name}"))?;
    let made = ensured.made;
    match indexed {
        Some(indexed) => println!("made {made} partitions ahead, and {indexed} indexes on quiet ones"),
        None => println!("made {made} partitions ahead; another run is making indexes"),
    }
    match ensured.postponed {
        0 => Ok(()),
        postponed => bail!("{postponed} partitions were not made, because the log is being read; run this again"),
    }
}

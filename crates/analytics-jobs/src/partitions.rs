//! `analytics-jobs partitions`

use analytics_db::{migrations, partitions};
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use chrono::Utc;

use crate::database;

pub(super) fn run(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let connection = &mut database::ready(settings, shutdown)?;
    let now = Utc::now();
    let made = migrations::exclusively(connection, |connection| partitions::ensure(connection, now))?;
    let indexed = partitions::index_quiet(connection, now, |name| log::info!("making the index {name}"))?;
    match indexed {
        Some(indexed) => println!("made {made} partitions ahead, and {indexed} indexes on quiet ones"),
        None => println!("made {made} partitions ahead; another run is making indexes"),
    }
    Ok(())
}

//! `analytics-jobs months`: calculates what months came to for the marketplace.

use analytics_db::tables::months;
use analytics_process::say;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;

use crate::database;

pub(super) fn run(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let decoder = settings.decoder()?;
    let connection = &mut database::ready(settings, shutdown)?;
    let (months, complete) = months::calculate(connection, &decoder)?;
    say!("{months} months calculated, {complete} of them complete");
    Ok(())
}

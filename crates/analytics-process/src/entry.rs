//! How a process begins and ends: settings, logs, signals, an exit code.

use std::process::ExitCode;

use crate::logging;
use crate::settings::Settings;
use crate::shutdown::Shutdown;

/// Runs a process until it is asked to stop or cannot go on; then says why, in one line.
pub fn run(name: &str, work: impl FnOnce(&Settings, Shutdown) -> anyhow::Result<()>) -> ExitCode {
    let ended = prepare().and_then(|(settings, shutdown)| work(&settings, shutdown));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn prepare() -> anyhow::Result<(Settings, Shutdown)> {
    let settings = Settings::load()?;
    logging::start(&settings)?;
    Ok((settings, Shutdown::on_signals()?))
}

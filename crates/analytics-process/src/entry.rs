//! Start and end of a process: settings, logging, signals, the exit code.

use std::panic;
use std::process::ExitCode;

use clap::Args;

use crate::logging;
use crate::settings::{Settings, masked};
use crate::shutdown::Shutdown;

/// The command-line arguments of every process.
#[derive(Debug, Clone, Copy, Args)]
pub struct CommonArguments {
    /// Check the settings, report the first that is invalid, and exit
    #[arg(long, global = true)]
    pub check_settings: bool,
}

/// Runs a process until it ends or fails. A failure is reported in one line on standard error.
///
/// `validate` turns the settings into what `work` needs; with `--check-settings`, `work` is not
/// run.
pub fn run<S>(
    name: &str,
    arguments: CommonArguments,
    validate: impl FnOnce(&Settings) -> anyhow::Result<S>,
    work: impl FnOnce(S, Shutdown) -> anyhow::Result<()>,
) -> ExitCode {
    end_at_any_panic();
    let ended = prepare(validate).and_then(|(settings, shutdown)| {
        if arguments.check_settings {
            crate::say!("the settings can be used");
            return Ok(());
        }
        work(settings, shutdown)
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::remark!("{name}: {}", masked(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn prepare<S>(validate: impl FnOnce(&Settings) -> anyhow::Result<S>) -> anyhow::Result<(S, Shutdown)> {
    let settings = Settings::load()?;
    logging::start(&settings)?;
    for warning in settings.warnings() {
        log::warn!("{warning}");
    }
    Ok((validate(&settings)?, Shutdown::on_signals()?))
}

/// Makes a panic in any thread end the process. A process that has lost a thread would look healthy
/// and do only part of its work. The supervisor restarts it, and uncommitted work is done again.
fn end_at_any_panic() {
    panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log::error!("the thread {:?} panicked at {place}, the process ends: {message}", thread.name().unwrap_or("?"));
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::{env, thread};

    use super::*;

    #[test]
    fn a_panic_in_any_thread_ends_the_process_with_an_error_line() {
        const ITSELF: &str = "PANIC_IN_A_THREAD";
        if env::var_os(ITSELF).is_some() {
            logging::start(&Settings::from_environment([])).expect("logging");
            end_at_any_panic();
            let thread = thread::Builder::new().name("writer".into()).spawn(|| panic!("on purpose"));
            let ended = thread.expect("a thread").join();
            unreachable!("the process goes on without its thread: {ended:?}");
        }
        let output = Command::new(env::current_exe().expect("this test"))
            .args(["--exact", "entry::tests::a_panic_in_any_thread_ends_the_process_with_an_error_line", "--nocapture"])
            .env(ITSELF, "1")
            .output()
            .expect("this test, run by itself");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "{said}");
        assert!(said.contains("ERROR") && said.contains(r#"the thread "writer" panicked at"#), "{said}");
        assert!(said.contains("on purpose") && !said.contains("goes on without"), "{said}");
    }
}

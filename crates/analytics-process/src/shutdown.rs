//! How a process is asked to stop: SIGTERM or SIGINT once, drain; twice, go.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Whether the process has been asked to stop. Clones see the same request.
#[derive(Clone, Default)]
pub struct Shutdown {
    state: Arc<(Mutex<bool>, Condvar)>,
}

impl Shutdown {
    /// Listens for SIGTERM and SIGINT from now on. A second signal ends the process at once.
    ///
    /// # Errors
    /// Where signal handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // Registered first, so that it sees whether an earlier signal armed it.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&asked))?;
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
        }
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let listener = shutdown.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            if signals.forever().next().is_some() {
                listener.request();
            }
        })?;
        Ok(shutdown)
    }

    /// Asks the process to stop.
    pub fn request(&self) {
        *self.state.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.state.1.notify_all();
    }

    /// Ends the process if it is still there so long after it was asked to stop: for work that stops between
    /// two statements, and a statement that takes longer. Its transaction is taken back.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn enforce(&self, grace: Duration) -> io::Result<()> {
        let shutdown = self.clone();
        thread::Builder::new().name("enforcer".into()).spawn(move || {
            while !shutdown.wait(Duration::from_secs(3600)) {}
            thread::sleep(grace);
            log::warn!("stopped in the middle of a statement, which is taken back");
            std::process::exit(130);
        })?;
        Ok(())
    }

    /// Whether it has been asked.
    #[must_use]
    pub fn requested(&self) -> bool {
        *self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the request, at most this long; tells whether it came.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> bool {
        let asked = self.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) =
            self.state.1.wait_timeout_while(asked, at_most, |asked| !*asked).unwrap_or_else(PoisonError::into_inner);
        *asked
    }
}

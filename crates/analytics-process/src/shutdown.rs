//! Shutdown requests: the first SIGTERM or SIGINT asks the process to stop in order, the second
//! ends it at once.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Whether the process has been asked to stop. Clones see the same request.
#[derive(Clone, Default)]
pub struct Shutdown {
    /// Since when the request stands.
    state: Arc<(Mutex<Option<Instant>>, Condvar)>,
}

impl Shutdown {
    /// Listens for SIGTERM and SIGINT from now on. A second signal ends the process at once.
    ///
    /// # Errors
    /// If the signal handlers or the thread that waits for signals cannot be set up.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // Registered before the handler that sets the flag, so that only a second signal finds
            // it set.
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
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        self.state.1.notify_all();
    }

    /// Ends the process if it still runs `grace` after it was asked to stop. For work that checks
    /// for shutdown only between two statements, when one takes longer; its transaction is rolled
    /// back.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn enforce(&self, grace: Duration) -> io::Result<()> {
        let shutdown = self.clone();
        thread::Builder::new().name("enforcer".into()).spawn(move || {
            while !shutdown.wait(Duration::from_secs(3600)) {}
            thread::sleep(grace);
            log::warn!("stopped in the middle of a statement, which is rolled back");
            std::process::exit(130);
        })?;
        Ok(())
    }

    /// Returns whether the process has been asked to stop.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns how long ago the process was asked to stop; zero if it was not.
    #[must_use]
    pub fn since(&self) -> Duration {
        let asked = *self.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.map_or(Duration::ZERO, |asked| asked.elapsed())
    }

    /// Waits for the request, at most this long. Returns whether it was made.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> bool {
        let asked = self.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) = self
            .state
            .1
            .wait_timeout_while(asked, at_most, |asked| asked.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        asked.is_some()
    }
}

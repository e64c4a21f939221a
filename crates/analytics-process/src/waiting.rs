//! Waiting for what a process depends on.

use std::time::Duration;

use crate::shutdown::Shutdown;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Why an attempt failed.
#[derive(Debug)]
pub enum Failed<E> {
    /// It may succeed later: what is away, and why.
    Away(String),
    /// Waiting does not help.
    Unusable(E),
}

/// Repeats an attempt until it succeeds; `None` where the process is asked to stop first. `waiting` is given the
/// reason of every wait.
///
/// # Errors
/// That of [`Failed::Unusable`].
pub fn until_available<T, E>(
    shutdown: &Shutdown,
    mut attempt: impl FnMut() -> Result<T, Failed<E>>,
    mut waiting: impl FnMut(&str),
) -> Result<Option<T>, E> {
    loop {
        match attempt() {
            Ok(available) => return Ok(Some(available)),
            Err(Failed::Unusable(error)) => return Err(error),
            Err(Failed::Away(why)) => waiting(&why),
        }
        if shutdown.wait(PAUSE) {
            return Ok(None);
        }
    }
}

//! Waits until a condition holds, instead of sleeping for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

/// Calls `ask` every 20 ms until it returns `Some`, and returns that value.
///
/// # Panics
/// If there is none within `at_most`. The panic message names `what`.
pub fn until<T>(what: &str, at_most: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + at_most;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "timed out after {at_most:?} waiting for {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

//! Waits until a condition holds, instead of sleeping for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

use chrono::{Timelike as _, Utc};

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

/// Waits until the next hour has begun, if that is less than `margin` away: in a test about the last hours, none may end.
///
/// # Panics
/// If the clock stands still.
pub fn past_the_end_of_an_hour(margin: Duration) {
    let now = Utc::now();
    let left = Duration::from_secs(u64::from(3_600 - now.minute() * 60 - now.second()));
    if left < margin {
        until("the next hour", margin * 2, || (Utc::now().hour() != now.hour()).then_some(()));
    }
}

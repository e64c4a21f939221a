//! The time by which tokens are checked.

use std::time::{SystemTime, UNIX_EPOCH};

/// How far clocks may differ, in seconds, when `exp` and `nbf` are checked.
pub(crate) const LEEWAY: u64 = 30;

/// Returns the present time in seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! Event times: instants in microseconds, the precision of PostgreSQL.

use chrono::{DateTime, Duration, Utc};

/// 2000-01-01T00:00:00Z in microseconds since the Unix epoch, the earliest time of an event.
const EARLIEST_MICROS: i64 = 946_684_800_000_000;

/// The instant at which something happened, in whole microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

/// The reason why a value cannot be used as an event time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// Not in one of the accepted formats.
    #[error("is neither RFC 3339 with an offset, nor YYYY-MM-DD, nor epoch seconds or milliseconds")]
    Unreadable,
    /// Before 2000, more than a day ahead of this machine's clock, or too large for an instant.
    #[error("is not between 2000-01-01 and one day from now")]
    OutOfRange,
}

impl EventTime {
    /// Creates a time from microseconds since the Unix epoch. The range of event times is not
    /// checked.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Returns the milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the same instant as a `chrono` time. Instants outside the range of `chrono` (year
    /// ±262,000), which events cannot have, become the epoch.
    #[must_use]
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// Checks that the time is within the range of event times.
    ///
    /// # Errors
    /// [`InvalidTime::OutOfRange`] if it is before 2000-01-01 or more than one day after `now`.
    pub fn within_range(self, now: DateTime<Utc>) -> Result<Self, InvalidTime> {
        let latest = (now + Duration::days(1)).timestamp_micros();
        if (EARLIEST_MICROS..=latest).contains(&self.0) { Ok(self) } else { Err(InvalidTime::OutOfRange) }
    }
}

impl From<DateTime<Utc>> for EventTime {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }
}

//! When an event happened: an instant in microseconds, as PostgreSQL keeps it.

use chrono::{DateTime, Duration, Utc};

/// 2000-01-01T00:00:00Z in microseconds since the epoch: no event is older.
const EARLIEST_MICROS: i64 = 946_684_800_000_000;

/// The moment at which something happened, in whole microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

/// Why a value is no usable time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// None of the accepted forms.
    #[error("is neither RFC 3339 with an offset, nor YYYY-MM-DD, nor epoch seconds or milliseconds")]
    Unreadable,
    /// Readable, but before 2000 or more than a day ahead of this machine's clock.
    #[error("is outside 2000-01-01 to one day from now")]
    OutOfRange,
}

impl EventTime {
    /// A time from microseconds since the epoch, unchecked against the range of events.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch, rounded down.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The same instant as a `chrono` time. Instants outside `chrono`'s range (year ±262,000)
    /// come back as the epoch; events cannot have them.
    #[must_use]
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// Checks that an event can have happened then, seen from `now`.
    ///
    /// # Errors
    /// [`InvalidTime::OutOfRange`] before 2000-01-01 or later than a day from `now`.
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

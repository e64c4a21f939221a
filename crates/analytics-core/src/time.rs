//! When an event happened: an instant in microseconds, as PostgreSQL keeps it.

use chrono::{DateTime, Duration, NaiveDate, Utc};

use crate::calendar::Calendar;

/// 2000-01-01T00:00:00Z in microseconds since the epoch: no event is older.
const EARLIEST_MICROS: i64 = 946_684_800_000_000;

/// Epoch numbers below this are seconds, from it on milliseconds (design, section 3).
const SECONDS_BELOW: f64 = 1e11;

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

    /// Reads a time that producers wrote as text: RFC 3339, a date, or an epoch number.
    ///
    /// # Errors
    /// [`InvalidTime::Unreadable`].
    pub fn parse_text(text: &str, calendar: Calendar) -> Result<Self, InvalidTime> {
        let text = text.trim();
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(time.timestamp_micros()));
        }
        if text.len() == "YYYY-MM-DD".len()
            && let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        {
            return Ok(Self(calendar.day_start(date).timestamp_micros()));
        }
        Self::parse_epoch(text)
    }

    /// Reads epoch seconds (below 1e11) or milliseconds, fractions allowed.
    ///
    /// # Errors
    /// [`InvalidTime::Unreadable`], also for what is too large to be any instant.
    pub fn parse_epoch(text: &str) -> Result<Self, InvalidTime> {
        // Whole numbers are read exactly; fractions and exponents are rare, and a double holds
        // today's microseconds exactly.
        if let Ok(whole) = text.parse::<i64>() {
            let scale = if whole < 100_000_000_000 { 1_000_000 } else { 1000 };
            return whole.checked_mul(scale).map(Self).ok_or(InvalidTime::OutOfRange);
        }
        let looks_numeric = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        let number: f64 = text.parse().ok().filter(|_| looks_numeric).ok_or(InvalidTime::Unreadable)?;
        let micros = if number < SECONDS_BELOW { number * 1e6 } else { number * 1e3 };
        // Beyond ±9e15 microseconds (year 2255) a double is no longer exact, and no event is there.
        if micros.abs() < 9e15 {
            #[expect(clippy::cast_possible_truncation, reason = "below 2^53, as checked")]
            let micros = micros.floor() as i64;
            Ok(Self(micros))
        } else {
            Err(InvalidTime::OutOfRange)
        }
    }
}

impl From<DateTime<Utc>> for EventTime {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accepted_form_is_read() {
        let vienna = Calendar::new(chrono_tz::Europe::Vienna);
        for (text, micros) in [
            ("2026-10-29T02:15:59.591Z", 1_793_240_159_591_000),
            ("2026-10-29T03:15:59.591+01:00", 1_793_240_159_591_000),
            ("2026-10-29T02:15:59.123456789Z", 1_793_240_159_123_456),
            ("1793240159", 1_793_240_159_000_000),
            ("1793240159591", 1_793_240_159_591_000),
            ("1793240159.5", 1_793_240_159_500_000),
            (" 1793240159 ", 1_793_240_159_000_000),
            ("1.793240159e9", 1_793_240_159_000_000),
            ("2026-10-29", 1_793_228_400_000_000),
        ] {
            assert_eq!(EventTime::parse_text(text, vienna), Ok(EventTime(micros)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        for text in ["yesterday", "2026-10-29T02:15:59", "2026-13-01", "2026-1-1", "", "inf", "NaN", "0x10", "12:30"] {
            assert_eq!(EventTime::parse_text(text, Calendar::utc()), Err(InvalidTime::Unreadable), "{text}");
        }
        for text in ["9223372036854775807", "1e300", "-1e300"] {
            assert_eq!(EventTime::parse_text(text, Calendar::utc()), Err(InvalidTime::OutOfRange), "{text}");
        }
    }

    #[test]
    fn the_range_is_from_2000_to_one_day_ahead() {
        let now = "2026-11-22T12:00:00Z".parse::<DateTime<Utc>>().unwrap();
        let at = |text: &str| EventTime::parse_text(text, Calendar::utc()).unwrap().within_range(now);
        assert!(at("2000-01-01").is_ok());
        assert!(at("1999-12-31T23:59:59.999999Z").is_err());
        assert!(at("2026-11-23T12:00:00Z").is_ok());
        assert!(at("2026-11-23T12:00:00.000001Z").is_err());
    }
}

//! Parses times in payloads: RFC 3339, dates, and epoch numbers.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

use crate::calendar::Calendar;
use crate::time::{EventTime, InvalidTime};

/// Epoch numbers below this are seconds, others are milliseconds.
const SECONDS_BELOW: f64 = 1e11;

/// Parses a text: RFC 3339, a date (the start of that business day), or an epoch number.
///
/// # Errors
/// [`InvalidTime::Unreadable`] for other formats and impossible leap seconds, and
/// [`InvalidTime::OutOfRange`] for an epoch number that is too large.
pub(super) fn text(text: &str, calendar: Calendar) -> Result<EventTime, InvalidTime> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        let time = time.to_utc();
        return if is_leap_second(time) && !may_be_leap_second(time) {
            Err(InvalidTime::Unreadable)
        } else {
            Ok(time.into())
        };
    }
    if text.len() == "YYYY-MM-DD".len()
        && let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d")
    {
        return Ok(calendar.day_start(date).into());
    }
    epoch(text)
}

/// Whether the time was written with 60 seconds, which the parser accepts in any minute.
fn is_leap_second(time: DateTime<Utc>) -> bool {
    time.nanosecond() >= 1_000_000_000
}

/// Whether the time is in the last minute of June or December in UTC, the only minutes that have
/// had leap seconds (RFC 3339, appendix D). Clocks without leap seconds, such as PostgreSQL's and
/// the one used here, treat a leap second as the first second of the next day.
fn may_be_leap_second(time: DateTime<Utc>) -> bool {
    let end_of_half_year = matches!((time.month(), time.day()), (6, 30) | (12, 31));
    end_of_half_year && (time.hour(), time.minute()) == (23, 59)
}

/// Parses epoch seconds (below 1e11) or milliseconds, with or without fractions.
///
/// # Errors
/// [`InvalidTime::Unreadable`] for what is not a number, [`InvalidTime::OutOfRange`] for a number
/// that is too large.
pub(super) fn epoch(text: &str) -> Result<EventTime, InvalidTime> {
    // Integers are parsed exactly. Fractions and exponents are rare, and an `f64` can represent
    // present-day times in microseconds exactly.
    if let Ok(whole) = text.parse::<i64>() {
        let scale = if whole < 100_000_000_000 { 1_000_000 } else { 1000 };
        return whole.checked_mul(scale).map(EventTime::from_micros).ok_or(InvalidTime::OutOfRange);
    }
    let looks_numeric = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let number: f64 = text.parse().ok().filter(|_| looks_numeric).ok_or(InvalidTime::Unreadable)?;
    let micros = if number < SECONDS_BELOW { number * 1e6 } else { number * 1e3 };
    // Beyond ±9e15 microseconds (year 2255) an `f64` is not exact; no event can have such a time.
    if micros.abs() < 9e15 {
        #[expect(clippy::cast_possible_truncation, reason = "below 2^53, as checked")]
        let micros = micros.round() as i64;
        Ok(EventTime::from_micros(micros))
    } else {
        Err(InvalidTime::OutOfRange)
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
            ("1793240159.123456", 1_793_240_159_123_456),
            ("1793240159.591", 1_793_240_159_591_000),
            ("1793240159591.25", 1_793_240_159_591_250),
            (" 1793240159 ", 1_793_240_159_000_000),
            ("1.793240159e9", 1_793_240_159_000_000),
            ("2026-10-29", 1_793_228_400_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
            ("2017-01-01T05:29:60.5+05:30", 1_483_228_800_500_000),
            ("2015-06-30T23:59:60Z", 1_435_708_800_000_000),
        ] {
            assert_eq!(super::text(text, vienna), Ok(EventTime::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_an_error() {
        for text in [
            "yesterday",
            "2026-10-29T02:15:59",
            "2026-13-01",
            "2026-1-1",
            "",
            "inf",
            "NaN",
            "0x10",
            "12:30",
            "2026-11-20T10:00:60Z",
            "2016-12-31T23:59:60+01:00",
            "2016-12-30T23:59:60Z",
            "2016-12-31T23:58:60Z",
            "2016-12-31T23:59:61Z",
        ] {
            assert_eq!(super::text(text, Calendar::utc()), Err(InvalidTime::Unreadable), "{text}");
        }
        for text in ["9223372036854775807", "1e300", "-1e300"] {
            assert_eq!(super::text(text, Calendar::utc()), Err(InvalidTime::OutOfRange), "{text}");
        }
    }

    #[test]
    fn the_range_is_from_2000_to_one_day_ahead() {
        let now = "2026-11-22T12:00:00Z".parse::<DateTime<Utc>>().unwrap();
        let at = |text: &str| super::text(text, Calendar::utc()).unwrap().within_range(now);
        assert!(at("2000-01-01").is_ok());
        assert!(at("1999-12-31T23:59:59.999999Z").is_err());
        assert!(at("2026-11-23T12:00:00Z").is_ok());
        assert!(at("2026-11-23T12:00:00.000001Z").is_err());
    }
}

//! The length of buckets.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, NaiveDateTime};

/// 1970-01-05, a Monday, in seconds since 1970.
const MONDAY: i64 = 4 * 86_400;

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// The length of all buckets of a series: from a minute to a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    minutes: i64,
}

/// The reason why a text or a duration is not an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidInterval;

impl fmt::Display for InvalidInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be whole minutes, hours or days from 1m to 7d, such as 30m, 1h or 1d")
    }
}

impl std::error::Error for InvalidInterval {}

impl Interval {
    /// One hour.
    pub const HOUR: Self = Self { minutes: HOUR };
    /// One day.
    pub const DAY: Self = Self { minutes: DAY };

    /// Creates an interval of whole minutes.
    ///
    /// # Errors
    /// [`InvalidInterval`] if it is shorter than a minute or longer than a week.
    pub fn of_minutes(minutes: i64) -> Result<Self, InvalidInterval> {
        if (1..=WEEK).contains(&minutes) { Ok(Self { minutes }) } else { Err(InvalidInterval) }
    }

    /// Returns its length.
    #[must_use]
    pub fn length(self) -> Duration {
        Duration::minutes(self.minutes)
    }

    /// Returns the start of the bucket that contains a time of the local clock. Buckets are counted from a
    /// Monday, so that those of an hour begin at full hours, and those of a week on Mondays.
    #[must_use]
    pub fn start(self, local: NaiveDateTime) -> NaiveDateTime {
        let seconds = MONDAY.saturating_add(self.number(local).saturating_mul(self.seconds()));
        DateTime::from_timestamp(seconds, 0).map_or(local, |start| start.naive_utc())
    }

    /// Returns the number of the bucket that contains a time of the local clock.
    pub(crate) fn number(self, local: NaiveDateTime) -> i64 {
        (local.and_utc().timestamp() - MONDAY).div_euclid(self.seconds())
    }

    const fn seconds(self) -> i64 {
        self.minutes * 60
    }

    /// Returns how many buckets make up a day, at least one.
    pub(crate) const fn per_day(self) -> i64 {
        at_least_one(rounded(DAY, self.minutes))
    }

    /// Returns how many buckets make up an hour, at least one.
    pub(crate) const fn per_hour(self) -> i64 {
        at_least_one(rounded(HOUR, self.minutes))
    }

    /// Returns how many buckets back the same time of the week was, `weeks` weeks ago.
    pub(crate) const fn weeks(self, weeks: i64) -> i64 {
        at_least_one(rounded(weeks * WEEK, self.minutes))
    }

    /// Returns how many buckets back the same time of the day was, `days` days ago; for intervals of more
    /// than a day, that many buckets.
    pub(crate) const fn days(self, days: i64) -> i64 {
        if self.minutes > DAY { days } else { at_least_one(rounded(days * DAY, self.minutes)) }
    }
}

const fn rounded(dividend: i64, divisor: i64) -> i64 {
    (dividend + divisor / 2) / divisor
}

const fn at_least_one(number: i64) -> i64 {
    if number < 1 { 1 } else { number }
}

impl FromStr for Interval {
    type Err = InvalidInterval;

    fn from_str(text: &str) -> Result<Self, InvalidInterval> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at_checked(digits).ok_or(InvalidInterval)?;
        let minutes = match unit {
            "m" | "min" => 1,
            "h" => HOUR,
            "d" => DAY,
            "w" => WEEK,
            _ => return Err(InvalidInterval),
        };
        let number: i64 = number.parse().map_err(|_| InvalidInterval)?;
        Self::of_minutes(number.checked_mul(minutes).ok_or(InvalidInterval)?)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minutes {
            minutes if minutes % DAY == 0 => write!(f, "{}d", minutes / DAY),
            minutes if minutes % HOUR == 0 => write!(f, "{}h", minutes / HOUR),
            minutes => write!(f, "{minutes}m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_whole_minutes_up_to_a_week() {
        for (text, shown) in
            [("1m", "1m"), ("30m", "30m"), ("60m", "1h"), ("1h", "1h"), ("36h", "36h"), ("24h", "1d"), ("1w", "7d")]
        {
            assert_eq!(text.parse::<Interval>().unwrap().to_string(), shown, "{text}");
        }
        for text in
            ["", "m", "0m", "30", "30s", "8d", "-1h", "1.5h", "99999999999999999999m", "9223372036854775807h", "1ä"]
        {
            assert_eq!(text.parse::<Interval>(), Err(InvalidInterval), "{text}");
        }
    }

    #[test]
    fn buckets_begin_at_full_hours_days_and_mondays() {
        for (interval, time, start) in [
            ("30m", "2026-11-27T20:43:10.5", "2026-11-27T20:30:00"),
            ("1h", "2026-11-27T20:43:10", "2026-11-27T20:00:00"),
            ("1d", "1969-12-31T20:43:10", "1969-12-31T00:00:00"),
            ("7d", "2026-11-27T20:43:10", "2026-11-23T00:00:00"),
        ] {
            let interval: Interval = interval.parse().unwrap();
            let (time, start): (NaiveDateTime, NaiveDateTime) = (time.parse().unwrap(), start.parse().unwrap());
            assert_eq!(interval.start(time), start);
            assert_eq!(interval.number(time), interval.number(start));
            assert_eq!(interval.number(start - Duration::seconds(1)), interval.number(start) - 1);
        }
    }
}

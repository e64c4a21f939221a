//! When the events of a sample marketplace happen: more in the evening, more at weekends, slowly
//! more from week to week, and no two days alike.

use std::ops::Range;

use analytics_core::calendar::Calendar;
use analytics_core::time::EventTime;
use chrono::{DateTime, Datelike, Duration, TimeDelta, Timelike, Utc};

use super::Random;

/// Shares of a day's events by the hour of the local clock, as parts of an average hour.
const HOURS: [f64; 24] = [
    0.42, 0.27, 0.18, 0.13, 0.14, 0.23, 0.45, 0.72, 0.95, 1.10, 1.18, 1.22, 1.30, 1.24, 1.15, 1.12, 1.16, 1.28, 1.48,
    1.75, 1.98, 1.92, 1.50, 1.13,
];

/// Shares of a week's events by weekday from Monday, as parts of an average day.
const WEEKDAYS: [f64; 7] = [0.93, 0.86, 0.85, 0.88, 0.92, 1.22, 1.34];

/// How much less there was a day earlier, as a part of the last day.
const GROWTH: f64 = 0.004;

/// How far days and hours are from what is usual, as parts of it.
const DAILY_NOISE: f64 = 0.06;
const HOURLY_NOISE: f64 = 0.10;

/// The times of events within a range, in order. The same seed gives the same times.
pub struct Rhythm {
    random: Random,
    calendar: Calendar,
    /// What is left of the range.
    range: Range<DateTime<Utc>>,
    per_day: f64,
    /// The current business day, and how it differs from what is usual.
    day: (i32, f64),
    /// The remaining times of the current hour, the latest first.
    hour: Vec<DateTime<Utc>>,
}

impl Rhythm {
    /// Returns the times within `range`, with about `per_day` events on an average day at its end.
    /// Hours and weekdays are those of the calendar.
    #[must_use]
    pub const fn new(seed: u64, calendar: Calendar, range: Range<DateTime<Utc>>, per_day: f64) -> Self {
        Self { random: Random(seed), calendar, range, per_day, day: (0, 1.0), hour: Vec::new() }
    }

    /// Draws a number around 1 that differs from it by `part` on average.
    fn noise(&mut self, part: f64) -> f64 {
        // The sum of four uniform numbers has a bell curve, a mean of 2, and a mean deviation of
        // about 0.47.
        let sum: f64 = (0..4).map(|_| self.random.fraction()).sum();
        part.mul_add((sum - 2.0) / 0.47, 1.0).max(0.0)
    }

    /// Fills the times of the range's first hour, and removes that hour from the range.
    fn next_hour(&mut self) {
        let start = self.range.start;
        let at = EventTime::from(start);
        let end = self.calendar.next_hour(at).min(self.range.end);
        let length = end - start;
        let expected = self.rate(start) * hours(length) * self.noise(HOURLY_NOISE);
        let mut left = expected;
        while left >= 1.0 || left > self.random.fraction() {
            let offset = TimeDelta::milliseconds(
                i64::try_from(self.random.below(length.num_milliseconds().max(1).unsigned_abs())).unwrap_or_default(),
            );
            self.hour.push(start + offset);
            left -= 1.0;
        }
        self.hour.sort_unstable_by(|a, b| b.cmp(a));
        self.range.start = end;
    }

    /// Returns how many events an hour is expected to have at `time`.
    fn rate(&mut self, time: DateTime<Utc>) -> f64 {
        let local = self.calendar.local(time);
        let day = local.num_days_from_ce();
        if self.day.0 != day {
            self.day = (day, self.noise(DAILY_NOISE));
        }
        let hour = HOURS[local.hour() as usize];
        let weekday = WEEKDAYS[local.weekday().num_days_from_monday() as usize];
        let growth = GROWTH.mul_add(-hours(self.range.end - time) / 24.0, 1.0).max(0.2);
        self.per_day / 24.0 * hour * weekday * growth * self.day.1
    }
}

impl Iterator for Rhythm {
    type Item = DateTime<Utc>;

    fn next(&mut self) -> Option<DateTime<Utc>> {
        loop {
            if let Some(time) = self.hour.pop() {
                return Some(time);
            }
            if self.range.is_empty() {
                return None;
            }
            self.next_hour();
        }
    }
}

fn hours(length: Duration) -> f64 {
    length.as_seconds_f64() / 3600.0
}

/// Returns the range of the last `days` business days, of which today is the last, until `now`.
#[must_use]
pub fn last_days(calendar: Calendar, days: u32, now: DateTime<Utc>) -> Range<DateTime<Utc>> {
    let today = calendar.day(EventTime::from(now));
    let before = Duration::days(i64::from(days) - 1).max(Duration::zero());
    calendar.day_start(today - before)..now
}

#[cfg(test)]
mod tests;

//! Business days and business hours: time divided by the local clock of `BUSINESS_TIMEZONE`.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use chrono::{
    DateTime, Datelike, Duration, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

use crate::time::EventTime;

const MICROS_OF_A_MINUTE: i64 = 60 * 1_000_000;

/// Rules of a timezone are read from this instant on; no event is earlier than 2000-01-01.
const FIRST: DateTime<Utc> = DateTime::from_timestamp(915_148_800, 0).expect("1999-01-01 is a time");
/// Rules are read up to this instant.
const LAST: DateTime<Utc> = DateTime::from_timestamp(4_102_444_800, 0).expect("2100-01-01 is a time");

/// The timezone of the business, and the days and hours that follow from it.
#[derive(Clone, Copy)]
pub struct Calendar {
    /// Shared by all copies, for as long as the process runs: there is one business.
    clock: &'static Clock,
}

struct Clock {
    timezone: Tz,
    /// The rules of this program's tz database.
    own: Vec<ClockChange>,
    /// The rules that the database stores, once they are known.
    stored: OnceLock<Vec<ClockChange>>,
}

/// A change of the local clock, in effect until the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockChange {
    /// When it takes effect.
    pub starts_at: DateTime<Utc>,
    /// How far the local clock is ahead of UTC from then on, in seconds; negative if behind.
    pub utc_offset: i32,
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calendar").field(&self.name()).finish()
    }
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Calendar {}

/// Reads a date as people and programs write it, such as `2026-11-20`, in the years 0 to 9999. Dates of other years, which
/// chrono reads as well, are at the ends of its range, where no time can be added to them.
#[must_use]
pub fn date(text: &str) -> Option<NaiveDate> {
    text.parse().ok().filter(|date: &NaiveDate| (0..=9_999).contains(&date.year()))
}

impl Calendar {
    /// Creates the calendar of a timezone, with the rules of this program's tz database.
    #[must_use]
    pub fn new(timezone: Tz) -> Self {
        let clock = Clock { timezone, own: changes(timezone, FIRST, LAST), stored: OnceLock::new() };
        Self { clock: Box::leak(Box::new(clock)) }
    }

    /// Returns the calendar of UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self::new(Tz::UTC)
    }

    /// Returns the timezone's IANA name, as used in settings and in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.clock.timezone.name()
    }

    /// Returns the timezone's rules from this program's tz database, in order. A new database stores them.
    #[must_use]
    pub fn own_rules(self) -> &'static [ClockChange] {
        &self.clock.own
    }

    /// Makes this calendar and all its copies use the rules that the database stores, so that
    /// recounting an event always gives the day and hour in which it was counted, whatever a newer
    /// tz database says. Only the first call has an effect: a process reads the rules once, before
    /// anything depends on them.
    pub fn follow(self, stored: Vec<ClockChange>) {
        if !stored.is_empty() {
            let _known_before = self.clock.stored.set(stored);
        }
    }

    /// Returns the number of the minute since 1970 that contains `time`. A minute never spans two
    /// hours or two days in any timezone: since 2000 clocks have been changed at full minutes only,
    /// though not always at full quarters of an hour (St John's until 2011).
    #[must_use]
    pub fn minute(time: EventTime) -> i64 {
        time.micros().div_euclid(MICROS_OF_A_MINUTE)
    }

    /// Returns the business day that contains `time`.
    #[must_use]
    pub fn day(self, time: EventTime) -> NaiveDate {
        (time.utc() + self.offset(time.utc())).date_naive()
    }

    /// Returns the first instant of a business day. If the clock skips midnight, it is the first
    /// instant after the change; if midnight occurs twice, the first of the two. A day that the
    /// timezone skipped entirely starts at the start of the next day.
    #[must_use]
    pub fn day_start(self, day: NaiveDate) -> DateTime<Utc> {
        let own = self.day_ranges(day).into_iter().next().map(|range| range.start);
        let next = || Some(self.day_ranges(day.succ_opt()?).first()?.start);
        own.or_else(next).unwrap_or_else(|| day.and_time(NaiveTime::MIN).and_utc())
    }

    /// Returns the time ranges that make up a business day, in order. There is one range, unless
    /// the clock is put back shortly after midnight to a time before midnight: then the day before
    /// continues for a while, and each of the two days has two ranges (St John's, 2010-11-07). A
    /// day that the timezone skipped entirely has none (Samoa, 2011-12-30).
    #[must_use]
    pub fn day_ranges(self, day: NaiveDate) -> Vec<Range<DateTime<Utc>>> {
        // Local clocks are up to 14 hours ahead of UTC or 12 hours behind it.
        let (ahead, behind) = (Duration::hours(16), Duration::hours(14));
        let midnight = day.and_time(NaiveTime::MIN).and_utc();
        let (first, last) = (midnight - ahead, midnight + Duration::days(1) + behind);
        let changes = self.rules().iter().map(|change| change.starts_at).filter(|at| *at > first && *at < last);
        let mut ranges: Vec<Range<DateTime<Utc>>> = Vec::new();
        let mut from = first;
        for to in changes.chain([last]) {
            let midnight = midnight - self.offset(from);
            let range = from.max(midnight)..to.min(midnight + Duration::days(1));
            match ranges.last_mut() {
                Some(earlier) if earlier.end == range.start => earlier.end = earlier.end.max(range.end),
                _ if range.is_empty() => {}
                _ => ranges.push(range),
            }
            from = to;
        }
        ranges
    }

    /// Returns the start of the business hour that contains `time`. Hours begin at full hours of
    /// the local clock, so that they nest in days even if the offset from UTC includes half an
    /// hour. If the clock is changed to a time within an hour, that hour begins at the instant of
    /// the change.
    #[must_use]
    pub fn hour_start(self, time: EventTime) -> DateTime<Utc> {
        let offset = self.offset(time.utc());
        let local = time.utc() + offset;
        let past = Duration::minutes(local.minute().into())
            + Duration::seconds(local.second().into())
            + Duration::nanoseconds(local.nanosecond().into());
        let full_hour = local - past - offset;
        self.current(time.utc()).map_or(full_hour, |change| change.starts_at.max(full_hour))
    }

    /// Returns the start of the business hour after the one that contains `time`.
    #[must_use]
    pub fn next_hour(self, time: EventTime) -> DateTime<Utc> {
        let local = self.local(time.utc());
        let past = Duration::minutes(local.minute().into())
            + Duration::seconds(local.second().into())
            + Duration::nanoseconds(local.nanosecond().into());
        let full_hour = time.utc() - past + Duration::hours(1);
        let rules = self.rules();
        let later = rules.partition_point(|change| change.starts_at <= time.utc());
        rules.get(later).map_or(full_hour, |change| change.starts_at.min(full_hour))
    }

    /// Returns what the local clock shows at `time`.
    #[must_use]
    pub fn local(self, time: DateTime<Utc>) -> NaiveDateTime {
        (time + self.offset(time)).naive_utc()
    }

    /// Returns `time` with the offset of the local clock, as answers show it.
    #[must_use]
    pub fn shown(self, time: DateTime<Utc>) -> DateTime<FixedOffset> {
        let seconds = i32::try_from(self.offset(time).num_seconds()).unwrap_or(0);
        FixedOffset::east_opt(seconds).map_or_else(|| time.fixed_offset(), |offset| time.with_timezone(&offset))
    }

    /// Returns the first instant at which the local clock shows `local`. If it is put forward over
    /// that time, it is the instant of the change.
    #[must_use]
    pub fn at_local(self, local: NaiveDateTime) -> DateTime<Utc> {
        // Any instant at which the clock shows a time of that day, and some before and after.
        let (first, last) = (local.and_utc() - Duration::hours(16), local.and_utc() + Duration::hours(14));
        let changes = self.rules().iter().map(|change| change.starts_at).filter(|at| *at > first && *at < last);
        let mut from = first;
        for to in changes.chain([last]) {
            let time = local.and_utc() - self.offset(from);
            if time < to {
                return time.max(from);
            }
            from = to;
        }
        local.and_utc() - self.offset(last)
    }

    /// Returns how far the local clock is ahead of UTC.
    fn offset(self, time: DateTime<Utc>) -> Duration {
        let current = self.current(time).or_else(|| self.rules().first());
        Duration::seconds(current.map_or(0, |change| change.utc_offset.into()))
    }

    fn rules(self) -> &'static [ClockChange] {
        self.clock.stored.get().unwrap_or(&self.clock.own)
    }

    /// Returns the last change of the clock at or before `time`.
    fn current(self, time: DateTime<Utc>) -> Option<&'static ClockChange> {
        let rules = self.rules();
        let later = rules.partition_point(|change| change.starts_at <= time);
        rules.get(later.checked_sub(1)?)
    }
}

/// Returns how far a timezone's clock is ahead of UTC, in seconds, by this program's tz database.
fn offset(timezone: Tz, time: DateTime<Utc>) -> i32 {
    timezone.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc()
}

/// Returns the rules of a timezone from `first` to `last`: the one in effect at `first`, then each
/// change after it. Relies on two changes of a clock always being more than 6 hours apart, which a
/// test checks.
fn changes(timezone: Tz, first: DateTime<Utc>, last: DateTime<Utc>) -> Vec<ClockChange> {
    let mut changes = vec![ClockChange { starts_at: first, utc_offset: offset(timezone, first) }];
    let mut from = first;
    while from < last {
        let to = (from + Duration::hours(3)).min(last);
        let utc_offset = offset(timezone, to);
        if offset(timezone, from) != utc_offset {
            changes.push(ClockChange { starts_at: change(timezone, from, to), utc_offset });
        }
        from = to;
    }
    changes
}

/// Returns the instant, after `before` and not after `after`, of the single change between the two.
/// Changes happen at full minutes.
fn change(timezone: Tz, before: DateTime<Utc>, after: DateTime<Utc>) -> DateTime<Utc> {
    let old = offset(timezone, before);
    let (mut old_minute, mut new_minute) = (before.timestamp().div_euclid(60), after.timestamp().div_euclid(60));
    let at = |minute: i64| DateTime::from_timestamp(minute.saturating_mul(60), 0).unwrap_or_default();
    while new_minute - old_minute > 1 {
        let between = i64::midpoint(old_minute, new_minute);
        *if offset(timezone, at(between)) == old { &mut old_minute } else { &mut new_minute } = between;
    }
    at(new_minute)
}

#[cfg(test)]
mod tests;

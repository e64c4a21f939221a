//! Ranges of time that people ask for, and the buckets that they are divided into.
//!
//! All ranges lie on hours of the business's clock, the finest division of time for which numbers
//! are kept. Buckets never overlap and leave nothing out, whatever the clock does: a day may have 23
//! or 25 hours, and a day that the timezone skipped has no bucket.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, Utc, Weekday};

use crate::calendar::Calendar;
use crate::rollup::Granularity;

/// A range of time: `from` is in it, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its start.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
}

impl Span {
    /// The range of whole business days from `first` to `last`, both included.
    #[must_use]
    pub fn of_days(calendar: Calendar, first: NaiveDate, last: NaiveDate) -> Self {
        Self { from: calendar.day_start(first), to: calendar.day_start(after(last)) }
    }

    /// Returns the rollups that the range is made of: whole days, and the hours of the days that
    /// it contains in part.
    #[must_use]
    pub fn pieces(self, calendar: Calendar) -> Vec<(Granularity, DateTime<Utc>)> {
        let mut pieces = Vec::new();
        let mut from = self.from;
        while from < self.to {
            let day = calendar.day(from.into());
            let next_day = calendar.day_start(after(day));
            let (granularity, next) = if calendar.day_start(day) == from && next_day <= self.to {
                (Granularity::Day, next_day)
            } else {
                (Granularity::Hour, calendar.next_hour(from.into()))
            };
            pieces.push((granularity, from));
            from = next;
        }
        pieces
    }

    /// Whether it consists of whole business days.
    #[must_use]
    pub fn is_of_days(self, calendar: Calendar) -> bool {
        [self.from, self.to].into_iter().all(|end| calendar.day_start(calendar.day(end.into())) == end)
    }

    /// Whether it consists of whole business hours.
    #[must_use]
    pub fn is_of_hours(self, calendar: Calendar) -> bool {
        [self.from, self.to].into_iter().all(|end| calendar.hour_start(end.into()) == end)
    }

    /// Returns the part of it before `end`.
    #[must_use]
    pub fn until(self, end: DateTime<Utc>) -> Self {
        Self { from: self.from, to: self.to.min(end).max(self.from) }
    }

    /// Whether there is no time in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.from >= self.to
    }
}

/// The width of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Hours of the local clock.
    Hour,
    /// Business days.
    Day,
    /// Weeks of business days.
    Week,
    /// Months of business days.
    Month,
    /// Years of business days.
    Year,
}

impl Interval {
    /// All intervals.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Returns the start of the bucket after the one that contains `time`.
    fn next(self, calendar: Calendar, week_start: Weekday, time: DateTime<Utc>) -> DateTime<Utc> {
        let day = calendar.day(time.into());
        let first = match self {
            Self::Hour => return calendar.next_hour(time.into()),
            Self::Day => after(day),
            Self::Week => day + Days::new(7) - Days::new(day.weekday().days_since(week_start).into()),
            Self::Month => first_of_month(day) + Months::new(1),
            Self::Year => first_of_year(day) + Months::new(12),
        };
        calendar.day_start(first)
    }

    /// Divides a range into buckets. The first and the last may be parts of a week, a month or a
    /// year: they begin and end with the range.
    #[must_use]
    pub fn buckets(self, calendar: Calendar, week_start: Weekday, span: Span) -> Vec<Span> {
        let mut buckets = Vec::new();
        let mut from = span.from;
        while from < span.to {
            let to = self.next(calendar, week_start, from).min(span.to);
            // Time goes on, also where a day comes back.
            let to = if to > from { to } else { calendar.next_hour(from.into()).min(span.to) };
            buckets.push(Span { from, to });
            from = to;
        }
        buckets
    }
}

/// A range of time relative to now, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// The present business day.
    Today,
    /// The one before it.
    Yesterday,
    /// So many business days, the last of which is the present one.
    LastDays(u16),
    /// The present month.
    ThisMonth,
    /// The one before it.
    LastMonth,
    /// The present year.
    ThisYear,
}

impl Period {
    /// All periods, by their names in the API.
    pub const ALL: [(&'static str, Self); 8] = [
        ("today", Self::Today),
        ("yesterday", Self::Yesterday),
        ("7d", Self::LastDays(7)),
        ("30d", Self::LastDays(30)),
        ("90d", Self::LastDays(90)),
        ("this_month", Self::ThisMonth),
        ("last_month", Self::LastMonth),
        ("this_year", Self::ThisYear),
    ];

    /// The period of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(own, _)| *own == name).map(|(_, period)| period)
    }

    /// Its first and its last day, seen from `today`.
    #[must_use]
    pub fn days(self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        let month = first_of_month(today);
        match self {
            Self::Today => (today, today),
            Self::Yesterday => (before(today), before(today)),
            Self::LastDays(days) => (today - Days::new(u64::from(days).saturating_sub(1)), today),
            Self::ThisMonth => (month, before(month + Months::new(1))),
            Self::LastMonth => (month - Months::new(1), before(month)),
            Self::ThisYear => {
                let year = first_of_year(today);
                (year, before(year + Months::new(12)))
            }
        }
    }
}

/// What a range is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The range before it: the month before a month, the year before a year, else as many days.
    Previous,
    /// The same days of the week before.
    PreviousWeek,
    /// The same dates of the year before.
    PreviousYear,
}

impl Comparison {
    /// All comparisons, by their names in the API.
    pub const ALL: [(&'static str, Self); 3] =
        [("previous", Self::Previous), ("previous_week", Self::PreviousWeek), ("previous_year", Self::PreviousYear)];

    /// The comparison of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(own, _)| *own == name).map(|(_, comparison)| comparison)
    }

    /// How far the range that `span` is compared with lies before it.
    #[must_use]
    pub fn shift(self, calendar: Calendar, span: Span) -> Shift {
        let (first, end) = (calendar.local(span.from), calendar.local(span.to));
        match self {
            Self::PreviousWeek => Shift::Days(7),
            Self::PreviousYear => Shift::Months(12),
            Self::Previous => match whole_months(first, end) {
                Some(months) => Shift::Months(months),
                None => Shift::Days((end - first).num_days().unsigned_abs().max(1)),
            },
        }
    }
}

/// A distance on the local clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// So many days.
    Days(u64),
    /// So many months.
    Months(u32),
}

impl Shift {
    /// The same time of the local clock, so much earlier, whatever the offsets from UTC. The last
    /// days of a month that is longer than the earlier one are its last day.
    #[must_use]
    pub fn back(self, calendar: Calendar, time: DateTime<Utc>) -> DateTime<Utc> {
        let local = calendar.local(time);
        calendar.at_local(match self {
            Self::Days(days) => local - Days::new(days),
            Self::Months(months) => local - Months::new(months),
        })
    }

    /// The range that is so much earlier.
    #[must_use]
    pub fn span_back(self, calendar: Calendar, span: Span) -> Span {
        Span { from: self.back(calendar, span.from), to: self.back(calendar, span.to) }
    }
}

/// How many months lie between two local times, if both are the start of one.
fn whole_months(from: NaiveDateTime, to: NaiveDateTime) -> Option<u32> {
    let is_start = |time: NaiveDateTime| time.day() == 1 && time.time() == NaiveTime::MIN;
    let number = |time: NaiveDateTime| i64::from(time.year()) * 12 + i64::from(time.month0());
    let months = number(to) - number(from);
    (is_start(from) && is_start(to) && months > 0).then(|| u32::try_from(months).ok()).flatten()
}

fn after(day: NaiveDate) -> NaiveDate {
    day.succ_opt().unwrap_or(day)
}

fn before(day: NaiveDate) -> NaiveDate {
    day.pred_opt().unwrap_or(day)
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

fn first_of_year(day: NaiveDate) -> NaiveDate {
    day.with_ordinal(1).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::business::Business;

    fn calendar(timezone: &str) -> Calendar {
        Business::parse("USD", timezone).unwrap().calendar
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// The lengths of the buckets of some days, in minutes.
    fn minutes(timezone: &str, interval: Interval, first: &str, last: &str) -> Vec<i64> {
        let calendar = calendar(timezone);
        let span = Span::of_days(calendar, day(first), day(last));
        let buckets = interval.buckets(calendar, Weekday::Mon, span);
        assert!(buckets.is_sorted_by(|a, b| a.to == b.from), "{buckets:?}");
        let ends = (buckets.first().map(|bucket| bucket.from), buckets.last().map(|bucket| bucket.to));
        assert_eq!(ends, (Some(span.from), Some(span.to)));
        buckets.iter().map(|bucket| (bucket.to - bucket.from).num_minutes()).collect()
    }

    #[test]
    fn buckets_leave_nothing_out_whatever_the_clock_does() {
        const DAY: i64 = 24 * 60;
        for (timezone, interval, first, last, expected) in [
            ("UTC", Interval::Day, "2026-02-27", "2026-03-01", vec![DAY; 3]),
            ("Europe/Berlin", Interval::Day, "2026-03-28", "2026-03-30", vec![DAY, 23 * 60, DAY]),
            ("Europe/Berlin", Interval::Day, "2026-10-24", "2026-10-26", vec![DAY, 25 * 60, DAY]),
            ("Europe/Berlin", Interval::Hour, "2026-03-29", "2026-03-29", vec![60; 23]),
            ("Europe/Berlin", Interval::Hour, "2026-10-25", "2026-10-25", vec![60; 25]),
            // The clock is put back by half an hour at 2:00: 1:30 to 2:00 comes twice.
            ("Australia/Lord_Howe", Interval::Day, "2026-04-05", "2026-04-05", vec![DAY + 30]),
            ("America/Sao_Paulo", Interval::Day, "2018-11-03", "2018-11-05", vec![DAY, 23 * 60, DAY]),
            // 2011-12-30 never was.
            ("Pacific/Apia", Interval::Day, "2011-12-29", "2011-12-31", vec![DAY, DAY]),
            ("Asia/Kolkata", Interval::Hour, "2026-01-01", "2026-01-01", vec![60; 24]),
            ("UTC", Interval::Week, "2026-11-25", "2026-12-08", vec![5 * DAY, 7 * DAY, 2 * DAY]),
            ("UTC", Interval::Month, "2028-01-31", "2028-03-01", vec![DAY, 29 * DAY, DAY]),
            ("UTC", Interval::Year, "2027-12-31", "2028-12-31", vec![DAY, 366 * DAY]),
        ] {
            assert_eq!(minutes(timezone, interval, first, last), expected, "{timezone} {interval:?} {first}");
        }
        let halves = minutes("Australia/Lord_Howe", Interval::Hour, "2026-04-05", "2026-04-05");
        assert_eq!(halves.iter().sum::<i64>(), DAY + 30);
    }

    #[test]
    fn weeks_start_where_they_are_told_to() {
        let calendar = calendar("UTC");
        let span = Span::of_days(calendar, day("2026-11-22"), day("2026-12-05"));
        let starts = |week_start| -> Vec<String> {
            let buckets = Interval::Week.buckets(calendar, week_start, span);
            buckets.iter().map(|bucket| bucket.from.date_naive().to_string()).collect()
        };
        assert_eq!(starts(Weekday::Mon), ["2026-11-22", "2026-11-23", "2026-11-30"]);
        assert_eq!(starts(Weekday::Sun), ["2026-11-22", "2026-11-29"]);
    }

    #[test]
    fn periods_are_days_of_the_business() {
        let today = day("2028-02-29");
        for (name, first, last) in [
            ("today", "2028-02-29", "2028-02-29"),
            ("yesterday", "2028-02-28", "2028-02-28"),
            ("7d", "2028-02-23", "2028-02-29"),
            ("30d", "2028-01-31", "2028-02-29"),
            ("this_month", "2028-02-01", "2028-02-29"),
            ("last_month", "2028-01-01", "2028-01-31"),
            ("this_year", "2028-01-01", "2028-12-31"),
        ] {
            assert_eq!(Period::named(name).unwrap().days(today), (day(first), day(last)), "{name}");
        }
        assert_eq!(Period::named("1d"), None);
    }

    #[test]
    fn what_a_range_is_compared_with_is_at_the_same_local_times() {
        let calendar = calendar("Europe/Berlin");
        for (comparison, first, last, expected_first, expected_last) in [
            (Comparison::Previous, "2026-11-27", "2026-11-27", "2026-11-26", "2026-11-26"),
            (Comparison::Previous, "2026-11-21", "2026-11-27", "2026-11-14", "2026-11-20"),
            (Comparison::Previous, "2026-03-01", "2026-03-31", "2026-02-01", "2026-02-28"),
            (Comparison::Previous, "2028-01-01", "2028-12-31", "2027-01-01", "2027-12-31"),
            (Comparison::PreviousWeek, "2026-10-26", "2026-10-27", "2026-10-19", "2026-10-20"),
            (Comparison::PreviousYear, "2028-02-29", "2028-02-29", "2027-02-28", "2027-02-28"),
            (Comparison::PreviousYear, "2026-03-29", "2026-03-29", "2025-03-29", "2025-03-29"),
        ] {
            let span = Span::of_days(calendar, day(first), day(last));
            let earlier = comparison.shift(calendar, span).span_back(calendar, span);
            let expected = Span::of_days(calendar, day(expected_first), day(expected_last));
            assert_eq!(earlier, expected, "{comparison:?} {first} to {last}");
        }
        // Two o'clock in the afternoon stays two o'clock, also where a clock was changed between.
        let afternoon = "2026-10-26T13:00:00Z".parse().unwrap();
        assert_eq!(Shift::Days(7).back(calendar, afternoon).to_rfc3339(), "2026-10-19T12:00:00+00:00");
        // Half past two on 2026-03-29 never was: the clock went on from two to three.
        let night = "2026-03-30T00:30:00Z".parse().unwrap();
        assert_eq!(Shift::Days(1).back(calendar, night).to_rfc3339(), "2026-03-29T01:00:00+00:00");
    }

    proptest::proptest! {
        #[test]
        fn hours_nest_in_days_and_days_in_weeks(
            start in 946_684_800_i64..2_000_000_000,
            days in 1_i64..40,
            zone in 0..chrono_tz::TZ_VARIANTS.len(),
        ) {
            let calendar = Calendar::new(chrono_tz::TZ_VARIANTS[zone]);
            let first = DateTime::from_timestamp(start, 0).unwrap().date_naive();
            let span = Span::of_days(calendar, first, first + Days::new(days.unsigned_abs()));
            let starts = |interval: Interval| -> Vec<_> {
                let buckets = interval.buckets(calendar, Weekday::Mon, span);
                buckets.into_iter().map(|bucket| bucket.from).collect()
            };
            let (hours, days, weeks) = (starts(Interval::Hour), starts(Interval::Day), starts(Interval::Week));
            proptest::prop_assert!(days.iter().all(|start| hours.contains(start)));
            proptest::prop_assert!(weeks.iter().all(|start| days.contains(start)));
            for hour in &hours {
                proptest::prop_assert_eq!(calendar.hour_start((*hour).into()), *hour);
            }
        }
    }
}

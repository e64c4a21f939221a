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

    /// Returns the time that is in any of the ranges, as ranges that neither overlap nor touch, in
    /// their order.
    #[must_use]
    pub fn united(spans: &[Self]) -> Vec<Self> {
        let mut spans: Vec<Self> = spans.iter().copied().filter(|span| !span.is_empty()).collect();
        spans.sort_unstable_by_key(|span| span.from);
        let mut united: Vec<Self> = Vec::new();
        for span in spans {
            match united.last_mut() {
                Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
                _ => united.push(span),
            }
        }
        united
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
    /// The range before it: the month before a month, the year before a year, else as many days, a part
    /// of one being a whole one, so that the two do not overlap.
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
        let (first, end) = (date_and_time(calendar, span.from), date_and_time(calendar, span.to));
        match self {
            Self::PreviousWeek => Shift::Days(7),
            Self::PreviousYear => Shift::Months(12),
            Self::Previous => match whole_months(first, end) {
                Some(months) => Shift::Months(months),
                None => {
                    let days = (end - first).num_days().unsigned_abs().max(1);
                    let is_before = |days: &u64| {
                        let earlier = Shift::Days(*days).span_back(calendar, span);
                        // There is nothing in a day or an hour that the clock skipped.
                        earlier.to <= span.from && !earlier.is_empty()
                    };
                    // Another day if the last one is a part of a day; two if the clock skipped something there.
                    Shift::Days((days..days + 2).find(is_before).unwrap_or(days + 2))
                }
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
    /// days of a month that is longer than the earlier one are its last day. The start of a day is
    /// the start of the earlier one, also where one of them begins later than at midnight.
    #[must_use]
    pub fn back(self, calendar: Calendar, time: DateTime<Utc>) -> DateTime<Utc> {
        let local = date_and_time(calendar, time);
        let earlier = match self {
            Self::Days(days) => local - Days::new(days),
            Self::Months(months) => local - Months::new(months),
        };
        if local.time() == NaiveTime::MIN { calendar.day_start(earlier.date()) } else { calendar.at_local(earlier) }
    }

    /// The range that is so much earlier.
    #[must_use]
    pub fn span_back(self, calendar: Calendar, span: Span) -> Span {
        Span { from: self.back(calendar, span.from), to: self.back(calendar, span.to) }
    }
}

/// What the local clock shows at `time`, with midnight for the start of a day whose midnight was skipped.
fn date_and_time(calendar: Calendar, time: DateTime<Utc>) -> NaiveDateTime {
    let day = calendar.day(time.into());
    if calendar.day_start(day) == time { day.and_time(NaiveTime::MIN) } else { calendar.local(time) }
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
mod tests;

//! Months of the business's calendar.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, Months, NaiveDate, Utc};

use crate::calendar::Calendar;

/// A calendar month of the years 2000 to 2099: no event is earlier, and no number can be later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(NaiveDate);

/// The text is not a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a month such as 2026-10, of the years 2000 to 2099")]
pub struct NoMonth;

impl Month {
    /// Returns the month that contains a day; `None` for a day of other years.
    #[must_use]
    pub fn of(day: NaiveDate) -> Option<Self> {
        let first = NaiveDate::from_ymd_opt(day.year(), day.month(), 1)?;
        (2000..=2099).contains(&first.year()).then_some(Self(first))
    }

    /// Returns the first day.
    #[must_use]
    pub const fn first(self) -> NaiveDate {
        self.0
    }

    /// Returns the days, in order.
    pub fn days(self) -> impl Iterator<Item = NaiveDate> {
        self.0.iter_days().take_while(move |day| day.month() == self.0.month())
    }

    /// Returns the time at which it is over: the start of the next month's first day.
    #[must_use]
    pub fn end(self, calendar: Calendar) -> DateTime<Utc> {
        // A day of the year 2100 at most.
        calendar.day_start(self.0.checked_add_months(Months::new(1)).unwrap_or(self.0))
    }

    /// Returns the ranges of time of its days, in order.
    #[must_use]
    pub fn ranges(self, calendar: Calendar) -> Vec<Range<DateTime<Utc>>> {
        self.days().flat_map(|day| calendar.day_ranges(day)).collect()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Self, NoMonth> {
        let day = format!("{text}-01").parse().ok().filter(|_| text.len() == 7);
        day.and_then(Self::of).ok_or(NoMonth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_read_as_it_is_written() {
        for text in ["2026-10", "2000-01", "2099-12"] {
            assert_eq!(text.parse::<Month>().unwrap().to_string(), text);
        }
        for text in
            ["", "2026", "2026-1", "2026-13", "2026-10-01", "1999-12", "2100-01", "+026-10", "2026/10", "ä2026-1"]
        {
            assert_eq!(text.parse::<Month>(), Err(NoMonth), "{text}");
        }
    }

    #[test]
    fn a_month_ends_where_the_next_one_begins() {
        let calendar = Calendar::new(chrono_tz::Europe::Berlin);
        let (october, february) = ("2026-10".parse::<Month>().unwrap(), "2028-02".parse::<Month>().unwrap());
        assert_eq!(october.end(calendar).to_rfc3339(), "2026-10-31T23:00:00+00:00");
        assert_eq!((october.days().count(), february.days().count()), (31, 29));
        let ranges = october.ranges(calendar);
        assert_eq!((ranges.len(), ranges[30].end), (31, october.end(calendar)));
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
    }
}

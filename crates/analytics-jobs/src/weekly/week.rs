//! A week of the calendar, from Monday to Sunday.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike as _, Days, NaiveDate, Weekday};

/// A week as ISO 8601 numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Week {
    monday: NaiveDate,
}

impl Week {
    /// The last week that was over before a day.
    pub(super) fn before(day: NaiveDate) -> Self {
        let monday = day.week(Weekday::Mon).first_day();
        Self { monday: monday.checked_sub_days(Days::new(7)).unwrap_or(monday) }
    }

    /// The week before.
    pub(super) fn previous(self) -> Self {
        Self::before(self.monday)
    }

    /// Its days.
    pub(super) fn days(self) -> impl Iterator<Item = NaiveDate> {
        self.monday.iter_days().take(7)
    }

    /// Its last day.
    pub(super) fn sunday(self) -> NaiveDate {
        self.monday.week(Weekday::Mon).last_day()
    }

    /// Its first day.
    pub(super) const fn monday(self) -> NaiveDate {
        self.monday
    }
}

impl fmt::Display for Week {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let week = self.monday.iso_week();
        write!(f, "{:04}-W{:02}", week.year(), week.week())
    }
}

impl FromStr for Week {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let week = || {
            let (year, week) = text.split_once("-W")?;
            let is_written =
                |digits: &str, length| digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit());
            let (year, week) = (is_written(year, 4).then_some(year)?, is_written(week, 2).then_some(week)?);
            NaiveDate::from_isoywd_opt(year.parse().ok()?, week.parse().ok()?, Weekday::Mon)
        };
        // Of years that calendars are made for.
        let monday = week().filter(|monday| (1970..=9000).contains(&monday.year()));
        monday.map(|monday| Self { monday }).ok_or("must be a week such as 2026-W47")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_are_those_of_iso_8601() {
        for (text, monday) in [
            ("2026-W47", "2026-11-16"),
            ("2026-W01", "2025-12-29"),
            ("2026-W53", "2026-12-28"),
            ("2025-W01", "2024-12-30"),
        ] {
            let week: Week = text.parse().unwrap();
            assert_eq!((week.monday().to_string(), week.to_string()), (monday.to_owned(), text.to_owned()));
            assert_eq!(week.days().last(), Some(week.sunday()));
        }
        assert_eq!("2026-W01".parse::<Week>().unwrap().previous().to_string(), "2025-W52");
        // Of a Monday and of a Sunday.
        for day in ["2026-11-23", "2026-11-29"] {
            assert_eq!(Week::before(day.parse().unwrap()).to_string(), "2026-W47");
        }
        for text in [
            "2026-W54",
            "2025-W53",
            "2026-W00",
            "2026-47",
            "26-W47",
            "2026-W7",
            "+026-W47",
            "2026-W047",
            "",
            "0000-W01",
        ] {
            assert!(text.parse::<Week>().is_err(), "{text}");
        }
    }
}

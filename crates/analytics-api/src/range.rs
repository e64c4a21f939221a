//! Ranges of time in query parameters: `period`, or `from` and `to`, with `interval` and `compare`.

use analytics_core::calendar::{Calendar, date};
use analytics_core::money::Currency;
use analytics_core::period::{Comparison, Interval, Period, Shift, Span};
use analytics_db::read::rankings::{Question, Ranked};
use analytics_db::read::usage;
use chrono::{DateTime, Days, Duration, NaiveDate, Utc, Weekday};

use crate::database::Database;
use crate::problem::Problem;
use crate::query::{Query, time};
use crate::settings::ApiSettings;

/// The parameters that a range is read from.
pub(crate) const PARAMETERS: [&str; 4] = ["period", "from", "to", "compare"];

/// The most buckets in one answer.
const MOST_BUCKETS: usize = 1_000;
/// The period that begins with the first day of which anything was counted.
const ALL: &str = "all";
/// The period of requests that name no range.
const DEFAULT: &str = "30d";
/// The most days in one range, except for `all`: ten years.
const MOST_DAYS: i64 = 3_660;

/// The finest division of time that a metric is kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finest {
    /// Hours.
    Hour,
    /// Days, for products.
    Day,
}

/// The start and the end of a range that may have neither.
pub(crate) type Ends = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// A range of time that somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The period by whose name it was given.
    pub(crate) period: Option<&'static str>,
    pub(crate) span: Span,
    comparison: Option<Comparison>,
    /// Whether `compare=none` was given, for panels, which are compared by default.
    is_alone: bool,
}

/// The two sides of a comparison: of a range that is not over, both end at the same time of the
/// local clock, the last full hour, or for products the last full day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) current: Span,
    pub(crate) previous: Span,
}

/// The first day of `period=all`, for requests that ask for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin(Option<NaiveDate>);

impl Origin {
    /// Reads the first day, if the request needs it.
    pub(crate) async fn of(query: &Query, database: &Database, calendar: Calendar) -> Result<Self, Problem> {
        if query.get("period") != Some(ALL) {
            return Ok(Self(None));
        }
        let today = calendar.day(database.now().into());
        let first = database.read(usage::first_day).await?;
        Ok(Self(Some(first.map_or(today, |first| first.min(today)))))
    }
}

impl Range {
    /// Reads the range; without any parameter it is the last 30 days.
    pub(crate) async fn of(
        query: &Query,
        database: &Database,
        settings: &ApiSettings,
        finest: Finest,
    ) -> Result<Self, Problem> {
        Self::of_or(DEFAULT, query, database, settings, finest).await
    }

    /// Reads the range; without any parameter it is the `default` period.
    pub(crate) async fn of_or(
        default: &str,
        query: &Query,
        database: &Database,
        settings: &ApiSettings,
        finest: Finest,
    ) -> Result<Self, Problem> {
        let calendar = settings.business.calendar;
        let origin = Origin::of(query, database, calendar).await?;
        Self::checked(Self::parse(origin, default, query, calendar, database.now(), finest)?)
    }

    /// The same, with the first day of `period=all`.
    pub(crate) fn since(
        origin: Origin,
        query: &Query,
        calendar: Calendar,
        now: DateTime<Utc>,
        finest: Finest,
    ) -> Result<Self, Problem> {
        Self::checked(Self::parse(origin, DEFAULT, query, calendar, now, finest)?)
    }

    /// Checks that the range is not too long.
    fn checked(range: Self) -> Result<Self, Problem> {
        if !range.is_all() && (range.span.to - range.span.from).num_days() > MOST_DAYS {
            return Err(Problem::invalid_parameter("from", format!("must be at most {MOST_DAYS} days before to")));
        }
        Ok(range)
    }

    fn parse(
        Origin(origin): Origin,
        default: &str,
        query: &Query,
        calendar: Calendar,
        now: DateTime<Utc>,
        finest: Finest,
    ) -> Result<Self, Problem> {
        let today = calendar.day(now.into());
        let comparison = query.optional("compare", |name| match Comparison::named(name) {
            None if name != "none" => Err("must be none, previous, previous_week or previous_year"),
            comparison => Ok(comparison),
        })?;
        let (period, span) = match (query.get("period"), query.get("from"), query.get("to")) {
            (Some(_), Some(_), _) => return Err(Problem::invalid_parameter("from", "must not be given with period")),
            (Some(_), _, Some(_)) => return Err(Problem::invalid_parameter("to", "must not be given with period")),
            (None, None, Some(_)) => return Err(Problem::invalid_parameter("from", "must be given if to is given")),
            (None, Some(_), _) => (None, given(query, calendar, today)?),
            (name, None, None) => {
                let name = name.unwrap_or(default);
                let known = Period::ALL.into_iter().find(|(own, _)| *own == name);
                let known = known.map(|(name, period)| (name, period.days(today)));
                let all = origin.filter(|_| name == ALL).map(|first| (ALL, (first, today)));
                let (name, (first, last)) =
                    known.or(all).ok_or_else(|| Problem::invalid_parameter("period", periods()))?;
                (Some(name), Span::of_days(calendar, first, last))
            }
        };
        let is_whole = match finest {
            Finest::Hour => span.is_of_hours(calendar),
            Finest::Day => span.is_of_days(calendar),
        };
        if !is_whole {
            let whole = match finest {
                Finest::Hour => "from and to must be at full hours of the business's clock",
                Finest::Day => "from and to must be at the start of business days: products are counted by day",
            };
            return Err(Problem::invalid_parameter("from", whole));
        }
        Ok(Self { period, span, is_alone: comparison == Some(None), comparison: comparison.flatten() })
    }

    /// The range of a period.
    pub(crate) fn named(name: &str, now: DateTime<Utc>, calendar: Calendar) -> Option<Self> {
        let (period, days) = Period::ALL.into_iter().find(|(own, _)| *own == name)?;
        let (first, last) = days.days(calendar.day(now.into()));
        Some(Self {
            period: Some(period),
            span: Span::of_days(calendar, first, last),
            comparison: None,
            is_alone: false,
        })
    }

    /// The question of what was counted in the range, and in the one before.
    pub(crate) fn question(&self, ranked: Ranked, foreign_currency: Option<Currency>, calendar: Calendar) -> Question {
        let seconds = |span: Span| (span.from.timestamp(), span.to.timestamp());
        Question { ranked, foreign_currency, days: seconds(self.span), previous: seconds(self.before(calendar)) }
    }

    /// Whether it contains everything that was counted, so that there is no range before it.
    pub(crate) fn is_all(&self) -> bool {
        self.period == Some(ALL)
    }

    /// Whether no comparison is wanted.
    pub(crate) const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Whether a comparison was asked for, but there is nothing to compare with.
    pub(crate) fn lacks_comparison(&self) -> bool {
        self.is_all() && self.comparison.is_some()
    }

    /// Reads the interval. By default it is a day, and of `all` what divides it into a readable number
    /// of buckets.
    pub(crate) fn interval(&self, query: &Query) -> Result<Interval, Problem> {
        let default = if self.is_all() { fitting(self.span, Finest::Day) } else { Interval::Day };
        interval(query, default)
    }

    /// Divides the range into buckets.
    pub(crate) fn buckets(
        &self,
        calendar: Calendar,
        week_start: Weekday,
        interval: Interval,
    ) -> Result<Vec<Span>, Problem> {
        let buckets = interval.buckets(calendar, week_start, self.span);
        if buckets.len() > MOST_BUCKETS {
            let why = format!("must divide the range into at most {MOST_BUCKETS} buckets, not {}", buckets.len());
            return Err(Problem::invalid_parameter("interval", why));
        }
        Ok(buckets)
    }

    /// Returns the two sides of the comparison that was asked for, unless there is no range before.
    pub(crate) fn compared(&self, calendar: Calendar, now: DateTime<Utc>, finest: Finest) -> Option<Compared> {
        let shift = self.comparison.filter(|_| !self.is_all())?.shift(calendar, self.span);
        Some(self.shifted(shift, calendar, now, finest))
    }

    /// Returns the two sides of the comparison with the range before; if there is none, or none is wanted,
    /// the earlier side is empty.
    pub(crate) fn with_previous(&self, calendar: Calendar, now: DateTime<Utc>, finest: Finest) -> Compared {
        if self.is_all() || self.is_alone {
            return Compared {
                current: self.until_full(calendar, now, finest),
                previous: self.span.until(self.span.from),
            };
        }
        let comparison = self.comparison.unwrap_or(Comparison::Previous);
        self.shifted(comparison.shift(calendar, self.span), calendar, now, finest)
    }

    /// Returns the range before, all of which is over; it is empty if there is none.
    pub(crate) fn before(&self, calendar: Calendar) -> Span {
        if self.is_all() {
            return self.span.until(self.span.from);
        }
        Comparison::Previous.shift(calendar, self.span).span_back(calendar, self.span)
    }

    fn shifted(&self, shift: Shift, calendar: Calendar, now: DateTime<Utc>, finest: Finest) -> Compared {
        let current = self.until_full(calendar, now, finest);
        Compared { current, previous: shift.span_back(calendar, current) }
    }

    /// Returns the range until the last full hour or day.
    fn until_full(&self, calendar: Calendar, now: DateTime<Utc>, finest: Finest) -> Span {
        self.span.until(match finest {
            Finest::Hour => calendar.hour_start(now.into()),
            Finest::Day => calendar.day_start(calendar.day(now.into())),
        })
    }
}

/// Returns the interval that divides a range into a readable number of buckets: hours for up to two
/// days, days for up to a year, then months, and years after sixty of them.
pub(crate) fn fitting(span: Span, finest: Finest) -> Interval {
    match span.to - span.from {
        length if finest == Finest::Hour && length <= Duration::hours(50) => Interval::Hour,
        length if length <= Duration::days(370) => Interval::Day,
        length if length <= Duration::days(60 * 366) => Interval::Month,
        _ => Interval::Year,
    }
}

/// Reads the range of `from` and `to`, if it is given, however long it is: also `period=all` has links
/// to its events.
pub(crate) fn span(
    query: &Query,
    calendar: Calendar,
    now: DateTime<Utc>,
    finest: Finest,
) -> Result<Option<Span>, Problem> {
    if query.get("from").or(query.get("to")).is_none() {
        return Ok(None);
    }
    Ok(Some(Range::parse(Origin(None), DEFAULT, query, calendar, now, finest)?.span))
}

/// Checks that a range has a start, at most `most` days before its end; `why` ends the sentence that
/// says so. A day in which the clock is changed may be longer.
pub(crate) fn check_days(from: Option<DateTime<Utc>>, to: DateTime<Utc>, most: i64, why: &str) -> Result<(), Problem> {
    match from {
        Some(from) if to - from <= Duration::days(most) + Duration::hours(2) => Ok(()),
        _ => Err(Problem::invalid_parameter("from", format!("must be at most {most} days before to{why}"))),
    }
}

/// Reads the interval, which is `default` if it is not given.
fn interval(query: &Query, default: Interval) -> Result<Interval, Problem> {
    let named = |name: &str| {
        let known = Interval::ALL.into_iter().find(|interval| interval.name() == name);
        known.ok_or("must be hour, day, week, month or year")
    };
    Ok(query.optional("interval", named)?.unwrap_or(default))
}

fn periods() -> String {
    let names: Vec<&str> = Period::ALL.iter().map(|(name, _)| *name).chain([ALL]).collect();
    format!("must be one of {}", names.join(", "))
}

/// Reads `from` and `to`: dates, or times. As a date `to` is included, as a time it is not; without
/// it the range ends with the present day.
fn given(query: &Query, calendar: Calendar, today: NaiveDate) -> Result<Span, Problem> {
    let from = query.optional("from", |text| end(text, calendar, 0))?.unwrap_or_default();
    let to = match query.optional("to", |text| end(text, calendar, 1))? {
        Some(to) => to,
        None => Span::of_days(calendar, today, today).to,
    };
    if from >= to {
        let day = |name| date(query.get(name)?);
        let is_skipped = day("from").is_some_and(|from| day("to").is_some_and(|to| from <= to));
        let why = if is_skipped { "must not be a day that the timezone skipped" } else { "must be before to" };
        return Err(Problem::invalid_parameter("from", why));
    }
    Ok(Span { from, to })
}

/// Reads one end of a range; a date is the start of the day so many days after it.
fn end(text: &str, calendar: Calendar, days: u64) -> Result<DateTime<Utc>, &'static str> {
    let time = moment(text, calendar, days)?;
    // No event is earlier, and no number can be later.
    let in_range = (946_598_400..4_102_444_800).contains(&time.timestamp());
    if in_range { Ok(time) } else { Err("must be in the years 2000 to 2099") }
}

/// Reads `from` and `to` of a list, each of which may be missing: dates, or times. As a date `to` is included, as a time it
/// is not.
pub(crate) fn of_list(query: &Query, calendar: Calendar) -> Result<Ends, Problem> {
    let read = |name, days| {
        query.optional(name, |text| {
            let time = moment(text, calendar, days)?;
            let in_range = (0..253_402_300_800).contains(&time.timestamp());
            if in_range { Ok(time) } else { Err("must be in the years 1970 to 9999") }
        })
    };
    Ok((read("from", 0)?, read("to", 1)?))
}

fn moment(text: &str, calendar: Calendar, days: u64) -> Result<DateTime<Utc>, &'static str> {
    const FORM: &str = "must be a date such as 2026-11-20, or an RFC 3339 time such as 2026-11-20T14:00:00+01:00";
    match date(text) {
        Some(date) => Ok(calendar.day_start(date.checked_add_days(Days::new(days)).ok_or(FORM)?)),
        None => time(text).ok_or(FORM),
    }
}

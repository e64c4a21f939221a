//! Ranges of time in query parameters: `period`, or `from` and `to`, with `interval` and `compare`.

use analytics_core::calendar::Calendar;
use analytics_core::period::{Comparison, Interval, Period, Shift, Span};
use chrono::{DateTime, Days, NaiveDate, Utc, Weekday};

use crate::problem::Problem;
use crate::query::Query;

/// The parameters that a range is read from.
pub(crate) const PARAMETERS: [&str; 4] = ["period", "from", "to", "compare"];

/// The most buckets in one answer.
const MOST_BUCKETS: usize = 1_000;
/// The most days in one range: ten years.
const MOST_DAYS: i64 = 3_660;

/// The finest division of time that a metric is kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finest {
    /// Hours.
    Hour,
    /// Days, for products.
    Day,
}

/// A range of time that somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The period by whose name it was given.
    pub(crate) period: Option<&'static str>,
    pub(crate) span: Span,
    comparison: Option<Comparison>,
}

/// The two sides of a comparison: of a range that is not over, both end at the same time of the
/// local clock, the last full hour, or for products the last full day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) current: Span,
    pub(crate) previous: Span,
}

impl Range {
    /// Reads the range; without any parameter it is `default`.
    pub(crate) fn of(
        query: &Query,
        calendar: Calendar,
        now: DateTime<Utc>,
        default: &str,
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
                let (name, period) = known.ok_or_else(|| Problem::invalid_parameter("period", periods()))?;
                let (first, last) = period.days(today);
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
        if (span.to - span.from).num_days() > MOST_DAYS {
            return Err(Problem::invalid_parameter("from", format!("must be at most {MOST_DAYS} days before to")));
        }
        Ok(Self { period, span, comparison: comparison.flatten() })
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

    /// Returns the two sides of the comparison that was asked for.
    pub(crate) fn compared(&self, calendar: Calendar, now: DateTime<Utc>, finest: Finest) -> Option<Compared> {
        let shift = self.comparison?.shift(calendar, self.span);
        Some(self.shifted(shift, calendar, now, finest))
    }

    /// Returns the two sides of the comparison with the range before.
    pub(crate) fn with_previous(&self, calendar: Calendar, now: DateTime<Utc>, finest: Finest) -> Compared {
        let comparison = self.comparison.unwrap_or(Comparison::Previous);
        self.shifted(comparison.shift(calendar, self.span), calendar, now, finest)
    }

    fn shifted(&self, shift: Shift, calendar: Calendar, now: DateTime<Utc>, finest: Finest) -> Compared {
        let full = match finest {
            Finest::Hour => calendar.hour_start(now.into()),
            Finest::Day => calendar.day_start(calendar.day(now.into())),
        };
        let current = self.span.until(full);
        Compared { current, previous: shift.span_back(calendar, current) }
    }
}

/// Reads the range of `from` and `to`, if it is given.
pub(crate) fn span(
    query: &Query,
    calendar: Calendar,
    now: DateTime<Utc>,
    finest: Finest,
) -> Result<Option<Span>, Problem> {
    if query.get("from").or(query.get("to")).is_none() {
        return Ok(None);
    }
    Ok(Some(Range::of(query, calendar, now, "30d", finest)?.span))
}

/// Reads the interval, which is `default` if it is not given.
pub(crate) fn interval(query: &Query, default: Interval) -> Result<Interval, Problem> {
    let named = |name: &str| {
        let known = Interval::ALL.into_iter().find(|interval| interval.name() == name);
        known.ok_or("must be hour, day, week, month or year")
    };
    Ok(query.optional("interval", named)?.unwrap_or(default))
}

fn periods() -> String {
    let names: Vec<&str> = Period::ALL.iter().map(|(name, _)| *name).collect();
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
        return Err(Problem::invalid_parameter("from", "must be before to"));
    }
    Ok(Span { from, to })
}

/// Reads one end of a range; a date is the start of the day so many days after it.
fn end(text: &str, calendar: Calendar, days: u64) -> Result<DateTime<Utc>, &'static str> {
    const FORM: &str = "must be a date such as 2026-11-20, or an RFC 3339 time such as 2026-11-20T14:00:00+01:00";
    let time = match text.parse::<NaiveDate>() {
        Ok(date) => calendar.day_start(date.checked_add_days(Days::new(days)).ok_or(FORM)?),
        Err(_) => DateTime::parse_from_rfc3339(text).map_err(|_| FORM)?.to_utc(),
    };
    // No event is earlier, and no number can be later.
    let in_range = (946_598_400..4_102_444_800).contains(&time.timestamp());
    if in_range { Ok(time) } else { Err("must be in the years 2000 to 2099") }
}

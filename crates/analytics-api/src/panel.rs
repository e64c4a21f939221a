//! Numbers as panels show them: the value of a range, its change, and its course in small.

use analytics_core::period::{Interval, Span};
use analytics_core::ratios::Fraction;
use analytics_db::DbError;
use analytics_db::read::explain::Delta;
use analytics_db::read::series::several;
use analytics_db::read::{AsOf, ReadableMetric};
use chrono::{DateTime, FixedOffset, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::change::{NO_EARLIER_RANGE, change};
use crate::database::Database;
use crate::links::events_link;
use crate::problem::Problem;
use crate::range::{Compared, Finest, Range, fitting};
use crate::routes::series::value;
use crate::settings::ApiSettings;

/// A number of a panel.
#[derive(Serialize, ToSchema, Clone)]
#[serde(rename_all = "camelCase")]
#[schema(as = PanelNumber)]
pub(crate) struct NumberBody {
    /// The value of the range; null for a rate or an average without a denominator.
    value: Option<i64>,
    /// The unit of the values.
    unit: &'static str,
    /// The value until the last full hour, if the range is not over: what `previous` is compared with.
    current: Option<i64>,
    /// The value of the earlier range until the same time of the local clock; null with `compare=none`.
    previous: Option<i64>,
    /// From `previous` to `current` in basis points; null if `previous` is 0, or one of them null.
    change: Option<i64>,
    /// Why there is no change: `no_base` if `previous` is 0 or null, `no_value` if only `current` is
    /// null, `overflow` if the change is past the range of 64 bits, `no_earlier_range` for `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The values of the buckets.
    series: Vec<Option<i64>>,
    /// The events that the value is made of; null where two metrics make it.
    events: Option<String>,
}

impl NumberBody {
    /// The values of the buckets.
    pub(crate) fn values(self) -> Vec<Option<i64>> {
        self.series
    }
}

/// The ranges of a panel.
pub(crate) struct Panel {
    pub(crate) range: Range,
    pub(crate) interval: Interval,
    pub(crate) buckets: Vec<Span>,
    compared: Compared,
}

/// What was read of one metric.
pub(crate) struct Course {
    metric: ReadableMetric,
    buckets: Vec<Delta>,
    whole: Delta,
    current: Delta,
    previous: Delta,
}

impl Panel {
    /// The panel of a range, by the interval that fits it unless one is given.
    pub(crate) fn of(
        range: Range,
        interval: Option<Interval>,
        now: DateTime<Utc>,
        settings: &ApiSettings,
    ) -> Result<Self, Problem> {
        let calendar = settings.business.calendar;
        let interval = interval.unwrap_or_else(|| fitting(range.span, Finest::Hour));
        let buckets = range.buckets(calendar, settings.week_start, interval)?;
        let compared = range.with_previous(calendar, now, Finest::Hour);
        Ok(Self { range, interval, buckets, compared })
    }

    /// Reads metrics, all as of one batch, whose number is returned too.
    pub(crate) async fn read(
        &self,
        database: &Database,
        settings: &ApiSettings,
        metrics: Vec<ReadableMetric>,
    ) -> Result<(Vec<Course>, i64), Problem> {
        let calendar = settings.business.calendar;
        let mut ranges = self.buckets.clone();
        ranges.extend([self.range.span, self.compared.current, self.compared.previous]);
        let count = self.buckets.len();
        database
            .read(move |connection| {
                let as_of = AsOf::latest(connection)?;
                let mut courses = Vec::with_capacity(metrics.len());
                let read = several(connection, &metrics, &as_of, calendar, &ranges)?;
                for (metric, mut amounts) in metrics.into_iter().zip(read) {
                    let sums = amounts.split_off(count.min(amounts.len()));
                    let [whole, current, previous] = sums.as_slice() else {
                        return Err(DbError::Unusable("a series lacks ranges".into()));
                    };
                    let (whole, current, previous) = (*whole, *current, *previous);
                    courses.push(Course { metric, buckets: amounts, whole, current, previous });
                }
                Ok((courses, as_of.number))
            })
            .await
    }

    /// The ends of the range, with the offset of the business's clock.
    pub(crate) fn ends(&self, settings: &ApiSettings) -> (DateTime<FixedOffset>, DateTime<FixedOffset>) {
        let calendar = settings.business.calendar;
        (calendar.shown(self.range.span.from), calendar.shown(self.range.span.to))
    }

    /// The number of one metric.
    pub(crate) fn number(&self, course: &Course, as_of: i64, settings: &ApiSettings) -> NumberBody {
        let known = course.metric.known();
        let of = |amount: Delta| value(amount, known);
        let unit = known.map_or("", |known| known.metric.unit().name());
        let events = events_link(settings, course.metric.as_str(), Some(self.range.span), as_of);
        let values = [course.whole, course.current, course.previous].map(of);
        self.compared(number(unit, values, course.buckets.iter().map(|b| of(*b)), events))
    }

    /// The number that one counter divided by another makes, with 1 written as `scale`.
    pub(crate) fn quotient(
        &self,
        numerator: &Course,
        denominator: &Course,
        scale: i64,
        unit: &'static str,
    ) -> NumberBody {
        let of = |(numerator, denominator): (Delta, Delta)| match (numerator, denominator) {
            (Delta::Counter(numerator), Delta::Counter(denominator)) => {
                Fraction { numerator, denominator }.value(scale)
            }
            _ => None,
        };
        let values = [
            (numerator.whole, denominator.whole),
            (numerator.current, denominator.current),
            (numerator.previous, denominator.previous),
        ];
        let buckets = numerator.buckets.iter().copied().zip(denominator.buckets.iter().copied()).map(of);
        self.compared(NumberBody { events: None, ..number(unit, values.map(of), buckets, String::new()) })
    }

    /// A number without what it was in the range before, if there is none, or no comparison is wanted.
    fn compared(&self, number: NumberBody) -> NumberBody {
        let reason = match () {
            () if self.range.is_alone() => None,
            () if self.range.is_all() => Some(NO_EARLIER_RANGE),
            () => return number,
        };
        NumberBody { current: None, previous: None, change: None, reason, ..number }
    }
}

fn number(
    unit: &'static str,
    [value, current, previous]: [Option<i64>; 3],
    series: impl Iterator<Item = Option<i64>>,
    events: String,
) -> NumberBody {
    let (change, reason) = change(current, previous);
    NumberBody { value, unit, current, previous, change, reason, series: series.collect(), events: Some(events) }
}

impl Course {
    /// The value of the range and of each bucket.
    pub(crate) fn values(&self) -> (Option<i64>, Vec<Option<i64>>) {
        let known = self.metric.known();
        (value(self.whole, known), self.buckets.iter().map(|amount| value(*amount, known)).collect())
    }

    /// The components of the whole.
    pub(crate) const fn whole(&self) -> Delta {
        self.whole
    }
}

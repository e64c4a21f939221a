//! A metric over time: its parts in consecutive ranges.

use analytics_core::calendar::Calendar;
use analytics_core::catalogue::{Definition, Measure, ScopeKind};
use analytics_core::metric_type::MetricType;
use analytics_core::period::Span;
use analytics_core::ratios::{Fraction, Histogram};
use analytics_core::rollup::Scope;
use analytics_core::sums::difference;

use super::explain::Delta;
use super::{AsOf, ReadableMetric};
use crate::tables::ratings::stars;
use crate::tables::rollups::{RangeSums, Whose};
use crate::tables::{received_ratings, rollups};
use crate::{Connection, DbError};

/// Returns what a metric of the catalogue gained in each of some ranges of time, all of which
/// consist of whole hours or, for metrics of products, of whole days. For an average, these are the
/// ratings received, whether or not later ones replaced them.
///
/// # Errors
/// [`DbError`].
pub fn series(
    connection: &mut Connection,
    metric: &ReadableMetric,
    as_of: &AsOf,
    calendar: Calendar,
    ranges: &[Span],
) -> Result<Vec<Delta>, DbError> {
    Ok(several(connection, std::slice::from_ref(metric), as_of, calendar, ranges)?.pop().unwrap_or_default())
}

/// Returns the same for several metrics: one statement reads all sums.
///
/// # Errors
/// [`DbError`].
pub fn several(
    connection: &mut Connection,
    metrics: &[ReadableMetric],
    as_of: &AsOf,
    calendar: Calendar,
    ranges: &[Span],
) -> Result<Vec<Vec<Delta>>, DbError> {
    let (mut whose, mut measures): (Vec<Whose>, Vec<Measure>) = (Vec::new(), Vec::new());
    for parts in metrics.iter().filter_map(|metric| Parts::of(metric.known()?)) {
        whose.push(parts.whose);
        measures.extend(parts.measures);
    }
    whose.sort_unstable();
    whose.dedup();
    measures.sort_unstable_by_key(|measure| *measure as u8);
    measures.dedup();
    let pieces: Vec<_> = (0..)
        .zip(ranges)
        .flat_map(|(index, span)| span.pieces(calendar).into_iter().map(move |(width, start)| (index, width, start)))
        .collect();
    let sums = rollups::sums(connection, measures, &whose, &pieces, ranges.len())?;
    let mut read = Vec::with_capacity(metrics.len());
    for metric in metrics {
        read.push(match (metric.known(), metric.known().and_then(Parts::of)) {
            (Some(known), Some(parts)) => parts.deltas(known, &whose, &sums),
            (Some(known), None) if matches!(known.metric.definition(), Definition::AverageRating { .. }) => {
                received(connection, known, as_of, ranges)?
            }
            _ => Vec::new(),
        });
    }
    Ok(read)
}

/// The measures that a metric is made of, and whose.
struct Parts {
    whose: Whose,
    measures: Vec<Measure>,
}

impl Parts {
    /// Returns `None` for an average, which is not made of measures.
    fn of(known: &MetricType) -> Option<Self> {
        let (scope, measures) = match known.metric.definition() {
            Definition::Counter { measure, scope } => (known.scope(scope)?, vec![measure]),
            Definition::Daily { measure } => (Scope::Total, vec![measure]),
            Definition::Ratio { numerator, denominator, scope, .. } => {
                (known.scope(scope)?, vec![numerator, denominator])
            }
            Definition::Difference { minuend, subtrahend, scope } => (known.scope(scope)?, vec![minuend, subtrahend]),
            Definition::AverageRating { .. } => return None,
        };
        Some(Self { whose: (scope, known.foreign_currency), measures })
    }

    /// Returns what the metric gained in each range.
    fn deltas(&self, known: &MetricType, whose: &[Whose], sums: &RangeSums) -> Vec<Delta> {
        let index = whose.iter().position(|read| *read == self.whose).unwrap_or(whose.len());
        let mut columns = self.measures.iter().map(|measure| sums.of(index, *measure));
        let first = columns.next().unwrap_or_default().into_iter();
        let Some(second) = columns.next() else { return first.map(Delta::Counter).collect() };
        let both = first.zip(second);
        match known.metric.definition() {
            Definition::Difference { .. } => {
                both.map(|(minuend, subtrahend)| Delta::Counter(difference(minuend, subtrahend))).collect()
            }
            _ => both.map(|(numerator, denominator)| Delta::Ratio(Fraction { numerator, denominator })).collect(),
        }
    }
}

fn received(
    connection: &mut Connection,
    target: &MetricType,
    as_of: &AsOf,
    ranges: &[Span],
) -> Result<Vec<Delta>, DbError> {
    let mut histograms = vec![Histogram::default(); ranges.len()];
    for (range, number, ratings) in received_ratings::ratings_received(connection, as_of, &target.subject, ranges)? {
        if let (Some(histogram), Some(stars)) = (histograms.get_mut(range), stars(number)) {
            histogram.add(stars, ratings);
        }
    }
    Ok(histograms.into_iter().map(Delta::Average).collect())
}

/// Returns the metric whose events are the events of a series: a series of `daily_signups` shows
/// the signups of any days, not only of the one that the type names.
#[must_use]
pub fn of_all_days(metric: &ReadableMetric) -> ReadableMetric {
    let total = metric.known().and_then(|known| match known.metric.definition() {
        Definition::Daily { measure } => measure.counter(ScopeKind::Total),
        Definition::Counter { .. }
        | Definition::Ratio { .. }
        | Definition::Difference { .. }
        | Definition::AverageRating { .. } => None,
    });
    total.map_or_else(|| metric.clone(), |total| metric.of_marketplace(total))
}

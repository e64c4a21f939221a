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
    let Some(known) = metric.known() else { return Ok(Vec::new()) };
    let pieces: Vec<_> = (0..)
        .zip(ranges)
        .flat_map(|(index, span)| span.pieces(calendar).into_iter().map(move |(width, start)| (index, width, start)))
        .collect();
    let mut sums = |measure: Measure, scope: &Scope| {
        rollups::sums(connection, measure, scope, known.foreign_currency, &pieces, ranges.len())
    };
    match known.metric.definition() {
        Definition::Counter { measure, scope } => {
            let Some(scope) = known.scope(scope) else { return Ok(Vec::new()) };
            Ok(sums(measure, &scope)?.into_iter().map(Delta::Counter).collect())
        }
        Definition::Daily { measure } => Ok(sums(measure, &Scope::Total)?.into_iter().map(Delta::Counter).collect()),
        Definition::Ratio { numerator, denominator, scope, .. } => {
            let Some(scope) = known.scope(scope) else { return Ok(Vec::new()) };
            let (numerators, denominators) = (sums(numerator, &scope)?, sums(denominator, &scope)?);
            let fraction = |(numerator, denominator)| Delta::Ratio(Fraction { numerator, denominator });
            Ok(numerators.into_iter().zip(denominators).map(fraction).collect())
        }
        Definition::Difference { minuend, subtrahend, scope } => {
            let Some(scope) = known.scope(scope) else { return Ok(Vec::new()) };
            let (minuends, subtrahends) = (sums(minuend, &scope)?, sums(subtrahend, &scope)?);
            let less = |(minuend, subtrahend): (i64, i64)| Delta::Counter(difference(minuend, subtrahend));
            Ok(minuends.into_iter().zip(subtrahends).map(less).collect())
        }
        Definition::AverageRating { .. } => received(connection, known, as_of, ranges),
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

//! Compares the metrics with the sums of their days, the adjustments, and the current ratings.

use std::collections::BTreeMap;

use analytics_core::catalogue::{Definition, Measure, Metric, ScopeKind};
use analytics_core::deltas::Deltas;
use analytics_core::identity::Fingerprint;
use analytics_core::maps::HashMap;
use analytics_core::metric_type::MetricType;
use analytics_core::money::Currency;
use analytics_core::ratios::Fraction;
use analytics_core::sums::stored;
use analytics_core::topics::EventType;
use chrono::NaiveDate;
use serde_json::Value;
use uuid::Uuid;

use super::{Difference, Figures, Findings, Log, VerifyError, recount};
use crate::sql::{row, statement};
use crate::tables::logged_events;
use crate::{Connection, DbError};

/// Number of metrics that are in memory at once.
const PIECE: i64 = 10_000;

/// Compares every metric, and returns a hash that extends `fingerprint` by all of them.
pub(super) fn verify(
    connection: &mut Connection,
    log: Log<'_>,
    fingerprint: Fingerprint,
    findings: &mut Findings,
) -> Result<Uuid, VerifyError> {
    let mut counted = sums_of_days(connection)?;
    for (metric_type, missing) in &findings.corrections {
        *counted.entry(metric_type.clone()).or_default() += missing;
    }
    // A counter that is 0 once rollups for which nothing was counted are removed should not exist.
    counted.retain(|metric_type, sum| *sum != 0 || !findings.ghosts.contains(metric_type));
    let parsed: Vec<(MetricType, i128)> = counted
        .iter()
        .filter_map(|(text, sum)| {
            Some((MetricType::parse(text, NaiveDate::default(), log.business.base_currency).ok()?, *sum))
        })
        .collect();
    let by_hand = adjustments(connection, log)?;
    check_attribution(&parsed, &by_hand, findings);
    let mut expected: BTreeMap<String, Figures> = ratios(&parsed);
    for (target, histogram) in &findings.histograms {
        expected.insert(target.clone(), Figures::average(histogram));
    }
    for (metric_type, sum) in by_hand.adjusted_alone() {
        *counted.entry(metric_type.to_owned()).or_default() += sum;
    }
    for (metric_type, sum) in counted {
        expected.insert(metric_type, Figures::counter(Some(stored(sum))));
    }
    compare(connection, fingerprint, expected, findings)
}

/// Returns the sum of each counter's days.
fn sums_of_days(connection: &mut Connection) -> Result<HashMap<String, i128>, DbError> {
    row! {
        struct Row {
            metric_type: String,
            sum: String,
        }
    }
    let rows: Vec<Row> = statement(
        "SELECT metric_type, sum(value)::text AS sum FROM metric_rollups WHERE granularity = 'day' GROUP BY metric_type",
    )
    .load(connection)?;
    Ok(rows.into_iter().filter_map(|row| Some((row.metric_type, row.sum.parse().ok()?))).collect())
}

/// Checks, for measures that are also counted as unattributed, that the total is the sum of the
/// unattributed part and of all sellers, in each currency and without adjustments.
fn check_attribution(counted: &[(MetricType, i128)], by_hand: &Deltas, findings: &mut Findings) {
    for measure in Measure::ALL {
        let counter = |scope| measure.counter(scope);
        let (Some(total), Some(unattributed), Some(of_seller)) =
            (counter(ScopeKind::Total), counter(ScopeKind::Unattributed), counter(ScopeKind::Seller))
        else {
            continue;
        };
        let mut sums: BTreeMap<Option<Currency>, (i128, i128)> = BTreeMap::new();
        for (counter, sum) in counted {
            let MetricType { metric, foreign_currency, .. } = counter;
            let sum = sum - by_hand.counters.get(counter).copied().unwrap_or(0);
            if *metric == total {
                sums.entry(*foreign_currency).or_default().0 += sum;
            } else if *metric == unattributed || *metric == of_seller {
                sums.entry(*foreign_currency).or_default().1 += sum;
            }
        }
        for (currency, (all, parts)) in sums {
            findings.keys_checked += 1;
            // A total past the range is stored as such.
            if stored(all) != stored(parts) {
                let currency = currency.map_or("the base currency", Currency::code);
                let (total, unattributed, of_seller) = (total.name(), unattributed.name(), of_seller.name());
                let what = format!("{total} in {currency}, and {unattributed} plus the sum of {of_seller}");
                findings.differences.push(Difference::Sum { what, total: all, parts });
            }
        }
    }
}

/// Calculates ratios from the counters.
fn ratios(counted: &[(MetricType, i128)]) -> BTreeMap<String, Figures> {
    let mut ratios: BTreeMap<(String, i64), Fraction> = BTreeMap::new();
    for (counter, sum) in counted {
        let Some((measure, scope)) = counter.counts() else { continue };
        let sum = stored(*sum);
        for metric in Metric::ALL {
            let Definition::Ratio { numerator, denominator, scope: kind, scale, .. } = metric.definition() else {
                continue;
            };
            if kind != scope.kind() || (measure != numerator && measure != denominator) {
                continue;
            }
            let ratio = MetricType::new(metric, scope.subject()).to_string();
            let fraction = ratios.entry((ratio, scale)).or_default();
            if measure == numerator {
                fraction.numerator += sum;
            }
            if measure == denominator {
                fraction.denominator += sum;
            }
        }
    }
    ratios.into_iter().map(|((ratio, scale), fraction)| (ratio, Figures::ratio(fraction, scale))).collect()
}

/// Counts the adjustments in the log.
fn adjustments(connection: &mut Connection, log: Log<'_>) -> Result<Deltas, VerifyError> {
    row! {
        struct Row {
            id: Uuid,
        }
    }
    let rows: Vec<Row> = statement("SELECT id FROM event_logs WHERE event_type = $1")
        .value(EventType::Adjustment.name())
        .load(connection)?;
    let mut deltas = Deltas::default();
    let ids: Vec<Uuid> = rows.into_iter().map(|row| row.id).collect();
    for piece in ids.chunks(1_000) {
        for logged in logged_events::by_ids(connection, log.as_of, piece)? {
            recount::count(&logged, log.business, &mut deltas)?;
        }
    }
    Ok(deltas)
}

row! {
    struct Row {
        metric_type: String,
        value: Option<i64>,
        numerator: Option<i64>,
        denominator: Option<i64>,
        histogram: Option<Vec<i64>>,
        metadata: Option<Value>,
    }
}

fn compare(
    connection: &mut Connection,
    mut fingerprint: Fingerprint,
    mut expected: BTreeMap<String, Figures>,
    findings: &mut Findings,
) -> Result<Uuid, VerifyError> {
    let mut after = String::new();
    loop {
        let rows: Vec<Row> = statement(
            "SELECT type AS metric_type, value, numerator, denominator, histogram, metadata FROM metrics \
             WHERE type > $1 ORDER BY type LIMIT $2",
        )
        .value(&after)
        .value(PIECE)
        .load(connection)?;
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.metric_type);
        for row in rows {
            let Row { metric_type, value, numerator, denominator, histogram, metadata } = row;
            let mut found = Figures { value, numerator, denominator, histogram, metadata };
            let expected = expected.remove(&metric_type).unwrap_or_default();
            if expected.metadata.is_none() {
                // The metadata comes from an adjustment, not from counting.
                found.metadata = None;
            }
            fingerprint = fingerprint.text(&metric_type).text(&found.to_string());
            findings.keys_checked += 1;
            if found != expected && !(expected == Figures::default() && found.is_nothing()) {
                findings.differences.push(Difference::Metric { metric_type, found, expected });
            }
        }
    }
    for (metric_type, expected) in expected {
        findings.keys_checked += 1;
        findings.differences.push(Difference::Metric { metric_type, found: Figures::default(), expected });
    }
    Ok(fingerprint.finish())
}

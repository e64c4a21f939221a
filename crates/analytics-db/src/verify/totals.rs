//! Compares the metrics with the sums of their days, the adjustments, and the current ratings.
//!
//! Neither the sums nor the metrics are in memory at once: what the metrics should be is put into a temporary table,
//! one subject after the other, and PostgreSQL compares the two tables.

use std::collections::BTreeMap;
use std::mem::take;

use analytics_core::catalogue::{Definition, Measure, Metric, ScopeKind};
use analytics_core::deltas::Deltas;
use analytics_core::maps::HashMap;
use analytics_core::metric_type::MetricType;
use analytics_core::money::Currency;
use analytics_core::ratios::Fraction;
use analytics_core::sums::stored;
use analytics_core::topics::EventType;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::connection::SimpleConnection;
use serde_json::Value;
use uuid::Uuid;

use super::recounted::Subject;
use super::{Difference, Figures, Findings, Log, VerifyError, Watcher, recount};
use crate::Connection;
use crate::sql::{row, statement};
use crate::tables::logged_events;
use crate::tables::rollups::each;

/// Number of rows that are in memory at once.
const PIECE: usize = 4_000;

/// Compares every metric, and returns a hash of all of them.
pub(super) fn verify(
    connection: &mut Connection,
    log: Log<'_>,
    watcher: &Watcher<'_>,
    findings: &mut Findings,
) -> Result<String, VerifyError> {
    connection.batch_execute(
        "CREATE TEMPORARY TABLE expected_metrics (type text COLLATE \"C\", value numeric, numerator bigint, \
         denominator bigint, histogram bigint[], metadata jsonb) ON COMMIT DROP; SET LOCAL work_mem = '64MB'",
    )?;
    let by_hand = adjustments(connection, log)?;
    let adjusted = by_hand.adjusted_alone().map(|(metric_type, sum)| Expected::counter(metric_type.to_owned(), sum));
    expect(connection, adjusted.collect())?;
    let averages: Vec<Expected> = take(&mut findings.histograms)
        .into_iter()
        .map(|(target, histogram)| Expected::figures(target, Figures::average(&histogram)))
        .collect();
    for piece in averages.chunks(PIECE) {
        expect(connection, piece.to_vec())?;
    }
    let mut attribution = Attribution::new(&by_hand);
    sums_of_days(connection, log, findings, |connection, counted| {
        watcher.check()?;
        let base = log.business.base_currency;
        let parse = |text: &str| MetricType::parse(text, NaiveDate::default(), base).ok();
        let parsed: Vec<_> = counted.iter().filter_map(|(text, sum)| Some((parse(text)?, *sum))).collect();
        attribution.add(&parsed);
        let mut expected: Vec<_> =
            ratios(&parsed).into_iter().map(|(ratio, figures)| Expected::figures(ratio, figures)).collect();
        let differences = differences(&parsed).into_iter();
        expected.extend(differences.map(|(difference, sum)| Expected::counter(difference, sum)));
        expected.extend(counted.into_iter().map(|(counter, sum)| Expected::counter(counter, sum)));
        expect(connection, expected)
    })?;
    attribution.check(findings);
    compare(connection, findings)?;
    fingerprint(connection, findings)
}

/// What a metric should be.
#[derive(Debug, Clone)]
struct Expected {
    metric_type: String,
    /// The value of a counter. Those of the same metric are added up.
    sum: Option<i128>,
    figures: Figures,
}

impl Expected {
    fn counter(metric_type: String, sum: i128) -> Self {
        Self { metric_type, sum: Some(sum), figures: Figures::default() }
    }

    fn figures(metric_type: String, figures: Figures) -> Self {
        Self { metric_type, sum: figures.value.map(i128::from), figures }
    }
}

fn expect(connection: &mut Connection, metrics: Vec<Expected>) -> Result<(), VerifyError> {
    let histogram = |numbers: &Vec<i64>| {
        let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
        format!("{{{}}}", numbers.join(","))
    };
    statement(
        "INSERT INTO expected_metrics SELECT e.type, e.value::numeric, e.numerator, e.denominator, \
             e.histogram::bigint[], e.metadata \
         FROM unnest($1, $2, $3, $4, $5, $6) AS e (type, value, numerator, denominator, histogram, metadata)",
    )
    .column(metrics.iter().map(|metric| metric.metric_type.as_str()))
    .column(metrics.iter().map(|metric| metric.sum.map(|sum| sum.to_string())))
    .column(metrics.iter().map(|metric| metric.figures.numerator))
    .column(metrics.iter().map(|metric| metric.figures.denominator))
    .column(metrics.iter().map(|metric| metric.figures.histogram.as_ref().map(histogram)))
    .column(metrics.iter().map(|metric| metric.figures.metadata.clone()))
    .execute(connection)?;
    Ok(())
}

/// Passes the sum of each counter's days, corrected by what was found to be missing from them, to `work`: those of some
/// subjects at a time, and all of a subject together.
fn sums_of_days(
    connection: &mut Connection,
    log: Log<'_>,
    findings: &mut Findings,
    mut work: impl FnMut(&mut Connection, HashMap<String, i128>) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    row! {
        struct Row {
            scope: String,
            subject: String,
            currency: String,
            day: Option<DateTime<Utc>>,
            sums: Vec<Option<String>>,
        }
    }
    let mut corrections = take(&mut findings.corrections);
    let ghosts = &findings.ghosts;
    // A counter that is 0 once rollups for which nothing was counted are removed should not exist.
    let exists = |counter: &String, sum: &mut i128| *sum != 0 || !ghosts.contains(counter);
    connection.batch_execute(&format!(
        "DECLARE sums_of_days NO SCROLL CURSOR FOR \
         SELECT scope::text, subject::text, currency::text, CASE WHEN scope = 't' THEN bucket_start END AS day, \
             ARRAY[{}] AS sums \
         FROM rollups WHERE granularity = 'd' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        each(|column| format!("sum({column})::text"))
    ))?;
    let mut counted: HashMap<String, i128> = HashMap::default();
    let mut current: Option<Subject> = None;
    loop {
        let rows: Vec<Row> = statement(format!("FETCH {PIECE} FROM sums_of_days")).load(connection)?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let subject = Subject::of_row(&row.scope, row.subject);
            if current.as_ref() != Some(&subject) && counted.len() > PIECE {
                let mut counted = take(&mut counted);
                counted.retain(exists);
                work(connection, counted)?;
            }
            let day = row.day.map(|start| log.business.calendar.day(start.into()));
            for (measure, sum) in Measure::ALL.into_iter().zip(row.sums) {
                let Some(sum) = sum.and_then(|sum| sum.parse::<i128>().ok()) else { continue };
                for counter in subject.counters(measure, &row.currency, day) {
                    *counted.entry(counter).or_default() += sum;
                }
            }
            if current.as_ref() != Some(&subject) {
                for (counter, missing) in corrections.remove(&subject).unwrap_or_default() {
                    *counted.entry(counter).or_default() += missing;
                }
                current = Some(subject);
            }
        }
    }
    connection.batch_execute("CLOSE sums_of_days")?;
    // Subjects that have no rollups of days, but should.
    for (counter, missing) in corrections.into_values().flatten() {
        *counted.entry(counter).or_default() += missing;
    }
    counted.retain(exists);
    work(connection, counted)
}

/// Checks, for measures that are also counted as unattributed, that the total is the sum of the unattributed part and of
/// all sellers, in each currency and without adjustments.
struct Attribution<'a> {
    by_hand: &'a Deltas,
    /// For each total, the total and the sum of its parts by currency.
    sums: BTreeMap<(usize, Option<Currency>), (i128, i128)>,
}

/// The metrics of a total, of what is unattributed, and of a seller, for each measure that has all three.
fn attributed() -> impl Iterator<Item = (usize, [Metric; 3])> {
    Measure::ALL.into_iter().enumerate().filter_map(|(place, measure)| {
        let counter = |scope| measure.counter(scope);
        let (total, unattributed) = (counter(ScopeKind::Total)?, counter(ScopeKind::Unattributed)?);
        Some((place, [total, unattributed, counter(ScopeKind::Seller)?]))
    })
}

impl<'a> Attribution<'a> {
    const fn new(by_hand: &'a Deltas) -> Self {
        Self { by_hand, sums: BTreeMap::new() }
    }

    fn add(&mut self, counted: &[(MetricType, i128)]) {
        for (place, [total, unattributed, of_seller]) in attributed() {
            for (counter, sum) in counted {
                let sum = sum - self.by_hand.counters.get(counter).copied().unwrap_or(0);
                let is_part = counter.metric == unattributed || counter.metric == of_seller;
                if counter.metric == total || is_part {
                    let (all, parts) = self.sums.entry((place, counter.foreign_currency)).or_default();
                    *(if is_part { parts } else { all }) += sum;
                }
            }
        }
    }

    fn check(self, findings: &mut Findings) {
        for (place, [total, unattributed, of_seller]) in attributed() {
            for ((_, currency), (all, parts)) in self.sums.iter().filter(|((of, _), _)| *of == place) {
                findings.keys_checked += 1;
                // A total past the range is stored as such.
                if stored(*all) != stored(*parts) {
                    let currency = currency.map_or("the base currency", Currency::code);
                    let (total, unattributed, of_seller) = (total.name(), unattributed.name(), of_seller.name());
                    let what = format!("{total} in {currency}, and {unattributed} plus the sum of {of_seller}");
                    findings.differences.push(Difference::Sum { what, total: *all, parts: *parts });
                }
            }
        }
    }
}

/// Calculates differences from the counters.
fn differences(counted: &[(MetricType, i128)]) -> BTreeMap<String, i128> {
    let mut differences: BTreeMap<String, i128> = BTreeMap::new();
    for (counter, sum) in counted {
        let Some((measure, scope)) = counter.counts() else { continue };
        for metric in Metric::ALL {
            let Definition::Difference { minuend, subtrahend, scope: kind } = metric.definition() else { continue };
            if kind == scope.kind() && (measure == minuend || measure == subtrahend) {
                let difference = MetricType { metric, ..counter.clone() }.to_string();
                *differences.entry(difference).or_default() += if measure == minuend { *sum } else { -*sum };
            }
        }
    }
    differences
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
            let ratio = MetricType { metric, ..counter.clone() }.to_string();
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

fn compare(connection: &mut Connection, findings: &mut Findings) -> Result<(), VerifyError> {
    row! {
        struct Row {
            metric_type: String,
            is_stored: bool,
            value: Option<i64>,
            numerator: Option<i64>,
            denominator: Option<i64>,
            histogram: Option<Vec<i64>>,
            metadata: Option<Value>,
            expected_value: Option<i64>,
            expected_numerator: Option<i64>,
            expected_denominator: Option<i64>,
            expected_histogram: Option<Vec<i64>>,
            expected_metadata: Option<Value>,
        }
    }
    // Where no metadata is expected, it comes from an adjustment, not from counting.
    let rows: Vec<Row> = statement(
        "SELECT coalesce(m.type, e.type) AS metric_type, m.type IS NOT NULL AS is_stored, \
             m.value, m.numerator, m.denominator, m.histogram, \
             CASE WHEN e.metadata IS NOT NULL THEN m.metadata END AS metadata, \
             e.value AS expected_value, e.numerator AS expected_numerator, e.denominator AS expected_denominator, \
             e.histogram AS expected_histogram, e.metadata AS expected_metadata \
         FROM (SELECT type::text COLLATE \"C\" AS type, value, numerator, denominator, histogram, metadata FROM metrics) m \
         FULL JOIN (SELECT type, CASE WHEN count(value) > 0 THEN stored_sum(sum(value)) END AS value, numerator, denominator, histogram, metadata \
             FROM expected_metrics GROUP BY type, numerator, denominator, histogram, metadata) e ON e.type = m.type \
         WHERE m.type IS NULL OR e.type IS NULL \
             OR (m.value, m.numerator, m.denominator, m.histogram) \
                 IS DISTINCT FROM (e.value, e.numerator, e.denominator, e.histogram) \
             OR e.metadata IS DISTINCT FROM CASE WHEN e.metadata IS NOT NULL THEN m.metadata END \
         ORDER BY coalesce(m.type, e.type)",
    )
    .load(connection)?;
    for row in rows {
        let found = Figures {
            value: row.value,
            numerator: row.numerator,
            denominator: row.denominator,
            histogram: row.histogram,
            metadata: row.metadata,
        };
        let expected = Figures {
            value: row.expected_value,
            numerator: row.expected_numerator,
            denominator: row.expected_denominator,
            histogram: row.expected_histogram,
            metadata: row.expected_metadata,
        };
        findings.keys_checked += u64::from(!row.is_stored);
        if expected == Figures::default() && found.is_nothing() {
            continue;
        }
        findings.differences.push(Difference::Metric { metric_type: row.metric_type, found, expected });
    }
    Ok(())
}

/// Returns a hash of all metrics, which does not depend on their order, and adds their number to those checked.
fn fingerprint(connection: &mut Connection, findings: &mut Findings) -> Result<String, VerifyError> {
    row! {
        struct Row {
            metrics: i64,
            digest: String,
        }
    }
    let row: Row = statement(
        "SELECT count(*) AS metrics, coalesce(sum(hashtextextended(m.t, 0)::numeric), 0) \
             || ' ' || coalesce(sum(hashtextextended(m.t, 1)::numeric), 0) AS digest \
         FROM (SELECT ROW(type, value, numerator, denominator, histogram)::text AS t FROM metrics) m",
    )
    .get_result(connection)?;
    findings.keys_checked += row.metrics.unsigned_abs();
    Ok(row.digest)
}

//! Where the events behind a number are found: SQL that gives their ids.
//!
//! In all SQL of this file, $5 to $1 (exclusive) is a window of ids, $2 the limit, $3 the subject, $4 the currency, $6 the
//! metric types whose adjustments contribute to the metric, $7 to $8 (exclusive) the ranges of ids of a day, $9 the
//! metric types whose adjustments contribute if they were made on that day, $10 to $11 the batches, and $12 the only
//! product.

use analytics_core::catalogue::{Definition, Measure, ScopeKind};
use analytics_core::family::{Family, Shape};
use analytics_core::metric_type::{MetricType, Subject};
use analytics_core::rules;

use crate::read::ReadableMetric;
use crate::read::windows::Expected;

/// SQL for the adjustments of a metric.
fn adjustments(of_batches: bool) -> String {
    format!(
        "SELECT id FROM event_logs WHERE event_type = 'metric.adjusted' AND metadata ->> 'type' = ANY($6) \
         AND id >= $5 AND id < $1 {} ORDER BY id DESC LIMIT $2",
        batches(of_batches)
    )
}

/// Returns the metric types whose adjustments contribute to a metric: first those whose adjustments
/// always do, then those whose adjustments do if they were made on the metric's day.
pub(super) fn adjusted(metric: &ReadableMetric) -> (Vec<String>, Vec<String>) {
    let own = || vec![metric.as_str().to_owned()];
    let Some(known) = metric.known() else { return (own(), Vec::new()) };
    let of_measure = |measure: Measure, scope| {
        measure.counter(scope).map(|counter| MetricType { metric: counter, ..known.clone() }.to_string())
    };
    match known.metric.definition() {
        Definition::Counter { .. } => (own(), Vec::new()),
        Definition::Difference { minuend: one, subtrahend: other, scope } => {
            ([one, other].into_iter().filter_map(|measure| of_measure(measure, scope)).collect(), Vec::new())
        }
        Definition::Daily { measure } => {
            let total = measure.counter(ScopeKind::Total).map(|total| MetricType::new(total, Subject::Marketplace));
            (own(), total.iter().map(ToString::to_string).collect())
        }
        Definition::Ratio { numerator, denominator, scope, .. } => (
            [numerator, denominator].into_iter().filter_map(|measure| of_measure(measure, scope)).collect(),
            Vec::new(),
        ),
        Definition::AverageRating { .. } => (Vec::new(), Vec::new()),
    }
}

/// Returns SQL statements that give the ids of the metric's events. They may also give events that
/// turn out to add nothing.
pub(super) fn sources(known: Option<&MetricType>, of_product: bool, of_batches: bool) -> Vec<String> {
    let Some(known) = known else { return vec![adjustments(of_batches)] };
    let of_family = |family: Family, scope, measure: Option<Measure>| match (family.shape(), measure) {
        (Shape::Reversal, Some(measure)) => of_reversals(measure, scope, of_product, of_batches),
        _ => of_family(family, scope, measure.is_some_and(Measure::is_money), of_product, of_batches),
    };
    let on_day = |condition: &str| on_day(condition, of_batches);
    let mut sources: Vec<String> = match known.metric.definition() {
        Definition::Counter { measure, scope } => {
            rules::families_of(measure).map(|family| of_family(family, scope, Some(measure))).collect()
        }
        Definition::Daily { measure } => {
            let events =
                rules::families_of(measure).map(|family| on_day(&format!("e.event_type = '{}'", family.name())));
            events.chain([on_day("e.event_type = 'metric.adjusted' AND e.metadata ->> 'type' = ANY($9)")]).collect()
        }
        Definition::Ratio { numerator, denominator, scope, .. } => {
            let of_measure = |measure: Measure| {
                rules::families_of(measure).map(move |family| of_family(family, scope, Some(measure)))
            };
            of_measure(numerator).chain(of_measure(denominator)).collect()
        }
        Definition::Difference { minuend, subtrahend, scope } => [minuend, subtrahend]
            .into_iter()
            .flat_map(|measure| rules::families_of(measure).map(move |family| (family, measure)))
            .map(|(family, measure)| of_family(family, scope, Some(measure)))
            .collect(),
        Definition::AverageRating { scope } => {
            Shape::Rating.families().map(|family| of_family(family, scope, None)).collect()
        }
    };
    sources.dedup();
    if of_batches {
        sources.extend(paid_later(known, of_product));
    }
    if !of_product {
        sources.push(adjustments(of_batches));
    }
    sources
}

/// Returns SQL for the events of a family in a scope; for money, only those in the currency.
fn of_family(family: Family, scope: ScopeKind, money: bool, of_product: bool, of_batches: bool) -> String {
    let of_scope = of_scope(scope, of_product);
    let in_lines = family.shape() == Shape::Lines && (scope != ScopeKind::Total || money);
    if in_lines {
        format!(
            "SELECT DISTINCT event_id FROM order_lines WHERE ($4 IS NULL OR currency = $4) {of_scope} \
             AND event_id >= $5 AND event_id < $1 {} ORDER BY event_id DESC LIMIT $2",
            if of_batches {
                "AND EXISTS (SELECT FROM event_logs e WHERE e.id = event_id AND e.batch_id BETWEEN $10 AND $11)"
            } else {
                ""
            }
        )
    } else {
        format!(
            "SELECT id FROM event_logs WHERE event_type = '{}' {of_scope} AND id >= $5 AND id < $1 {} \
             ORDER BY id DESC LIMIT $2",
            family.name(),
            batches(of_batches)
        )
    }
}

/// Returns the condition that a row is of a scope.
const fn of_scope(scope: ScopeKind, of_product: bool) -> &'static str {
    match scope {
        ScopeKind::Total => "",
        ScopeKind::Unattributed => "AND vendor_id IS NULL",
        ScopeKind::Product => "AND product_id = $3",
        ScopeKind::Seller if of_product => "AND vendor_id = $3 AND product_id = $12",
        ScopeKind::Seller => "AND vendor_id = $3",
    }
}

/// Returns the measures of which a metric is made, and of which kind of scope; `None` for counters of days and for averages.
fn measures_of(known: &MetricType) -> Option<([Measure; 2], ScopeKind)> {
    match known.metric.definition() {
        Definition::Counter { measure, scope } => Some(([measure, measure], scope)),
        Definition::Ratio { numerator: one, denominator: other, scope, .. }
        | Definition::Difference { minuend: one, subtrahend: other, scope } => Some(([one, other], scope)),
        Definition::Daily { .. } | Definition::AverageRating { .. } => None,
    }
}

/// Returns SQL for the orders of a metric that were logged by other batches than those that counted them, which are
/// among $10 to $11; `None` if no orders contribute to it.
fn paid_later(known: &MetricType, of_product: bool) -> Option<String> {
    let (measures, scope) = measures_of(known)?;
    let counts_orders = |measure: Measure| rules::families_of(measure).any(|family| family.shape() == Shape::Lines);
    measures.into_iter().any(counts_orders).then(|| {
        format!(
            "SELECT u.event_id FROM unpaid_orders u WHERE u.paid_batch BETWEEN $10 AND $11 \
             AND u.event_id >= $5 AND u.event_id < $1 AND EXISTS ( \
                 SELECT FROM order_lines WHERE event_id = u.event_id AND ($4 IS NULL OR currency = $4) {}) \
             ORDER BY u.event_id DESC LIMIT $2",
            of_scope(scope, of_product)
        )
    })
}

/// Returns SQL for the reversals that a measure is counted from, in a scope; of money, only those in the currency.
fn of_reversals(measure: Measure, scope: ScopeKind, of_product: bool, of_batches: bool) -> String {
    let counts = match measure {
        Measure::ExcessRefunds => "n.excess <> 0",
        Measure::CancelledOrders => "n.cancelled <> 0",
        _ => "n.line > 0",
    };
    // Those of a seller or a product are found by the lines that they take back.
    let (lines, of_line) = match scope {
        ScopeKind::Total => ("", ""),
        ScopeKind::Unattributed => (LINES, "AND l.vendor_id IS NULL"),
        ScopeKind::Product => (LINES, "AND l.product_id = $3"),
        ScopeKind::Seller if of_product => (LINES, "AND l.vendor_id = $3 AND l.product_id = $12"),
        ScopeKind::Seller => (LINES, "AND l.vendor_id = $3"),
    };
    const LINES: &str = "JOIN order_lines l ON l.event_id = r.order_id AND l.line = n.line";
    let of_currency = if measure.is_money() { "AND ($4 IS NULL OR n.currency = $4)" } else { "" };
    let batches = if of_batches { "AND n.batch_id BETWEEN $10 AND $11" } else { "" };
    format!(
        "SELECT DISTINCT r.event_id FROM reversals r JOIN reversal_entries n ON n.event_id = r.event_id {lines} \
         WHERE r.event_id >= $5 AND r.event_id < $1 AND n.event_id >= $5 AND n.event_id < $1 AND {counts} \
         {of_line} {of_currency} {batches} ORDER BY r.event_id DESC LIMIT $2"
    )
}

/// Returns SQL for the events of a day that meet a condition.
fn on_day(condition: &str, of_batches: bool) -> String {
    let batches = batches(of_batches);
    format!(
        "SELECT e.id FROM unnest($7, $8) AS s (first, last) JOIN event_logs e \
         ON e.id >= s.first AND e.id < s.last AND {condition} \
         WHERE e.id >= $5 AND e.id < $1 {batches} ORDER BY e.id DESC LIMIT $2"
    )
}

/// Returns the condition that events are of the batches $10 to $11, if they have to be.
const fn batches(of_batches: bool) -> &'static str {
    if of_batches { "AND batch_id BETWEEN $10 AND $11" } else { "" }
}

/// Returns what the first window of a metric's events should find.
pub(super) fn expected(known: &MetricType, events: usize) -> Option<Expected> {
    let (measures, scope) = measures_of(known)?;
    let is_of = |family| measures.into_iter().any(|measure| rules::families_of(measure).any(|of| of == family));
    Expected::of(known.scope(scope), is_of, events)
}

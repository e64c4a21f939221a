//! `metrics`: counters and ratios.

use analytics_core::catalogue::{Definition, Metric};
use analytics_core::deltas::Deltas;
use analytics_core::sums::stored;

use super::all_taken;
use crate::Connection;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::raw_json::RawJson;
use crate::sql::{row, statement};

/// Adds the counters and ratios of a batch. Rows are locked in the order of their types.
pub(crate) fn add(connection: &mut Connection, lock: &CountingLock, deltas: &Deltas) -> Result<(), WriteError> {
    let counted = deltas.counters.iter().map(|(t, sum)| (t.to_string(), *sum));
    let by_hand = deltas.adjusted_alone().map(|(metric_type, sum)| (metric_type.to_owned(), sum));
    let counters: Vec<_> = counted.chain(by_hand).collect();
    add_counters(connection, lock, counters)?;
    for metric in Metric::ALL {
        if let Definition::Ratio { scale, .. } = metric.definition() {
            add_ratios(connection, deltas, metric, scale)?;
        }
    }
    Ok(())
}

/// Calculates net revenue and refund rates again if a program that does not know them has counted since this was last
/// done. To be called after the numbers are changed.
pub(crate) fn derive(connection: &mut Connection, _: &CountingLock) -> Result<(), WriteError> {
    row! {
        struct Row {
            is_due: bool,
        }
    }
    let row: Row = statement("SELECT derived <> number AS is_due FROM watermark").get_result(connection)?;
    if !row.is_due {
        return Ok(());
    }
    if let Definition::Ratio { scale, .. } = Metric::RefundRate.definition() {
        statement(include_str!("derive.sql")).value(scale).execute(connection)?;
    }
    let moved = statement("UPDATE watermark SET derived = number").execute(connection)?;
    all_taken("watermark", moved, 1)
}

fn add_ratios(connection: &mut Connection, deltas: &Deltas, metric: Metric, scale: i64) -> Result<(), WriteError> {
    let of_metric = deltas.ratios.iter().filter(|(ratio, _)| ratio.metric == metric);
    let mut ratios: Vec<_> = of_metric.map(|(ratio, fraction)| (ratio.to_string(), fraction)).collect();
    if ratios.is_empty() {
        return Ok(());
    }
    ratios.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let rows = statement(include_str!("add_ratios.sql"))
        .column(ratios.iter().map(|(ratio, _)| ratio.as_str()))
        .column(ratios.iter().map(|(_, fraction)| fraction.numerator))
        .column(ratios.iter().map(|(_, fraction)| fraction.denominator))
        .value(scale)
        .execute(connection)?;
    all_taken("metrics", rows, ratios.len())
}

/// Adds to counters by their types, including those that the catalogue does not define.
pub(crate) fn add_counters(
    connection: &mut Connection,
    _: &CountingLock,
    mut counters: Vec<(String, i128)>,
) -> Result<(), WriteError> {
    if counters.is_empty() {
        return Ok(());
    }
    counters.sort_unstable();
    let rows = statement(
        "INSERT INTO metrics AS m (type, value) SELECT * FROM unnest($1, $2) ON CONFLICT (type) DO UPDATE \
         SET value = coalesce(saturating_add(m.value, excluded.value), excluded.value), updated_at = now()",
    )
    .column(counters.iter().map(|(t, _)| t.as_str()))
    .column(counters.iter().map(|(_, sum)| stored(*sum)))
    .execute(connection)?;
    all_taken("metrics", rows, counters.len())
}

/// Sets the metadata that an adjustment gives for a metric. Creates the metric if it does not
/// exist.
pub(crate) fn set_metadata(
    connection: &mut Connection,
    _: &CountingLock,
    metric_type: &str,
    metadata: Option<&RawJson>,
) -> Result<(), WriteError> {
    let set = statement(
        "INSERT INTO metrics AS m (type, metadata) VALUES ($1, $2) ON CONFLICT (type) DO UPDATE \
         SET metadata = coalesce(excluded.metadata, m.metadata), updated_at = now()",
    )
    .value(metric_type)
    .value(metadata)
    .execute(connection)?;
    all_taken("metrics", set, 1)
}

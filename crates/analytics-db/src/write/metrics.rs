//! `metrics`: counters and conversion rates.

use analytics_core::deltas::Deltas;
use analytics_core::metric_type::{Metric, MetricType, Subject};
use diesel::sql_types::{Array, BigInt, Text};
use diesel::{RunQueryDsl, sql_query};

use super::{WriteError, all_taken};
use crate::Connection;

/// Adds a batch's counters and conversions. Rows are taken in the order of their types.
pub(crate) fn add(connection: &mut Connection, deltas: &Deltas) -> Result<(), WriteError> {
    let counters: Vec<_> = deltas.counters.iter().map(|(t, sum)| (t.to_string(), *sum)).collect();
    add_counters(connection, counters)?;
    let rate = |vendor| MetricType::new(Metric::ConversionRate, Subject::Vendor(vendor)).to_string();
    let mut rates: Vec<_> = deltas.conversions.iter().map(|(vendor, c)| (rate(vendor.clone()), *c)).collect();
    if !rates.is_empty() {
        rates.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let rows = sql_query(include_str!("../sql/add_conversions.sql"))
            .bind::<Array<Text>, _>(rates.iter().map(|(t, _)| t.as_str()).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(rates.iter().map(|(_, c)| c.orders).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(rates.iter().map(|(_, c)| c.views).collect::<Vec<_>>())
            .execute(connection)?;
        all_taken("metrics", rows, rates.len())?;
    }
    Ok(())
}

/// Adds to counters by their types, also to some that the catalogue does not have.
pub(crate) fn add_counters(connection: &mut Connection, mut counters: Vec<(String, i128)>) -> Result<(), WriteError> {
    if counters.is_empty() {
        return Ok(());
    }
    counters.sort_unstable();
    let sums = counters.iter().map(|(_, sum)| bigint(*sum)).collect::<Result<Vec<_>, _>>()?;
    let rows = sql_query(
        "INSERT INTO metrics AS m (type, value) SELECT * FROM unnest($1, $2) ON CONFLICT (type) DO UPDATE \
         SET value = coalesce(m.value, 0) + excluded.value, updated_at = now()",
    )
    .bind::<Array<Text>, _>(counters.iter().map(|(t, _)| t.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(sums)
    .execute(connection)?;
    all_taken("metrics", rows, counters.len())
}

/// A sum as the database keeps it.
pub(super) fn bigint(sum: i128) -> Result<i64, WriteError> {
    i64::try_from(sum).map_err(|_| WriteError::Refused)
}

//! `rollups`: the counters by hour and by day.

use analytics_core::deltas::{Bucket, Granularity, Measures, Scope};
use analytics_core::ids::Encoded;
use analytics_core::maps::HashMap;
use analytics_core::money::Currency;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use diesel::{RunQueryDsl, sql_query};

use super::metrics::bigint;
use super::{WriteError, all_taken};
use crate::Connection;

/// Adds a batch's rollups. Rows are taken in the order of their key.
pub(crate) fn add(connection: &mut Connection, rollups: &HashMap<Bucket, Measures>) -> Result<(), WriteError> {
    let rows = with_rows(connection, include_str!("../sql/add_rollups.sql"), rollups)?;
    all_taken("rollups", rows, rollups.len())
}

/// Takes zeros away that nothing was counted for: those of the measures that are given.
pub(crate) fn forget_zeros(connection: &mut Connection, rollups: &HashMap<Bucket, Measures>) -> Result<(), WriteError> {
    with_rows(connection, include_str!("../sql/forget_zeros.sql"), rollups).map(drop)
}

fn with_rows(
    connection: &mut Connection,
    statement: &str,
    rollups: &HashMap<Bucket, Measures>,
) -> Result<usize, WriteError> {
    if rollups.is_empty() {
        return Ok(0);
    }
    let mut rows: Vec<_> = rollups.iter().collect();
    rows.sort_unstable_by_key(|(bucket, _)| *bucket);
    let measure = |of: fn(&Measures) -> Option<i128>| {
        rows.iter().map(|(_, measures)| of(measures).map(bigint).transpose()).collect::<Result<Vec<_>, _>>()
    };
    let executed = sql_query(statement)
        .bind::<Array<Timestamptz>, _>(rows.iter().map(|(bucket, _)| bucket.start).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rows.iter().map(|(bucket, _)| granularity(bucket.granularity)).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rows.iter().map(|(bucket, _)| scope(&bucket.scope)).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rows.iter().map(|(bucket, _)| subject(&bucket.scope)).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(
            rows.iter().map(|(bucket, _)| bucket.foreign_currency.map_or("", Currency::code)).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<BigInt>>, _>(measure(|m| m.views)?)
        .bind::<Array<Nullable<BigInt>>, _>(measure(|m| m.signups)?)
        .bind::<Array<Nullable<BigInt>>, _>(measure(|m| m.orders)?)
        .bind::<Array<Nullable<BigInt>>, _>(measure(|m| m.units)?)
        .bind::<Array<Nullable<BigInt>>, _>(measure(|m| m.revenue)?)
        .execute(connection)?;
    Ok(executed)
}

const fn granularity(granularity: Granularity) -> &'static str {
    match granularity {
        Granularity::Hour => "h",
        Granularity::Day => "d",
    }
}

const fn scope(scope: &Scope) -> &'static str {
    match scope {
        Scope::Total => "t",
        Scope::Unattributed => "u",
        Scope::Product(_) => "p",
        Scope::Seller(_) => "s",
    }
}

fn subject(scope: &Scope) -> String {
    match scope {
        Scope::Total | Scope::Unattributed => String::new(),
        Scope::Product(product) => Encoded(product.as_str()).to_string(),
        Scope::Seller(vendor) => Encoded(vendor.as_str()).to_string(),
    }
}

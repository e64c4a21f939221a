//! Reads metrics: some by their types, or all with one name, page by page.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::{MetricRange, ReadableMetric};
use crate::raw_json::RawJson;
use crate::schema::metrics;
use crate::sql::statement;
use crate::{Connection, DbError};

/// A metric and its current value.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = metrics)]
pub struct Metric {
    /// The row's id.
    pub id: Uuid,
    /// Its type.
    pub metric_type: String,
    /// Its value; `None` for a rate without a denominator.
    pub value: Option<i64>,
    /// For rates and averages, their components; for other metrics, the metadata of an adjustment.
    pub metadata: Option<RawJson>,
    /// When it was first counted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Returns the metric, if it was ever counted.
///
/// # Errors
/// [`DbError`].
pub fn one(connection: &mut Connection, metric: &ReadableMetric) -> Result<Option<Metric>, DbError> {
    let found = metrics::table
        .filter(metrics::metric_type.eq(metric.as_str()))
        .select(Metric::as_select())
        .first(connection)
        .optional()?;
    Ok(found)
}

/// Returns those of the metrics that were ever counted, in the order of their types.
///
/// # Errors
/// [`DbError`].
pub fn several(connection: &mut Connection, wanted: &[ReadableMetric]) -> Result<Vec<Metric>, DbError> {
    let types: Vec<&str> = wanted.iter().map(ReadableMetric::as_str).collect();
    Ok(metrics::table
        .filter(metrics::metric_type.eq_any(types))
        .select(Metric::as_select())
        .order(metrics::metric_type)
        .load(connection)?)
}

/// The metrics of ranges. $1 and $2 are the ranges, each the type that it begins with and the
/// prefix of all longer ones; $3 is a type, or an empty text, after which to begin, and $4 the
/// limit.
///
/// Types sort by their bytes, and the byte after ':' is ';', so `name;` is the end of all types
/// that begin with `name:`. The first condition selects the part of the index to read; the second
/// one excludes types that sort in between. Ranges are read one by one, as their types may sort in
/// between those of another: `name:a`, `name:a-1`, `name:a:EUR`.
const RANGES: &str = "SELECT m.* FROM unnest($1, $2) AS r (exactly, prefix) CROSS JOIN LATERAL ( \
                          SELECT id, type AS metric_type, value, metadata, created_at, updated_at FROM metrics \
                          WHERE type >= r.exactly AND type < r.exactly || ';' AND type > $3 \
                          AND (type = r.exactly OR type >= r.prefix) ORDER BY type LIMIT $4 \
                      ) AS m ORDER BY m.metric_type LIMIT $4";

/// Returns at most `limit` metrics of the ranges, in the order of their types, after the type
/// `after`.
///
/// # Errors
/// [`DbError`].
pub fn ranges(
    connection: &mut Connection,
    ranges: &[MetricRange],
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Metric>, DbError> {
    let (exactly, prefixes): (Vec<&str>, Vec<&str>) =
        ranges.iter().map(|range| (range.exactly.as_str(), range.prefix.as_str())).unzip();
    let found = statement(RANGES).column(exactly).column(prefixes).value(after.unwrap_or_default()).value(limit);
    Ok(found.load(connection)?)
}

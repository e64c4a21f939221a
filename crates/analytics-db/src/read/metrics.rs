//! Reads metrics: some by their types, or all with one name, page by page.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::{MetricRange, ReadableMetric};
use crate::raw_json::RawJson;
use crate::schema::metrics;
use crate::{Connection, DbError};

/// A metric and its current value.
#[derive(Debug, Clone, Queryable, Selectable)]
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

/// Returns at most `limit` metrics of a range, in the order of their types, after the type `after`.
///
/// # Errors
/// [`DbError`].
pub fn range(
    connection: &mut Connection,
    range: &MetricRange,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Metric>, DbError> {
    // Types sort by their bytes, and the byte after ':' is ';', so `name;` is the end of all types
    // that begin with `name:`. The first two conditions select the part of the index to read; the
    // third one excludes types that sort in between.
    let end = format!("{}{}", range.exactly, ';');
    let mut query = metrics::table
        .filter(metrics::metric_type.ge(&range.exactly).and(metrics::metric_type.lt(end)))
        .filter(metrics::metric_type.eq(&range.exactly).or(metrics::metric_type.ge(&range.prefix)))
        .select(Metric::as_select())
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(metrics::metric_type.gt(after));
    }
    Ok(query.order(metrics::metric_type).limit(limit).load(connection)?)
}

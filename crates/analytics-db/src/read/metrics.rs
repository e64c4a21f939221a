//! Reads metrics: some by their types, or all with one name, page by page.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::{MetricRange, ReadableMetric};
use crate::raw_json::RawJson;
use crate::schema::{metrics, watermark};
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

/// Returns those of the metrics that were ever counted, in the order of their types, and the number of
/// the last batch that they include. One statement, so both are of one moment. Without any metric there
/// is no number.
///
/// # Errors
/// [`DbError`].
pub fn several_as_of(
    connection: &mut Connection,
    wanted: &[ReadableMetric],
) -> Result<Option<(Vec<Metric>, i64)>, DbError> {
    let types: Vec<&str> = wanted.iter().map(ReadableMetric::as_str).collect();
    let rows: Vec<(Metric, Option<i64>)> = metrics::table
        .filter(metrics::metric_type.eq_any(types))
        .select((Metric::as_select(), watermark::table.select(watermark::number).single_value()))
        .order(metrics::metric_type)
        .load(connection)?;
    let number = rows.first().and_then(|(_, number)| *number);
    Ok(number.map(|number| (rows.into_iter().map(|(metric, _)| metric).collect(), number)))
}

/// Returns at most `limit` metrics of the ranges, in the order of their types, or from the last one
/// if `descending`, after the type `after`.
///
/// # Errors
/// [`DbError`].
pub fn by_type(
    connection: &mut Connection,
    ranges: &[MetricRange],
    after: Option<&str>,
    descending: bool,
    limit: i64,
) -> Result<Vec<Metric>, DbError> {
    let (first, last): (Vec<String>, Vec<String>) = ranges.iter().flat_map(stretches).unzip();
    // No type is before or after these.
    let (beyond, order, end) = if descending { ("<", "DESC", LAST) } else { (">", "ASC", "") };
    // $1 and $2 are stretches of the index, each the type at which it begins and the text before which it
    // ends. They are read one by one and merged, as several may be far apart.
    let sql = format!(
        "SELECT m.* FROM unnest($1, $2) AS s (first, last) CROSS JOIN LATERAL ( \
             SELECT id, type AS metric_type, value, metadata, created_at, updated_at FROM metrics \
             WHERE type >= s.first AND type < s.last AND type {beyond} $3 ORDER BY type {order} LIMIT $4 \
         ) AS m ORDER BY m.metric_type {order} LIMIT $4"
    );
    Ok(statement(sql).column(first).column(last).value(after.unwrap_or(end)).value(limit).load(connection)?)
}

/// A text after all types, which sort by their bytes: the last character of Unicode.
const LAST: &str = "\u{10FFFF}";

/// Returns at most `limit` metrics of the ranges in the order of their values, greatest first if
/// `descending`; of equal values the lesser type comes first. Metrics without a value are left out.
/// `after` is the value and the type of the metric after which to begin.
///
/// # Errors
/// [`DbError`].
pub fn by_value(
    connection: &mut Connection,
    ranges: &[MetricRange],
    after: Option<(i64, String)>,
    descending: bool,
    limit: i64,
) -> Result<Vec<Metric>, DbError> {
    let (first, last): (Vec<String>, Vec<String>) = ranges.iter().flat_map(stretches).unzip();
    let (beyond, order) = if descending { ("<", "DESC") } else { (">", "ASC") };
    let sql = format!(
        "SELECT m.id, m.type AS metric_type, m.value, m.metadata, m.created_at, m.updated_at \
         FROM unnest($1, $2) AS s (first, last) JOIN metrics m ON m.type >= s.first AND m.type < s.last \
         WHERE m.value IS NOT NULL AND ($3 IS NULL OR m.value {beyond} $3 OR (m.value = $3 AND m.type > $4)) \
         ORDER BY m.value {order}, m.type LIMIT $5"
    );
    let (value, metric_type) = after.unzip();
    let query = statement(sql).column(first).column(last).value(value).value(metric_type);
    Ok(query.value(limit).load(connection)?)
}

/// Returns the two stretches of a range: the type that is exactly the name, and all types with the
/// prefix. Other types, such as those of `seller_views:v-2` for the vendor `v`, sort in between.
///
/// Types sort by their bytes. The byte after ':' is ';', so `name;` is the end of all types that
/// begin with `name:`. No type contains a zero byte, so no other one sorts between `name` and
/// `name\u{1}`.
fn stretches(range: &MetricRange) -> [(String, String); 2] {
    let MetricRange { exactly, prefix } = range;
    [(exactly.clone(), format!("{exactly}\u{1}")), (prefix.clone(), format!("{exactly};"))]
}

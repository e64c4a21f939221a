//! Lists anomalies.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ReadableAnomalies;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

row! {
    /// A stored anomaly.
    #[derive(Debug, Clone)]
    pub struct Anomaly {
        /// Its id.
        pub id: Uuid,
        /// What was judged.
        pub subject: String,
        /// The seller that it is about; `None`: it is for admins only.
        pub vendor_id: Option<String>,
        /// `drop`, `surge`, `delayed` or `unknown`.
        pub verdict: String,
        /// `open`, `acknowledged` or `resolved`.
        pub state: String,
        /// The start of the first bucket outside of the band.
        pub from_time: DateTime<Utc>,
        /// The end of the last one.
        pub to_time: DateTime<Utc>,
        /// The value of the bucket that is the furthest outside.
        pub observed: f64,
        /// What was expected of it.
        pub expected: f64,
        /// The lowest value that is usual.
        pub lower: f64,
        /// The highest value that is usual.
        pub upper: f64,
        /// The share of comparable earlier buckets that were closer to what was expected.
        pub confidence: f64,
        /// When it was found.
        pub opened_at: DateTime<Utc>,
        /// When it ended.
        pub resolved_at: Option<DateTime<Utc>>,
        /// When it was acknowledged last.
        pub acknowledged_at: Option<DateTime<Utc>>,
        /// By whom.
        pub acknowledged_by: Option<String>,
        /// What they said about it.
        pub comment: Option<String>,
    }
}

/// The columns of an [`Anomaly`].
pub(crate) const COLUMNS: &str = "id, type AS subject, vendor_id, verdict, state, from_time, to_time, observed, expected, lower, upper, \
                       confidence, opened_at, resolved_at, acknowledged_at, acknowledged_by, comment";

/// Selects anomalies.
#[derive(Debug, Clone, Default)]
pub struct AnomalyFilter {
    /// Only those in this state; `unresolved`: open or acknowledged.
    pub state: Option<String>,
    /// Only those with this verdict.
    pub verdict: Option<String>,
    /// Only those of this subject.
    pub subject: Option<String>,
    /// Only those about this seller.
    pub vendor: Option<String>,
}

/// Returns the newest anomalies that match, at most `limit`; with `before`, only those after that one in
/// the list.
///
/// # Errors
/// [`DbError`].
pub fn newest(
    connection: &mut Connection,
    readable: &ReadableAnomalies,
    filter: &AnomalyFilter,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Anomaly>, DbError> {
    let (time, id) = before.unzip();
    let sql = format!(
        "SELECT {COLUMNS} FROM anomalies \
         WHERE ($1 IS NULL OR vendor_id = ANY ($1)) AND ($2 IS NULL OR state = $2 OR ($2 = 'unresolved' AND state <> 'resolved')) AND ($3 IS NULL OR verdict = $3) \
             AND ($4 IS NULL OR type = $4) AND ($5 IS NULL OR (opened_at, id) < ($5, $6)) \
         AND ($7 IS NULL OR vendor_id = $7) ORDER BY opened_at DESC, id DESC LIMIT $8"
    );
    let query = match &readable.vendors {
        Some(vendors) => statement(sql).column(vendors.iter().map(String::as_str)),
        None => statement(sql.replace("$1 IS NULL OR", "cardinality($1) = 0 OR")).column(Vec::<String>::new()),
    };
    let rows = query
        .value(filter.state.clone())
        .value(filter.verdict.clone())
        .value(filter.subject.clone())
        .value(time)
        .value(id)
        .value(filter.vendor.clone())
        .value(limit)
        .load(connection)?;
    Ok(rows)
}

/// Returns one anomaly.
///
/// # Errors
/// [`DbError`].
pub fn one(connection: &mut Connection, id: Uuid) -> Result<Option<Anomaly>, DbError> {
    let rows = statement(format!("SELECT {COLUMNS} FROM anomalies WHERE id = $1")).value(id).load(connection)?;
    Ok(rows.into_iter().next())
}

/// Returns the anomalies that are not resolved, those of the marketplace first, at most `limit`.
///
/// # Errors
/// [`DbError`].
pub fn unresolved(connection: &mut Connection, limit: i64) -> Result<Vec<Anomaly>, DbError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM anomalies WHERE state <> 'resolved' \
         ORDER BY vendor_id IS NOT NULL, opened_at DESC, id LIMIT $1"
    );
    Ok(statement(sql).value(limit).load(connection)?)
}

row! {
    /// The last hour or day of a series of the marketplace that was judged.
    #[derive(Debug, Clone)]
    pub struct Judged {
        /// What was judged.
        pub subject: String,
        /// Whether it is a day, rather than an hour.
        pub is_daily: bool,
        /// Its end.
        pub to_time: DateTime<Utc>,
        /// Its value.
        pub observed: f64,
        /// What was expected of it.
        pub expected: f64,
        /// The lowest value that is usual.
        pub lower: f64,
        /// The highest value that is usual.
        pub upper: f64,
    }
}

/// Returns the last hour and day of each series of the marketplace that was judged, at most `limit`.
///
/// # Errors
/// [`DbError`].
pub fn judged(connection: &mut Connection, limit: i64) -> Result<Vec<Judged>, DbError> {
    let sql = "SELECT type AS subject, granularity = 'd' AS is_daily, to_time, observed, expected, lower, upper \
               FROM judgements ORDER BY granularity = 'd', type LIMIT $1";
    Ok(statement(sql).value(limit).load(connection)?)
}

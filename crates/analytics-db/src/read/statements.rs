//! Lists statements and months.

use std::collections::HashSet;

use analytics_core::calendar::Calendar;
use analytics_core::ids::decode_encoded;
use analytics_core::month::Month;
use analytics_core::statement::PublicKey;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use crate::sql::{row, statement};
use crate::tables::statements::{CLOSING, COLUMNS, Stored};
use crate::{Connection, DbError};

/// Returns at most `limit` statements of a seller, those that were closed last first, before the one at a position.
///
/// # Errors
/// [`DbError`].
pub fn of_vendor(
    connection: &mut Connection,
    vendor: &str,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Stored>, DbError> {
    let before = before.unwrap_or(i32::MAX);
    Ok(statement(format!(
        "SELECT {COLUMNS} FROM statements s {CLOSING} WHERE s.vendor_id = $1 AND s.position < $2 \
         ORDER BY s.position DESC LIMIT $3"
    ))
    .value(vendor)
    .value(before)
    .value(limit)
    .load(connection)?)
}

/// Returns a seller's statement of a month: a version, or the latest.
///
/// # Errors
/// [`DbError`].
pub fn one(
    connection: &mut Connection,
    vendor: &str,
    month: Month,
    version: Option<i32>,
) -> Result<Option<Stored>, DbError> {
    let rows: Vec<Stored> = statement(format!(
        "SELECT {COLUMNS} FROM statements s {CLOSING} \
         WHERE s.vendor_id = $1 AND s.month = $2 AND ($3 IS NULL OR s.version = $3) \
         ORDER BY s.version DESC LIMIT 1"
    ))
    .value(vendor)
    .value(month.first())
    .value(version)
    .load(connection)?;
    Ok(rows.into_iter().next())
}

/// Returns at most `limit` statements of a month, or of all, those of the last month first.
///
/// # Errors
/// [`DbError`].
pub fn newest(connection: &mut Connection, month: Option<Month>, limit: i64) -> Result<Vec<Stored>, DbError> {
    Ok(statement(format!(
        "SELECT {COLUMNS} FROM statements s {CLOSING} WHERE $1 IS NULL OR s.month = $1 \
         ORDER BY s.month DESC, s.vendor_id, s.version LIMIT $2"
    ))
    .value(month.map(Month::first))
    .value(limit)
    .load(connection)?)
}

/// A key that signs statements.
#[derive(Debug)]
pub struct UsedKey {
    /// The key.
    pub key: PublicKey,
    /// When the first statement was signed with it.
    pub first_used_at: DateTime<Utc>,
    /// When the last one was.
    pub last_used_at: DateTime<Utc>,
}

/// Returns the keys that sign statements, the one that was used last first.
///
/// # Errors
/// [`DbError`].
pub fn keys(connection: &mut Connection) -> Result<Vec<UsedKey>, DbError> {
    row! {
        struct Row {
            key: Vec<u8>,
            first_used_at: DateTime<Utc>,
            last_used_at: DateTime<Utc>,
        }
    }
    // There are few keys: each is found by the index, in a step of its own.
    let rows: Vec<Row> = statement(
        "WITH RECURSIVE k (key) AS ( \
             (SELECT key FROM statements ORDER BY key LIMIT 1) \
             UNION ALL \
             SELECT n.key FROM k CROSS JOIN LATERAL (SELECT s.key FROM statements s WHERE s.key > k.key ORDER BY s.key LIMIT 1) AS n) \
         SELECT k.key, (SELECT min(s.closed_at) FROM statements s WHERE s.key = k.key) AS first_used_at, \
             (SELECT max(s.closed_at) FROM statements s WHERE s.key = k.key) AS last_used_at \
         FROM k ORDER BY last_used_at DESC",
    )
    .load(connection)?;
    let key = |row: Row| {
        let bytes = row.key.try_into().map_err(|_| DbError::Unusable("a key has not 32 bytes".into()))?;
        Ok(UsedKey { key: PublicKey(bytes), first_used_at: row.first_used_at, last_used_at: row.last_used_at })
    };
    rows.into_iter().map(key).collect()
}

row! {
    /// What a month came to for the marketplace.
    #[derive(Debug)]
    pub struct StoredMonth {
        /// Its first day.
        pub month: NaiveDate,
        /// The number of the last batch that the numbers include.
        pub as_of: i64,
        /// Whether it was over, and everything of it was counted.
        pub complete: bool,
        /// When it was calculated.
        pub calculated_at: DateTime<Utc>,
        /// [`Numbers`](crate::tables::months::Numbers).
        pub numbers: Value,
        /// When every seller had a statement of it.
        pub closed_at: Option<DateTime<Utc>>,
    }
}

/// Returns at most `limit` months, the last one first, before a month.
///
/// # Errors
/// [`DbError`].
pub fn months(connection: &mut Connection, before: Option<NaiveDate>, limit: i64) -> Result<Vec<StoredMonth>, DbError> {
    Ok(statement(
        "SELECT m.month, m.as_of, m.complete, m.calculated_at, m.numbers, \
             (SELECT min(c.finished_at) FROM statement_closings c WHERE c.month = m.month AND c.finished_at IS NOT NULL) \
                 AS closed_at \
         FROM months m WHERE $1 IS NULL OR m.month < $1 ORDER BY m.month DESC LIMIT $2",
    )
    .value(before)
    .value(limit)
    .load(connection)?)
}

/// How far the months are closed.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    /// The last month of which every seller has a statement.
    pub last: Month,
    /// How many sellers have no statement of the month after it; 0 while that month is not complete.
    pub without_statement: i64,
}

/// Returns how far the months are closed; `None` if none is.
///
/// # Errors
/// [`DbError`].
pub fn closed(connection: &mut Connection, calendar: Calendar) -> Result<Option<Closed>, DbError> {
    row! {
        struct Row {
            last: NaiveDate,
            next: Option<NaiveDate>,
        }
    }
    let rows: Vec<Row> = statement(
        "SELECT l.month AS last, (SELECT min(m.month) FROM months m WHERE m.complete AND m.month > l.month) AS next \
         FROM (SELECT max(month) AS month FROM statement_closings WHERE finished_at IS NOT NULL) AS l \
         WHERE l.month IS NOT NULL",
    )
    .load(connection)?;
    let Some((last, next)) = rows.into_iter().next().and_then(|row| Some((Month::of(row.last)?, row.next))) else {
        return Ok(None);
    };
    let without_statement = match next.and_then(Month::of) {
        Some(month) => without_statement(connection, month, calendar)?,
        None => 0,
    };
    Ok(Some(Closed { last, without_statement }))
}

/// Returns how many sellers have something to state of a month, and no statement.
fn without_statement(connection: &mut Connection, month: Month, calendar: Calendar) -> Result<i64, DbError> {
    row! {
        struct Row {
            subject: String,
        }
    }
    row! {
        struct Stated {
            vendor_id: String,
        }
    }
    // Each day is a part of the primary key; the month as one range would also have its hours and its products.
    let rows: Vec<Row> = statement(
        "SELECT DISTINCT r.subject FROM unnest($1) AS d (start) CROSS JOIN LATERAL ( \
             SELECT r.subject FROM rollups r WHERE r.bucket_start = d.start AND r.granularity = 'd' AND r.scope = 's' \
                 AND num_nonnulls(r.orders, r.revenue, r.refunds) > 0) AS r",
    )
    .column(month.ranges(calendar).into_iter().map(|range| range.start))
    .load(connection)?;
    let stated: Vec<Stated> = statement("SELECT DISTINCT vendor_id FROM statements WHERE month = $1")
        .value(month.first())
        .load(connection)?;
    let stated: HashSet<String> = stated.into_iter().map(|row| row.vendor_id).collect();
    // Metric types write ids in another way than statements.
    let lacks_one = |row: &Row| decode_encoded(&row.subject).is_some_and(|vendor| !stated.contains(&vendor));
    Ok(i64::try_from(rows.iter().filter(|row| lacks_one(row)).count()).unwrap_or(i64::MAX))
}

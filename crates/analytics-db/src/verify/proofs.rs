//! Stores the results of verify: proofs, and the days that need not be read again.

use analytics_core::RULES_VERSION;
use analytics_core::maps::HashMap;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Difference, Extent, Verification};
use crate::sql::{row, statement};
use crate::transactions::run;
use crate::{Connection, DbError};

/// Maximum number of differences that a proof lists. All of them are counted in `drift`.
pub const LISTED: usize = 100;

row! {
    /// A stored proof.
    #[derive(Debug, Clone)]
    pub struct Proof {
        /// Its number.
        pub id: i64,
        /// When the run began.
        pub proved_at: DateTime<Utc>,
        /// The number of the last batch that every part includes.
        pub watermark: i64,
        /// The number of the last batch that each part includes: `days`, by day, and `metrics`.
        pub watermarks: Value,
        /// Whether every day was read.
        pub complete: bool,
        /// Version of the program's rules.
        pub rules_version: i16,
        /// Number of days that have events, rollups or an event count.
        pub days: i32,
        /// Number of days that were read from the log.
        pub days_read: i32,
        /// Number of events that were read.
        pub events_read: i64,
        /// How many numbers were compared.
        pub keys_checked: i64,
        /// How many differences were found.
        pub drift: i64,
        /// A hash of all numbers.
        pub digest: Uuid,
        /// Up to where each partition was counted.
        pub offsets: Value,
        /// The first differences.
        pub differences: Value,
        /// How the counted records compare with those that Kafka held; `None` in proofs of earlier versions.
        pub coverage: Option<Value>,
        /// How long it took, in milliseconds.
        pub took_ms: i64,
    }
}

row! {
    /// A day whose log and rollups were found to agree, as it was then.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(super) struct ProvedDay {
        pub(super) day: NaiveDate,
        pub(super) events: i64,
        pub(super) digest: String,
    }
}

/// Loads the days that were proved.
pub(super) fn proved_days(connection: &mut Connection) -> Result<HashMap<NaiveDate, ProvedDay>, DbError> {
    let rows: Vec<ProvedDay> = statement("SELECT day, events, digest FROM proved_days").load(connection)?;
    Ok(rows.into_iter().map(|row| (row.day, row)).collect())
}

/// Stores the result of a verification, and returns the proof's number.
///
/// # Errors
/// [`DbError`].
pub fn store(connection: &mut Connection, verification: &Verification) -> Result<i64, DbError> {
    run(connection, "proof", |connection| {
        store_days(connection, verification)?;
        Ok(store_proof(connection, verification)?)
    })
}

fn store_days(connection: &mut Connection, verification: &Verification) -> diesel::QueryResult<usize> {
    let held = || verification.days.iter().filter(|day| day.read && day.holds);
    if verification.differences.iter().any(|d| matches!(d, Difference::Rating { .. } | Difference::Event { .. })) {
        // Such differences are only found on days that are read. Therefore all days are read again
        // until there are none.
        return statement("DELETE FROM proved_days").execute(connection);
    }
    statement("DELETE FROM proved_days WHERE day = ANY($1)")
        .column(verification.days.iter().filter(|day| !day.holds).map(|day| day.day))
        .execute(connection)?;
    statement(
        "INSERT INTO proved_days (day, events, digest) SELECT * FROM unnest($1, $2, $3) \
         ON CONFLICT (day) DO UPDATE SET events = excluded.events, digest = excluded.digest",
    )
    .column(held().map(|day| day.day))
    .column(held().map(|day| day.events))
    .column(held().map(|day| day.digest.as_str()))
    .execute(connection)
}

fn store_proof(connection: &mut Connection, verification: &Verification) -> diesel::QueryResult<i64> {
    row! {
        struct Stored {
            id: i64,
        }
    }
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let days = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let offsets: Value = verification
        .offsets
        .iter()
        .map(|row| json!({ "group": row.consumer_group, "topic": row.topic, "partition": row.partition, "nextOffset": row.counted_offset }))
        .collect();
    let of_days: serde_json::Map<String, Value> =
        verification.days.iter().map(|day| (day.day.to_string(), day.watermark.into())).collect();
    let differences: Value = verification
        .differences
        .iter()
        .take(LISTED)
        .map(|d| json!({ "kind": d.kind(), "key": d.key(), "found": d.found(), "expected": d.expected() }))
        .collect();
    let stored: Stored = statement(
        "INSERT INTO proofs (proved_at, watermark, complete, rules_version, days, days_read, events_read, keys_checked, drift, \
                             digest, offsets, differences, took_ms, watermarks, coverage) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id",
    )
    .value(verification.at)
    .value(verification.watermark)
    .value(verification.extent == Extent::Everything)
    .value(RULES_VERSION)
    .value(days(verification.days.len()))
    .value(days(verification.days.iter().filter(|day| day.read).count()))
    .value(verification.events_read())
    .value(i64::try_from(verification.keys_checked).unwrap_or(i64::MAX))
    .value(number(verification.differences.len()))
    .value(verification.digest)
    .value(offsets)
    .value(differences)
    .value(i64::try_from(verification.took.as_millis()).unwrap_or(i64::MAX))
    .value(json!({ "days": of_days, "metrics": verification.last_watermark }))
    .value(verification.coverage.json())
    .get_result(connection)?;
    Ok(stored.id)
}

row! {
    /// What the last proofs say.
    #[derive(Debug, Clone, Copy)]
    pub struct Known {
        /// When the last proof was made.
        pub proved_at: DateTime<Utc>,
        /// The larger drift of the last proof and of the last complete one, which checks more.
        pub drift: i64,
        /// How many ranges of offsets differ from what Kafka held, by the last proof; `None` if it is one of an
        /// earlier version.
        pub coverage_differences: Option<i64>,
    }
}

/// Returns what the last proofs say. `None` if there is no proof.
///
/// # Errors
/// [`DbError`].
pub fn known(connection: &mut Connection) -> Result<Option<Known>, DbError> {
    let rows: Vec<Known> = statement(
        "SELECT p.proved_at, (p.coverage->>'differenceCount')::bigint AS coverage_differences, greatest(p.drift, \
             (SELECT c.drift FROM proofs c WHERE c.complete ORDER BY c.id DESC LIMIT 1)) AS drift \
         FROM proofs p ORDER BY p.id DESC LIMIT 1",
    )
    .load(connection)?;
    Ok(rows.into_iter().next())
}

/// Returns at most `limit` proofs, newest first, older than the one with the number `before`.
///
/// # Errors
/// [`DbError`].
pub fn newest(connection: &mut Connection, before: Option<i64>, limit: i64) -> Result<Vec<Proof>, DbError> {
    Ok(statement("SELECT * FROM proofs WHERE $1 IS NULL OR id < $1 ORDER BY id DESC LIMIT $2")
        .value(before)
        .value(limit)
        .load(connection)?)
}

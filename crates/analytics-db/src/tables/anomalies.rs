//! `anomalies`: where numbers were not what they usually are.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::audit_log::{self, Action, Entry};
use crate::locks::Lock;
use crate::sql::{row, statement};
use crate::transactions::run;
use crate::{Connection, DbError};

/// After this time without being judged, because it no longer has enough to be judged, an anomaly is
/// resolved.
const FORGOTTEN_AFTER: &str = "7 days";

/// What a run found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What was judged: a metric type, or another name of the column `type`.
    pub subject: String,
    /// The seller that it is about, if it is about one.
    pub vendor: Option<String>,
    /// Whether days were judged, rather than hours.
    pub is_daily: bool,
    /// `drop`, `surge`, `delayed` or `unknown`.
    pub verdict: &'static str,
    /// The start of the first bucket outside of the band.
    pub from: DateTime<Utc>,
    /// The end of the last one.
    pub to: DateTime<Utc>,
    /// The end of the last bucket that was judged.
    pub judged_until: DateTime<Utc>,
    /// Whether it goes on: no bucket since then was close to what was expected.
    pub is_open: bool,
    /// The value of the bucket that is the furthest outside.
    pub observed: f64,
    /// What was expected of it.
    pub expected: f64,
    /// The lowest value that is usual.
    pub lower: f64,
    /// The highest value that is usual.
    pub upper: f64,
    /// The share of comparable earlier buckets that were closer to what was expected, from 0 to 1.
    pub confidence: f64,
}

/// The last bucket of a series of the marketplace that was judged, unusual or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What was judged, as in [`Found`].
    pub subject: String,
    /// Whether it is a day, rather than an hour.
    pub is_daily: bool,
    /// Its start.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
    /// Its value.
    pub observed: f64,
    /// What was expected of it.
    pub expected: f64,
    /// The lowest value that is usual.
    pub lower: f64,
    /// The highest value that is usual.
    pub upper: f64,
}

/// How many anomalies a run changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// New ones.
    pub opened: i64,
    /// Those that were stored before, and judged again.
    pub changed: i64,
    /// Those that do not go on.
    pub resolved: usize,
}

/// Stores what a run found. `judged` are all subjects that it judged, each with the end of the last
/// bucket: their anomalies that were not found again are resolved. `latest` are the last buckets of the
/// series of the marketplace. Runs wait for each other, and what two
/// of them found is stored once.
///
/// # Errors
/// [`DbError`].
pub fn store(
    connection: &mut Connection,
    judged: &[(String, DateTime<Utc>)],
    found: &[Found],
    latest: &[Judgement],
) -> Result<Stored, DbError> {
    row! {
        struct Row {
            opened: i64,
            changed: i64,
        }
    }
    run(connection, "anomalies", |connection| {
        Lock::Anomalies.take(connection)?;
        let mut resolved = statement(include_str!("resolve_anomalies.sql"))
            .column(judged.iter().map(|(subject, _)| subject.as_str()))
            .column(judged.iter().map(|(_, until)| *until))
            .column(found.iter().map(|found| found.subject.as_str()))
            .column(found.iter().map(|found| found.vendor.as_deref()))
            .column(found.iter().map(granularity))
            .column(found.iter().map(|found| found.verdict))
            .column(found.iter().map(|found| found.from))
            .column(found.iter().map(|found| found.to))
            .column(found.iter().map(|found| found.is_open))
            .execute(connection)?;
        resolved += statement(format!(
            "UPDATE anomalies SET state = 'resolved', resolved_at = now(), updated_at = now() \
             WHERE state <> 'resolved' AND type <> ALL ($1) AND judged_until < now() - interval '{FORGOTTEN_AFTER}'"
        ))
        .column(judged.iter().map(|(subject, _)| subject.as_str()))
        .execute(connection)?;
        let Row { opened, changed } = statement(include_str!("store_anomalies.sql"))
            .column(found.iter().map(|found| found.subject.as_str()))
            .column(found.iter().map(|found| found.vendor.as_deref()))
            .column(found.iter().map(granularity))
            .column(found.iter().map(|found| found.verdict))
            .column(found.iter().map(|found| found.from))
            .column(found.iter().map(|found| found.to))
            .column(found.iter().map(|found| found.judged_until))
            .column(found.iter().map(|found| found.is_open))
            .column(found.iter().map(|found| found.observed))
            .column(found.iter().map(|found| found.expected))
            .column(found.iter().map(|found| found.lower))
            .column(found.iter().map(|found| found.upper))
            .column(found.iter().map(|found| found.confidence))
            .get_result(connection)?;
        store_latest(connection, latest)?;
        Ok(Stored { opened, changed, resolved })
    })
}

const fn granularity(found: &Found) -> &'static str {
    if found.is_daily { "d" } else { "h" }
}

/// Stores the last buckets that were judged. A run that saw less does not know better.
fn store_latest(connection: &mut Connection, latest: &[Judgement]) -> Result<(), DbError> {
    statement(
        "INSERT INTO judgements AS j (type, granularity, from_time, to_time, observed, expected, lower, upper) \
         SELECT n.type, n.granularity::\"char\", n.from_time, n.to_time, n.observed, n.expected, n.lower, n.upper \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS n \
             (type, granularity, from_time, to_time, observed, expected, lower, upper) \
         ON CONFLICT (type, granularity) DO UPDATE SET from_time = excluded.from_time, to_time = excluded.to_time, \
             observed = excluded.observed, expected = excluded.expected, lower = excluded.lower, upper = excluded.upper \
         WHERE excluded.to_time >= j.to_time",
    )
    .column(latest.iter().map(|judged| judged.subject.as_str()))
    .column(latest.iter().map(|judged| if judged.is_daily { "d" } else { "h" }))
    .column(latest.iter().map(|judged| judged.from))
    .column(latest.iter().map(|judged| judged.to))
    .column(latest.iter().map(|judged| judged.observed))
    .column(latest.iter().map(|judged| judged.expected))
    .column(latest.iter().map(|judged| judged.lower))
    .column(latest.iter().map(|judged| judged.upper))
    .execute(connection)?;
    // Of a currency or a topic that has ended.
    statement(format!("DELETE FROM judgements WHERE to_time < now() - interval '{FORGOTTEN_AFTER}'"))
        .execute(connection)?;
    Ok(())
}

/// Notes who has seen an anomaly, and what they say about it. Returns whether it exists.
///
/// # Errors
/// [`DbError`].
pub fn acknowledge(connection: &mut Connection, id: Uuid, actor: &str, comment: Option<&str>) -> Result<bool, DbError> {
    run(connection, "acknowledge", |connection| {
        let changed = statement(
            "UPDATE anomalies SET state = CASE state WHEN 'open' THEN 'acknowledged' ELSE state END, \
                 acknowledged_at = now(), acknowledged_by = left($2, 255), comment = coalesce($3, comment), \
                 updated_at = now() \
             WHERE id = $1",
        )
        .value(id)
        .value(actor)
        .value(comment)
        .execute(connection)?;
        if changed > 0 {
            let detail = json!({ "comment": comment });
            let (actor, subject) = (actor.to_owned(), id.to_string());
            audit_log::record(connection, &Entry { actor, action: Action::AcknowledgeAnomaly, subject, detail })?;
        }
        Ok::<_, DbError>(changed > 0)
    })
}

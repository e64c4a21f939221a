//! What became of the records of each topic, by the time at which they arrived.

use analytics_core::period::Span;
use chrono::{DateTime, Utc};

use crate::sql::{row, statement};
use crate::tables::arrivals::{DUPLICATE, EVENT};
use crate::{Connection, DbError};

/// What became of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// They were counted as events.
    Event,
    /// They repeated known events.
    Duplicate,
    /// They were rejected, with the code of this reason.
    Rejected(String),
}

/// The records of a topic with an outcome that arrived in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// The index of the bucket.
    pub bucket: usize,
    /// The topic.
    pub topic: String,
    /// What became of them.
    pub outcome: Outcome,
    /// Their number.
    pub records: i64,
}

/// Counts the records that arrived in consecutive ranges of whole hours; of one topic, if it is
/// given.
///
/// # Errors
/// [`DbError`].
pub fn count(connection: &mut Connection, buckets: &[Span], topic: Option<&str>) -> Result<Vec<Arrived>, DbError> {
    row! {
        struct Row {
            bucket: i32,
            topic: String,
            outcome: String,
            records: i64,
        }
    }
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return Ok(Vec::new()) };
    let rows: Vec<Row> = statement(
        "SELECT width_bucket(a.hour, $3) - 1 AS bucket, a.topic, a.outcome, sum(a.records)::bigint AS records \
         FROM arrivals a WHERE a.hour >= $1 AND a.hour < $2 AND ($4 IS NULL OR a.topic = $4) \
         GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )
    .value(first.from)
    .value(last.to)
    .column(buckets.iter().map(|bucket| -> DateTime<Utc> { bucket.from }))
    .value(topic)
    .load(connection)?;
    let arrived = |Row { bucket, topic, outcome, records }: Row| {
        let outcome = match outcome.as_str() {
            EVENT => Outcome::Event,
            DUPLICATE => Outcome::Duplicate,
            _ => Outcome::Rejected(outcome),
        };
        Some(Arrived { bucket: usize::try_from(bucket).ok()?, topic, outcome, records })
    };
    Ok(rows.into_iter().filter_map(arrived).collect())
}

//! How what was counted compares with what Kafka held, as far as the audit has compared them.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::proofs::LISTED;
use crate::sql::{row, statement};
use crate::tables::offset_ranges;
use crate::{Connection, DbError};

/// What is known of the ranges of offsets of all partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// What was audited, and is what Kafka held.
    pub equal: Part,
    /// What is not audited yet.
    pub waiting: Part,
    /// Since when the first of it is logged.
    pub waiting_since: Option<DateTime<Utc>>,
    /// What Kafka held no longer when it was to be audited.
    pub gone: Part,
    /// What ingest never had, and says why, and differences that an operator accepted.
    pub gaps: Vec<Stretch>,
    /// What differs from what Kafka held and was not read again since, and what is counted although no range
    /// has it.
    pub differences: Vec<Stretch>,
}

/// Some of the ranges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// How many.
    pub ranges: i64,
    /// How many records ingest was given of them.
    pub records: i64,
}

row! {
    /// Offsets of a partition.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Stretch {
        /// The consumer group.
        pub consumer_group: String,
        /// The topic.
        pub topic: String,
        /// The partition.
        pub partition: i32,
        /// The first offset.
        pub from_offset: i64,
        /// The first offset after it.
        pub to_offset: i64,
        /// What is known about it.
        pub reason: String,
    }
}

impl Coverage {
    /// Whether all that was counted was compared with Kafka, and is what Kafka held.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.waiting.ranges == 0 && self.gone.ranges == 0 && self.gaps.is_empty() && self.differences.is_empty()
    }

    /// Returns the value of `proofs.coverage`.
    pub(super) fn json(&self) -> Value {
        let part = |part: &Part| json!({ "ranges": part.ranges, "records": part.records });
        let listed = |stretches: &[Stretch]| -> Value { stretches.iter().take(LISTED).map(Stretch::json).collect() };
        json!({
            "whole": self.is_whole(),
            "equal": part(&self.equal),
            "notYetAudited": part(&self.waiting),
            "notYetAuditedSince": self.waiting_since.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            "goneUnaudited": part(&self.gone),
            "gapCount": self.gaps.len(),
            "gaps": listed(&self.gaps),
            "differenceCount": self.differences.len(),
            "differences": listed(&self.differences),
        })
    }
}

impl Stretch {
    fn json(&self) -> Value {
        let Self { consumer_group, topic, partition, from_offset, to_offset, reason } = self;
        json!({
            "group": consumer_group, "topic": topic, "partition": partition, "from": from_offset, "to": to_offset,
            "reason": reason,
        })
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consumer_group, topic, partition, from_offset, to_offset, reason } = self;
        write!(f, "{consumer_group} {topic}/{partition}, offsets {from_offset} to {}: {reason}", to_offset - 1)
    }
}

/// Reads what is known, in the snapshot of the verification.
pub(super) fn load(connection: &mut Connection) -> Result<Coverage, DbError> {
    row! {
        struct Row {
            state: String,
            ranges: i64,
            records: i64,
            since: DateTime<Utc>,
        }
    }
    let rows: Vec<Row> = statement(
        "SELECT state, count(*) AS ranges, sum(records)::bigint AS records, min(first_logged_at) AS since \
         FROM offset_ranges GROUP BY state",
    )
    .load(connection)?;
    let mut coverage = Coverage::default();
    for Row { state, ranges, records, since } in rows {
        let part = Part { ranges, records };
        match state.as_str() {
            "equal" => coverage.equal = part,
            "waiting" => (coverage.waiting, coverage.waiting_since) = (part, Some(since)),
            "gone" => coverage.gone = part,
            _ => {}
        }
    }
    coverage.gaps = stretches(connection, &["gap", "accepted"])?;
    coverage.differences = stretches(connection, &["different"])?;
    let unknown: Vec<Stretch> = statement(offset_ranges::IN_NO_RANGE).load(connection)?;
    coverage.differences.extend(unknown);
    Ok(coverage)
}

fn stretches(connection: &mut Connection, states: &[&str]) -> Result<Vec<Stretch>, DbError> {
    Ok(statement(
        "SELECT consumer_group, topic, partition, from_offset, to_offset, coalesce(reason, '') AS reason \
         FROM offset_ranges WHERE state = ANY ($1) ORDER BY consumer_group, topic, partition, id",
    )
    .column(states.iter().copied())
    .load(connection)?)
}

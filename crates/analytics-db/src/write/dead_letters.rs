//! `dead_letters`: the records that could not be counted, with their original bytes.

use analytics_core::identity::{EventId, record_id};
use analytics_core::maps::HashSet;
use analytics_core::record::{Header, Record};
use analytics_core::rejection::Rejection;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Binary, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Outcome, Span, WriteError};
use crate::Connection;

/// Writes them, of each payload at most `kept_bytes`; one that is there already (its record was
/// read again) stays as it is.
pub(super) fn insert(
    connection: &mut Connection,
    rejected: &[(&Record, Rejection)],
    kept_bytes: usize,
) -> Result<(), WriteError> {
    if rejected.is_empty() {
        return Ok(());
    }
    let records = || rejected.iter().map(|(record, _)| *record);
    let timestamp = |record: &Record| record.place.timestamp.and_then(DateTime::<Utc>::from_timestamp_millis);
    let kept = |record: &'_ Record| {
        record.payload.as_ref().map(|payload| payload.get(..kept_bytes).unwrap_or(payload).to_vec())
    };
    let length = |record: &Record| record.payload.as_ref().and_then(|payload| i64::try_from(payload.len()).ok());
    sql_query(include_str!("../sql/insert_dead_letters.sql"))
        .bind::<Array<SqlUuid>, _>(records().map(|record| record_id(&record.place).0).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(records().map(|record| &*record.place.partition.topic).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(records().map(|record| record.place.partition.partition).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(records().map(|record| record.place.offset.0).collect::<Vec<_>>())
        .bind::<Array<Nullable<Timestamptz>>, _>(records().map(timestamp).collect::<Vec<_>>())
        .bind::<Array<Nullable<Binary>>, _>(records().map(|record| record.key.as_deref()).collect::<Vec<_>>())
        .bind::<Array<Jsonb>, _>(records().map(|record| headers(&record.headers)).collect::<Vec<_>>())
        .bind::<Array<Nullable<Binary>>, _>(records().map(kept).collect::<Vec<_>>())
        .bind::<Array<Nullable<BigInt>>, _>(records().map(length).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rejected.iter().map(|(_, why)| why.reason.code()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rejected.iter().map(|(_, why)| storable(&why.detail)).collect::<Vec<_>>())
        .execute(connection)?;
    Ok(())
}

/// Of the records in these stretches those that were refused when they were read before, by their
/// record ids.
pub(super) fn of_spans(connection: &mut Connection, spans: &[Span]) -> Result<HashSet<EventId>, WriteError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT d.id FROM unnest($1, $2, $3, $4) AS s (topic, partition, expected, next_offset) \
         JOIN dead_letters d ON d.topic = s.topic AND d.partition = s.partition \
          AND d.\"offset\" >= s.expected AND d.\"offset\" < s.next_offset",
    )
    .bind::<Array<Text>, _>(spans.iter().map(|span| &*span.partition.topic).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(spans.iter().map(|span| span.partition.partition).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(spans.iter().map(|span| span.expected.0).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(spans.iter().map(|span| span.next.0).collect::<Vec<_>>())
    .load(connection)?;
    Ok(rows.into_iter().map(|row| EventId(row.id)).collect())
}

/// What was done with a dead letter, and what came of it.
#[derive(Debug)]
pub(super) struct Action<'a> {
    pub(super) letter: Uuid,
    /// `replay` or `reread`.
    pub(super) action: &'static str,
    pub(super) actor: &'a str,
    pub(super) outcome: &'a Outcome,
    pub(super) corrected: Option<&'a [u8]>,
}

/// Leaves the traces, and closes the letters whose events are counted by now.
pub(super) fn settle(connection: &mut Connection, actions: &[Action<'_>]) -> Result<(), WriteError> {
    if actions.is_empty() {
        return Ok(());
    }
    sql_query(include_str!("../sql/settle_dead_letters.sql"))
        .bind::<Array<SqlUuid>, _>(actions.iter().map(|action| action.letter).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(actions.iter().map(|action| action.action).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(actions.iter().map(|action| storable(action.actor)).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(actions.iter().map(|action| action.outcome.name()).collect::<Vec<_>>())
        .bind::<Array<Nullable<SqlUuid>>, _>(actions.iter().map(|action| action.outcome.event()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(
            actions.iter().map(|action| action.outcome.detail().map(|detail| storable(&detail))).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Binary>>, _>(actions.iter().map(|action| action.corrected).collect::<Vec<_>>())
        .execute(connection)?;
    Ok(())
}

/// A list, since names may repeat; a value that is no text is kept as its bytes in hexadecimal.
fn headers(headers: &[Header]) -> Value {
    let header = |header: &Header| {
        let name = storable(&header.name);
        let text = header.value.as_deref().map(|value| std::str::from_utf8(value).map_err(|_| value));
        match text {
            None => json!({ "name": name, "value": null }),
            Some(Ok(value)) if !value.contains('\0') => json!({ "name": name, "value": value }),
            Some(Ok(value)) => json!({ "name": name, "valueHex": hex(value.as_bytes()) }),
            Some(Err(value)) => json!({ "name": name, "valueHex": hex(value) }),
        }
    };
    headers.iter().map(header).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text as PostgreSQL can hold it.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

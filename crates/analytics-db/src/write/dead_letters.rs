//! `dead_letters`: the records that could not be counted, with their original bytes.

use analytics_core::identity::record_id;
use analytics_core::record::{Header, Record};
use analytics_core::rejection::Rejection;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Binary, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{RunQueryDsl, sql_query};
use serde_json::{Value, json};

use super::WriteError;
use crate::Connection;

/// Writes them; one that is there already (its record was read again) stays as it is.
pub(super) fn insert(connection: &mut Connection, rejected: &[(&Record, Rejection)]) -> Result<(), WriteError> {
    if rejected.is_empty() {
        return Ok(());
    }
    let records = || rejected.iter().map(|(record, _)| *record);
    let timestamp = |record: &Record| record.place.timestamp.and_then(DateTime::<Utc>::from_timestamp_millis);
    sql_query(include_str!("../sql/insert_dead_letters.sql"))
        .bind::<Array<SqlUuid>, _>(records().map(|record| record_id(&record.place).0).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(records().map(|record| &*record.place.partition.topic).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(records().map(|record| record.place.partition.partition).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(records().map(|record| record.place.offset.0).collect::<Vec<_>>())
        .bind::<Array<Nullable<Timestamptz>>, _>(records().map(timestamp).collect::<Vec<_>>())
        .bind::<Array<Nullable<Binary>>, _>(records().map(|record| record.key.as_deref()).collect::<Vec<_>>())
        .bind::<Array<Jsonb>, _>(records().map(|record| headers(&record.headers)).collect::<Vec<_>>())
        .bind::<Array<Nullable<Binary>>, _>(records().map(|record| record.payload.as_deref()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rejected.iter().map(|(_, why)| why.reason.code()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rejected.iter().map(|(_, why)| storable(&why.detail)).collect::<Vec<_>>())
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

//! The indexes of partitions whose days are over: created once, without a lock that ingest would wait for.

use analytics_core::identity::EventId;
use chrono::{DateTime, Utc};
use diesel::OptionalExtension;
use diesel::connection::SimpleConnection;

use super::{DEFAULT, EVENT_LOGS, LARGE, Partitioned, QUIET_AFTER, TABLES, existing, name_of_default};
use crate::locks::{Guard, Lock};
use crate::sql::{row, statement};
use crate::tables::metadata_indexes::{self, MetadataIndex};
use crate::{Connection, DatabaseUrl, DbError};

/// Creates the missing indexes of quiet partitions, one after the other, without a lock that ingest
/// would wait for. `tell` is called with the name of each index before it is created. Returns how
/// many were created; `None` if another process is doing so. An index that a crash left invalid is
/// created again by the next run.
///
/// # Errors
/// [`DbError`] of the statements.
pub fn index_quiet(
    connection: &mut Connection,
    url: &DatabaseUrl,
    now: DateTime<Utc>,
    tell: impl Fn(&str),
) -> Result<Option<usize>, DbError> {
    // Not waiting for the lock: a waiting statement has a snapshot, and creating an index waits for
    // all older snapshots.
    let Some(_guard) = Guard::at_once(url, Lock::Indexing)? else { return Ok(None) };
    index_each(connection, now, tell).map(Some)
}

fn index_each(connection: &mut Connection, now: DateTime<Utc>, tell: impl Fn(&str)) -> Result<usize, DbError> {
    let mut made = 0;
    for table in &TABLES {
        let mut partitions = quiet(connection, table, now)?;
        partitions.extend(large_default(connection, table)?);
        for partition in partitions {
            made += complete(connection, table, &partition, &tell)?;
        }
    }
    Ok(made + metadata_each(connection, now, &tell)?)
}

/// Creates the indexes that a quiet partition lacks. Returns how many.
pub(super) fn complete(
    connection: &mut Connection,
    table: &Partitioned,
    partition: &str,
    tell: &impl Fn(&str),
) -> Result<usize, DbError> {
    let mut made = 0;
    for (end, columns) in table.quiet_indexes {
        made += usize::from(index(connection, partition, end, &format!("({columns})"), tell)?);
    }
    if made > 0 {
        connection.batch_execute(&format!("VACUUM (ANALYZE) {partition}"))?;
    }
    Ok(made)
}

/// Returns the names of the partitions that are quiet.
fn quiet(connection: &mut Connection, table: &Partitioned, now: DateTime<Utc>) -> Result<Vec<String>, DbError> {
    let over = EventId::lowest_at((now - QUIET_AFTER).into()).0;
    let partitions = existing(connection, table)?.into_iter().filter(|partition| partition.to <= over);
    Ok(partitions.map(|partition| partition.name).collect())
}

/// Returns the name of the default partition if it is large and none of the last batches has events in
/// it: then it holds days for which there was no partition in time, and will hardly grow.
fn large_default(connection: &mut Connection, table: &Partitioned) -> Result<Option<String>, DbError> {
    row! {
        struct Row {
            bytes: i64,
            in_use: bool,
        }
    }
    let name = name_of_default(table);
    let row: Row = statement(format!(
        "SELECT pg_relation_size($1::regclass) AS bytes, EXISTS (SELECT FROM {DEFAULT} e WHERE e.batch_id >= ( \
             SELECT min(b.id) FROM (SELECT id FROM batches ORDER BY id DESC LIMIT 100) AS b)) AS in_use"
    ))
    .value(&name)
    .get_result(connection)?;
    Ok(Some(name).filter(|_| row.bytes >= LARGE && !row.in_use))
}

/// Builds the indexes by fields of payloads on the quiet partitions that lack them; those are found
/// in [`metadata_indexes`]. Returns how many were created; `None` if another process is doing so.
///
/// # Errors
/// [`DbError`] of the statements.
pub fn index_metadata(
    connection: &mut Connection,
    url: &DatabaseUrl,
    now: DateTime<Utc>,
    tell: impl Fn(&str),
) -> Result<Option<usize>, DbError> {
    let Some(_guard) = Guard::at_once(url, Lock::Indexing)? else { return Ok(None) };
    metadata_each(connection, now, &tell).map(Some)
}

/// Creates the indexes by fields of payloads on a table that becomes a partition.
pub(super) fn complete_metadata(
    connection: &mut Connection,
    table: &Partitioned,
    partition: &str,
    tell: &impl Fn(&str),
) -> Result<(), DbError> {
    if table.name == EVENT_LOGS.name {
        for metadata in metadata_indexes::all(connection)?.iter().filter(|metadata| metadata.is_wanted()) {
            index(connection, partition, &metadata.end(), &metadata.definition()?, tell)?;
        }
    }
    Ok(())
}

fn metadata_each(connection: &mut Connection, now: DateTime<Utc>, tell: &impl Fn(&str)) -> Result<usize, DbError> {
    let indexes: Vec<MetadataIndex> =
        metadata_indexes::all(connection)?.into_iter().filter(MetadataIndex::is_wanted).collect();
    if indexes.is_empty() {
        return Ok(0);
    }
    let mut made = 0;
    for partition in quiet(connection, &EVENT_LOGS, now)?.into_iter().chain([DEFAULT.to_owned()]) {
        let before = made;
        for metadata in &indexes {
            made += usize::from(index(connection, &partition, &metadata.end(), &metadata.definition()?, tell)?);
        }
        if made > before {
            // The planner needs statistics of the indexed values.
            connection.batch_execute(&format!("ANALYZE {partition}"))?;
        }
    }
    for metadata in &indexes {
        metadata_indexes::built(connection, metadata)?;
    }
    Ok(made)
}

/// Drops an index by a field of payloads that was [retired](metadata_indexes::retire), without a
/// lock that ingest would wait for. Returns from how many partitions; `None` if another process is
/// creating or dropping indexes. The next run continues where one was interrupted.
///
/// # Errors
/// [`DbError`] of the statements.
pub fn drop_metadata(
    connection: &mut Connection,
    url: &DatabaseUrl,
    metadata: &MetadataIndex,
) -> Result<Option<usize>, DbError> {
    row! {
        struct Row {
            name: String,
        }
    }
    let Some(_guard) = Guard::at_once(url, Lock::Indexing)? else { return Ok(None) };
    // Also from partitions that an operator has detached.
    let indexes: Vec<Row> = statement(
        "SELECT i.indexrelid::regclass::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         WHERE c.relname ~ ('^event_logs_.*_' || $1 || '$') \
         AND c.relnamespace = (SELECT l.relnamespace FROM pg_class l WHERE l.oid = 'event_logs'::regclass) ORDER BY 1",
    )
    .value(metadata.end())
    .load(connection)?;
    for index in &indexes {
        connection.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index.name))?;
    }
    metadata_indexes::forget(connection, metadata)?;
    Ok(Some(indexes.len()))
}

/// Creates an index, unless it exists. Returns whether it was created.
fn index(
    connection: &mut Connection,
    partition: &str,
    end: &str,
    definition: &str,
    tell: impl Fn(&str),
) -> Result<bool, DbError> {
    let name = format!("{partition}_{end}");
    match valid(connection, &name)? {
        Some(true) => return Ok(false),
        Some(false) => connection.batch_execute(&format!("DROP INDEX CONCURRENTLY {name}"))?,
        None => {}
    }
    tell(&name);
    connection.batch_execute(&format!("CREATE INDEX CONCURRENTLY {name} ON {partition} {definition}"))?;
    Ok(true)
}

/// Returns whether an index is valid; `None` if it does not exist.
fn valid(connection: &mut Connection, name: &str) -> Result<Option<bool>, DbError> {
    row! {
        struct Row {
            valid: Option<bool>,
        }
    }
    let row: Option<Row> = statement("SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass($1)")
        .value(name)
        .get_result(connection)
        .optional()?;
    Ok(row.and_then(|row| row.valid))
}

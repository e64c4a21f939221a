//! A constraint on the default partition, which saves reading it while it is locked.
//!
//! A history of many months, when it is loaded, goes to the default partition, because partitions are only created for
//! the last three months. Once that is large, it becomes the partition of everything before them, without moving a row,
//! and an empty table takes its place. Then it is indexed like every other partition whose days are over.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};
use uuid::Uuid;

use super::{
    Made, Partition, Partitioned, Range, day, definition, existing, is_large, is_true, lowest_id, name_of_default,
    with_short_locks,
};
use crate::{Connection, DbError};

/// The constraint that saves reading the whole table while it is locked.
const BEFORE: &str = "before_all_partitions";

/// Returns those of the missing partitions that can be attached without reading the default partition while it is
/// locked, and whether a constraint is in place for that, which has to be [released](release): if it is large, those of
/// days that are still to come. PostgreSQL reads it to see that it has no events of the new partition's days.
pub(super) fn unread(
    connection: &mut Connection,
    table: &Partitioned,
    missing: Vec<Range>,
    now: DateTime<Utc>,
) -> Result<(Vec<Range>, bool), DbError> {
    // Events that are dated more than a day ahead are not counted.
    let end = lowest_id(now.timestamp().div_euclid(24 * 60 * 60) + 2);
    if missing.is_empty() || !is_large(connection, table)? {
        return Ok((missing, false));
    }
    if bound(connection, table, end)? == Made::Attached {
        return Ok((missing.into_iter().filter(|range| range.from >= end).collect(), true));
    }
    release(connection, table)?;
    log::warn!(
        "{} partitions of {} are left to the next run: the default partition is large",
        missing.len(),
        table.name
    );
    Ok((Vec::new(), false))
}

/// Attaches the default partition of a table as the one of everything before all others, if it is large and holds
/// nothing else. `None` if there is nothing to do.
///
/// Partitions must reach at least a day into the future: meanwhile the default partition takes nothing that is newer.
pub(super) fn separate(connection: &mut Connection, table: &Partitioned) -> Result<Option<Made>, DbError> {
    let Some(end) = end(&existing(connection, table)?) else { return Ok(None) };
    if !is_history(connection, table, end)? {
        return Ok(None);
    }
    let made = exchange(connection, table, end);
    if !matches!(made, Ok(Made::Attached)) {
        let released = release(connection, table);
        return made.and_then(|made| released.map(|_| Some(made)));
    }
    made.map(Some)
}

/// Drops the constraint that an interrupted run left behind, if there is one: it would refuse events for which there is no
/// partition in time. Returns whether it is gone.
pub(super) fn release(connection: &mut Connection, table: &Partitioned) -> Result<bool, DbError> {
    let default = name_of_default(table);
    if !has_constraint(connection, &default)? {
        return Ok(true);
    }
    let dropped = format!("ALTER TABLE {default} DROP CONSTRAINT {BEFORE}");
    Ok(with_short_locks(connection, &default, &dropped)? == Made::Attached)
}

/// Puts an empty table in the place of the default partition, which is attached as the one of everything before `end`.
fn exchange(connection: &mut Connection, table: &Partitioned, end: Uuid) -> Result<Made, DbError> {
    let (table_name, default) = (table.name, name_of_default(table));
    let history = format!("{table_name}_before_{}", day(end));
    match bound(connection, table, end)? {
        Made::Attached => {}
        made => return Ok(made),
    }
    let empty = format!("{table_name}_empty");
    connection.batch_execute(&definition(table, &empty, ""))?;
    let exchange = format!(
        "ALTER TABLE {table_name} DETACH PARTITION {default}; \
         ALTER TABLE {table_name} ATTACH PARTITION {default} FOR VALUES FROM (MINVALUE) TO ('{end}'); \
         ALTER TABLE {default} DROP CONSTRAINT {BEFORE}; \
         ALTER TABLE {default} RENAME TO {history}; \
         ALTER TABLE {empty} RENAME TO {default}; \
         ALTER TABLE {table_name} ATTACH PARTITION {default} DEFAULT; \
         {}",
        rename_indexes(&default, &history)
    );
    with_short_locks(connection, &history, &exchange)
}

/// Adds the constraint that the default partition holds nothing from `end` on. Returns [`Made::LeftInDefault`] if it does.
fn bound(connection: &mut Connection, table: &Partitioned, end: Uuid) -> Result<Made, DbError> {
    let (default, key) = (name_of_default(table), table.key);
    let constraint = format!(
        "ALTER TABLE {default} ADD CONSTRAINT {BEFORE} CHECK ({key} IS NOT NULL AND {key} < '{end}') NOT VALID"
    );
    if with_short_locks(connection, &default, &constraint)? != Made::Attached {
        return Ok(Made::Postponed);
    }
    // Reads the whole table, while it is read and written.
    match connection.batch_execute(&format!("ALTER TABLE {default} VALIDATE CONSTRAINT {BEFORE}")) {
        Err(Error::DatabaseError(DatabaseErrorKind::CheckViolation, _)) => Ok(Made::LeftInDefault),
        validated => Ok(validated.map(|()| Made::Attached)?),
    }
}

/// Returns the start of the first partition, if no range between the first and the last has none: events of such a
/// range are in the default partition as well.
fn end(partitions: &[Partition]) -> Option<Uuid> {
    let has_gap = partitions.windows(2).any(|pair| matches!(pair, [one, next] if one.to != next.from));
    partitions.first().map(|first| first.from).filter(|first| !first.is_nil() && !has_gap)
}

/// Returns whether the default partition is large and holds nothing from `end` on.
fn is_history(connection: &mut Connection, table: &Partitioned, end: Uuid) -> Result<bool, DbError> {
    let (default, key) = (name_of_default(table), table.key);
    let holds_newer = format!("EXISTS (SELECT FROM {default} WHERE {key} >= '{end}')");
    Ok(is_large(connection, table)? && !is_true(connection, &holds_newer)?)
}

fn has_constraint(connection: &mut Connection, default: &str) -> Result<bool, DbError> {
    let constraint =
        format!("SELECT FROM pg_constraint WHERE conrelid = '{default}'::regclass AND conname = '{BEFORE}'");
    is_true(connection, &format!("EXISTS ({constraint})"))
}

/// Returns SQL that renames the indexes that are found by the name of their partition: see
/// [`index_quiet`](super::index_quiet).
fn rename_indexes(from: &str, to: &str) -> String {
    format!(
        "DO $$ DECLARE own record; BEGIN \
             FOR own IN SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                 WHERE i.indrelid = '{to}'::regclass AND c.relname ~ '^{from}_(by|metadata)_[a-z0-9]+$' \
             LOOP EXECUTE format('ALTER INDEX %I RENAME TO %I', own.relname, replace(own.relname, '{from}', '{to}')); \
             END LOOP; END $$"
    )
}

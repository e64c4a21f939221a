//! Partitions of the event log, three days each: creates them ahead of time, and creates their
//! indexes once they are quiet.
//!
//! A partition into which events stream is hot: each index on it slows down every insert. A
//! partition whose days are over is quiet: creating the same indexes afterwards costs a fraction,
//! and nothing waits for it.

use std::thread;
use std::time::Duration as StdDuration;

use analytics_core::identity::EventId;
use chrono::{DateTime, Duration, Utc};
use diesel::OptionalExtension;
use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};
use uuid::Uuid;

use super::metadata_indexes::{self, MetadataIndex};
use crate::locks::{Guard, Lock};
use crate::sql::{row, statement};
use crate::{Connection, DatabaseUrl, DbError};

/// Number of days in a partition, counted from 1970. With longer partitions, finding a page in a
/// hot one takes longer; with shorter ones, more partitions have to be searched for rare values.
const DAYS: i64 = 3;
/// Number of partitions kept before and after the current one.
const BEHIND: i64 = 30;
const AHEAD: i64 = 16;

/// A partition is quiet this long after its last day. Later events are still stored in it.
const QUIET_AFTER: Duration = Duration::days(1);

/// From this size on, in bytes, a default partition is indexed: a quarter of a million events.
const LARGE: i64 = 64 << 20;

/// How long one attempt to attach a partition waits for its lock. Other sessions wait behind it.
const ATTACH_TIMEOUT: &str = "1s";
/// Number of attempts, and the pause between two of them.
const ATTEMPTS: u32 = 20;
const PAUSE: StdDuration = StdDuration::from_secs(2);

/// A table that is partitioned by the event id in its first key column.
struct Partitioned {
    name: &'static str,
    /// Columns used in filters.
    subjects: &'static [&'static str],
    /// The indexes of a quiet partition: the end of the index's name, and its columns.
    quiet_indexes: &'static [(&'static str, &'static str)],
}

const TABLES: [Partitioned; 2] = [EVENT_LOGS, ORDER_LINES];

const EVENT_LOGS: Partitioned = Partitioned {
    name: "event_logs",
    subjects: &["user_id", "product_id", "vendor_id"],
    quiet_indexes: &[("by_user", "user_id, id"), ("by_product", "product_id, id"), ("by_vendor", "vendor_id, id")],
};

const ORDER_LINES: Partitioned = Partitioned {
    name: "order_lines",
    subjects: &["product_id", "vendor_id"],
    quiet_indexes: &[
        ("by_product", "product_id, event_id"),
        ("by_vendor", "vendor_id, event_id"),
        ("by_currency", "currency, event_id"),
    ],
};

/// The partition of the event log for events outside the ranges of all others.
const DEFAULT: &str = "event_logs_default";

/// A range of ids: `from` is included, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    from: Uuid,
    to: Uuid,
}

/// How many of the missing partitions were created.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ensured {
    /// Partitions that were created.
    pub made: usize,
    /// Partitions left to the next run, because the default partition was in use all the time.
    pub postponed: usize,
}

/// Creates the missing partitions around `now`, without blocking readers or writers of the log for
/// long. Days whose events are in the default partition already stay there. To be called
/// [`exclusively`](crate::migrations::exclusively).
///
/// # Errors
/// [`DbError`] of the statements.
pub fn ensure(connection: &mut Connection, now: DateTime<Utc>) -> Result<Ensured, DbError> {
    let today = now.timestamp().div_euclid(24 * 60 * 60);
    let present = today - today.rem_euclid(DAYS);
    let mut ensured = Ensured::default();
    for table in &TABLES {
        let taken: Vec<Range> = existing(connection, table)?.into_iter().map(|partition| partition.range()).collect();
        for number in -BEHIND..=AHEAD {
            let first = present + number * DAYS;
            let wanted = Range { from: lowest_id(first), to: lowest_id(first + DAYS) };
            let Some(free) = free(wanted, &taken) else { continue };
            // If one could not be attached in all that time, the next one cannot either.
            if ensured.postponed > 0 {
                ensured.postponed += 1;
                continue;
            }
            match make(connection, table, free)? {
                Made::Attached => ensured.made += 1,
                Made::LeftInDefault => {}
                Made::Postponed => ensured.postponed += 1,
            }
        }
    }
    Ok(ensured)
}

/// Returns the part of a range that no partition covers yet: it starts at the end of those that
/// reach into it. Partitions of earlier versions were months.
fn free(wanted: Range, taken: &[Range]) -> Option<Range> {
    let mut from = wanted.from;
    while let Some(other) = taken.iter().find(|other| other.from <= from && from < other.to) {
        from = other.to;
    }
    let to = taken.iter().map(|other| other.from).filter(|start| *start > from).fold(wanted.to, Uuid::min);
    (from < to).then_some(Range { from, to })
}

/// The result for one partition.
enum Made {
    Attached,
    /// The default partition already has events of its range.
    LeftInDefault,
    /// Its locks could not be taken.
    Postponed,
}

/// Creates a partition: first as a table of its own, which blocks nobody, then by attaching it to
/// the partitioned table, which is quick but needs an exclusive lock on the default partition. If a
/// crash happens between the two, the next run continues there.
fn make(connection: &mut Connection, table: &Partitioned, range: Range) -> Result<Made, DbError> {
    let (table_name, name) = (table.name, name(table, range));
    let statistics = table.subjects.iter().map(|column| format!("ALTER COLUMN {column} SET STATISTICS 300"));
    let statistics = statistics.collect::<Vec<_>>().join(", ");
    // Autovacuum starts by the number of inserted rows, not by their share of the partition,
    // because it also builds the BRIN filters of new ranges.
    connection.batch_execute(&format!(
        "CREATE TABLE IF NOT EXISTS {name} (LIKE {table_name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) \
         WITH (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000); \
         ALTER TABLE {name} {statistics}"
    ))?;
    let attach = format!(
        "BEGIN; SET LOCAL lock_timeout = '{ATTACH_TIMEOUT}'; \
         ALTER TABLE {table_name} ATTACH PARTITION {name} FOR VALUES FROM ('{}') TO ('{}'); COMMIT",
        range.from, range.to
    );
    if has_rows(connection, &name)? {
        // An operator detached or filled it.
        log::warn!(
            "{name} has rows and is not attached to {table_name}: it is left unchanged, and events of its days are \
                    stored in the default partition"
        );
        return Ok(Made::LeftInDefault);
    }
    for attempt in 1..=ATTEMPTS {
        let attached = connection.batch_execute(&attach);
        if attached.is_err() {
            connection.batch_execute("ROLLBACK")?;
        }
        match attached {
            Ok(()) => return Ok(Made::Attached),
            Err(Error::DatabaseError(DatabaseErrorKind::CheckViolation, _)) => {
                connection.batch_execute(&format!("DROP TABLE {name}"))?;
                log::warn!(
                    "{name} is not created: {table_name} already has events of its days in the default partition, which keeps them"
                );
                return Ok(Made::LeftInDefault);
            }
            Err(error) if attempt == ATTEMPTS => {
                log::warn!("{name} could not be attached, the next run will try again: {error}");
            }
            Err(error) => {
                log::debug!("{name} is not attached yet: {error}");
                thread::sleep(PAUSE);
            }
        }
    }
    Ok(Made::Postponed)
}

fn has_rows(connection: &mut Connection, table: &str) -> Result<bool, DbError> {
    row! {
        struct Row {
            some: bool,
        }
    }
    let row: Row = statement(format!("SELECT EXISTS (SELECT FROM {table}) AS some")).get_result(connection)?;
    Ok(row.some)
}

/// Returns the name of a partition, which contains its first day.
fn name(table: &Partitioned, range: Range) -> String {
    let day = DateTime::from_timestamp_millis(EventId(range.from).millis()).unwrap_or_default();
    format!("{}_{}", table.name, day.format("%Y_%m_%d"))
}

/// Returns the lowest id that an event of this day (UTC, counted from 1970) or later can have.
fn lowest_id(day: i64) -> Uuid {
    EventId::lowest_at(DateTime::UNIX_EPOCH.checked_add_signed(Duration::days(day)).unwrap_or_default().into()).0
}

row! {
    struct Partition {
        name: String,
        from: Uuid,
        to: Uuid,
    }
}

impl Partition {
    const fn range(&self) -> Range {
        Range { from: self.from, to: self.to }
    }
}

/// Returns the partitions of a table except the default one, oldest first.
fn existing(connection: &mut Connection, table: &Partitioned) -> Result<Vec<Partition>, DbError> {
    Ok(statement(include_str!("partitions.sql")).value(table.name).load(connection)?)
}

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
            let before = made;
            for (end, columns) in table.quiet_indexes {
                made += usize::from(index(connection, &partition, end, &format!("({columns})"), &tell)?);
            }
            if made > before {
                connection.batch_execute(&format!("VACUUM (ANALYZE) {partition}"))?;
            }
        }
    }
    Ok(made + metadata_each(connection, now, &tell)?)
}

/// Returns the names of the partitions that are quiet.
fn quiet(connection: &mut Connection, table: &Partitioned, now: DateTime<Utc>) -> Result<Vec<String>, DbError> {
    let over = EventId::lowest_at((now - QUIET_AFTER).into()).0;
    let partitions = existing(connection, table)?.into_iter().filter(|partition| partition.to <= over);
    Ok(partitions.map(|partition| partition.name).collect())
}

/// Returns the name of the default partition if it is large and none of the last batches has events in
/// it: then a history of many months was loaded, and it will hardly grow.
fn large_default(connection: &mut Connection, table: &Partitioned) -> Result<Option<String>, DbError> {
    row! {
        struct Row {
            bytes: i64,
            in_use: bool,
        }
    }
    let name = format!("{}_default", table.name);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u128, to: u128) -> Range {
        Range { from: Uuid::from_u128(from), to: Uuid::from_u128(to) }
    }

    #[test]
    fn partitions_begin_with_the_day_in_milliseconds_and_are_named_by_it() {
        let id = lowest_id(20_758);
        assert_eq!(id.as_u128() >> 80, 1_793_491_200_000);
        assert_eq!(id.as_u128() << 48, 0);
        assert_eq!(name(&TABLES[0], Range { from: id, to: Uuid::max() }), "event_logs_2026_11_01");
    }

    #[test]
    fn a_new_partition_covers_what_no_other_does() {
        for (taken, expected) in [
            (vec![], Some(range(70, 77))),
            (vec![range(70, 77)], None),
            (vec![range(63, 70), range(77, 84)], Some(range(70, 77))),
            (vec![range(40, 72)], Some(range(72, 77))),
            (vec![range(75, 99)], Some(range(70, 75))),
            (vec![range(40, 72), range(75, 99)], Some(range(72, 75))),
            (vec![range(40, 72), range(72, 99)], None),
        ] {
            assert_eq!(free(range(70, 77), &taken), expected, "{taken:?}");
        }
    }
}

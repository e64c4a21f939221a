//! Partitions of the event log, three days each: creates them ahead of time, creates their
//! indexes once they are quiet, and merges them when they are old.
//!
//! A partition into which events stream is hot: each index on it slows down every insert. A
//! partition whose days are over is quiet: creating the same indexes afterwards costs a fraction,
//! and nothing waits for it.

use std::thread;
use std::time::Duration as StdDuration;

use analytics_core::identity::EventId;
use chrono::{DateTime, Duration, Utc};
use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};
use uuid::Uuid;

mod exchange;
mod history;
mod indexes;
mod moves;

pub use indexes::{drop_metadata, index_metadata, index_quiet};
pub use moves::{Moved, arrange};

use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Number of days in a partition, counted from 1970. With longer partitions, finding a page in a
/// hot one takes longer; with shorter ones, more partitions have to be searched for rare values.
const DAYS: i64 = 3;
/// Number of partitions kept before and after the current one.
const BEHIND: i64 = 30;
const AHEAD: i64 = 16;

/// From this size on, in bytes, a default partition is large: a quarter of a million events.
const LARGE: i64 = 64 << 20;

/// A partition is quiet this long after its last day. Later events are still stored in it.
const QUIET_AFTER: Duration = Duration::days(1);

/// How long one attempt to attach a partition waits for each of its locks. Other sessions wait behind it.
const LOCK_TIMEOUT: &str = "1s";
/// Number of attempts, and the pause between two of them.
const ATTEMPTS: u32 = 20;
const PAUSE: StdDuration = StdDuration::from_secs(2);

/// A table that is partitioned by the event id in its first key column.
struct Partitioned {
    name: &'static str,
    /// The column by whose ranges it is partitioned.
    key: &'static str,
    /// Columns used in filters.
    subjects: &'static [&'static str],
    /// The indexes of a quiet partition: the end of the index's name, and its columns.
    quiet_indexes: &'static [(&'static str, &'static str)],
}

const TABLES: [Partitioned; 2] = [EVENT_LOGS, ORDER_LINES];

const EVENT_LOGS: Partitioned = Partitioned {
    name: "event_logs",
    key: "id",
    subjects: &["user_id", "product_id", "vendor_id"],
    quiet_indexes: &[("by_user", "user_id, id"), ("by_product", "product_id, id"), ("by_vendor", "vendor_id, id")],
};

const ORDER_LINES: Partitioned = Partitioned {
    name: "order_lines",
    key: "event_id",
    subjects: &["product_id", "vendor_id"],
    quiet_indexes: &[
        ("by_product", "product_id, event_id"),
        ("by_vendor", "vendor_id, event_id"),
        ("by_currency", "currency, event_id"),
    ],
};

/// The [default partition](name_of_default) of the event log.
const DEFAULT: &str = "event_logs_default";

/// A range of ids: `from` is included, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    from: Uuid,
    to: Uuid,
}

impl Range {
    /// Returns it as the bounds of a partition.
    fn bounds(self) -> String {
        let from = if self.from.is_nil() { "MINVALUE".to_owned() } else { format!("'{}'", self.from) };
        format!("FROM ({from}) TO ('{}')", self.to)
    }
}

/// How many of the missing partitions were created.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ensured {
    /// Partitions that were created.
    pub made: usize,
    /// Partitions left to the next run, because the default partition was in use all the time.
    pub postponed: usize,
}

/// Creates the missing partitions around `now`, and one for a long history that is in the default
/// partition, without blocking readers or writers of the log for long. Other days whose events are in
/// the default partition already stay there until [`arrange`] moves them. To be called
/// [`exclusively`](crate::migrations::exclusively).
///
/// # Errors
/// [`DbError`] of the statements.
pub fn ensure(connection: &mut Connection, now: DateTime<Utc>) -> Result<Ensured, DbError> {
    let mut ensured = Ensured::default();
    for table in &TABLES {
        if !history::release(connection, table)? {
            ensured.postponed += 1;
        }
        let taken: Vec<Range> = existing(connection, table)?.into_iter().map(|partition| partition.range()).collect();
        let wanted = (-BEHIND..=AHEAD).map(|number| present(now) + number * DAYS);
        let wanted = wanted.map(|first| Range { from: lowest_id(first), to: lowest_id(first + DAYS) });
        let missing = wanted.filter_map(|wanted| free(wanted, &taken)).collect();
        let (missing, bounded) = history::unread(connection, table, missing, now)?;
        for range in missing {
            // If one could not be attached in all that time, the next one cannot either.
            if ensured.postponed > 0 {
                ensured.postponed += 1;
                continue;
            }
            match make(connection, table, range)? {
                Made::Attached => ensured.made += 1,
                Made::LeftInDefault => {}
                Made::Postponed => ensured.postponed += 1,
            }
        }
        if bounded && !history::release(connection, table)? {
            ensured.postponed += 1;
        }
        if ensured.postponed == 0 {
            match history::separate(connection, table)? {
                Some(Made::Attached) => ensured.made += 1,
                Some(Made::Postponed) => ensured.postponed += 1,
                Some(Made::LeftInDefault) | None => {}
            }
        }
    }
    Ok(ensured)
}

/// Returns the first day, counted from 1970, of the partition that covers a time.
fn present(now: DateTime<Utc>) -> i64 {
    let today = now.timestamp().div_euclid(24 * 60 * 60);
    today - today.rem_euclid(DAYS)
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    connection.batch_execute(&definition(table, &name, ""))?;
    if has_rows(connection, &name)? {
        // An operator detached or filled it.
        log::warn!(
            "{name} has rows and is not attached to {table_name}: it is left unchanged, and events of its days are \
                    stored in the default partition"
        );
        return Ok(Made::LeftInDefault);
    }
    let attach = format!("ALTER TABLE {table_name} ATTACH PARTITION {name} FOR VALUES {}", range.bounds());
    let made = with_short_locks(connection, &name, &attach)?;
    if made == Made::LeftInDefault {
        connection.batch_execute(&format!("DROP TABLE {name}"))?;
        log::warn!(
            "{name} is not created: {table_name} already has events of its days in the default partition, which keeps them"
        );
    }
    Ok(made)
}

/// Returns SQL that creates a table like the partitions of another one. Without `INCLUDING INDEXES` it gets
/// its indexes when it is attached.
fn definition(table: &Partitioned, name: &str, including: &str) -> String {
    let statistics = table.subjects.iter().map(|column| format!("ALTER COLUMN {column} SET STATISTICS 300"));
    let statistics = statistics.collect::<Vec<_>>().join(", ");
    // Autovacuum starts by the number of inserted rows, not by their share of the partition,
    // because it also builds the BRIN filters of new ranges.
    format!(
        "CREATE TABLE IF NOT EXISTS {name} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS {including}) \
         WITH (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000); \
         ALTER TABLE {name} {statistics};",
        table.name
    )
}

/// Changes the partition `name` in one transaction, whose locks are waited for briefly, several times.
/// Returns [`Made::LeftInDefault`] if rows are in the way.
fn with_short_locks(connection: &mut Connection, name: &str, change: &str) -> Result<Made, DbError> {
    let transaction = format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; {change}; COMMIT");
    for attempt in 1..=ATTEMPTS {
        let Err(error) = connection.batch_execute(&transaction) else { return Ok(Made::Attached) };
        connection.batch_execute("ROLLBACK")?;
        match error {
            Error::DatabaseError(DatabaseErrorKind::CheckViolation, _) => return Ok(Made::LeftInDefault),
            error if attempt == ATTEMPTS => {
                log::warn!("{name} could not be attached, the next run will try again: {error}");
            }
            error => {
                log::debug!("{name} is not attached yet: {error}");
                thread::sleep(PAUSE);
            }
        }
    }
    Ok(Made::Postponed)
}

fn has_rows(connection: &mut Connection, table: &str) -> Result<bool, DbError> {
    is_true(connection, &format!("EXISTS (SELECT FROM {table})"))
}

/// Returns whether a condition holds.
fn is_true(connection: &mut Connection, condition: &str) -> Result<bool, DbError> {
    row! {
        struct Row {
            holds: bool,
        }
    }
    let row: Row = statement(format!("SELECT {condition} AS holds")).get_result(connection)?;
    Ok(row.holds)
}

/// Returns the name of a partition, which contains its first day.
fn name(table: &Partitioned, range: Range) -> String {
    format!("{}_{}", table.name, day(range.from))
}

/// Returns the name of the partition for events outside the ranges of all others.
fn name_of_default(table: &Partitioned) -> String {
    format!("{}_default", table.name)
}

/// Returns whether the default partition is so large that reading it takes long.
fn is_large(connection: &mut Connection, table: &Partitioned) -> Result<bool, DbError> {
    is_true(connection, &format!("pg_relation_size('{}'::regclass) >= {LARGE}", name_of_default(table)))
}

/// Returns the day of an id, as in names.
fn day(id: Uuid) -> String {
    DateTime::from_timestamp_millis(EventId(id).millis()).unwrap_or_default().format("%Y_%m_%d").to_string()
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
    Ok(statement(include_str!("existing.sql")).value(table.name).load(connection)?)
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

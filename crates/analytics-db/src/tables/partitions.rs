//! Partitions of the event log, three days each: made ahead of time, and indexed once they are
//! quiet.
//!
//! A partition that events stream into is hot: each index on it costs every event. One whose days
//! are over is quiet: the same indexes, made at once, cost a fraction, and nobody waits for them.

use std::thread;
use std::time::Duration as StdDuration;

use analytics_core::identity::EventId;
use chrono::{DateTime, Duration, Utc};
use diesel::OptionalExtension;
use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};
use uuid::Uuid;

use crate::locks::{Guard, Lock};
use crate::sql::{row, statement};
use crate::{Connection, DatabaseUrl, DbError};

/// How many days a partition has, counted from 1970. Longer, and pages of a hot one take longer to
/// find; shorter, and there are more to look into for what is rare.
const DAYS: i64 = 3;
/// How many partitions there are before and after the present one.
const BEHIND: i64 = 30;
const AHEAD: i64 = 16;

/// So long after its last day a partition is quiet. What comes later still goes there.
const QUIET_AFTER: Duration = Duration::days(1);

/// How long a partition waits to be attached at a time. Whoever comes meanwhile waits behind it.
const ATTACH_TIMEOUT: &str = "1s";
/// How often that is tried, and what lies between two attempts.
const ATTEMPTS: u32 = 20;
const PAUSE: StdDuration = StdDuration::from_secs(2);

/// A partitioned table, by the event id in its first key column.
struct Partitioned {
    name: &'static str,
    /// Columns that are filtered by.
    subjects: &'static [&'static str],
    /// What a quiet partition is found by: the end of an index's name, and its columns.
    quiet_indexes: &'static [(&'static str, &'static str)],
}

const TABLES: [Partitioned; 2] = [
    Partitioned {
        name: "event_logs",
        subjects: &["user_id", "product_id", "vendor_id"],
        quiet_indexes: &[("by_user", "user_id, id"), ("by_product", "product_id, id"), ("by_vendor", "vendor_id, id")],
    },
    Partitioned {
        name: "order_lines",
        subjects: &["product_id", "vendor_id"],
        quiet_indexes: &[
            ("by_product", "product_id, event_id"),
            ("by_vendor", "vendor_id, event_id"),
            ("by_currency", "currency, event_id"),
        ],
    },
];

/// A range of ids: `from` is in it, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    from: Uuid,
    to: Uuid,
}

/// What became of the partitions that were missing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ensured {
    /// So many were made.
    pub made: usize,
    /// So many are left for the next run: somebody was reading the log's default partition all the
    /// time.
    pub postponed: usize,
}

/// Makes the partitions around `now` that are missing, without holding up who reads or writes the
/// log. Days whose events are in the default partition already stay there. To be called
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
            // Where one could not be attached in all that time, neither can the next.
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

/// What of a range no partition has yet: from the end of those that reach into it. Partitions were
/// months once.
fn free(wanted: Range, taken: &[Range]) -> Option<Range> {
    let mut from = wanted.from;
    while let Some(other) = taken.iter().find(|other| other.from <= from && from < other.to) {
        from = other.to;
    }
    let to = taken.iter().map(|other| other.from).filter(|start| *start > from).fold(wanted.to, Uuid::min);
    (from < to).then_some(Range { from, to })
}

/// What became of one partition.
enum Made {
    Attached,
    /// The default partition has events of its range already.
    LeftInDefault,
    /// The locks for it could not be had.
    Postponed,
}

/// Makes a partition: as a table of its own first, which nobody waits for, and then attached to the
/// others, which takes a moment but needs the default partition for itself. What a crash leaves
/// between the two is taken up by the next run.
fn make(connection: &mut Connection, table: &Partitioned, range: Range) -> Result<Made, DbError> {
    let (table_name, name) = (table.name, name(table, range));
    let statistics = table.subjects.iter().map(|column| format!("ALTER COLUMN {column} SET STATISTICS 300"));
    let statistics = statistics.collect::<Vec<_>>().join(", ");
    // What was inserted is vacuumed by its number, not by its share of the partition: the filters
    // of new ranges are made then.
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
        // Taken out of the log, or filled, by an operator.
        log::warn!(
            "{name} is not attached to {table_name} and has rows: it is left alone, and its days go to the \
                    default partition"
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
                log::warn!("{table_name} keeps events of {name} in its default partition, where they already are");
                return Ok(Made::LeftInDefault);
            }
            Err(error) if attempt == ATTEMPTS => {
                log::warn!("{name} could not be attached, the next run tries again: {error}");
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

/// Named by the day it begins with.
fn name(table: &Partitioned, range: Range) -> String {
    let day = DateTime::from_timestamp_millis(EventId(range.from).millis()).unwrap_or_default();
    format!("{}_{}", table.name, day.format("%Y_%m_%d"))
}

/// The lowest id that an event of this day (UTC, counted from 1970) or a later one can have.
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

/// The partitions of a table but for the default one, oldest first.
fn existing(connection: &mut Connection, table: &Partitioned) -> Result<Vec<Partition>, DbError> {
    Ok(statement(include_str!("partitions.sql")).value(table.name).load(connection)?)
}

/// Makes the indexes that quiet partitions lack, one after the other and without a lock that ingest
/// would wait for. Returns how many; `None` where somebody else is at it. What a crash leaves half
/// made is made again by the next run.
///
/// # Errors
/// [`DbError`] of the statements.
pub fn index_quiet(
    connection: &mut Connection,
    url: &DatabaseUrl,
    now: DateTime<Utc>,
    tell: impl Fn(&str),
) -> Result<Option<usize>, DbError> {
    // Waiting for the right would hold a snapshot that making an index waits for.
    let Some(_guard) = Guard::at_once(url, Lock::Indexing)? else { return Ok(None) };
    index_each(connection, now, tell).map(Some)
}

fn index_each(connection: &mut Connection, now: DateTime<Utc>, tell: impl Fn(&str)) -> Result<usize, DbError> {
    let over = EventId::lowest_at((now - QUIET_AFTER).into()).0;
    let mut made = 0;
    for table in &TABLES {
        for partition in existing(connection, table)?.iter().filter(|partition| partition.to <= over) {
            let before = made;
            for (end, columns) in table.quiet_indexes {
                made += usize::from(index(connection, &partition.name, end, columns, &tell)?);
            }
            if made > before {
                connection.batch_execute(&format!("VACUUM (ANALYZE) {}", partition.name))?;
            }
        }
    }
    Ok(made)
}

/// Makes an index, if it is not there.
fn index(
    connection: &mut Connection,
    partition: &str,
    end: &str,
    columns: &str,
    tell: impl Fn(&str),
) -> Result<bool, DbError> {
    let name = format!("{partition}_{end}");
    match valid(connection, &name)? {
        Some(true) => return Ok(false),
        Some(false) => connection.batch_execute(&format!("DROP INDEX CONCURRENTLY {name}"))?,
        None => {}
    }
    tell(&name);
    connection.batch_execute(&format!("CREATE INDEX CONCURRENTLY {name} ON {partition} ({columns})"))?;
    Ok(true)
}

/// Whether an index is whole; `None` where there is none.
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
    fn a_partition_takes_what_no_other_has() {
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

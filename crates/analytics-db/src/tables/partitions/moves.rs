//! Which partitions are exchanged for others: those of old days for fewer, larger ones, and a default partition that
//! holds days between the others for partitions of these days.

use std::time::{Duration, Instant};

use analytics_core::identity::EventId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::exchange::{self, Exchange};
use super::{
    BEHIND, DAYS, Made, Partition, Partitioned, QUIET_AFTER, Range, TABLES, day, existing, is_large, name,
    name_of_default, present,
};
use crate::locks::{Guard, Lock};
use crate::sql::{row, statement};
use crate::{Connection, DatabaseUrl, DbError};

/// The partitions of so many days become one, once they are older than those that are [created](super::ensure).
const MERGED_DAYS: i64 = 30;
const MILLIS_OF_A_DAY: i64 = 24 * 60 * 60 * 1000;
/// After this time, no further exchange is begun: other upkeep waits for this.
const TIME: Duration = Duration::from_secs(30 * 60);

/// From this number of events on, those before all partitions become one as well: about as many as [`LARGE`](super::LARGE).
const MANY: i64 = 250_000;

/// What was exchanged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Partitions that were merged.
    pub merged: usize,
    /// Partitions that took events out of the default partition.
    pub separated: usize,
    /// Exchanges left to the next run, because the partitions were in use all the time.
    pub postponed: usize,
}

/// Merges the partitions of old days, and moves what fell into the default partition to partitions of its days.
/// Nobody waits for it. Returns `None` if another process is working on partitions. A run that was interrupted is
/// begun again by the next one.
///
/// # Errors
/// [`DbError`] of the statements; what was exchanged before stays.
pub fn arrange(
    connection: &mut Connection,
    url: &DatabaseUrl,
    now: DateTime<Utc>,
    tell: impl Fn(&str),
) -> Result<Option<Moved>, DbError> {
    // Not waiting for the lock, as in `index_quiet`.
    let Some(_guard) = Guard::at_once(url, Lock::Indexing)? else { return Ok(None) };
    let (mut moved, until) = (Moved::default(), Instant::now() + TIME);
    if !exchange::clear(connection)? {
        moved.postponed += 1;
        return Ok(Some(moved));
    }
    for table in &TABLES {
        if let Some(exchange) = separation(connection, table, now, until)? {
            // One of the new ones is the default partition.
            moved.note(exchange.run(connection, &tell)?, exchange.new.len() - 1, |moved| &mut moved.separated);
        }
        for exchange in mergers(connection, table, now, until)? {
            if Instant::now() > until {
                log::info!("the other partitions of {} are merged by the next run", table.name);
                break;
            }
            moved.note(exchange.run(connection, &tell)?, exchange.old.len(), |moved| &mut moved.merged);
        }
    }
    Ok(Some(moved))
}

impl Moved {
    /// Adds an exchange of this many partitions to what was done, or to what was postponed.
    fn note(&mut self, made: Made, partitions: usize, done: impl Fn(&mut Self) -> &mut usize) {
        match made {
            Made::Attached => *done(self) += partitions,
            Made::LeftInDefault | Made::Postponed => self.postponed += 1,
        }
    }
}

/// Returns which partitions are old enough to be merged. PostgreSQL reads the default partition while a partition is
/// attached, so that has to be small.
fn mergers<'a>(
    connection: &mut Connection,
    table: &'a Partitioned,
    now: DateTime<Utc>,
    until: Instant,
) -> Result<Vec<Exchange<'a>>, DbError> {
    if is_large(connection, table)? {
        return Ok(Vec::new());
    }
    let partitions = existing(connection, table)?;
    let merger = |merged: &[Partition]| {
        let [first, .., last] = merged else { return None };
        let range = Range { from: first.from, to: last.to };
        let old = merged.iter().map(|partition| partition.name.clone()).collect();
        Some(Exchange { table, old, new: vec![(name_of_several(table, range), Some(range))], until })
    };
    Ok(merges(&partitions, present(now) - BEHIND * DAYS).filter_map(merger).collect())
}

/// Returns the partitions that become one each: adjacent ones of the same thirty days, all of them before this day.
fn merges(partitions: &[Partition], before: i64) -> impl Iterator<Item = &[Partition]> {
    let block = move |partition: &Partition| {
        let millis = [EventId(partition.from).millis(), EventId(partition.to).millis() - 1];
        let [first, last] = millis.map(|millis| millis.div_euclid(MERGED_DAYS * MILLIS_OF_A_DAY));
        Some(first).filter(|_| first == last && (first + 1) * MERGED_DAYS <= before)
    };
    partitions
        .chunk_by(move |one, next| block(one).is_some() && block(one) == block(next) && one.to == next.from)
        .filter(|merged| merged.len() > 1)
}

/// Returns how the events of a default partition are separated whose days are between those of other partitions, once
/// none of its events is of the present days. What is older than all partitions becomes one as well if it is much, and
/// stays otherwise.
fn separation<'a>(
    connection: &mut Connection,
    table: &'a Partitioned,
    now: DateTime<Utc>,
    until: Instant,
) -> Result<Option<Exchange<'a>>, DbError> {
    let partitions = existing(connection, table)?;
    let default = name_of_default(table);
    let mut new = Vec::new();
    for range in gaps(&partitions) {
        if count(connection, table, range, 1)? > 0 {
            new.push((name_of_several(table, range), Some(range)));
        }
    }
    let (Some(first), false) = (partitions.first(), new.is_empty()) else { return Ok(None) };
    let present = Range { from: EventId::lowest_at((now - QUIET_AFTER).into()).0, to: Uuid::max() };
    if count(connection, table, present, 1)? > 0 {
        log::info!("{default} holds events of the last days: it is left as it is until they are over");
        return Ok(None);
    }
    let older = Range { from: Uuid::nil(), to: first.from };
    if count(connection, table, older, MANY)? >= MANY {
        new.push((format!("{}_before_{}", table.name, day(older.to)), Some(older)));
    }
    new.push((format!("{}_rest", table.name), None));
    Ok(Some(Exchange { table, old: vec![default], new, until }))
}

/// Returns the ranges between partitions that none covers.
fn gaps(partitions: &[Partition]) -> impl Iterator<Item = Range> {
    partitions.windows(2).filter_map(|pair| match pair {
        [one, next] if one.to < next.from => Some(Range { from: one.to, to: next.from }),
        _ => None,
    })
}

/// Counts the rows of the default partition in a range, up to a limit.
fn count(connection: &mut Connection, table: &Partitioned, range: Range, limit: i64) -> Result<i64, DbError> {
    row! {
        struct Row {
            rows: i64,
        }
    }
    let (default, key) = (name_of_default(table), table.key);
    let row: Row = statement(format!(
        "SELECT count(*) AS rows FROM (SELECT FROM {default} WHERE {key} >= $1 AND {key} < $2 LIMIT $3) AS r"
    ))
    .value(range.from)
    .value(range.to)
    .value(limit)
    .get_result(connection)?;
    Ok(row.rows)
}

/// Returns the name of a partition of many days, which contains its first and its last one.
fn name_of_several(table: &Partitioned, range: Range) -> String {
    let end = DateTime::from_timestamp_millis(EventId(range.to).millis() - 1).unwrap_or_default();
    format!("{}_to_{}", name(table, range), end.format("%Y_%m_%d"))
}

#[cfg(test)]
mod tests {
    use super::super::lowest_id;
    use super::*;

    fn partitions(days: &[(i64, i64)]) -> Vec<Partition> {
        let partition = |(from, to): &(i64, i64)| Partition {
            name: format!("{from}-{to}"),
            from: if *from == 0 { Uuid::nil() } else { lowest_id(*from) },
            to: lowest_id(*to),
        };
        days.iter().map(partition).collect()
    }

    #[test]
    fn adjacent_partitions_of_the_same_thirty_days_are_merged_once_these_are_old() {
        // From day 600 to 630.
        let three_days: Vec<(i64, i64)> = (597..=630).step_by(3).map(|day| (day, day + 3)).collect();
        let names = |days: &[(i64, i64)], before| {
            let of = |merged: &[Partition]| {
                let names: Vec<_> = merged.iter().map(|partition| partition.name.clone()).collect();
                format!("{} to {}: {}", names[0], names[names.len() - 1], names.len())
            };
            merges(&partitions(days), before).map(of).collect::<Vec<_>>()
        };
        assert_eq!(names(&three_days, 630), ["600-603 to 627-630: 10"]);
        assert_eq!(names(&three_days, 629), [""; 0], "not over");
        assert_eq!(names(&[(0, 600), (600, 630), (630, 660)], 900), [""; 0], "nothing to merge");
        assert_eq!(names(&[(600, 603), (606, 609), (609, 612)], 900), ["606-609 to 609-612: 2"], "a gap");
        assert_eq!(names(&[(596, 603), (603, 606), (606, 640)], 900), [""; 0], "those that reach into others");
        assert_eq!(names(&[(0, 603), (603, 606), (606, 609)], 900), ["603-606 to 606-609: 2"], "a long history");
        assert_eq!(names(&[], 900), [""; 0]);
    }

    #[test]
    fn what_no_partition_covers_is_between_others() {
        let found: Vec<Range> = gaps(&partitions(&[(0, 600), (600, 603), (609, 612), (615, 618)])).collect();
        let range = |from, to| Range { from: lowest_id(from), to: lowest_id(to) };
        assert_eq!(found, [range(603, 609), range(612, 615)]);
    }

    #[test]
    fn a_partition_of_many_days_is_named_by_its_first_and_its_last_one() {
        let range = Range { from: lowest_id(20_758), to: lowest_id(20_758) };
        let range = Range { to: lowest_id(20_788), ..range };
        assert_eq!(name_of_several(&TABLES[0], range), "event_logs_2026_11_01_to_2026_11_30");
    }
}

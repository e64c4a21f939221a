//! `identity_generations`: the partitions of `event_keys` and `order_keys`. New identities are only inserted
//! into the newest generation, so that forgetting is dropping a table (see decision 28).

use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;

use crate::locks::Lock;
use crate::sql::{row, statement};
use crate::transactions::run;
use crate::{Connection, DbError};

/// The tables of identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Identities of events.
    Events,
    /// Identities of orders, by which an order is found.
    Orders,
}

impl Keys {
    /// Both tables, in the order in which batches write to them.
    pub const ALL: [Self; 2] = [Self::Events, Self::Orders];

    /// Returns the name of the table.
    #[must_use]
    pub const fn table(self) -> &'static str {
        match self {
            Self::Events => "event_keys",
            Self::Orders => "order_keys",
        }
    }
}

/// A part of this many of the time for which identities are kept is covered by each generation.
const PARTS: i32 = 5;
/// How many seconds an attempt waits for its lock, the first and the longest: each waits twice as long as the one
/// before it. Others wait behind it.
const SHORTEST_WAIT: u32 = 1;
const LONGEST_WAIT: u32 = 8;
/// Number of attempts, and the pause between two of them.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_secs(2);

/// The newest generation of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) generation: i32,
    /// Whether there are older ones.
    pub(crate) has_older: bool,
}

/// Returns the newest generation of each table, and keeps it the newest until the transaction ends.
pub(crate) fn hold(connection: &mut Connection) -> Result<[Newest; 2], DbError> {
    row! {
        struct Row {
            keys: String,
            generation: i32,
            has_older: bool,
        }
    }
    Lock::Generations.share(connection)?;
    // A statement of its own: it sees every change that the lock waited for.
    let rows: Vec<Row> = statement(
        "SELECT g.keys, g.generation, EXISTS (SELECT FROM identity_generations o WHERE o.keys = g.keys \
             AND o.closed_at IS NOT NULL) AS has_older FROM identity_generations g WHERE g.closed_at IS NULL",
    )
    .load(connection)?;
    let newest = |keys: Keys| {
        let row = rows.iter().find(|row| row.keys == keys.table());
        let row = row.ok_or_else(|| DbError::Unusable(format!("{} has no open generation", keys.table())))?;
        Ok::<_, DbError>(Newest { generation: row.generation, has_older: row.has_older })
    };
    Ok([newest(Keys::Events)?, newest(Keys::Orders)?])
}

/// What was done about the generations of a table.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Turned {
    /// Whether a new generation was begun.
    pub begun: bool,
    /// How many generations were dropped.
    pub dropped: usize,
    /// Whether something is left to the next run, because the tables were in use all the time.
    pub postponed: bool,
}

/// Begins a new generation if the newest has taken identities for a fifth of `days`, and drops those that
/// ended more than `days` ago. To be called [`exclusively`](crate::migrations::exclusively).
///
/// # Errors
/// [`DbError`] of the statements.
pub fn turn(connection: &mut Connection, keys: Keys, days: u32) -> Result<Turned, DbError> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let mut turned = Turned::default();
    if let Some(newest) = full(connection, keys, days)? {
        turned.begun = begin(connection, keys, newest)?;
        turned.postponed = !turned.begun;
    }
    for generation in ended(connection, keys, days)? {
        match drop_generation(connection, keys, generation)? {
            true => turned.dropped += 1,
            false => turned.postponed = true,
        }
    }
    Ok(turned)
}

row! {
    struct Generation {
        generation: i32,
    }
}

/// Returns the newest generation if it has taken identities for long enough.
fn full(connection: &mut Connection, keys: Keys, days: i32) -> Result<Option<i32>, DbError> {
    let rows: Vec<Generation> = statement(
        "SELECT generation FROM identity_generations WHERE keys = $1 AND closed_at IS NULL \
         AND opened_at <= now() - make_interval(days => $2) / $3",
    )
    .value(keys.table())
    .value(days)
    .value(PARTS)
    .load(connection)?;
    Ok(rows.first().map(|row| row.generation))
}

/// Returns the generations that ended so long ago.
fn ended(connection: &mut Connection, keys: Keys, days: i32) -> Result<Vec<i32>, DbError> {
    let rows: Vec<Generation> = statement(
        "SELECT generation FROM identity_generations WHERE keys = $1 \
         AND closed_at < now() - make_interval(days => $2) ORDER BY generation",
    )
    .value(keys.table())
    .value(days)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| row.generation).collect())
}

/// Begins the generation after the newest one. Returns whether it could.
fn begin(connection: &mut Connection, keys: Keys, newest: i32) -> Result<bool, DbError> {
    let (table, next) = (keys.table(), newest.saturating_add(1));
    // A table of its own first, which is then attached: that blocks neither readers nor writers. The one of a run
    // that was interrupted is used.
    connection
        .batch_execute(&format!("CREATE TABLE IF NOT EXISTS {table}_{next} (LIKE {table} INCLUDING DEFAULTS)"))?;
    again_and_again(connection, |connection, wait| {
        run(connection, "generation", |connection| {
            connection.batch_execute(&format!("SET LOCAL lock_timeout = '{wait}s'"))?;
            if !is_attached(connection, &format!("{table}_{next}"))? {
                connection.batch_execute(&format!(
                    "ALTER TABLE {table} ATTACH PARTITION {table}_{next} FOR VALUES IN ({next})"
                ))?;
            }
            Lock::Generations.take(connection)?;
            statement(
                "UPDATE identity_generations SET closed_at = clock_timestamp() WHERE keys = $1 AND closed_at IS NULL",
            )
            .value(table)
            .execute(connection)?;
            statement(
                "INSERT INTO identity_generations (keys, generation, opened_at) VALUES ($1, $2, clock_timestamp())",
            )
            .value(table)
            .value(next)
            .execute(connection)?;
            Ok(())
        })
    })
}

fn is_attached(connection: &mut Connection, partition: &str) -> Result<bool, DbError> {
    row! {
        struct Row {
            attached: bool,
        }
    }
    let row: Row = statement("SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1)) AS attached")
        .value(partition)
        .get_result(connection)?;
    Ok(row.attached)
}

/// Drops a generation. Returns whether it could.
fn drop_generation(connection: &mut Connection, keys: Keys, generation: i32) -> Result<bool, DbError> {
    let table = keys.table();
    again_and_again(connection, |connection, wait| {
        run(connection, "generation", |connection| {
            connection.batch_execute(&format!(
                "SET LOCAL lock_timeout = '{wait}s'; DROP TABLE IF EXISTS {table}_{generation}"
            ))?;
            statement("DELETE FROM identity_generations WHERE keys = $1 AND generation = $2")
                .value(table)
                .value(generation)
                .execute(connection)?;
            Ok(())
        })
    })
}

/// Tries until the locks are free, with pauses in which others get them. `work` is given the seconds to wait for
/// each. Returns whether it worked.
fn again_and_again(
    connection: &mut Connection,
    mut work: impl FnMut(&mut Connection, u32) -> Result<(), DbError>,
) -> Result<bool, DbError> {
    let mut wait = SHORTEST_WAIT;
    for attempt in 1..=ATTEMPTS {
        match work(connection, wait) {
            Ok(()) => return Ok(true),
            Err(error) if error.is_temporary() && attempt < ATTEMPTS => {
                log::debug!("the tables of identities are in use: {error}");
                thread::sleep(PAUSE);
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(error) if error.is_temporary() => log::warn!("the next run will try again: {error}"),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

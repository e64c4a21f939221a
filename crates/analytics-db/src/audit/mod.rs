//! Counting everything again from the log, and comparing it with what stands.
//!
//! One snapshot, day by day: the events of a day are counted by the rules that decided them and
//! compared with the day's rollups (`day`); the days' sums, what was added by hand and the ratings
//! that stand are compared with the metrics (`totals`, `ratings`). `proofs` keeps what came of it.
//! `repair` turns the differences into deltas and adds them like any batch.

mod day;
mod difference;
pub mod proofs;
mod ratings;
mod recount;
pub mod repair;
mod totals;

pub use difference::{Difference, Figures};

use analytics_core::business::Business;
use analytics_core::deltas::Histogram;
use analytics_core::identity::Fingerprint;
use analytics_core::maps::{HashMap, HashSet};
use analytics_core::rules::UnknownRules;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::sql_types::{Date, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use uuid::Uuid;

use crate::{Connection, DbError, offsets};

/// Which days are read from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Those that were never proved, or have changed since.
    Unproved,
    /// Those, and every day from this one on.
    Since(NaiveDate),
    /// Every day; also every identity and every rating.
    Everything,
}

/// What counting again came to.
#[derive(Debug)]
pub struct Audit {
    /// When the snapshot was taken.
    pub at: DateTime<Utc>,
    /// What was to be read.
    pub extent: Extent,
    /// Every day that has events or rollups.
    pub days: Vec<Day>,
    /// How many numbers were compared.
    pub keys_checked: u64,
    /// What differs.
    pub differences: Vec<Difference>,
    /// A hash of all numbers.
    pub digest: Uuid,
    /// How far each partition was counted.
    pub offsets: Vec<offsets::StoredOffset>,
    /// How long it took.
    pub took: std::time::Duration,
}

/// One business day of an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The day.
    pub day: NaiveDate,
    /// Events that were counted, by the count kept apart from the log.
    pub events: i64,
    /// A hash of its rollups.
    pub digest: String,
    /// Whether its events were read.
    pub read: bool,
    /// Whether what was read is what stands.
    pub holds: bool,
}

/// Why an audit could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// An event was decided by rules that this program does not have.
    #[error(transparent)]
    Rules(#[from] UnknownRules),
}

impl From<diesel::result::Error> for AuditError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Audit {
    /// Events that were read from the log.
    #[must_use]
    pub fn events_read(&self) -> i64 {
        self.days.iter().filter(|day| day.read).map(|day| day.events).sum()
    }
}

/// What an audit gathers on its way.
#[derive(Default)]
struct Findings {
    keys_checked: u64,
    differences: Vec<Difference>,
    /// By how much the sum of a counter's days is to be corrected.
    corrections: HashMap<String, i128>,
    /// Opinions whose standing rating is not what the log says.
    suspects: ratings::Suspects,
    /// Counters of which a day stands that nothing was counted on.
    ghosts: HashSet<String>,
    /// What the right ratings come to, by target.
    histograms: HashMap<String, Histogram>,
}

/// Counts everything again. `progress` hears of every day that was read.
///
/// # Errors
/// [`AuditError`].
pub fn audit(
    connection: &mut Connection,
    business: Business,
    extent: Extent,
    progress: &mut dyn FnMut(&Day),
) -> Result<Audit, AuditError> {
    let mut transaction = connection.build_transaction().repeatable_read().read_only();
    transaction.run(|connection| in_snapshot(connection, business, extent, progress))
}

fn in_snapshot(
    connection: &mut Connection,
    business: Business,
    extent: Extent,
    progress: &mut dyn FnMut(&Day),
) -> Result<Audit, AuditError> {
    let began = std::time::Instant::now();
    let at = now(connection)?;
    let offsets = offsets::all(connection)?;
    let proved = proofs::proved_days(connection)?;
    let mut findings = Findings::default();
    let mut days = Vec::new();
    let mut next = next_day(connection, business, None)?;
    while let Some(day) = next {
        let audited =
            day::audit(connection, business, day, proved.get(&day).filter(|_| !extent.reads(day)), &mut findings)?;
        if audited.read {
            progress(&audited);
        }
        days.push(audited);
        next = next_day(connection, business, Some(day))?;
    }
    let read: Vec<NaiveDate> = days.iter().filter(|day| day.read).map(|day| day.day).collect();
    ratings::check_standing(connection, business, extent, &read, &mut findings)?;
    if extent == Extent::Everything {
        day::check_identities(connection, &mut findings)?;
    }
    let fingerprint =
        days.iter().fold(Fingerprint::new("proof"), |sum, day| sum.text(&day.day.to_string()).text(&day.digest));
    let digest = totals::audit(connection, business, fingerprint, &mut findings)?;
    let Findings { keys_checked, differences, .. } = findings;
    Ok(Audit { at, extent, days, keys_checked, differences, digest, offsets, took: began.elapsed() })
}

impl Extent {
    fn reads(self, day: NaiveDate) -> bool {
        match self {
            Self::Unproved => false,
            Self::Since(first) => day >= first,
            Self::Everything => true,
        }
    }
}

fn now(connection: &mut Connection) -> Result<DateTime<Utc>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        now: DateTime<Utc>,
    }
    Ok(sql_query("SELECT now() AS now").get_result::<Row>(connection)?.now)
}

/// The next day after `after` that has events, rollups or a count of events.
fn next_day(
    connection: &mut Connection,
    business: Business,
    after: Option<NaiveDate>,
) -> Result<Option<NaiveDate>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<SqlUuid>)]
        event: Option<Uuid>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        rollup: Option<DateTime<Utc>>,
        #[diesel(sql_type = Nullable<Date>)]
        day: Option<NaiveDate>,
    }
    let first = match after {
        Some(day) => day.succ_opt(),
        None => Some(NaiveDate::default()),
    };
    let Some(first) = first else { return Ok(None) };
    let start = business.calendar.day_start(first);
    let row: Row = sql_query(
        "SELECT (SELECT id FROM event_logs WHERE id >= $1 ORDER BY id LIMIT 1) AS event, \
                (SELECT bucket_start FROM rollups WHERE bucket_start >= $2 ORDER BY bucket_start LIMIT 1) AS rollup, \
                (SELECT day FROM event_days WHERE day >= $3 ORDER BY day LIMIT 1) AS day",
    )
    .bind::<SqlUuid, _>(recount::first_id(start).0)
    .bind::<Timestamptz, _>(start)
    .bind::<Date, _>(first)
    .get_result(connection)?;
    let of_event = row.event.map(|id| business.calendar.day(recount::time_of(id)));
    let of_rollup = row.rollup.map(|start| business.calendar.day(start.into()));
    Ok(of_event.into_iter().chain(of_rollup).chain(row.day).min())
}

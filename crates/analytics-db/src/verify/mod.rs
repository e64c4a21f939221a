//! Recounts everything from the event log, and compares the result with the stored numbers.
//!
//! It reads one snapshot, day by day. The events of a day are counted by the rules by which they
//! were first counted, and compared with the day's rollups (`day`). The sums of the days, the
//! adjustments and the current ratings are compared with the metrics (`totals`, `ratings`).
//! `proofs` stores the result. `repair` turns the differences into deltas and adds them like any
//! batch.

mod day;
mod difference;
pub mod proofs;
mod ratings;
mod recount;
pub mod repair;
mod totals;

pub use difference::{Difference, Figures};

use analytics_core::business::Business;
use analytics_core::calendar::Calendar;
use analytics_core::identity::Fingerprint;
use analytics_core::maps::{HashMap, HashSet};
use analytics_core::ratios::Histogram;
use analytics_core::rules::UnknownRules;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::OptionalExtension;
use diesel::connection::SimpleConnection;
use uuid::Uuid;

use crate::sql::{row, statement};
use crate::tables::batches::AsOf;
use crate::tables::ingest_offsets;
use crate::{Connection, DbError};

/// Which days are read from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Days that were never proved, or have changed since.
    Unproved,
    /// These, and every day from this one on.
    Since(NaiveDate),
    /// Every day, and also every identity and every rating.
    Everything,
}

/// The result of a verification.
#[derive(Debug)]
pub struct Verification {
    /// When the snapshot was taken.
    pub at: DateTime<Utc>,
    /// The number of the last batch that it includes.
    pub watermark: i64,
    /// Which days were to be read.
    pub extent: Extent,
    /// Every day that has events, rollups or an event count.
    pub days: Vec<Day>,
    /// How many numbers were compared.
    pub keys_checked: u64,
    /// The differences found.
    pub differences: Vec<Difference>,
    /// A hash of all numbers.
    pub digest: Uuid,
    /// Up to where each partition was counted.
    pub offsets: Vec<ingest_offsets::StoredOffset>,
    /// How long it took.
    pub took: std::time::Duration,
}

/// One business day of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The day.
    pub day: NaiveDate,
    /// Number of counted events, from the count that is kept apart from the log.
    pub events: i64,
    /// A hash of its rollups.
    pub digest: String,
    /// Whether its events were read.
    pub read: bool,
    /// Whether no difference was found. True also for a proved day that was not read.
    pub holds: bool,
}

/// Why a verification could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// An event was counted by rules that this program does not have.
    #[error(transparent)]
    Rules(#[from] UnknownRules),
    /// The process was asked to stop.
    #[error("stopped before everything was recounted; nothing was changed")]
    Stopped,
}

impl From<diesel::result::Error> for VerifyError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Verification {
    /// Returns the number of events that were read from the log.
    #[must_use]
    pub fn events_read(&self) -> i64 {
        self.days.iter().filter(|day| day.read).map(|day| day.events).sum()
    }
}

/// How the log is read: divided into the days of the business, and as of a batch.
#[derive(Clone, Copy)]
struct Log<'a> {
    business: Business,
    as_of: &'a AsOf,
}

/// What a verification collects.
#[derive(Default)]
struct Findings {
    keys_checked: u64,
    differences: Vec<Difference>,
    /// By how much the sum of a counter's days has to be corrected.
    corrections: HashMap<String, i128>,
    /// Metric types and users whose current rating may differ from the log.
    suspects: ratings::Suspects,
    /// Counters that have a rollup for a day on which nothing was counted for them.
    ghosts: HashSet<String>,
    /// The correct histograms of ratings, by target.
    histograms: HashMap<String, Histogram>,
}

/// The caller's interface to a running verification.
pub struct Watcher<'a> {
    /// Called after each day that was read.
    pub progress: &'a mut dyn FnMut(&Day),
    /// Whether the verification is still wanted; checked often.
    pub wanted: &'a dyn Fn() -> bool,
}

impl Watcher<'_> {
    fn check(&self) -> Result<(), VerifyError> {
        if (self.wanted)() { Ok(()) } else { Err(VerifyError::Stopped) }
    }
}

/// Recounts everything and compares it with the stored numbers.
///
/// # Errors
/// [`VerifyError`].
pub fn verify(
    connection: &mut Connection,
    business: Business,
    extent: Extent,
    watcher: &mut Watcher<'_>,
) -> Result<Verification, VerifyError> {
    let mut transaction = connection.build_transaction().repeatable_read().read_only();
    transaction.run(|connection| {
        // Long statements are expected. The caller may disappear, which the other limits detect.
        connection.batch_execute(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '60s'; \
             SET LOCAL client_connection_check_interval = '5s'",
        )?;
        in_snapshot(connection, business, extent, watcher)
    })
}

fn in_snapshot(
    connection: &mut Connection,
    business: Business,
    extent: Extent,
    watcher: &mut Watcher<'_>,
) -> Result<Verification, VerifyError> {
    let began = std::time::Instant::now();
    let as_of = AsOf::latest(connection)?;
    let log = Log { business, as_of: &as_of };
    let offsets = ingest_offsets::all(connection)?;
    let proved = proofs::proved_days(connection)?;
    let mut findings = Findings::default();
    let mut days = Vec::new();
    let mut next = next_day(connection, business, None)?;
    while let Some(day) = next {
        watcher.check()?;
        let proved = proved.get(&day).filter(|_| !extent.reads(day));
        let verified = day::verify(connection, log, day, proved, watcher, &mut findings)?;
        if verified.read {
            (watcher.progress)(&verified);
        }
        days.push(verified);
        next = next_day(connection, business, Some(day))?;
    }
    let read: Vec<NaiveDate> = days.iter().filter(|day| day.read).map(|day| day.day).collect();
    watcher.check()?;
    ratings::check_standing(connection, log, extent, &read, &mut findings)?;
    watcher.check()?;
    if extent == Extent::Everything {
        day::check_identities(connection, &mut findings)?;
    }
    let fingerprint =
        days.iter().fold(Fingerprint::new("proof"), |sum, day| sum.text(&day.day.to_string()).text(&day.digest));
    let digest = totals::verify(connection, log, fingerprint, &mut findings)?;
    let Findings { keys_checked, differences, .. } = findings;
    let AsOf { number: watermark, time: at, .. } = as_of;
    Ok(Verification { at, watermark, extent, days, keys_checked, differences, digest, offsets, took: began.elapsed() })
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

/// Returns the next day after `after` that has events, rollups or an event count.
fn next_day(
    connection: &mut Connection,
    business: Business,
    after: Option<NaiveDate>,
) -> Result<Option<NaiveDate>, DbError> {
    row! {
        struct Event {
            id: Uuid,
        }
    }
    row! {
        struct Rollup {
            bucket_start: DateTime<Utc>,
        }
    }
    row! {
        struct Counted {
            day: Option<NaiveDate>,
        }
    }
    let first = match after {
        Some(day) => day.succ_opt(),
        None => Some(NaiveDate::default()),
    };
    let Some(first) = first else { return Ok(None) };
    let of_event = day_of_next(business.calendar, first, |from| {
        let event: Option<Event> = statement("SELECT id FROM event_logs WHERE id >= $1 ORDER BY id LIMIT 1")
            .value(recount::first_id(from).0)
            .get_result(connection)
            .optional()?;
        Ok(event.map(|event| recount::time_of(event.id).utc()))
    })?;
    let of_rollup = day_of_next(business.calendar, first, |from| {
        let query = "SELECT bucket_start FROM rollups WHERE bucket_start >= $1 ORDER BY bucket_start LIMIT 1";
        let rollup: Option<Rollup> = statement(query).value(from).get_result(connection).optional()?;
        Ok(rollup.map(|rollup| rollup.bucket_start))
    })?;
    let counted: Counted =
        statement("SELECT min(day) AS day FROM event_days WHERE day >= $1").value(first).get_result(connection)?;
    Ok(of_event.into_iter().chain(of_rollup).chain(counted.day).min())
}

/// Returns the earliest day, `first` or later, that contains something. `next` returns the first
/// time, at or after a given one, at which there is something.
fn day_of_next(
    calendar: Calendar,
    first: NaiveDate,
    mut next: impl FnMut(DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbError>,
) -> Result<Option<NaiveDate>, DbError> {
    let mut from = calendar.day_start(first);
    loop {
        let Some(time) = next(from)? else { return Ok(None) };
        let day = calendar.day(time.into());
        if day < first {
            // This belongs to an earlier day that continues after its successor has begun (see
            // [`Calendar::day_ranges`]). Search on behind this part of it.
            let stretch = calendar.day_ranges(day).into_iter().find(|range| range.contains(&time));
            from = stretch.map_or(time + chrono::Duration::minutes(1), |range| range.end);
            continue;
        }
        // The day before this one may continue later.
        let before = day.pred_opt().filter(|before| *before >= first);
        for range in before.into_iter().flat_map(|before| calendar.day_ranges(before)) {
            if range.start > time && next(range.start)?.is_some_and(|time| time < range.end) {
                return Ok(before);
            }
        }
        return Ok(Some(day));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_in_two_parts_are_neither_missed_nor_visited_twice() {
        let business = Business::parse("CAD", "America/St_Johns").unwrap();
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let days = |times: &[&str]| {
            let times: Vec<DateTime<Utc>> = times.iter().map(|time| time.parse().unwrap()).collect();
            let next = |from| Ok(times.iter().copied().filter(|time| *time >= from).min());
            let mut found = Vec::new();
            let mut first = day("2010-11-01");
            while let Some(day) = day_of_next(business.calendar, first, next).unwrap() {
                found.push(day.to_string());
                first = day.succ_opt().unwrap();
            }
            found
        };
        for (times, expected) in [
            (&["2010-11-07T02:31:30Z"][..], &["2010-11-06"][..]),
            (&["2010-11-07T02:30:30Z"], &["2010-11-07"]),
            (&["2010-11-07T02:30:30Z", "2010-11-07T02:31:30Z"], &["2010-11-06", "2010-11-07"]),
            (&["2010-11-07T02:31:30Z", "2010-11-07T04:00:00Z"], &["2010-11-06", "2010-11-07"]),
            (&["2010-11-07T02:00:00Z", "2010-11-07T02:31:30Z", "2010-11-09T12:00:00Z"], &["2010-11-06", "2010-11-09"]),
            (&[], &[]),
        ] {
            assert_eq!(days(times), expected, "{times:?}");
        }
    }
}

//! Recounts everything from the event log, and compares the result with the stored numbers.
//!
//! It compares in parts, each in a snapshot of its own, so that no snapshot lasts as long as the whole. The
//! events of a day are counted by the rules by which they were first counted, and compared with the day's
//! rollups (`day`, `recounted`). In the last part, the sums of the days, the adjustments and the current
//! ratings are compared with the metrics (`totals`, `ratings`). `statements` checks what was closed. `coverage` is what the audit knows of how the
//! counted records compare with Kafka. `proofs` stores the result. `repair` turns the differences into deltas and
//! adds them like any batch.

mod coverage;
mod day;
mod days;
mod difference;
mod payments;
pub mod proofs;
mod ratings;
mod recount;
mod recounted;
pub mod repair;
mod reversals;
mod statements;
mod totals;

pub use coverage::{Coverage, Part, Stretch};
pub use difference::{Difference, Figures};

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use analytics_core::business::Business;
use analytics_core::identity::Fingerprint;
use analytics_core::maps::{HashMap, HashSet};
use analytics_core::ratios::Histogram;
use analytics_core::rules::UnknownRules;
use analytics_core::statement::PublicKey;
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use self::proofs::ProvedDay;
use self::recounted::Subject;
use crate::connection::long_snapshot;
use crate::resting::{give_way, rest};
use crate::tables::batches::{self, AsOf, Kind};
use crate::tables::ingest_offsets;
use crate::{Connection, DbError};

/// Which days are read from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Days that were never proved, or have changed since.
    Unproved,
    /// These, and every day from this one on.
    Since(NaiveDate),
    /// Every day, and also every identity, every rating and every statement.
    Everything,
}

/// The result of a verification.
#[derive(Debug)]
pub struct Verification {
    /// When it began.
    pub at: DateTime<Utc>,
    /// The number of the last batch that every part includes.
    pub watermark: i64,
    /// The number of the last batch that the last part includes.
    pub last_watermark: i64,
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
    /// How the counted records compare with those that Kafka held.
    pub coverage: Coverage,
    /// How long it took.
    pub took: std::time::Duration,
}

/// One business day of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The day.
    pub day: NaiveDate,
    /// The number of the last batch that it includes.
    pub watermark: i64,
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
    /// The numbers were corrected while they were compared.
    #[error("a rebuild corrected numbers while they were verified, which may look like differences; run this again")]
    Repaired,
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
    /// By how much the sums of counters' days have to be corrected: the counters by subject.
    corrections: HashMap<Subject, HashMap<String, i128>>,
    /// Metric types and users whose current rating may differ from the log.
    suspects: ratings::Suspects,
    /// Counters that have a rollup for a day on which nothing was counted for them.
    ghosts: HashSet<String>,
    /// The correct histograms of ratings, by target.
    histograms: HashMap<String, Histogram>,
}

impl Findings {
    /// Adds what was found on another day.
    fn merge(&mut self, other: Self) {
        self.keys_checked += other.keys_checked;
        self.differences.extend(other.differences);
        for (subject, counters) in other.corrections {
            let own = self.corrections.entry(subject).or_default();
            for (counter, missing) in counters {
                *own.entry(counter).or_default() += missing;
            }
        }
        self.suspects.extend(other.suspects);
        self.ghosts.extend(other.ghosts);
        self.histograms.extend(other.histograms);
    }
}

/// The caller's interface to a running verification.
pub struct Watcher<'a> {
    /// Called after each day that was read.
    pub progress: &'a mut (dyn FnMut(&Day) + Send),
    /// Whether the verification is still wanted; checked often.
    pub wanted: &'a (dyn Fn() -> bool + Sync),
}

impl Watcher<'_> {
    fn check(&self) -> Result<(), VerifyError> {
        if (self.wanted)() { Ok(()) } else { Err(VerifyError::Stopped) }
    }
}

/// Recounts everything and compares it with the stored numbers. Each connection recounts days, several at a time.
/// Statements may be signed by `signers`; by any key, if there are none.
///
/// # Errors
/// [`VerifyError`].
pub fn verify(
    connections: &mut [Connection],
    business: Business,
    extent: Extent,
    signers: &[PublicKey],
    watcher: &mut Watcher<'_>,
) -> Result<Verification, VerifyError> {
    let began = Instant::now();
    let [connection, ..] = connections else { return Err(VerifyError::Stopped) };
    let (start, offsets, coverage) = snapshot(connection, |connection, as_of| {
        Ok((as_of.clone(), ingest_offsets::all(connection)?, coverage::load(connection)?))
    })?;
    let proved = proofs::proved_days(connection)?;
    let (days, mut findings) = parallel_days(connections, business, extent, &proved, watcher)?;
    let [connection, ..] = connections else { return Err(VerifyError::Stopped) };
    if extent == Extent::Everything {
        snapshot(connection, |connection, _| Ok(day::check_identities(connection, &mut findings)?))?;
        snapshot(connection, |connection, _| Ok(payments::check(connection, &mut findings)?))?;
        statements::check(connection, signers, watcher, &mut findings)?;
    }
    watcher.check()?;
    let read: Vec<NaiveDate> = days.iter().filter(|day| day.read).map(|day| day.day).collect();
    let (end, digest_of_metrics) = snapshot(connection, |connection, as_of| {
        let log = Log { business, as_of };
        ratings::check_standing(connection, log, extent, &read, &mut findings)?;
        watcher.check()?;
        Ok((as_of.number, totals::verify(connection, log, watcher, &mut findings)?))
    })?;
    let Findings { keys_checked, differences, .. } = findings;
    if !differences.is_empty() && batches::any(connection, Kind::Repair, start.number, end)? {
        return Err(VerifyError::Repaired);
    }
    let of_days =
        days.iter().fold(Fingerprint::new("proof"), |sum, day| sum.text(&day.day.to_string()).text(&day.digest));
    Ok(Verification {
        at: start.time,
        watermark: start.number,
        last_watermark: end,
        extent,
        days,
        keys_checked,
        differences,
        digest: of_days.text(&digest_of_metrics).finish(),
        offsets,
        coverage,
        took: began.elapsed(),
    })
}

/// Does one part, in a snapshot of its own. It may create temporary tables, which end with it.
fn snapshot<T>(
    connection: &mut Connection,
    part: impl FnOnce(&mut Connection, &AsOf) -> Result<T, VerifyError>,
) -> Result<T, VerifyError> {
    long_snapshot(connection, |connection| {
        let as_of = AsOf::latest(connection)?;
        part(connection, &as_of)
    })
}

/// Verifies every day, each in a snapshot of its own, on as many threads as there are connections; on one of them while
/// ingest is behind.
fn parallel_days(
    connections: &mut [Connection],
    business: Business,
    extent: Extent,
    proved: &HashMap<NaiveDate, ProvedDay>,
    watcher: &mut Watcher<'_>,
) -> Result<(Vec<Day>, Findings), VerifyError> {
    let [connection, ..] = connections else { return Err(VerifyError::Stopped) };
    let all = snapshot(connection, |connection, _| Ok(days::all(connection, business)?))?;
    let next = AtomicUsize::new(0);
    let Watcher { progress, wanted } = watcher;
    let (progress, wanted) = (Mutex::new(progress), *wanted);
    // The others begin no further day: there will be no proof.
    let stop = |_: &VerifyError| next.store(all.len(), Ordering::Relaxed);
    let work = |thread: usize, connection: &mut Connection| {
        let watcher = Watcher { progress: &mut |_| {}, wanted };
        let mut days = Vec::new();
        let is_of_use = || watcher.check().map(|()| thread > 0 && next.load(Ordering::Relaxed) < all.len());
        loop {
            give_way(connection, is_of_use).inspect_err(stop)?;
            let Some(day) = all.get(next.fetch_add(1, Ordering::Relaxed)).copied() else { break };
            let began = Instant::now();
            let mut findings = Findings::default();
            let proved = proved.get(&day).filter(|_| !extent.reads(day));
            let verified = snapshot(connection, |connection, as_of| {
                day::verify(connection, Log { business, as_of }, day, proved, &watcher, &mut findings)
            });
            let verified = verified.inspect_err(stop)?;
            if verified.read {
                let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress(&verified);
            }
            days.push((verified, findings));
            rest(connection, began.elapsed(), || watcher.check()).inspect_err(stop)?;
        }
        Ok(days)
    };
    let results: Vec<Result<_, VerifyError>> = thread::scope(|scope| {
        let connections = connections.iter_mut().enumerate();
        let threads: Vec<_> =
            connections.map(|(thread, connection)| scope.spawn(move || work(thread, connection))).collect();
        let result =
            |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        threads.into_iter().map(result).collect()
    });
    let mut parts: Vec<_> = results.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    parts.sort_unstable_by_key(|(day, _)| day.day);
    let mut findings = Findings::default();
    let mut days = Vec::new();
    for (day, own) in parts {
        days.push(day);
        findings.merge(own);
    }
    Ok((days, findings))
}

/// Splits time ranges into their starts and their ends, as the statements take them.
fn starts_and_ends(ranges: &[Range<DateTime<Utc>>]) -> (Vec<DateTime<Utc>>, Vec<DateTime<Utc>>) {
    ranges.iter().map(|range| (range.start, range.end)).unzip()
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

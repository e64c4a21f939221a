//! Making what stands agree with the log again.
//!
//! Sums are corrected by what they lack, not by what they should be: the difference was taken at
//! one snapshot, and what was counted since is in both. It is added in one transaction under the
//! counting lock, by the statements that add any batch, so readers see the wrong number or the
//! right one. Ratings do not add up; they are read from the log again under the lock.

use std::collections::BTreeSet;

use analytics_core::deltas::{Deltas, Rated};
use analytics_core::maps::HashMap;

use super::runner::{Failure, run};
use crate::Connection;
use crate::error::WriteError;
use crate::locks::{CountingLock, Guard};
use crate::tables::batches::{self, Kind};
use crate::tables::{event_days, metrics, ratings, rollups};

/// What is to be added and set.
#[derive(Default)]
pub(crate) struct Corrections {
    /// What counters, ratios, rollups and counts of events lack.
    pub(crate) deltas: Deltas,
    /// Parts of counters that nothing was counted for.
    pub(crate) made_up: Deltas,
    /// What counters lack, by type; some may be unknown to the catalogue.
    pub(crate) counters: Vec<(String, i128)>,
    /// Metric types and users whose standing rating is to be read again.
    pub(crate) ratings: Vec<(String, String)>,
    /// Averages to be worked out again.
    pub(crate) averages: BTreeSet<String>,
}

/// Ratings by metric type and user.
pub(crate) type Ratings = HashMap<(String, String), Rated>;

/// Adds what is missing. `guard` is the right to [repair](crate::locks::Lock::Repair), held since
/// before the differences were found; `in_log` reads the ratings that should stand.
pub(crate) fn repair<E: Failure + From<WriteError>>(
    connection: &mut Connection,
    guard: &mut Guard,
    corrections: &Corrections,
    in_log: impl Fn(&mut Connection, &[(String, String)]) -> Result<Ratings, E>,
) -> Result<(), E> {
    let Corrections { deltas, made_up, counters, ratings: keys, averages } = corrections;
    run(connection, "repair", |connection| {
        let lock = CountingLock::take(connection)?;
        let batch = batches::new_id(connection)?;
        batches::number(connection, &lock, batch, Kind::Repair)?;
        let rated = in_log(connection, keys)?;
        ratings::replace(connection, &lock, keys, &rated)?;
        ratings::set_averages(connection, &lock, averages)?;
        metrics::add_counters(connection, &lock, counters.clone())?;
        metrics::add(connection, &lock, deltas)?;
        rollups::add(connection, &lock, &deltas.rollups)?;
        rollups::forget_zeros(connection, &lock, &made_up.rollups)?;
        event_days::add(connection, &lock, &deltas.events)?;
        // What is missing must not have been added by another repair since the snapshot.
        guard.check()?;
        Ok(())
    })
}

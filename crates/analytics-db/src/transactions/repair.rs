//! Makes the numbers agree with the event log again.
//!
//! Sums are corrected by adding what they lack, not by setting them: the differences were found in
//! one snapshot, and what was counted since then is contained in both sides. They are added in one
//! transaction under the counting lock, by the same statements as any batch, so readers see either
//! the wrong number or the right one. Ratings are not sums; they are read from the log again under
//! the lock.

use std::collections::BTreeSet;

use analytics_core::business::Business;
use analytics_core::deltas::{Deltas, Rated};
use analytics_core::maps::HashMap;
use uuid::Uuid;

use super::reverse;
use super::runner::{Failure, run};
use super::settling::Settling;
use crate::Connection;
use crate::error::WriteError;
use crate::locks::{CountingLock, Guard};
use crate::tables::audit_log::{self, Entry};
use crate::tables::batches::{self, Kind};
use crate::tables::{event_days, metrics, ratings, rollups};

/// What is to be added and set.
#[derive(Default)]
pub(crate) struct Corrections {
    /// What counters, ratios, rollups and event counts lack.
    pub(crate) deltas: Deltas,
    /// Rollups for which nothing was counted.
    pub(crate) made_up: Deltas,
    /// What counters lack, by type. The catalogue may not define some of the types.
    pub(crate) counters: Vec<(String, i128)>,
    /// Metric types and users whose current rating is to be read from the log again.
    pub(crate) ratings: Vec<(String, String)>,
    /// Orders whose reversals are to be decided again.
    pub(crate) orders: BTreeSet<Uuid>,
    /// Metric types of averages to be calculated again.
    pub(crate) averages: BTreeSet<String>,
}

/// Ratings by metric type and user.
pub(crate) type Ratings = HashMap<(String, String), Rated>;

/// Adds what is missing. `guard` holds the lock [`Repair`](crate::locks::Lock::Repair) since before
/// the differences were found. `entry` is its record in the audit log. `in_log` reads the correct ratings from the log.
pub(crate) fn repair<E: Failure + From<WriteError>>(
    connection: &mut Connection,
    guard: &mut Guard,
    business: Business,
    corrections: &Corrections,
    entry: &Entry,
    in_log: impl Fn(&mut Connection, &[(String, String)]) -> Result<Ratings, E>,
) -> Result<(), E> {
    let Corrections { deltas, made_up, counters, ratings: keys, orders, averages } = corrections;
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
        let (orders, mut reversed) = (orders.iter().copied().collect::<Vec<_>>(), Deltas::default());
        let settling = Settling { lock: &lock, business, counting: &[], batch };
        reverse::settle(connection, &settling, &orders, &mut reversed)?;
        metrics::add(connection, &lock, &reversed)?;
        rollups::add(connection, &lock, &reversed.rollups)?;
        metrics::derive(connection, &lock)?;
        audit_log::record(connection, entry)?;
        // If the lock was lost, another repair may have added the same since the snapshot.
        guard.check()?;
        Ok(())
    })
}

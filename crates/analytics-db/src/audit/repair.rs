//! Making what stands agree with the log again.
//!
//! Sums are mended by what they lack, not by what they should be: the difference was taken at one
//! snapshot, and what was counted since is in both. It is added in one transaction under the
//! counting lock, by the statements that add any batch, so readers see the wrong number or the
//! right one. Ratings do not add up; they are read from the log again under the lock.

use std::collections::BTreeSet;

use analytics_core::RULES_VERSION;
use analytics_core::business::Business;
use analytics_core::catalogue::Definition;
use analytics_core::deltas::{Deltas, Rated};
use analytics_core::maps::HashMap;
use analytics_core::metric_type::MetricType;
use analytics_core::ratios::Fraction;
use analytics_core::topics::EventType;
use chrono::NaiveDate;
use diesel::sql_types::{Array, Text};
use diesel::{RunQueryDsl, sql_query};

use super::{AuditError, Difference, Figures, ratings};
use crate::locks::Guard;
use crate::write::{WriteError, event_days, fence, limited, metrics, ratings as standing, rollups};
use crate::{Connection, DbError};

/// Why nothing was repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The log could not be counted again.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The differences could not be added.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<DbError> for RepairError {
    fn from(error: DbError) -> Self {
        Self::Write(error.into())
    }
}

impl From<diesel::result::Error> for RepairError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Write(error.into())
    }
}

/// What is to be added and set.
#[derive(Default)]
struct Repair {
    deltas: Deltas,
    /// Parts of counters that nothing was counted for.
    made_up: Deltas,
    /// Counters by type; some may be unknown to the catalogue.
    counters: Vec<(String, i128)>,
    rating_keys: Vec<(String, String)>,
    averages: BTreeSet<String>,
}

/// Adds what the differences say is missing, in one transaction. `guard` is the right to
/// [repair](crate::locks::Lock::Repair), held since before the differences were found.
///
/// # Errors
/// [`RepairError`]; nothing is changed then.
pub fn repair(
    connection: &mut Connection,
    guard: &mut Guard,
    business: Business,
    differences: &[Difference],
) -> Result<(), RepairError> {
    let mut repair = Repair::default();
    for difference in differences {
        repair.plan(difference, business);
    }
    limited(connection, |connection| {
        fence::lock_counting(connection)?;
        repair.apply(connection, business)?;
        // What is missing must not have been added by another repair since the snapshot.
        guard.check()?;
        Ok(())
    })
}

impl Repair {
    fn plan(&mut self, difference: &Difference, business: Business) {
        let parse = |text: &str| MetricType::parse(text, NaiveDate::default(), business.base_currency).ok();
        match difference {
            Difference::Metric { metric_type, found, expected } => {
                self.plan_metric(metric_type, parse(metric_type), found, expected);
            }
            Difference::Rollup { metric_type, granularity, bucket_start, found, expected } => {
                let Some(counter) = parse(metric_type) else { return };
                self.deltas.add_to_rollup(&counter, *granularity, *bucket_start, missing(*found, *expected));
                if expected.is_none() {
                    self.made_up.add_to_rollup(&counter, *granularity, *bucket_start, 0);
                }
            }
            Difference::Rating { metric_type, user, .. } => {
                self.rating_keys.push((metric_type.clone(), user.clone()));
                self.averages.insert(metric_type.clone());
            }
            Difference::EventDay { day, event_type, counted, logged } => {
                *self.deltas.events.entry((*day, EventType::logged(event_type, RULES_VERSION))).or_default() +=
                    logged - counted;
            }
            // A changed event has to be restored; sums that do not add up are a defect.
            Difference::Event { .. } | Difference::Sum { .. } => {}
        }
    }

    fn plan_metric(&mut self, text: &str, parsed: Option<MetricType>, found: &Figures, expected: &Figures) {
        match parsed.map(|parsed| (parsed.metric.definition(), parsed)) {
            Some((Definition::AverageRating { .. }, _)) => {
                self.averages.insert(text.to_owned());
            }
            Some((Definition::Ratio { .. }, ratio)) => {
                let lacks = |of: fn(&Figures) -> Option<i64>| of(expected).unwrap_or(0) - of(found).unwrap_or(0);
                let lacking = Fraction { numerator: lacks(|f| f.numerator), denominator: lacks(|f| f.denominator) };
                self.deltas.ratios.insert(ratio, lacking);
            }
            Some((Definition::Counter { .. } | Definition::Daily { .. }, _)) | None => {
                self.counters.push((text.to_owned(), missing(found.value, expected.value)));
            }
        }
    }

    fn apply(self, connection: &mut Connection, business: Business) -> Result<(), RepairError> {
        let Self { deltas, made_up, counters, rating_keys, averages } = self;
        let rated = ratings::in_log(connection, business, &rating_keys)?;
        set_ratings(connection, &rating_keys, &rated)?;
        sql_query(include_str!("../sql/set_averages.sql"))
            .bind::<Array<Text>, _>(averages.iter().map(String::as_str).collect::<Vec<_>>())
            .execute(connection)?;
        metrics::add_counters(connection, counters)?;
        metrics::add(connection, &deltas)?;
        rollups::add(connection, &deltas.rollups)?;
        rollups::forget_zeros(connection, &made_up.rollups)?;
        event_days::add(connection, &deltas.events)?;
        Ok(())
    }
}

fn missing(found: Option<i64>, expected: Option<i64>) -> i128 {
    i128::from(expected.unwrap_or(0)) - i128::from(found.unwrap_or(0))
}

/// Replaces the ratings that stand for these users and targets by those of the log.
fn set_ratings(
    connection: &mut Connection,
    rating_keys: &[(String, String)],
    rated: &HashMap<(String, String), Rated>,
) -> Result<(), WriteError> {
    sql_query(
        "DELETE FROM ratings r USING unnest($1, $2) AS o (metric_type, user_id) \
         WHERE r.metric_type = o.metric_type AND r.user_id = o.user_id",
    )
    .bind::<Array<Text>, _>(rating_keys.iter().map(|(target, _)| target.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rating_keys.iter().map(|(_, user)| user.as_str()).collect::<Vec<_>>())
    .execute(connection)?;
    let mut rows: Vec<_> = rated.iter().map(|((target, user), rated)| (target.clone(), user.as_str(), rated)).collect();
    rows.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    standing::store(connection, &rows)
}

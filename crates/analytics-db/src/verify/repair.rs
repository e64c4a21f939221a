//! Converts differences into corrections and applies them.

use analytics_core::RULES_VERSION;
use analytics_core::business::Business;
use analytics_core::catalogue::Definition;
use analytics_core::metric_type::MetricType;
use analytics_core::ratios::Fraction;
use analytics_core::topics::EventType;
use chrono::NaiveDate;
use serde_json::json;

use super::{Difference, Figures, Log, VerifyError, ratings};
use crate::error::WriteError;
use crate::locks::Guard;
use crate::tables::audit_log::{Action, Entry};
use crate::tables::batches::AsOf;
use crate::transactions::Failure;
use crate::transactions::repair::Corrections;
use crate::{Connection, DbError, transactions};

/// Maximum number of differences that the audit log lists.
const LISTED: usize = 100;

/// Why nothing was repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The ratings in the log could not be recounted.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The corrections could not be written.
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

/// Adds what is missing according to the differences, in one transaction. `guard` holds the lock
/// [`Repair`](crate::locks::Lock::Repair) since before the differences were found. `actor` is who does it.
///
/// # Errors
/// [`RepairError`]; then nothing is changed.
pub fn repair(
    connection: &mut Connection,
    guard: &mut Guard,
    business: Business,
    differences: &[Difference],
    actor: &str,
) -> Result<(), RepairError> {
    let mut corrections = Corrections::default();
    for difference in differences {
        plan(&mut corrections, difference, business);
    }
    let entry = entry(differences, actor);
    transactions::repair::repair(connection, guard, business, &corrections, &entry, |connection, keys| {
        let as_of = AsOf::latest(connection)?;
        Ok(ratings::in_log(connection, Log { business, as_of: &as_of }, keys)?)
    })
}

/// Returns what the audit log says about the repair: the first of the differences, as they are printed.
fn entry(differences: &[Difference], actor: &str) -> Entry {
    let first: Vec<String> = differences.iter().take(LISTED).map(ToString::to_string).collect();
    let subject = format!("numbers: {}", differences.len());
    Entry { actor: actor.to_owned(), action: Action::Rebuild, subject, detail: json!({ "differences": first }) }
}

impl Failure for RepairError {
    fn database(&self) -> Option<&DbError> {
        match self {
            Self::Verify(VerifyError::Database(error)) | Self::Write(WriteError::Database(error)) => Some(error),
            Self::Verify(_) | Self::Write(_) => None,
        }
    }
}

fn plan(corrections: &mut Corrections, difference: &Difference, business: Business) {
    let parse = |text: &str| MetricType::parse(text, NaiveDate::default(), business.base_currency).ok();
    match difference {
        Difference::Metric { metric_type, found, expected } => {
            plan_metric(corrections, metric_type, parse(metric_type), found, expected);
        }
        Difference::Rollup { metric_type, granularity, bucket_start, found, expected } => {
            let Some(counter) = parse(metric_type) else { return };
            corrections.deltas.add_to_rollup(&counter, *granularity, *bucket_start, missing(*found, *expected));
            if expected.is_none() {
                corrections.made_up.add_to_rollup(&counter, *granularity, *bucket_start, 0);
            }
        }
        Difference::Rating { metric_type, user, .. } => {
            corrections.ratings.push((metric_type.clone(), user.clone()));
            corrections.averages.insert(metric_type.clone());
        }
        Difference::EventDay { day, event_type, counted, logged } => {
            *corrections.deltas.events.entry((*day, EventType::logged(event_type, RULES_VERSION))).or_default() +=
                logged - counted;
        }
        Difference::Reversal { order, .. } => {
            corrections.orders.insert(order.0);
        }
        // A changed event or statement has to be restored; sums that do not add up are a defect.
        Difference::Event { .. } | Difference::Statement { .. } | Difference::Sum { .. } => {}
    }
}

fn plan_metric(
    corrections: &mut Corrections,
    text: &str,
    parsed: Option<MetricType>,
    found: &Figures,
    expected: &Figures,
) {
    match parsed.map(|parsed| (parsed.metric.definition(), parsed)) {
        Some((Definition::AverageRating { .. }, _)) => {
            corrections.averages.insert(text.to_owned());
        }
        Some((Definition::Ratio { .. }, ratio)) => {
            let lacks = |of: fn(&Figures) -> Option<i64>| of(expected).unwrap_or(0) - of(found).unwrap_or(0);
            let lacking = Fraction { numerator: lacks(|f| f.numerator), denominator: lacks(|f| f.denominator) };
            corrections.deltas.ratios.insert(ratio, lacking);
        }
        Some((Definition::Counter { .. } | Definition::Daily { .. } | Definition::Difference { .. }, _)) | None => {
            corrections.counters.push((text.to_owned(), missing(found.value, expected.value)));
        }
    }
}

fn missing(found: Option<i64>, expected: Option<i64>) -> i128 {
    i128::from(expected.unwrap_or(0)) - i128::from(found.unwrap_or(0))
}

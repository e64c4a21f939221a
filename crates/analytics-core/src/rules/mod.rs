//! What an event adds to which metric: one file for each kind of metric.
//!
//! A rule looks at one decided event and counts into [`Deltas`]. A new metric is a new file here,
//! a line in `RULES` and a line in the catalogue of metric types.

mod adjustments;
mod conversion;
mod orders;
pub mod ratings;
mod revenue;
mod signups;
mod units;
mod views;

use crate::RULES_VERSION;
use crate::business::Business;
use crate::deltas::{Deltas, Moment};
use crate::event::{Event, Line};
use crate::ids::VendorId;

/// What rules may know besides the event.
pub(crate) struct Context {
    /// The event's day and hour.
    pub(crate) moment: Moment,
    /// Whose base currency needs no code in a metric type.
    pub(crate) business: Business,
}

type Rule = fn(&Event, &Context, &mut Deltas);

/// The rules of version 1. A version that was ever released stays as it is.
const RULES_1: [Rule; 8] = [
    views::count,
    signups::count,
    orders::count,
    units::count,
    revenue::count,
    conversion::count,
    ratings::count,
    adjustments::count,
];

/// The event was decided by rules that this version of the service does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event was counted by version {0} of the rules, this program knows {RULES_VERSION} and older: use a newer one"
)]
pub struct UnknownRules(pub i16);

/// Counts one decided event by today's rules.
pub fn count(event: &Event, business: Business, deltas: &mut Deltas) {
    apply(&RULES_1, event, business, deltas);
}

/// Counts a logged event again, by the rules that decided it.
///
/// # Errors
/// [`UnknownRules`] where a newer version decided it.
pub fn recount(version: i16, event: &Event, business: Business, deltas: &mut Deltas) -> Result<(), UnknownRules> {
    match version {
        1 => apply(&RULES_1, event, business, deltas),
        unknown => return Err(UnknownRules(unknown)),
    }
    Ok(())
}

fn apply(rules: &[Rule], event: &Event, business: Business, deltas: &mut Deltas) {
    let context = Context { moment: deltas.moment(event.time, business.calendar), business };
    deltas.logged(&event.event_type, &context.moment);
    for rule in rules {
        rule(event, &context, deltas);
    }
}

/// The vendors of an order, each once.
fn distinct_vendors(lines: &[Line]) -> Vec<&VendorId> {
    let mut vendors: Vec<_> = lines.iter().filter_map(|line| line.vendor.id()).collect();
    vendors.sort_unstable();
    vendors.dedup();
    vendors
}

#[cfg(test)]
mod tests;

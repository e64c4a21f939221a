//! What an event adds to which metric: one file for each kind of metric.
//!
//! A rule looks at one decided event and counts into [`Deltas`]. A new metric is a new file here,
//! a line in `RULES` and a line in the catalogue of metric types.

mod conversion;
mod orders;
pub mod ratings;
mod revenue;
mod signups;
mod units;
mod views;

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

const RULES: [Rule; 7] =
    [views::count, signups::count, orders::count, units::count, revenue::count, conversion::count, ratings::count];

/// Counts one decided event by all rules.
pub fn count(event: &Event, business: Business, deltas: &mut Deltas) {
    let context = Context { moment: Moment::of(event.time, business.calendar), business };
    for rule in RULES {
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

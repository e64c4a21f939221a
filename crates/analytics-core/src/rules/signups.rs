//! New accounts: by business day and in total.

use super::Context;
use crate::deltas::Deltas;
use crate::event::{Body, Event};
use crate::metric_type::{Metric, Subject};

pub(super) fn count(event: &Event, context: &Context, deltas: &mut Deltas) {
    let Body::Signup = &event.body else { return };
    deltas.add(Metric::DailySignups, Subject::Day(context.moment.day), None, 1, &context.moment);
    deltas.add(Metric::TotalSignups, Subject::Marketplace, None, 1, &context.moment);
}

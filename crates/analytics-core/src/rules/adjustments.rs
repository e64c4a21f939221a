//! Adjustments by hand: what somebody added to a metric, so that counting again gives the same.

use super::Context;
use crate::deltas::Deltas;
use crate::event::{Body, Event};

pub(super) fn count(event: &Event, _: &Context, deltas: &mut Deltas) {
    let Body::Adjustment { metric_type, delta: Some(delta) } = &event.body else { return };
    *deltas.adjustments.entry(metric_type.clone()).or_default() += i128::from(*delta);
}

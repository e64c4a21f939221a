//! Orders: each once in total, and once for every seller in it.

use super::{Context, distinct_vendors};
use crate::deltas::Deltas;
use crate::event::{Body, Event};
use crate::metric_type::{Metric, Subject};

pub(super) fn count(event: &Event, context: &Context, deltas: &mut Deltas) {
    let Body::Order { lines } = &event.body else { return };
    deltas.add(Metric::TotalOrders, Subject::Marketplace, None, 1, &context.moment);
    for vendor in distinct_vendors(lines) {
        deltas.add(Metric::SellerOrders, Subject::Vendor(vendor.clone()), None, 1, &context.moment);
    }
}

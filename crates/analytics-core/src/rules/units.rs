//! Units ordered: of a product, of a seller, of all. A line of zero units counts zero.

use super::Context;
use crate::deltas::Deltas;
use crate::event::{Body, Event};
use crate::metric_type::{Metric, Subject};

pub(super) fn count(event: &Event, context: &Context, deltas: &mut Deltas) {
    let Body::Order { lines } = &event.body else { return };
    for line in lines {
        let mut add =
            |metric, subject| deltas.add(metric, subject, None, line.quantity.units().into(), &context.moment);
        add(Metric::TotalUnits, Subject::Marketplace);
        if let Some(vendor) = line.vendor.id() {
            add(Metric::SellerUnits, Subject::Vendor(vendor.clone()));
        }
        if let Some(product) = &line.product {
            add(Metric::ProductUnits, Subject::Product(product.clone()));
        }
    }
}

//! Views: of a product, of a seller's products, of all.

use super::Context;
use crate::deltas::Deltas;
use crate::event::{Body, Event};
use crate::metric_type::{Metric, Subject};

pub(super) fn count(event: &Event, context: &Context, deltas: &mut Deltas) {
    let Body::View { product, vendor } = &event.body else { return };
    let mut add = |metric, subject| deltas.add(metric, subject, None, 1, &context.moment);
    add(Metric::TotalViews, Subject::Marketplace);
    add(Metric::ProductViews, Subject::Product(product.clone()));
    if let Some(vendor) = vendor.id() {
        add(Metric::SellerViews, Subject::Vendor(vendor.clone()));
    }
}

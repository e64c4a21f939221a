//! Revenue: gross booked, in minor units, each currency for itself.
//!
//! A line belongs either to a seller or to nobody, so in each currency total revenue is
//! unattributed revenue plus the sum over sellers.

use super::Context;
use crate::deltas::Deltas;
use crate::event::{Body, Event};
use crate::metric_type::{Metric, Subject};

pub(super) fn count(event: &Event, context: &Context, deltas: &mut Deltas) {
    let Body::Order { lines } = &event.body else { return };
    for line in lines {
        let foreign = Some(line.currency).filter(|currency| *currency != context.business.base_currency);
        let mut add = |metric, subject| deltas.add(metric, subject, foreign, line.amount.0, &context.moment);
        add(Metric::TotalRevenue, Subject::Marketplace);
        match line.vendor.id() {
            Some(vendor) => add(Metric::SellerRevenue, Subject::Vendor(vendor.clone())),
            None => add(Metric::UnattributedRevenue, Subject::Marketplace),
        }
        if let Some(product) = &line.product {
            add(Metric::ProductRevenue, Subject::Product(product.clone()));
        }
    }
}

//! Conversion of a seller: orders over views, kept as its own two counts so that it adds up
//! whatever the order in which workers commit.

use super::{Context, distinct_vendors};
use crate::deltas::Deltas;
use crate::event::{Body, Event};

pub(super) fn count(event: &Event, _: &Context, deltas: &mut Deltas) {
    match &event.body {
        Body::View { vendor, .. } => {
            if let Some(vendor) = vendor.id() {
                deltas.conversion(vendor).views += 1;
            }
        }
        Body::Order { lines } => {
            for vendor in distinct_vendors(lines) {
                deltas.conversion(vendor).orders += 1;
            }
        }
        Body::Signup | Body::Rating { .. } | Body::Adjustment { .. } | Body::Logged => {}
    }
}

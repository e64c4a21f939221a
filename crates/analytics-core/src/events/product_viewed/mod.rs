//! Decodes `product.viewed`: a view of a product. Its content does not identify it.

use crate::event::{Content, Part, Vendor};
use crate::ids::{ProductId, UserId, VendorId};
use crate::rejection::{Faults, Rejection};

use super::{Decoded, Input, fields};

pub(super) fn decode(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let payload = &input.envelope.payload;
    let mut faults = Faults::default();
    let product = faults.keep(fields::needed_id(payload, &fields::PRODUCT, ProductId::parse));
    let vendor = faults.keep_optional(fields::id(payload, &fields::VENDOR, VendorId::parse));
    let user = faults.keep_optional(fields::id(payload, &fields::USER, UserId::parse));
    let time = faults.keep(fields::event_time(input, &fields::TIME));
    let vendor = vendor.map_or(Vendor::Unknown, Vendor::Named);
    faults.finish(product.zip(time).map(|(product, time)| Decoded {
        user,
        time,
        compared: Vec::new(),
        content: Content::Part(Part { product: Some(product), vendor }),
        natural: None,
    }))
}

#[cfg(test)]
mod cases;

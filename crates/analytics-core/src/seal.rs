//! A checksum over what was decided about an event, kept beside it: whoever changes the event in
//! the log without counting it again breaks the seal.

use crate::event::{Body, Event, Stars, Vendor};
use crate::identity::Fingerprint;
use crate::ids::{ProductId, UserId, VendorId};

/// The seal of an event that was decided by this version of the rules. It covers every column that
/// counting looks at; the payload is not among them.
#[must_use]
pub fn seal(event: &Event, rules_version: i16) -> i64 {
    let common = Fingerprint::new("seal")
        .number(rules_version.into())
        .text(&event.id.0.to_string())
        .text(event.event_type.name())
        .optional(event.user.as_ref().map(UserId::as_str))
        .number(event.time.micros());
    let sealed = match &event.body {
        Body::View { product, vendor } => of_vendor(common.text(product.as_str()), vendor),
        Body::Rating { product, vendor, stars } => common
            .optional(product.as_ref().map(ProductId::as_str))
            .optional(vendor.as_ref().map(VendorId::as_str))
            .number(Stars::get(*stars).into()),
        Body::Order { lines } => lines.iter().fold(common, |sum, line| {
            of_vendor(sum.optional(line.product.as_ref().map(ProductId::as_str)), &line.vendor)
                .number(line.quantity.units().into())
                .number(line.amount.0)
                .text(line.currency.code())
        }),
        Body::Adjustment { metric_type, delta } => {
            common.text(metric_type).optional(delta.map(|delta| delta.to_string()).as_deref())
        }
        Body::Signup | Body::Logged => common,
    };
    let (first, _) = sealed.finish().as_u64_pair();
    i64::from_be_bytes(first.to_be_bytes())
}

fn of_vendor(sum: Fingerprint, vendor: &Vendor) -> Fingerprint {
    sum.optional(vendor.id().map(VendorId::as_str)).number(matches!(vendor, Vendor::Learned(_)).into())
}

//! Decodes `product.created`, `product.updated`, `vendor.created` and `vendor.updated`: what a
//! product or a vendor is called.
//!
//! The content does not identify such an event: the same name may be given twice, and two names at
//! one time. Without an id of its producer, an event is identified by its record's place.

use crate::event::{Content, Named, Naming};
use crate::identifier;
use crate::ids::{ProductId, UserId, VendorId};
use crate::json::Value;
use crate::name::Name;
use crate::rejection::{Faults, Reason, Rejection};

use super::{Decoded, Input, fields};

const PRODUCT: [&str; 3] = ["productId", "product_id", "id"];
const PRODUCT_NAME: [&str; 4] = ["name", "title", "productName", "product_name"];
const VENDOR: [&str; 5] = ["vendorId", "sellerId", "vendor_id", "seller_id", "id"];
/// The shop's own name first: `name` may be that of its owner.
const VENDOR_NAME: [&str; 8] =
    ["shopName", "shop_name", "storeName", "store_name", "displayName", "businessName", "name", "title"];

pub(super) fn product(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let payload = &input.envelope.payload;
    let mut faults = Faults::default();
    let product = faults.keep(fields::needed_id(payload, &PRODUCT, ProductId::parse));
    let vendor = faults.keep_optional(fields::id(payload, &fields::VENDOR, VendorId::parse));
    let subject = product.map(|product| Named::Product { product, vendor });
    decoded(input, faults, subject, &PRODUCT_NAME)
}

pub(super) fn vendor(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let mut faults = Faults::default();
    let vendor = faults.keep(fields::needed_id(&input.envelope.payload, &VENDOR, VendorId::parse));
    decoded(input, faults, vendor.map(Named::Vendor), &VENDOR_NAME)
}

fn decoded(
    input: &Input<'_>,
    mut faults: Faults,
    subject: Option<Named>,
    names: &[&'static str],
) -> Result<Decoded, Rejection> {
    let user = faults.keep_optional(fields::id(&input.envelope.payload, &fields::USER, UserId::parse));
    let name = faults.keep(name(input, names));
    let time = faults.keep(fields::event_time(input, &fields::NAMING_TIME));
    faults.finish(subject.zip(name).zip(time).map(|((subject, (field, name)), time)| Decoded {
        user,
        time,
        compared: vec![Some(name.to_string())],
        // A name whose field must not be stored is not stored in the directory either.
        content: Content::Naming(Naming {
            subject,
            name: Some(name).filter(|_| !input.decoder.redaction.names(field)),
        }),
        natural: None,
    }))
}

/// Reads the name, and the field that it was found in.
fn name(input: &Input<'_>, names: &[&'static str]) -> Result<(&'static str, Name), Rejection> {
    let (field, value) = input.envelope.payload.first(names).ok_or_else(|| fields::missing(names))?;
    let invalid = |why: String| Rejection::new(Reason::InvalidName, format!("{field} {why}"));
    match value {
        Value::Text(text) => Name::parse(&text),
        Value::Number(number) => Name::parse(number),
        other => return Err(invalid(format!("must be a string, got {}", identifier::kind(&other)))),
    }
    .map(|name| (field, name))
    .map_err(|why| invalid(why.to_string()))
}

#[cfg(test)]
mod cases;

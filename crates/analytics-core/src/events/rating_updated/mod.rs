//! Decodes `rating.updated`: a user rated a product or a seller, or changed a rating.
//!
//! A rating is published again with the same id whenever it is edited, so its natural identity is
//! the id *and* the time of the edit. A rating without an id is identified by the user and the
//! target in place of the id. A time from `createdAt`, from the Kafka record or from the clock does
//! not distinguish edits; with such a time there is no natural identity.

use crate::event::{Content, Rating, Stars};
use crate::excerpt::excerpt;
use crate::ids::{ProductId, RatingId, UserId, VendorId};
use crate::json::{Object, Value};
use crate::money::Amount;
use crate::rejection::{Faults, Reason, Rejection};

use crate::events::fields::{CREATED_AT, TimeSource};
use crate::events::{Decoded, Input, fields};

const RATING: [&str; 2] = ["ratingId", "id"];
const STARS: [&str; 4] = ["rating", "score", "stars", "value"];

/// What was rated: a product, a seller, or both.
#[derive(Default)]
struct Target {
    product: Option<ProductId>,
    vendor: Option<VendorId>,
}

pub(super) fn decode(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let payload = &input.envelope.payload;
    let mut faults = Faults::default();
    let rating = faults.keep_optional(fields::id(payload, &RATING, RatingId::parse));
    let user = faults.keep(fields::needed_id(payload, &fields::USER, UserId::parse));
    let target = target(payload, &mut faults);
    let stars = faults.keep(stars(payload));
    let time = faults.keep(fields::event_time(input, &fields::RATING_TIME));
    let decoded = user.zip(target).zip(stars).zip(time).map(|(((user, target), stars), time)| {
        let Target { product, vendor } = target;
        let tells_edits_apart =
            !matches!(time.source, TimeSource::Payload(CREATED_AT) | TimeSource::Record | TimeSource::Clock);
        let natural = tells_edits_apart.then(|| {
            let edit = input.natural().number(time.at.micros());
            match &rating {
                Some(rating) => edit.text("rating").text(rating.as_str()),
                None => edit
                    .text("user")
                    .text(user.as_str())
                    .optional(product.as_ref().map(ProductId::as_str))
                    .optional(vendor.as_ref().map(VendorId::as_str)),
            }
        });
        let compared = vec![rating.map(|rating| rating.to_string())];
        let content = Content::Rating(Rating { product, vendor, stars });
        Decoded { user: Some(user), time, compared, content, natural }
    });
    faults.finish(decoded)
}

/// Reads product and vendor from their own fields, or else from `targetId` and `targetType`.
fn target(payload: &Object<'_>, faults: &mut Faults) -> Option<Target> {
    let product = faults.keep(fields::id(payload, &fields::PRODUCT, ProductId::parse))?;
    let vendor = faults.keep(fields::id(payload, &fields::VENDOR, VendorId::parse))?;
    if product.is_some() || vendor.is_some() {
        return Some(Target { product, vendor });
    }
    if payload.get("targetId").is_none() {
        faults.add(fields::missing(&["productId", "vendorId", "targetId"]));
        return None;
    }
    let Some(kind) = payload.get("targetType") else {
        faults.add(fields::missing(&["targetType"]));
        return None;
    };
    let kind = match kind {
        Value::Text(kind) => kind.trim().to_ascii_uppercase(),
        _ => String::new(),
    };
    match kind.as_str() {
        "PRODUCT" => faults
            .keep_optional(fields::id(payload, &["targetId"], ProductId::parse))
            .map(|product| Target { product: Some(product), ..Target::default() }),
        "SELLER" | "VENDOR" => faults
            .keep_optional(fields::id(payload, &["targetId"], VendorId::parse))
            .map(|vendor| Target { vendor: Some(vendor), ..Target::default() }),
        _ => {
            let detail = "targetType must be PRODUCT, SELLER or VENDOR";
            faults.add(Rejection::new(Reason::InvalidIdentifier, detail));
            None
        }
    }
}

fn stars(payload: &Object<'_>) -> Result<Stars, Rejection> {
    let (name, value) = payload.first(&STARS).ok_or_else(|| fields::missing(&["rating"]))?;
    let text = match &value {
        Value::Text(text) => text.trim(),
        Value::Number(number) => number,
        _ => "",
    };
    let number = Amount::parse(text).ok().and_then(|number| number.quantity().ok());
    number.and_then(|number| Stars::new(number.units())).ok_or_else(|| {
        let detail = format!("{name} {:?} is not an integer from 1 to 5", excerpt(text));
        Rejection::new(Reason::InvalidRating, detail).quoting(name)
    })
}

#[cfg(test)]
mod cases;

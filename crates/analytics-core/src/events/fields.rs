//! Reads the fields that several families share, under the names that producers use.
//!
//! A field has a list of names. The first one that is present and neither null nor blank is used;
//! if its value is invalid, the record is rejected and no later name is tried.

use crate::identifier;
use crate::ids::InvalidId;
use crate::json::{Object, Value};
use crate::rejection::{Reason, Rejection};
use crate::time::{EventTime, InvalidTime};

use super::{Input, time};

pub(super) const USER: [&str; 4] = ["userId", "user_id", "buyerId", "customerId"];
pub(super) const PRODUCT: [&str; 2] = ["productId", "product_id"];
pub(super) const VENDOR: [&str; 4] = ["vendorId", "sellerId", "vendor_id", "seller_id"];
pub(super) const TIME: [&str; 6] = ["occurredAt", "viewedAt", "placedAt", "registeredAt", CREATED_AT, "timestamp"];
/// As `TIME`, with `updatedAt`, which changed products and vendors have, and which is later than
/// `createdAt`.
pub(super) const NAMING_TIME: [&str; 7] = RATING_TIME;
/// As `TIME`, with `updatedAt`, which edited ratings have.
pub(super) const RATING_TIME: [&str; 7] =
    ["occurredAt", "viewedAt", "placedAt", "registeredAt", "updatedAt", CREATED_AT, "timestamp"];
/// As `TIME`, with the names that cancellations and refunds have.
pub(super) const REVERSAL_TIME: [&str; 10] = [
    "occurredAt",
    "cancelledAt",
    "canceledAt",
    "refundedAt",
    "cancelled_at",
    "refunded_at",
    "updatedAt",
    "changedAt",
    CREATED_AT,
    "timestamp",
];
/// As `TIME`, with the names that payments have.
pub(super) const PAYMENT_TIME: [&str; 7] =
    ["occurredAt", "paidAt", "paid_at", "updatedAt", "changedAt", CREATED_AT, "timestamp"];
pub(super) const CREATED_AT: &str = "createdAt";

/// The time of an event, and where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) at: EventTime,
    pub(super) source: TimeSource,
}

/// Where a time was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeSource {
    /// In the payload, under this name.
    Payload(&'static str),
    /// In the envelope around the payload.
    Envelope,
    /// The timestamp of the Kafka record.
    Record,
    /// No time was given: the time of decoding.
    Clock,
}

/// Reads an id that may have one of several names; `None` if the object has none of them.
pub(super) fn id<T>(
    object: &Object<'_>,
    names: &[&'static str],
    parse: impl Fn(&str) -> Result<T, InvalidId>,
) -> Result<Option<T>, Rejection> {
    let Some((name, value)) = object.first(names) else { return Ok(None) };
    let text = identifier::text(name, value)?;
    parse(&text).map(Some).map_err(|error| identifier::invalid(name, error))
}

/// The same as `id` for an id that the family requires.
pub(super) fn needed_id<T>(
    object: &Object<'_>,
    names: &[&'static str],
    parse: impl Fn(&str) -> Result<T, InvalidId>,
) -> Result<T, Rejection> {
    id(object, names, parse)?.ok_or_else(|| missing(names))
}

/// Creates the rejection of an object that has none of these names.
pub(super) fn missing(names: &[&'static str]) -> Rejection {
    Rejection::new(Reason::MissingField, format!("{} is missing", names.join(" or ")))
}

/// Reads a short text such as a role; a value that is not a string or a number is treated as
/// absent.
pub(super) fn label(object: &Object<'_>, name: &str) -> Option<String> {
    match object.get(name)? {
        Value::Text(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_owned()),
        _ => None,
    }
}

/// Reads the time of the event: from the payload, else the envelope, else the Kafka record, else
/// the current time.
pub(super) fn event_time(input: &Input<'_>, names: &[&'static str]) -> Result<Time, Rejection> {
    let in_payload = input.envelope.payload.first(names);
    let in_envelope = || input.envelope.time.clone().map(|value| ("the envelope's time", value));
    let (name, source, read) = if let Some((name, value)) = in_payload {
        (name, TimeSource::Payload(name), parse_time(input, &value))
    } else if let Some((name, value)) = in_envelope() {
        (name, TimeSource::Envelope, parse_time(input, &value))
    } else if let Some(millis) = input.record.place.timestamp {
        let time = millis.checked_mul(1000).map(EventTime::from_micros).ok_or(InvalidTime::OutOfRange);
        ("the record's timestamp", TimeSource::Record, time)
    } else {
        ("the clock", TimeSource::Clock, Ok(input.now.into()))
    };
    read.and_then(|time| time.within_range(input.now))
        .map(|at| Time { at, source })
        .map_err(|error| Rejection::new(Reason::InvalidTimestamp, format!("{name} {error}")))
}

fn parse_time(input: &Input<'_>, value: &Value<'_>) -> Result<EventTime, InvalidTime> {
    match value {
        Value::Text(text) => time::text(text, input.decoder.business.calendar),
        Value::Number(number) => time::epoch(number),
        _ => Err(InvalidTime::Unreadable),
    }
}

//! Decodes `order.paid`, and finds payments in `order.created` and `order.status.updated`.
//!
//! An order is paid once, whichever topic says so and at whatever time, so the natural identity of its payment is the
//! order's.

use crate::event::Content;
use crate::family::Family;
use crate::identity::{Realm, order_key};
use crate::ids::{OrderId, UserId};
use crate::json::{Object, Value};
use crate::rejection::{Faults, Rejection};
use crate::topics::EventType;

use super::{Decoded, Input, fields, order_created};

const STATUS: [&str; 2] = ["paymentStatus", "payment_status"];
/// The states of a payment in which the marketplace has the money. One that is only authorized is not among them.
const PAID: [&str; 6] = ["PAID", "COMPLETED", "CAPTURED", "SETTLED", "SUCCEEDED", "SUCCESS"];

/// `order.paid`.
pub(super) fn paid(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let payload = &input.envelope.payload;
    let mut faults = Faults::default();
    let order = faults.keep(fields::needed_id(payload, &order_created::ORDER, OrderId::parse));
    let user = faults.keep_optional(fields::id(payload, &fields::USER, UserId::parse));
    let time = faults.keep(fields::event_time(input, &fields::PAYMENT_TIME));
    let key = order.as_ref().map(|order| order_key(order, input.realm().namespace));
    let event_type = EventType::Counted(Family::OrderPaid);
    let natural = Realm { event_type: &event_type, ..input.realm() }.natural();
    let decoded = order.zip(key).zip(time).map(|((order, key), time)| Decoded {
        natural: Some(natural.text(order.as_str())),
        user,
        time,
        compared: Vec::new(),
        content: Content::Payment(key),
    });
    faults.finish(decoded).map_err(|rejection| rejection.about(key))
}

/// Whether the record of an order says that it is paid.
pub(super) fn is_paid(payload: &Object<'_>) -> bool {
    let Some((_, Value::Text(status))) = payload.first(&STATUS) else { return false };
    PAID.contains(&status.trim().to_ascii_uppercase().as_str())
}

#[cfg(test)]
mod cases;

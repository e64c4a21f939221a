//! Decodes `order.cancelled`, `order.refunded` and `order.status.updated`: what takes back an order or a part of
//! it.
//!
//! The natural identity of a refund is its id. An order is cancelled as a whole once, whichever topic says so and
//! at whatever time, so that identity is the order's; of a cancellation of items it includes them and the time.

use crate::event::Content;
use crate::family::Family;
use crate::identity::{Fingerprint, IdentityKey, Realm, order_key};
use crate::ids::{OrderId, ProductId, RefundId, UserId, VendorId};
use crate::json::{Object, Value};
use crate::money::{Currency, Quantity};
use crate::rejection::{Faults, Reason, Rejection};
use crate::reversal::{Claim, Item, MOST_ITEMS, Reversal, Told};
use crate::topics::EventType;

use super::fields::TimeSource;
use super::{Decoded, Input, fields, money, order_created, payments};

const ORDER: [&str; 2] = ["orderId", "order_id"];
const REFUND: [&str; 3] = ["refundId", "refund_id", "id"];
const ITEMS: [&str; 4] = ["items", "orderItems", "lines", "refundItems"];
const AMOUNT: [&str; 5] = ["amount", "refundAmount", "totalAmount", "total", "totalPrice"];
const ITEM_AMOUNT: [&str; 5] = ["amount", "refundAmount", "totalPrice", "lineTotal", "total"];
const STATUS: [&str; 4] = ["status", "newStatus", "orderStatus", "new_status"];
const CANCELLED: [&str; 2] = ["CANCELLED", "CANCELED"];
const PAID: &str = "PAID";

/// `order.cancelled`.
pub(super) fn cancelled(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let mut faults = Faults::default();
    // Amounts of a cancellation are not read: it takes what its items have left.
    let items = faults.keep(items(&input.envelope.payload, |_| Ok(None)));
    cancellation(input, items, faults)
}

/// `order.status.updated`. Of a status other than a cancellation or a payment nothing is needed and nothing is
/// counted.
pub(super) fn status(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let status = match input.envelope.payload.first(&STATUS) {
        Some((_, Value::Text(status))) => status.trim().to_ascii_uppercase(),
        Some((name, _)) => return Err(Rejection::new(Reason::MissingField, format!("{name} must be a string"))),
        None if payments::is_paid(&input.envelope.payload) => PAID.to_owned(),
        None => return Err(fields::missing(&STATUS)),
    };
    if CANCELLED.contains(&status.as_str()) {
        return cancellation(input, Some(Vec::new()), Faults::default());
    }
    // Not a `paymentStatus` beside another status: that stays the same in every later record of the order.
    if status == PAID {
        return payments::paid(input);
    }
    let mut faults = Faults::default();
    let order = faults.keep_optional(fields::id(&input.envelope.payload, &order_created::ORDER, OrderId::parse));
    let user = faults.keep_optional(fields::id(&input.envelope.payload, &fields::USER, UserId::parse));
    let time = faults.keep(fields::event_time(input, &fields::REVERSAL_TIME));
    let compared = vec![order.map(|order| order.to_string()), Some(status)];
    faults.finish(time.map(|time| Decoded { user, time, compared, content: Content::Nothing, natural: None }))
}

/// `order.refunded`.
pub(super) fn refunded(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let payload = &input.envelope.payload;
    let mut faults = Faults::default();
    let refund = faults.keep(fields::needed_id(payload, &REFUND, RefundId::parse));
    let order = faults.keep(fields::needed_id(payload, &ORDER, OrderId::parse));
    let user = faults.keep_optional(fields::id(payload, &fields::USER, UserId::parse));
    let currency = faults.keep_optional(money::currency(payload));
    let amount = faults.keep(told(payload, &AMOUNT, currency));
    let items = faults.keep(items(payload, |item| {
        let own = money::currency(item)?;
        told(item, &ITEM_AMOUNT, own.or(currency))
    }));
    let claim = match (items, amount) {
        (Some(items), _) if !items.is_empty() => Some(Claim::RefundedItems(items)),
        (Some(_), Some(Some(told))) => Some(Claim::Refunded(told)),
        (Some(_), Some(None)) => {
            faults.add(fields::missing(&["items", "amount"]));
            None
        }
        _ => None,
    };
    let time = faults.keep(fields::event_time(input, &fields::REVERSAL_TIME));
    let key = order.as_ref().map(|order| key(input, order));
    let decoded = refund.zip(key).zip(claim).zip(time).map(|(((refund, order), claim), time)| Decoded {
        natural: Some(input.natural().text(refund.as_str())),
        user,
        time,
        compared: vec![Some(refund.to_string())],
        content: Content::Reversal(Reversal { order, order_event: None, claim, entries: Vec::new() }),
    });
    faults.finish(decoded).map_err(|rejection| rejection.about(key))
}

fn cancellation(input: &Input<'_>, items: Option<Vec<Item>>, mut faults: Faults) -> Result<Decoded, Rejection> {
    let payload = &input.envelope.payload;
    let order = faults.keep(fields::needed_id(payload, &order_created::ORDER, OrderId::parse));
    let user = faults.keep_optional(fields::id(payload, &fields::USER, UserId::parse));
    let time = faults.keep(fields::event_time(input, &fields::REVERSAL_TIME));
    let key = order.as_ref().map(|order| key(input, order));
    let decoded = key.zip(items).zip(time).map(|((order, items), time)| {
        let whole = natural(input).text(&order.0.to_string());
        let (claim, natural) = if items.is_empty() {
            (Claim::Cancelled, whole.text("cancelled"))
        } else {
            let claim = Claim::CancelledItems(items);
            let of_items = whole.text("items").text(&claim.to_json());
            // The time of a record is another one when the producer sends it again.
            let has_time = matches!(time.source, TimeSource::Payload(_) | TimeSource::Envelope);
            (claim, if has_time { of_items.number(time.at.micros()) } else { of_items })
        };
        let content = Content::Reversal(Reversal { order, order_event: None, claim, entries: Vec::new() });
        Decoded { natural: Some(natural), user, time, compared: Vec::new(), content }
    });
    faults.finish(decoded).map_err(|rejection| rejection.about(key))
}

/// Starts the natural identity of a cancellation, which is the same in every family that can say it.
fn natural(input: &Input<'_>) -> Fingerprint {
    let event_type = EventType::Counted(Family::OrderCancelled);
    Realm { event_type: &event_type, ..input.realm() }.natural()
}

/// Returns the identity of the order that a record is about.
fn key(input: &Input<'_>, order: &OrderId) -> IdentityKey {
    order_key(order, input.realm().namespace)
}

/// Reads the items that a reversal names; empty if it names none. One bad item rejects it.
fn items(
    payload: &Object<'_>,
    amount: impl Fn(&Object<'_>) -> Result<Option<Told>, Rejection>,
) -> Result<Vec<Item>, Rejection> {
    let Some((name, value)) = payload.first(&ITEMS) else { return Ok(Vec::new()) };
    let no_items = || Rejection::new(Reason::MissingField, format!("{name} must be an array of items"));
    let items = value.items().ok_or_else(no_items)?;
    if items.len() > MOST_ITEMS {
        let detail = format!("{name} has {} items, at most {MOST_ITEMS} are allowed", items.len());
        return Err(Rejection::new(Reason::TooLarge, detail));
    }
    let read = |(index, item): (usize, &Value<'_>)| {
        let item = item.object().ok_or_else(|| Rejection::new(Reason::MissingField, "must be an object"));
        let item = item.and_then(|item| self::item(&item, &amount));
        item.map_err(|fault| fault.within(format_args!("item {}", index + 1)))
    };
    let mut faults = Faults::default();
    let items: Vec<Option<Item>> = items.iter().enumerate().map(|item| faults.keep(read(item))).collect();
    faults.finish(items.into_iter().collect())
}

fn item(item: &Object<'_>, amount: impl Fn(&Object<'_>) -> Result<Option<Told>, Rejection>) -> Result<Item, Rejection> {
    let mut faults = Faults::default();
    let product = faults.keep_optional(fields::id(item, &fields::PRODUCT, ProductId::parse));
    let vendor = faults.keep_optional(fields::id(item, &fields::VENDOR, VendorId::parse));
    let quantity = faults.keep_optional(money::quantity_if_named(item));
    let amount = faults.keep(amount(item));
    // Without an amount, what it takes depends on whose units it means.
    if matches!(amount, Some(None))
        && [&fields::PRODUCT[..], &fields::VENDOR].iter().all(|names| item.first(names).is_none())
    {
        faults.add(fields::missing(&["productId", "vendorId"]));
    }
    faults.finish(Some(Item { product, vendor, quantity, amount: amount.flatten() }))
}

/// Reads an amount as it was told. Without a currency it is as large as any currency allows.
fn told(object: &Object<'_>, names: &[&'static str], currency: Option<Currency>) -> Result<Option<Told>, Rejection> {
    let Some((name, amount)) = money::amount(object, names)? else { return Ok(None) };
    if let Some(currency) = currency.or_else(|| Currency::parse("JPY")) {
        let minor = amount.times(Quantity::ONE, currency);
        minor.map_err(|error| Rejection::new(Reason::InvalidAmount, format!("{name} {error}")))?;
    }
    Ok(Some(Told { amount, currency }))
}

#[cfg(test)]
mod cases;

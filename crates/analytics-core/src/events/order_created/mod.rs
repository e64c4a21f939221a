//! Decodes `order.created`: an order of one or more lines. Its natural identity is the order id.

use crate::event::{Content, Line, Part, Sale, Vendor};
use crate::identity::IdentityKey;
use crate::ids::{OrderId, ProductId, UserId, VendorId};
use crate::json::{self, Object, Value};
use crate::money::{Amount, Currency, Minor, Quantity};
use crate::rejection::{Faults, Reason, Rejection};

use super::{Decoded, Input, OrderCounts, fields, money, payments};

pub(super) const ORDER: [&str; 3] = ["orderId", "order_id", "id"];
const ITEMS: [&str; 3] = ["items", "orderItems", "lines"];
const TOTAL: [&str; 3] = ["totalAmount", "total", "amount"];
const LINE_TOTAL: [&str; 2] = ["totalPrice", "lineTotal"];
const UNIT_PRICE: [&str; 2] = ["unitPrice", "price"];

/// Values of the order that apply to lines that do not have their own.
struct Defaults {
    vendor: Vendor,
    currency: Currency,
}

pub(super) fn decode(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let payload = &input.envelope.payload;
    let mut faults = Faults::default();
    let order = faults.keep(fields::needed_id(payload, &ORDER, OrderId::parse));
    let user = faults.keep_optional(fields::id(payload, &fields::USER, UserId::parse));
    let vendor = faults.keep_optional(fields::id(payload, &fields::VENDOR, VendorId::parse));
    let currency = faults.keep_optional(money::currency(payload));
    let defaults = Defaults {
        vendor: vendor.map_or(Vendor::Unknown, Vendor::OfOrder),
        currency: currency.unwrap_or(input.decoder.business.base_currency),
    };
    let total = faults.keep(total_line(payload, &defaults));
    let lines = match faults.keep(items(payload)) {
        Some(items) if items.is_empty() => {
            if matches!(total, Some(None)) {
                faults.add(fields::missing(&["items", "totalAmount"]));
            }
            total.flatten().map(|line| vec![line])
        }
        Some(items) => lines(&items, &defaults, &mut faults),
        None => None,
    };
    let time = faults.keep(fields::event_time(input, &fields::TIME));
    let natural = |order: &OrderId| input.natural().text(order.as_str());
    let key = order.as_ref().map(|order| IdentityKey(natural(order).finish()));
    let decoded = order.zip(lines).zip(time).map(|((order, lines), time)| Decoded {
        natural: Some(natural(&order)),
        user,
        time,
        compared: vec![Some(order.to_string())],
        content: match input.decoder.order_counts {
            OrderCounts::Paid if !payments::is_paid(payload) => Content::Unpaid(lines),
            OrderCounts::Paid | OrderCounts::Created => Content::Lines(lines),
        },
    });
    faults.finish(decoded).map_err(|rejection| rejection.about(key))
}

/// Which of the lines of a logged order name their vendor themselves, and whether the order does:
/// read from its payload.
pub(crate) fn named_vendors(payload: &str) -> Option<(Vec<bool>, bool)> {
    let payload = json::object(payload).ok()?;
    let names_vendor = |object: &Object<'_>| object.first(&fields::VENDOR).is_some();
    let lines = match payload.first(&ITEMS).and_then(|(_, items)| items.items()) {
        Some(items) if !items.is_empty() => {
            items.iter().map(|item| item.object().as_ref().is_some_and(names_vendor)).collect()
        }
        _ => vec![false],
    };
    Some((lines, names_vendor(&payload)))
}

/// Reads the order's items; empty if it lists none.
fn items<'a>(payload: &Object<'a>) -> Result<Vec<Value<'a>>, Rejection> {
    let Some((name, value)) = payload.first(&ITEMS) else { return Ok(Vec::new()) };
    value.items().ok_or_else(|| Rejection::new(Reason::MissingField, format!("{name} must be an array of lines")))
}

/// Reads the order's total as one line of one unit, which is used if the order lists no items.
fn total_line(payload: &Object<'_>, defaults: &Defaults) -> Result<Option<Line>, Rejection> {
    let Some((name, total)) = money::amount(payload, &TOTAL)? else { return Ok(None) };
    let (quantity, currency) = (Quantity::ONE, defaults.currency);
    let sale = Sale { quantity, amount: amount(name, total, quantity, currency)?, currency };
    Ok(Some(Line { part: Part { product: None, vendor: defaults.vendor.clone() }, sale }))
}

fn lines(items: &[Value<'_>], defaults: &Defaults, faults: &mut Faults) -> Option<Vec<Line>> {
    let read = |(index, item): (usize, &Value<'_>)| {
        let mut of_line = Faults::default();
        let line = match item.object() {
            Some(object) => line(&object, defaults, &mut of_line),
            None => {
                of_line.add(Rejection::new(Reason::MissingField, "must be an object"));
                None
            }
        };
        faults.keep(of_line.finish(line).map_err(|fault| fault.within(format_args!("line {}", index + 1))))
    };
    // All lines are read even if one is invalid, so that the first reason in the order of checking
    // is reported.
    let read: Vec<_> = items.iter().enumerate().map(read).collect();
    read.into_iter().collect()
}

fn line(item: &Object<'_>, defaults: &Defaults, faults: &mut Faults) -> Option<Line> {
    let product = faults.keep_optional(fields::id(item, &fields::PRODUCT, ProductId::parse));
    let vendor = faults.keep_optional(fields::id(item, &fields::VENDOR, VendorId::parse));
    let currency = faults.keep_optional(money::currency(item)).unwrap_or(defaults.currency);
    let quantity = faults.keep(money::quantity(item));
    let line_total = faults.keep(money::amount(item, &LINE_TOTAL));
    let unit_price = faults.keep(money::amount(item, &UNIT_PRICE));
    let (line_total, unit_price, quantity) = (line_total?, unit_price?, quantity?);
    let amount = match (line_total, unit_price) {
        (Some((name, total)), _) => amount(name, total, Quantity::ONE, currency),
        (None, Some((name, price))) => amount(name, price, quantity, currency),
        (None, None) => Err(fields::missing(&["totalPrice", "unitPrice"])),
    };
    let sale = Sale { quantity, amount: faults.keep(amount)?, currency };
    let vendor = vendor.map_or_else(|| defaults.vendor.clone(), Vendor::Named);
    Some(Line { part: Part { product, vendor }, sale })
}

/// Returns the price times the quantity.
fn amount(name: &str, price: Amount, quantity: Quantity, currency: Currency) -> Result<Minor, Rejection> {
    let amount = price.times(quantity, currency);
    amount.map_err(|error| Rejection::new(Reason::InvalidAmount, format!("{name} {error}")))
}

#[cfg(test)]
mod cases;

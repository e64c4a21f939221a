//! Tests of decoding orders: the lines or the rejection that results.

use serde_json::{Value, json};

use crate::event::{Line, Vendor};
use crate::events::tests::{lines, reason};
use crate::rejection::Reason;

/// Formats a line as product, vendor, units, minor units and currency; a vendor named only by the
/// order is in parentheses.
fn shown(Line { part, sale }: &Line) -> String {
    let vendor = match &part.vendor {
        Vendor::Named(id) => format!("{id}"),
        Vendor::OfOrder(id) => format!("({id})"),
        Vendor::Learned(_) | Vendor::Unknown => "-".into(),
    };
    let product = part.product.as_ref().map_or("-", |id| id.as_str());
    format!("{product} {vendor} {}x {} {}", sale.quantity.units(), sale.amount.0, sale.currency)
}

#[test]
fn lines_take_what_they_lack_from_their_order() {
    for (payload, expected) in [
        (json!({ "id": 1, "items": [{ "productId": "p", "price": "2.00", "qty": "3" }] }), vec!["p - 3x 600 USD"]),
        (
            json!({ "id": 1, "vendorId": "v", "currency": "jpy", "items": [{ "price": 100.5 }, { "sellerId": "w", "price": 1, "currency": "KWD" }] }),
            vec!["- (v) 1x 101 JPY", "- w 1x 1000 KWD"],
        ),
        (
            json!({ "id": 1, "items": [{ "unitPrice": 5, "quantity": 2, "totalPrice": "9.005" }] }),
            vec!["- - 2x 901 USD"],
        ),
        (json!({ "id": 1, "total": "99", "items": [{ "price": "1e-2", "quantity": 0 }] }), vec!["- - 0x 0 USD"]),
        (json!({ "id": 1, "total": "19.99", "vendorId": "v" }), vec!["- (v) 1x 1999 USD"]),
        (json!({ "id": 1, "total": 0, "items": [] }), vec!["- - 1x 0 USD"]),
        (json!({ "id": 1, "total": 3, "items": null, "currency": "EUR" }), vec!["- - 1x 300 EUR"]),
    ] {
        assert_eq!(lines(&payload).iter().map(shown).collect::<Vec<_>>(), expected, "{payload}");
    }
}

#[test]
fn one_bad_line_rejects_the_order() {
    let order = |line: Value| json!({ "id": 1, "items": [{ "price": 1 }, line] });
    for (line, expected) in [
        (json!({}), Reason::MissingField),
        (json!("x"), Reason::MissingField),
        (json!({ "price": 1, "productId": 1.5 }), Reason::InvalidIdentifier),
        (json!({ "price": -1 }), Reason::InvalidAmount),
        (json!({ "price": "1,000" }), Reason::InvalidAmount),
        (json!({ "price": true }), Reason::InvalidAmount),
        (json!({ "price": 1, "quantity": 1.5 }), Reason::InvalidAmount),
        (json!({ "price": 1, "quantity": -1 }), Reason::InvalidAmount),
        (json!({ "price": 1, "quantity": 1_000_001 }), Reason::InvalidAmount),
        (json!({ "price": "10000000000.01" }), Reason::InvalidAmount),
        (json!({ "price": 1, "currency": "XYZ" }), Reason::InvalidAmount),
        (json!({ "price": 1, "currency": 840 }), Reason::InvalidAmount),
    ] {
        assert_eq!(reason("order.created", &order(line.clone())), expected, "{line}");
    }
}

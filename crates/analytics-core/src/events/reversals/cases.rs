//! Tests of decoding cancellations and refunds: what they claim, or the rejection that results.

use serde_json::{Value, json};

use crate::event::{Content, Event};
use crate::events::tests::{decode, decoder, reason, record};
use crate::rejection::Reason;

/// Returns what a reversal says; `-` for an event that is none.
fn claim(event: &Event) -> String {
    match &event.content {
        Content::Reversal(reversal) => reversal.claim.to_json(),
        Content::Nothing => "-".into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reversals_say_what_they_take() {
    for (topic, payload, expected) in [
        ("order.cancelled", json!({ "orderId": 1 }), r#"{"kind":"cancellation"}"#),
        ("order.cancelled", json!({ "id": "o", "items": [] }), r#"{"kind":"cancellation"}"#),
        (
            "order.cancelled",
            json!({ "order_id": "o", "items": [{ "productId": "p", "qty": 2 }, { "sellerId": "v", "amount": "x" }] }),
            r#"{"kind":"cancellation","items":[{"product":"p","quantity":2},{"vendor":"v"}]}"#,
        ),
        ("order.status.updated", json!({ "orderId": 1, "status": "cancelled" }), r#"{"kind":"cancellation"}"#),
        ("order.status.updated", json!({ "id": 1, "newStatus": " Canceled " }), r#"{"kind":"cancellation"}"#),
        ("order.status.updated", json!({ "orderId": 1, "status": "SHIPPED" }), "-"),
        ("order.status.updated", json!({ "status": "shipped" }), "-"),
        (
            "order.refunded",
            json!({ "refundId": "r", "orderId": "o", "amount": "12.50", "currency": "eur" }),
            r#"{"kind":"refund","amount":"125e-1","currency":"EUR"}"#,
        ),
        (
            "order.refunded",
            json!({ "id": 7, "orderId": "o", "amount": 3, "items": null }),
            r#"{"kind":"refund","amount":"3e0"}"#,
        ),
        (
            "order.refunded",
            json!({ "refundId": "r", "orderId": "o", "currency": "EUR", "amount": 99, "items": [
                { "productId": "p", "vendorId": "v", "quantity": 1, "amount": 3 }, { "productId": "q", "amount": 1, "currency": "JPY" } ] }),
            r#"{"kind":"refund","items":[{"product":"p","vendor":"v","quantity":1,"amount":"3e0","currency":"EUR"},{"product":"q","amount":"1e0","currency":"JPY"}]}"#,
        ),
    ] {
        assert_eq!(claim(&decode(topic, &payload)), expected, "{topic} {payload}");
    }
}

#[test]
fn what_cannot_be_a_reversal_is_rejected() {
    let refund = |field: &str, value: Value| {
        let mut refund = json!({ "refundId": "r", "orderId": "o", "amount": 1 });
        refund[field] = value;
        refund
    };
    for (topic, payload, expected) in [
        ("order.cancelled", json!({}), Reason::MissingField),
        ("order.cancelled", json!({ "orderId": 1.5 }), Reason::InvalidIdentifier),
        ("order.cancelled", json!({ "orderId": 1, "items": 3 }), Reason::MissingField),
        ("order.cancelled", json!({ "orderId": 1, "items": [3] }), Reason::MissingField),
        (
            "order.cancelled",
            json!({ "orderId": 1, "items": [{ "productId": 1, "quantity": -1 }] }),
            Reason::InvalidAmount,
        ),
        ("order.cancelled", json!({ "orderId": 1, "items": [{ "orderItemId": 5 }] }), Reason::MissingField),
        ("order.cancelled", json!({ "orderId": 1, "items": vec![json!({ "productId": 1 }); 1_001] }), Reason::TooLarge),
        ("order.refunded", refund("items", json!([{ "quantity": 1 }])), Reason::MissingField),
        ("order.cancelled", json!({ "orderId": 1, "cancelledAt": "soon" }), Reason::InvalidTimestamp),
        ("order.status.updated", json!({ "orderId": 1 }), Reason::MissingField),
        ("order.status.updated", json!({ "orderId": 1, "status": 3 }), Reason::MissingField),
        ("order.status.updated", json!({ "status": "CANCELLED" }), Reason::MissingField),
        ("order.refunded", refund("refundId", Value::Null), Reason::MissingField),
        ("order.refunded", refund("orderId", Value::Null), Reason::MissingField),
        ("order.refunded", refund("amount", Value::Null), Reason::MissingField),
        ("order.refunded", refund("amount", json!(-1)), Reason::InvalidAmount),
        ("order.refunded", refund("amount", json!("10000000000000")), Reason::InvalidAmount),
        ("order.refunded", refund("currency", json!("XYZ")), Reason::InvalidAmount),
        ("order.refunded", refund("items", json!([{ "productId": true }])), Reason::InvalidIdentifier),
        ("order.refunded", refund("items", json!([{ "amount": 1 }, { "amount": -1 }])), Reason::InvalidAmount),
        ("order.refunded", refund("refundedAt", json!("1999-01-01")), Reason::InvalidTimestamp),
    ] {
        assert_eq!(reason(topic, &payload), expected, "{topic} {payload}");
    }
}

#[test]
fn an_order_is_cancelled_once_whoever_says_so_and_when() {
    let whole =
        decode("order.cancelled", &json!({ "orderId": 1, "cancelledAt": "2026-11-01T00:00:00Z", "reason": "x" }));
    let other = decode(
        "order.status.updated",
        &json!({ "orderId": "1", "userId": "u", "status": "CANCELLED", "updatedAt": "2026-11-02T00:00:00Z" }),
    );
    assert_eq!((&whole.keys, whole.digest), (&other.keys, other.digest));
    let items = |time: &str| {
        let items = json!([{ "productId": "p" }]);
        decode("order.cancelled", &json!({ "orderId": 1, "cancelledAt": time, "items": items }))
    };
    let (early, late) = (items("2026-11-01T00:00:00Z"), items("2026-11-02T00:00:00Z"));
    assert!(early.keys != late.keys && early.keys != whole.keys);
    // Sent again, a record has another timestamp.
    let [first, again] = ["1795345200000", "1795345200001"].map(|stamp| {
        let mut record = record("order.cancelled", r#"{"orderId":1,"items":[{"productId":"p"}]}"#, &[]);
        record.place.timestamp = stamp.parse().ok();
        decoder().decode(&record, "2026-11-22T12:00:00Z".parse().unwrap()).unwrap()
    });
    assert_eq!((first.keys, first.digest), (again.keys, again.digest));
    // Both name the order as orders themselves do.
    let order = decode("order.created", &json!({ "id": 1, "total": 1 }));
    assert_eq!(Some(whole.content.reversal().unwrap().order), order.order());
}

#[test]
fn a_refund_is_identified_by_its_id() {
    let refund =
        |id: &str, amount: i64| decode("order.refunded", &json!({ "refundId": id, "orderId": 1, "amount": amount }));
    assert_eq!(refund("r", 1).keys, refund("r", 2).keys);
    assert_ne!(refund("r", 1).digest, refund("r", 2).digest);
    assert_ne!(refund("r", 1).keys, refund("s", 1).keys);
}

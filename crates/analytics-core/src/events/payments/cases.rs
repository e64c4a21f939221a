//! Tests of decoding payments, and orders that are not paid.

use serde_json::{Value, json};

use crate::event::{Content, Event};
use crate::events::tests::{decode, decode_with, decoder, reason, record};
use crate::events::{Decoder, OrderCounts};
use crate::rejection::Reason;

/// Decodes a record where orders count when they are paid.
fn when_paid(topic: &str, payload: &Value) -> Event {
    let decoder = Decoder { order_counts: OrderCounts::Paid, ..decoder() };
    decoder.decode(&record(topic, &payload.to_string(), &[]), "2026-11-22T12:00:00Z".parse().unwrap()).unwrap()
}

#[test]
fn an_order_says_itself_whether_it_is_paid() {
    let order = |field: &str, status: Value| {
        let mut order = json!({ "orderId": "o", "total": 1 });
        order[field] = status;
        order
    };
    for (field, status, is_paid) in [
        ("paymentStatus", json!("PAID"), true),
        ("paymentStatus", json!(" paid "), true),
        ("payment_status", json!("captured"), true),
        ("paymentStatus", json!("COMPLETED"), true),
        ("paymentStatus", json!("Succeeded"), true),
        ("paymentStatus", json!("PENDING"), false),
        ("paymentStatus", json!("AUTHORIZED"), false),
        ("paymentStatus", json!("UNPAID"), false),
        ("paymentStatus", json!(""), false),
        ("paymentStatus", json!(null), false),
        ("paymentStatus", json!(true), false),
        ("paymentStatus", json!({ "paid": true }), false),
        ("status", json!("PAID"), false),
    ] {
        let order = order(field, status);
        assert_eq!(!when_paid("order.created", &order).content.is_unpaid(), is_paid, "{order}");
        assert!(!decode("order.created", &order).content.is_unpaid(), "{order}");
    }
}

#[test]
fn an_order_is_the_same_one_whether_it_is_paid_or_not() {
    let (paid, unpaid) =
        (json!({ "orderId": "o", "total": 1, "paymentStatus": "PAID" }), json!({ "orderId": "o", "total": 1 }));
    let (paid, unpaid) = (when_paid("order.created", &paid), when_paid("order.created", &unpaid));
    assert_eq!((paid.id, &paid.keys, paid.digest), (unpaid.id, &unpaid.keys, unpaid.digest));
    assert_eq!(crate::seal::seal(&paid, 2), crate::seal::seal(&unpaid, 2));
}

#[test]
fn a_payment_names_its_order() {
    let order = decode("order.created", &json!({ "orderId": "o", "total": 1 })).order();
    for (topic, payload, is_payment) in [
        ("order.paid", json!({ "orderId": "o", "paidAt": "2026-11-20T10:00:00Z" }), true),
        ("order.paid", json!({ "order_id": "o" }), true),
        ("order.paid", json!({ "id": "o", "paymentStatus": "whatever" }), true),
        ("order.status.updated", json!({ "orderId": "o", "status": "PAID" }), true),
        ("order.status.updated", json!({ "orderId": "o", "paymentStatus": "PAID" }), true),
        ("order.status.updated", json!({ "orderId": "o", "status": "SHIPPED", "paymentStatus": "PAID" }), false),
        ("order.status.updated", json!({ "orderId": "o", "status": "CANCELLED", "paymentStatus": "PAID" }), false),
        ("order.status.updated", json!({ "orderId": "o", "status": "UNPAID" }), false),
    ] {
        let event = decode(topic, &payload);
        assert_eq!(event.content.payment(), order.filter(|_| is_payment), "{topic} {payload}");
    }
    let time = |name: &str| decode("order.paid", &json!({ "orderId": "o", name: "2026-11-20T10:00:00Z" })).time;
    for name in ["paidAt", "paid_at", "occurredAt", "createdAt", "timestamp"] {
        assert_eq!(time(name), time("paidAt"), "{name}");
    }
}

#[test]
fn an_order_is_paid_once_whoever_says_so_and_when() {
    let said = [
        ("order.paid", json!({ "orderId": "o", "paidAt": "2026-11-20T10:00:00Z" })),
        ("order.paid", json!({ "orderId": "o", "paidAt": "2026-11-21T10:00:00Z", "userId": "u" })),
        ("order.status.updated", json!({ "orderId": "o", "status": "paid" })),
    ]
    .map(|(topic, payload)| decode(topic, &payload));
    for event in &said {
        assert_eq!((&event.natural, event.digest), (&said[0].natural, said[0].digest), "{}", event.metadata);
    }
    let other = decode("order.paid", &json!({ "orderId": "p" }));
    assert_ne!(other.natural, said[0].natural);
    assert_ne!(other.digest, said[0].digest, "two orders in records with the same event id are a conflict");
    assert!(matches!(other.content, Content::Payment(_)));
}

#[test]
fn a_payment_without_an_order_is_rejected() {
    for payload in [json!({}), json!({ "orderId": " " }), json!({ "paidAt": "2026-11-20T10:00:00Z" })] {
        assert_eq!(reason("order.paid", &payload), Reason::MissingField, "{payload}");
    }
    let late = json!({ "orderId": "o", "paidAt": "yesterday" });
    let rejection = decode_with("order.paid", &late.to_string(), &[]).unwrap_err();
    assert_eq!(rejection.reason, Reason::InvalidTimestamp);
    assert!(rejection.order.is_some(), "the dead letter is found by the order's id");
}

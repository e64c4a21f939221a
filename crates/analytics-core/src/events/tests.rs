//! Tests of decoding: tables of records and what they are decoded to.

mod identities;

use serde_json::{Value, json};

use super::*;
use crate::event::Line;
use crate::record::{Header, Offset, Place, TopicPartition};
use crate::time::EventTime;

const NOW: &str = "2026-11-22T12:00:00Z";
/// The timestamp of test records: 2026-11-22T11:00:00Z.
const RECORD_TIME: i64 = 1_795_345_200_000;

pub(super) fn decoder() -> Decoder {
    Decoder {
        topics: Topics::parse("", "extra").unwrap(),
        business: Business::parse("USD", "Europe/Vienna").unwrap(),
        redaction: Redaction::default(),
        max_record_bytes: 1000,
        order_counts: OrderCounts::Created,
    }
}

pub(super) fn record(topic: &str, payload: &str, headers: &[(&str, &str)]) -> Record {
    let header = |(name, value): &(&str, &str)| Header { name: (*name).into(), value: Some(value.as_bytes().to_vec()) };
    let partition = TopicPartition { topic: topic.into(), partition: 0 };
    Record {
        place: Place { partition, offset: Offset(7), timestamp: Some(RECORD_TIME) },
        key: None,
        headers: headers.iter().map(header).collect(),
        payload: Some(payload.as_bytes().to_vec()),
    }
}

pub(super) fn decode_with(topic: &str, payload: &str, headers: &[(&str, &str)]) -> Result<Event, Rejection> {
    decoder().decode(&record(topic, payload, headers), NOW.parse().unwrap())
}

pub(super) fn decode(topic: &str, payload: &Value) -> Event {
    decode_with(topic, &payload.to_string(), &[]).unwrap_or_else(|why| panic!("{payload}: {why:?}"))
}

pub(super) fn reason(topic: &str, payload: &Value) -> Reason {
    decode_with(topic, &payload.to_string(), &[]).expect_err(&payload.to_string()).reason
}

pub(super) fn product_of(event: &Event) -> &str {
    event.content.about().0.unwrap().as_str()
}

pub(super) fn lines(payload: &Value) -> Vec<Line> {
    decode("order.created", payload).content.lines().to_vec()
}

#[test]
fn every_name_of_a_field_is_read() {
    for name in ["productId", "product_id"] {
        let event = decode("product.viewed", &json!({ name: " p-1 " }));
        assert_eq!(product_of(&event), "p-1", "{name}");
    }
    for name in ["vendorId", "sellerId", "vendor_id", "seller_id"] {
        let event = decode("product.viewed", &json!({ "productId": 1, name: 2 }));
        assert_eq!(event.content.about().1.unwrap().as_str(), "2", "{name}");
    }
    for name in ["userId", "user_id", "buyerId", "customerId"] {
        let event = decode("product.viewed", &json!({ "productId": 1, name: "u" }));
        assert_eq!(event.user.unwrap().as_str(), "u", "{name}");
    }
    assert_eq!(decode("user.registered", &json!({ "id": "u" })).user.unwrap().as_str(), "u");
    assert_eq!(decode("product.viewed", &json!({ "productId": 1, "id": "u" })).user, None);
    for name in ["orderId", "order_id", "id"] {
        for total in ["totalAmount", "total", "amount"] {
            assert_eq!(lines(&json!({ name: 1, total: 5 }))[0].sale.amount.0, 500, "{name} {total}");
        }
    }
    for items in ["items", "orderItems", "lines"] {
        for price in ["unitPrice", "price", "totalPrice", "lineTotal"] {
            assert_eq!(lines(&json!({ "id": 1, items: [{ price: "1.5" }] }))[0].sale.amount.0, 150, "{items} {price}");
        }
    }
    for name in ["rating", "score", "stars", "value"] {
        let event = decode("rating.updated", &json!({ "userId": 1, "productId": 1, name: "4" }));
        assert_eq!(event.content.rating().unwrap().stars.get(), 4, "{name}");
    }
}

#[test]
fn the_first_name_that_is_neither_null_nor_blank_wins() {
    let user = |payload: Value| decode("product.viewed", &payload).user.map(|id| id.to_string());
    assert_eq!(user(json!({ "productId": 1, "userId": null, "user_id": " ", "buyerId": "b" })).as_deref(), Some("b"));
    assert_eq!(user(json!({ "productId": 1, "customerId": "c", "userId": "a" })).as_deref(), Some("a"));
    // If the value is invalid, no later name is tried.
    assert_eq!(
        reason("product.viewed", &json!({ "productId": 1, "userId": 1.0, "buyerId": "b" })),
        Reason::InvalidIdentifier
    );
    let repeated = r#"{"productId":"first","productId":"last"}"#;
    let event = decode_with("product.viewed", repeated, &[]).unwrap();
    assert_eq!(product_of(&event), "last");
}

#[test]
fn ids_are_strings_or_integers_as_written() {
    let product = |raw: &str| {
        let decoded = decode_with("product.viewed", &format!(r#"{{"productId":{raw}}}"#), &[]);
        decoded.map(|event| product_of(&event).to_owned())
    };
    for (raw, expected) in [
        ("\"A b\"", "A b"),
        ("12", "12"),
        ("-0", "-0"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ] {
        assert_eq!(product(raw).as_deref(), Ok(expected));
    }
    for raw in ["1.0", "1e3", "true", "[]", "{}"] {
        assert_eq!(product(raw).unwrap_err().reason, Reason::InvalidIdentifier, "{raw}");
    }
    assert_eq!(product("\"  \"").unwrap_err().reason, Reason::MissingField);
    assert_eq!(product(&format!("\"{}\"", ":".repeat(22))).unwrap_err().reason, Reason::InvalidIdentifier);
}

#[test]
fn times_come_from_payload_then_envelope_then_record_then_clock() {
    let at = |text: &str| EventTime::from(text.parse::<DateTime<Utc>>().unwrap());
    for (payload, expected) in [
        (
            json!({ "productId": 1, "timestamp": "2026-11-01T00:00:00Z", "occurredAt": 1_793_240_159 }),
            "2026-10-29T02:15:59Z",
        ),
        (json!({ "productId": 1, "createdAt": "2026-11-01" }), "2026-10-31T23:00:00Z"),
        (json!({ "productId": 1, "viewedAt": null, "placedAt": "1793240159591" }), "2026-10-29T02:15:59.591Z"),
        (json!({ "productId": 1, "updatedAt": "2026-11-01T00:00:00Z" }), "2026-11-22T11:00:00Z"),
        (
            json!({ "event": "x", "payload": { "productId": 1 }, "timestamp": "2026-11-02T00:00:00+02:00" }),
            "2026-11-01T22:00:00Z",
        ),
        (
            json!({ "event": "x", "payload": { "productId": 1, "timestamp": 1_793_240_159 }, "timestamp": 0 }),
            "2026-10-29T02:15:59Z",
        ),
    ] {
        assert_eq!(decode("product.viewed", &payload).time, at(expected), "{payload}");
    }
    let rated = json!({ "userId": 1, "productId": 1, "stars": 1, "createdAt": "2026-11-01T00:00:00Z", "updatedAt": "2026-11-02T00:00:00Z" });
    assert_eq!(decode("rating.updated", &rated).time, at("2026-11-02T00:00:00Z"));
    let mut without = record("product.viewed", r#"{"productId":1}"#, &[]);
    without.place.timestamp = None;
    assert_eq!(decoder().decode(&without, NOW.parse().unwrap()).unwrap().time, at(NOW));
    for time in [
        json!("yesterday"),
        json!("2026-11-01T00:00:00"),
        json!(true),
        json!("1999-12-31"),
        json!("2026-11-24"),
        json!(1e300),
    ] {
        assert_eq!(
            reason("product.viewed", &json!({ "productId": 1, "timestamp": time })),
            Reason::InvalidTimestamp,
            "{time}"
        );
    }
}

#[test]
fn the_first_of_several_faults_in_the_order_of_checking_is_reported() {
    for (payload, expected) in [
        (json!({ "items": [{ "price": -1, "productId": true }], "timestamp": "x" }), Reason::MissingField),
        (json!({ "id": 1, "items": [{ "price": -1 }, { "price": 1, "productId": true }] }), Reason::InvalidIdentifier),
        (json!({ "id": 1, "items": [{ "price": -1 }], "timestamp": "x" }), Reason::InvalidAmount),
        (json!({ "id": true, "total": -1 }), Reason::InvalidIdentifier),
        (json!({ "id": 1, "total": -1 }), Reason::InvalidAmount),
    ] {
        assert_eq!(reason("order.created", &payload), expected, "{payload}");
    }
    let rating = json!({ "userId": "u", "productId": "p", "stars": 9, "timestamp": "x" });
    assert_eq!(reason("rating.updated", &rating), Reason::InvalidRating);
}

#[test]
fn only_one_envelope_is_removed() {
    let view = r#"{"productId":"p"}"#;
    let structured = |data: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"x",{data}}}"#);
    let cloud_event = [("Content-Type", "application/cloudevents+json; charset=utf-8")];
    for (what, payload, headers) in [
        ("plain", view.to_owned(), &[][..]),
        ("byte-order mark", format!("\u{FEFF}{view}"), &[]),
        ("structured", structured(&format!(r#""data":{view}"#)), &[]),
        ("by content type", format!(r#"{{"id":"1","source":"s","data":{view}}}"#), &cloud_event[..]),
        ("base64", structured(r#""data_base64":"eyJwcm9kdWN0SWQiOiJwIn0=""#), &[]),
        ("base64 without padding", structured(r#""data_base64":"eyJwcm9kdWN0SWQiOiJwIn0""#), &[]),
        ("binary", view.to_owned(), &[("ce_specversion", "1.0"), ("ce_id", "1"), ("ce_source", "s")]),
        ("eventType", format!(r#"{{"eventType":"x","payload":{view}}}"#), &[]),
        ("type and data", format!(r#"{{"type":"x","data":{view}}}"#), &[]),
        ("event", format!(r#"{{"event":"x","payload":null,"data":{view}}}"#), &[]),
    ] {
        let event = decode_with("product.viewed", &payload, headers).unwrap_or_else(|why| panic!("{what}: {why:?}"));
        assert_eq!(product_of(&event), "p", "{what}");
    }
    for (what, payload, expected) in [
        (
            "twice wrapped",
            format!(r#"{{"event":"x","payload":{{"event":"x","payload":{view}}}}}"#),
            Reason::MissingField,
        ),
        ("type is not a string", format!(r#"{{"type":1,"payload":{view}}}"#), Reason::MissingField),
        ("payload is not an object", r#"{"type":"x","payload":[1]}"#.into(), Reason::MissingField),
        ("data is not an object", structured(r#""data":[1]"#), Reason::NotAnObject),
        ("data is text", structured(r#""data":"x""#), Reason::NotAnObject),
        ("no data", structured(r#""time":"2026-11-01T00:00:00Z""#), Reason::MissingField),
        ("not base64", structured(r#""data_base64":"%%""#), Reason::NotJson),
        ("not JSON in base64", structured(r#""data_base64":"eHg=""#), Reason::NotJson),
        ("NUL in base64", structured(r#""data_base64":"eyJhIjoiXHUwMDAwIn0=""#), Reason::Unstorable),
    ] {
        assert_eq!(decode_with("product.viewed", &payload, &[]).unwrap_err().reason, expected, "{what}");
    }
    // An object that only resembles an envelope is a payload.
    let event = decode("product.viewed", &json!({ "type": "x", "productId": "p", "data": "none" }));
    assert!(event.metadata.contains("\"data\":\"none\""));
}

#[test]
fn the_topic_decides_and_another_declared_type_is_kept() {
    for (payload, headers, kept) in [
        (r#"{"type":"other","payload":{"productId":"p"}}"#, &[][..], r#"{"productId":"p","_declaredType":"other"}"#),
        (r#"{"type":"product.viewed","payload":{"productId":"p"}}"#, &[], r#"{"productId":"p"}"#),
        (
            r#"{"productId":"p"}"#,
            &[("ce_id", "1"), ("ce_source", "s"), ("ce_type", "x\"y")],
            r#"{"productId":"p","_declaredType":"x\"y"}"#,
        ),
    ] {
        let event = decode_with("product.viewed", payload, headers).unwrap();
        assert_eq!(event.metadata, kept);
        assert_eq!(event.event_type.name(), "product.viewed");
    }
    let extra = decode_with("extra", r#"{"specversion":"1.0","type":"x","id":"1","source":"s"}"#, &[]).unwrap();
    assert_eq!((extra.event_type.name(), extra.metadata.as_str()), ("extra", r#"{"_declaredType":"x"}"#));
}

#[test]
fn a_record_without_any_time_is_recognised_by_its_place() {
    let mut record = record("product.viewed", r#"{"productId":"p"}"#, &[]);
    record.place.timestamp = None;
    let at = |now: &str| decoder().decode(&record, now.parse().unwrap()).unwrap();
    let (first, again) = (at(NOW), at("2026-11-22T13:00:00Z"));
    assert_ne!(first.id, again.id);
    assert_eq!((first.keys.len(), &first.keys, first.digest), (1, &again.keys, again.digest));
}

#[test]
fn the_digest_is_of_the_normalized_event() {
    let digest = |payload: &Value| decode("order.created", payload).digest;
    let order = json!({ "orderId": "o", "userId": "u", "placedAt": "2026-11-01T00:00:00Z", "items": [{ "productId": "p", "price": "2.50", "qty": 2 }] });
    for same in [
        json!({ "id": "o", "buyerId": "u", "createdAt": 1_793_491_200, "lines": [{ "product_id": "p", "totalPrice": 5, "quantity": "2" }], "note": "x" }),
        json!({ "type": "x", "eventId": "e", "payload": order }),
    ] {
        assert_eq!(digest(&same), digest(&order), "{same}");
    }
    for (pointer, value) in [
        ("/userId", json!("w")),
        ("/placedAt", json!("2026-11-01T00:00:01Z")),
        ("/items/0/qty", json!(3)),
        ("/items/0/price", json!("2.51")),
        ("/items/0/productId", json!("q")),
        ("/items/0/vendorId", json!("v")),
        ("/items/0/currency", json!("EUR")),
    ] {
        let mut other = order.clone();
        match other.pointer_mut(pointer) {
            Some(field) => *field = value,
            None => other["items"][0][pointer.rsplit('/').next().unwrap()] = value,
        }
        assert_ne!(digest(&other), digest(&order), "{pointer}");
    }
    // A time that only the record or the envelope gives is not part of the content.
    let wrapped = |time: &str| json!({ "event": "x", "timestamp": time, "payload": { "id": "o", "total": 1 } });
    assert_eq!(digest(&wrapped("2026-11-01T00:00:00Z")), digest(&wrapped("2026-11-02T00:00:00Z")));
}

#[test]
fn the_digest_is_made_before_redaction() {
    let redacting = Decoder { redaction: Redaction::parse("role"), ..decoder() };
    let decode = |role: &str| {
        let payload = json!({ "userId": "u", "role": role }).to_string();
        redacting.decode(&record("user.registered", &payload, &[]), NOW.parse().unwrap()).unwrap()
    };
    assert_ne!(decode("buyer").digest, decode("seller").digest);
    assert_eq!(decode("buyer").metadata, r#"{"userId":"u"}"#);
}

#[test]
fn records_that_are_too_large_are_rejected_before_they_are_parsed() {
    let payload = "x".repeat(1001);
    assert_eq!(decode_with("product.viewed", &payload, &[]).unwrap_err().reason, Reason::TooLarge);
    assert_eq!(decode_with("product.viewed", &" ".repeat(1001), &[]).unwrap_err().reason, Reason::Empty);
    let mut tombstone = record("product.viewed", "", &[]);
    tombstone.payload = None;
    assert_eq!(decoder().decode(&tombstone, NOW.parse().unwrap()).unwrap_err().reason, Reason::Empty);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let mut record = record("order.created", "", &[]);
        record.payload = Some(bytes);
        let _decoded_or_rejected = decoder().decode(&record, NOW.parse().unwrap());
    }

    #[test]
    fn no_json_makes_the_decoder_panic(text in r#"(\{"(items|total|userId|id|data|payload|type|specversion|eventId|timestamp)":("[a-z\\u00d8]*"|-?[0-9]{1,30}(\.[0-9]+)?(e-?[0-9]{1,12})?|\[\{\}\]|null|\{"id":1\}),?){0,6}\}?"#) {
        for topic in ["user.registered", "product.viewed", "order.created", "rating.updated", "extra"] {
            let _decoded_or_rejected = decode_with(topic, &text, &[]);
        }
    }
}

#[test]
fn the_same_ids_in_different_namespaces_are_different_identities() {
    let decoder = Decoder {
        topics: Topics::parse("order.created=eu@eu,order.created=us@us,order.created=old", "").unwrap(),
        ..decoder()
    };
    let keys = |topic: &str, payload: Value, headers: &[(&str, &str)]| {
        decoder.decode(&record(topic, &payload.to_string(), headers), NOW.parse().unwrap()).unwrap().keys
    };
    let order = || json!({ "orderId": 7, "total": 1 });
    assert_ne!(keys("eu", order(), &[]), keys("us", order(), &[]));
    assert_ne!(keys("eu", order(), &[]), keys("old", order(), &[]));
    assert_eq!(
        keys("old", order(), &[]),
        decode("order.created", &order()).keys,
        "without a namespace nothing changes"
    );
    let with_id = &[("event-id", "1")];
    assert_ne!(keys("eu", order(), with_id)[0], keys("us", order(), with_id)[0]);
    let cloud_event = &[("ce_id", "1"), ("ce_source", "/shop")];
    assert_eq!(keys("eu", order(), cloud_event)[0], keys("us", order(), cloud_event)[0], "a source is a namespace");
}

#[test]
fn a_rejection_does_not_quote_redacted_values() {
    let decoder = Decoder { redaction: Redaction::parse("total, price, id, stars"), ..decoder() };
    for (topic, payload, expected) in [
        ("order.created", json!({ "orderId": 7, "total": "secret" }), "total cannot be used; its value is redacted"),
        (
            "order.created",
            json!({ "orderId": 7, "items": [{ "price": "secret" }] }),
            "line 1: price cannot be used; its value is redacted",
        ),
        ("user.registered", json!({ "id": 1.5 }), "id cannot be used; its value is redacted"),
        ("order.created", json!({ "orderId": 7, "amount": "shown" }), "amount \"shown\" is not a decimal number"),
    ] {
        let record = record(topic, &payload.to_string(), &[]);
        assert_eq!(decoder.decode(&record, NOW.parse().unwrap()).unwrap_err().detail, expected);
    }
}

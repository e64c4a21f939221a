//! Tests of decoding names: the entry or the rejection that results.

use serde_json::{Value, json};

use crate::attribution::ProductVendors;
use crate::deltas::Deltas;
use crate::event::{Content, Event};
use crate::events::tests::{decode, decode_with, reason};
use crate::events::{Decoder, Redaction};
use crate::rejection::Reason;
use crate::rules;

/// Returns the product, the vendor and the name.
fn entry(event: &Event) -> [Option<String>; 3] {
    let Content::Naming(naming) = &event.content else { panic!("{event:?}") };
    let (product, vendor) = event.content.about();
    [product.map(ToString::to_string), vendor.map(ToString::to_string), naming.name.as_ref().map(ToString::to_string)]
}

#[test]
fn products_and_vendors_are_named_as_producers_write_it() {
    let (p, v, name) = (Some("p-1"), Some("v-1"), Some("Oak table"));
    for (topic, payload, expected) in [
        ("product.created", json!({ "id": "p-1", "name": "Oak table" }), [p, None, name]),
        ("product.created", json!({ "productId": " p-1 ", "title": " Oak\n table", "vendorId": "v-1" }), [p, v, name]),
        (
            "product.updated",
            json!({ "product_id": "p-1", "productName": "Oak table", "seller_id": "v-1" }),
            [p, v, name],
        ),
        (
            "product.updated",
            json!({ "id": "x", "productId": "p-1", "name": "Oak table", "title": "x" }),
            [p, None, name],
        ),
        ("product.updated", json!({ "id": 7, "name": " ", "title": 1984 }), [Some("7"), None, Some("1984")]),
        ("vendor.created", json!({ "id": "v-1", "name": "Oak table" }), [None, v, name]),
        ("vendor.created", json!({ "sellerId": "v-1", "name": "Jo Doe", "shopName": "Oak table" }), [None, v, name]),
        ("vendor.updated", json!({ "vendor_id": "v-1", "id": "u-1", "title": "Oak table" }), [None, v, name]),
        ("vendor.updated", json!({ "payload": { "id": "v-1", "name": "Oak table" }, "type": "x" }), [None, v, name]),
    ] {
        let expected = expected.map(|text| text.map(str::to_owned));
        assert_eq!(entry(&decode(topic, &payload)), expected, "{payload}");
    }
}

#[test]
fn what_names_nothing_is_rejected() {
    let long = "x".repeat(256);
    for (payload, expected) in [
        (json!({ "name": "Oak table" }), Reason::MissingField),
        (json!({ "id": "p" }), Reason::MissingField),
        (json!({ "id": "p", "name": null, "title": "\n" }), Reason::MissingField),
        (json!({ "id": 1.5, "name": "n" }), Reason::InvalidIdentifier),
        (json!({ "id": "x".repeat(65), "name": "n" }), Reason::InvalidIdentifier),
        (json!({ "id": "p", "name": long }), Reason::InvalidName),
        (json!({ "id": "p", "name": "\u{202e}\u{200b}", "title": "n" }), Reason::InvalidName),
        (json!({ "id": "p", "name": { "en": "Oak table" } }), Reason::InvalidName),
        (json!({ "id": "p", "name": ["Oak table"] }), Reason::InvalidName),
        (json!({ "id": "p", "name": true }), Reason::InvalidName),
        (json!({ "id": "p", "name": "a\u{0}b" }), Reason::Unstorable),
        (json!({ "id": "p", "name": "n", "updatedAt": "soon" }), Reason::InvalidTimestamp),
        (json!({ "id": "p", "name": "x".repeat(2000) }), Reason::TooLarge),
    ] {
        for topic in ["product.created", "product.updated", "vendor.created", "vendor.updated"] {
            assert_eq!(reason(topic, &payload), expected, "{topic} {payload}");
        }
    }
    assert_eq!(
        reason("product.created", &json!({ "id": "p", "name": "n", "vendorId": [] })),
        Reason::InvalidIdentifier
    );
}

#[test]
fn the_latest_change_decides_which_time_an_event_has() {
    let time = |payload: Value| decode("product.updated", &payload).time.utc().to_rfc3339();
    let [created, updated] = ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"];
    let both = json!({ "id": "p", "name": "n", "createdAt": created, "updatedAt": updated });
    assert_eq!(time(both), "2026-11-02T00:00:00+00:00");
    assert_eq!(time(json!({ "id": "p", "name": "n", "createdAt": created })), "2026-11-01T00:00:00+00:00");
}

#[test]
fn a_producers_id_identifies_it_and_the_content_does_not() {
    let named = |name: &str, id: &str| {
        let payload = json!({ "id": "p", "name": name, "updatedAt": "2026-11-02T00:00:00Z" });
        decode_with("product.updated", &payload.to_string(), &[("event-id", id)][usize::from(id.is_empty())..]).unwrap()
    };
    assert!(named("a", "").keys.is_empty(), "identified by its place");
    assert_eq!(named("a", "e").keys, named("b", "e").keys);
    assert_eq!(named("a", "e").digest, named(" a ", "e").digest);
    assert_ne!(named("a", "e").digest, named("b", "e").digest, "a conflict");
}

#[test]
fn a_name_adds_to_no_metric_and_tells_no_vendor() {
    let mut event = decode("product.created", &json!({ "id": "p", "name": "n", "vendorId": "v" }));
    let mut vendors = ProductVendors::default();
    vendors.attribute(&mut event);
    assert_eq!(vendors.learned().count(), 0);
    let mut deltas = Deltas::default();
    rules::count(&event, super::super::tests::decoder().business, &mut deltas);
    assert!(deltas.counters.is_empty() && deltas.ratios.is_empty() && deltas.ratings.is_empty());
    assert!(deltas.rollups.is_empty());
}

#[test]
fn a_redacted_name_is_not_kept() {
    let decoder = Decoder { redaction: Redaction::parse("name"), ..super::super::tests::decoder() };
    let decode = |payload: Value| {
        let record = super::super::tests::record("vendor.created", &payload.to_string(), &[]);
        decoder.decode(&record, "2026-11-22T12:00:00Z".parse().unwrap()).unwrap()
    };
    let event = decode(json!({ "id": "v", "name": "Jo Doe" }));
    assert_eq!((entry(&event)[2].as_deref(), event.metadata.as_str()), (None, r#"{"id":"v"}"#));
    let event = decode(json!({ "id": "v", "name": "Jo Doe", "shopName": "Oak" }));
    assert_eq!(entry(&event)[2].as_deref(), Some("Oak"));
}

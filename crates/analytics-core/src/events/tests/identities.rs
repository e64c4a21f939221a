//! The identities of decoded events.

use super::*;
use crate::identity::order_key;
use crate::ids::OrderId;

#[test]
fn explicit_identities_have_two_namespaces() {
    let keys = |payload: &str, headers: &[(&str, &str)]| decode_with("product.viewed", payload, headers).unwrap().keys;
    let view = r#"{"productId":"p"}"#;
    let by_header = keys(view, &[("ce_id", "1"), ("ce_source", "s")]);
    let structured = r#"{"specversion":"1.0","id":"1","source":"s","data":{"productId":"p"}}"#;
    assert_eq!(by_header.len(), 1);
    assert_eq!(keys(structured, &[]), by_header, "one namespace for headers and fields");
    assert_eq!(keys(structured, &[("event-id", "x")]), by_header, "CloudEvents come first");
    let event_id = keys(view, &[("Event-Id", "1")]);
    assert_ne!(event_id, by_header);
    for payload in [
        r#"{"productId":"p","eventId":"1"}"#,
        r#"{"productId":"p","eventId":1}"#,
        r#"{"event":"x","eventId":" 1 ","payload":{"productId":"p"}}"#,
        r#"{"event":"x","eventId":"2","payload":{"productId":"p","eventId":"1"}}"#,
    ] {
        assert_eq!(keys(payload, &[]), event_id, "{payload}");
    }
    assert_eq!(keys(view, &[("ce_id", "1")]), [], "an id without a source is not an identity");
    assert_eq!(keys(view, &[]), []);
    let bad = decode_with("product.viewed", r#"{"productId":"p","eventId":true}"#, &[]).unwrap_err();
    assert_eq!(bad.reason, Reason::InvalidIdentifier);
}

#[test]
fn an_order_is_found_by_its_id() {
    let id = OrderId::parse("o-1").unwrap();
    let order = decode("order.created", &json!({ "id": "o-1", "total": 1 }));
    assert_eq!(order.order(), Some(order_key(&id, None)));
    assert!(order.keys.contains(&order_key(&id, None)));
    assert_ne!(order_key(&id, None), order_key(&id, Some("eu")));
    let view = decode("product.viewed", &json!({ "productId": "p" }));
    assert_eq!(view.order(), None);
}

#[test]
fn natural_identities_depend_on_the_family() {
    let keys = |topic: &str, payload: Value| decode(topic, &payload).keys;
    assert_eq!(
        keys("user.registered", json!({ "id": "u" })),
        keys("user.registered", json!({ "userId": "u", "role": "x" }))
    );
    assert_eq!(
        keys("order.created", json!({ "id": 5, "total": 1 })),
        keys("order.created", json!({ "orderId": "5", "total": 2 }))
    );
    assert_ne!(keys("order.created", json!({ "id": "u", "total": 1 })), keys("user.registered", json!({ "id": "u" })));
    let rating = |extra: Value| {
        let mut payload = json!({ "userId": "u", "productId": "p", "stars": 3 });
        payload.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        keys("rating.updated", payload)
    };
    let edited = json!({ "ratingId": "r", "updatedAt": "2026-11-02T00:00:00Z" });
    assert_eq!(rating(edited.clone()).len(), 1);
    assert_eq!(rating(edited.clone()), rating(json!({ "id": "r", "occurredAt": "2026-11-02T01:00:00+01:00" })));
    assert_ne!(rating(edited), rating(json!({ "ratingId": "r", "updatedAt": "2026-11-03T00:00:00Z" })));
    assert_eq!(
        rating(json!({ "ratingId": "r", "createdAt": "2026-11-02T00:00:00Z" })),
        [],
        "an edit may keep createdAt"
    );
    assert_eq!(rating(json!({ "ratingId": "r" })), [], "the record's own time does not distinguish edits");
    let by_target = rating(json!({ "updatedAt": "2026-11-02T00:00:00Z" }));
    assert_eq!(by_target.len(), 1);
    assert_ne!(by_target, rating(json!({ "updatedAt": "2026-11-02T00:00:00Z", "vendorId": "v" })));
    assert_ne!(by_target, rating(json!({ "updatedAt": "2026-11-02T00:00:00Z", "userId": "w" })));
}

//! Tests of decoding views: the product and vendor, or the rejection, that results.

use serde_json::json;

use crate::events::tests::{decode, reason};
use crate::rejection::Reason;

#[test]
fn a_view_names_a_product_and_perhaps_its_vendor() {
    for (payload, product, vendor) in [
        (json!({ "productId": "p" }), "p", None),
        (json!({ "productId": 7, "vendorId": 8 }), "7", Some("8")),
        (json!({ "product_id": " p ", "seller_id": " v " }), "p", Some("v")),
        (json!({ "productId": "p", "vendorId": "" }), "p", None),
        (json!({ "productId": null, "product_id": "p", "vendorId": null, "sellerId": "v" }), "p", Some("v")),
    ] {
        let event = decode("product.viewed", &payload);
        let (found, owner) = event.content.about();
        assert_eq!(found.map(ToString::to_string).as_deref(), Some(product), "{payload}");
        assert_eq!(owner.map(ToString::to_string).as_deref(), vendor, "{payload}");
        assert!(event.keys.is_empty(), "nothing in {payload} identifies the view");
    }
}

#[test]
fn a_view_without_a_valid_product_is_rejected() {
    for (payload, expected) in [
        (json!({}), Reason::MissingField),
        (json!({ "productId": " " }), Reason::MissingField),
        (json!({ "productId": true }), Reason::InvalidIdentifier),
        (json!({ "productId": "p", "vendorId": [] }), Reason::InvalidIdentifier),
        (json!({ "productId": "p", "userId": {} }), Reason::InvalidIdentifier),
        (json!({ "productId": "p", "viewedAt": "soon" }), Reason::InvalidTimestamp),
    ] {
        assert_eq!(reason("product.viewed", &payload), expected, "{payload}");
    }
}

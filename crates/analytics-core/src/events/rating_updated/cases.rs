//! Tests of decoding ratings.

use serde_json::{Value, json};

use crate::events::tests::{decode, reason};
use crate::rejection::Reason;

#[test]
fn ratings_name_their_target_in_two_ways() {
    let target = |mut payload: Value| {
        payload["userId"] = json!("u");
        payload["stars"] = json!(3);
        let event = decode("rating.updated", &payload);
        let (product, vendor) = event.content.about();
        (product.map(ToString::to_string), vendor.map(ToString::to_string))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(target(json!({ "productId": "p" })), (some("p"), None));
    assert_eq!(target(json!({ "productId": "p", "sellerId": "v" })), (some("p"), some("v")));
    assert_eq!(target(json!({ "targetId": "p", "targetType": "Product" })), (some("p"), None));
    assert_eq!(target(json!({ "targetId": "v", "targetType": "SELLER" })), (None, some("v")));
    assert_eq!(target(json!({ "targetId": "v", "targetType": "vendor" })), (None, some("v")));
    assert_eq!(target(json!({ "targetId": "x", "targetType": "SHOP", "productId": "p" })), (some("p"), None));
    for stars in [json!(0), json!(6), json!(4.5), json!("five"), json!(true), json!([5])] {
        let payload = json!({ "userId": "u", "productId": "p", "rating": stars });
        assert_eq!(reason("rating.updated", &payload), Reason::InvalidRating, "{stars}");
    }
    assert_eq!(reason("rating.updated", &json!({ "userId": "u", "productId": "p" })), Reason::MissingField);
    assert_eq!(reason("rating.updated", &json!({ "productId": "p", "stars": 1 })), Reason::MissingField);
    assert_eq!(reason("rating.updated", &json!({ "userId": "u", "stars": 1, "targetId": "x" })), Reason::MissingField);
}

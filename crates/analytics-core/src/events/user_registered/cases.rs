//! Tests of decoding new accounts: the user or the rejection that results.

use serde_json::json;

use crate::events::tests::{decode, reason};
use crate::rejection::Reason;

#[test]
fn an_account_is_identified_by_its_user() {
    for (payload, user) in [
        (json!({ "userId": "u" }), "u"),
        (json!({ "id": 7 }), "7"),
        (json!({ "id": "record", "customerId": "u" }), "u"),
        (json!({ "user_id": null, "id": " u " }), "u"),
    ] {
        let event = decode("user.registered", &payload);
        assert_eq!(event.user.map(|user| user.to_string()).as_deref(), Some(user), "{payload}");
        assert_eq!(event.keys.len(), 1, "{payload}");
        assert_eq!(event.content.parts().count(), 0, "{payload}");
    }
}

#[test]
fn an_account_without_a_valid_user_is_rejected() {
    for (payload, expected) in [
        (json!({}), Reason::MissingField),
        (json!({ "email": "a@example.org" }), Reason::MissingField),
        (json!({ "id": 1.5 }), Reason::InvalidIdentifier),
        (json!({ "id": "u", "registeredAt": true }), Reason::InvalidTimestamp),
    ] {
        assert_eq!(reason("user.registered", &payload), expected, "{payload}");
    }
}

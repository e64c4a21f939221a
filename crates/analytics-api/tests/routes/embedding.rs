//! Tests of embed tokens: who gets them, and what they are good for. The role matrix has every route.

use analytics_testkit::client::{Client, SECRET, token};
use analytics_testkit::service::Service;
use serde_json::json;
use shared_auth::EmbedKey;

/// The key with which tests sign embed tokens.
pub(crate) const EMBED_KEY: &str = "the key of embed tokens in tests, and of nothing else";

/// Returns an embed token of a vendor.
pub(crate) fn embed_token(vendor: &str) -> String {
    EmbedKey::new(EMBED_KEY.as_bytes(), "analytics").unwrap().mint(vendor, 900).0
}

fn service() -> Service {
    let mut service = Service::new(1);
    service.set("EMBED_SIGNING_KEY", EMBED_KEY);
    service
}

#[test]
fn an_admin_gets_tokens_that_read_the_panel_of_one_vendor() {
    let service = service();
    let api = service.api();
    let admin = Client::admin(&api.address);
    for (body, seconds) in [(json!({ "vendorId": "v-1" }), 900), (json!({ "vendorId": "v-1", "ttlSeconds": 60 }), 60)] {
        let (status, answer) = admin.post("/api/embed-tokens", &body);
        assert_eq!((status, &answer["vendorId"]), (201, &json!("v-1")), "{answer}");
        let time = |text: &serde_json::Value| chrono::DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap();
        let expires_at = time(&answer["expiresAt"]);
        let left = expires_at.timestamp() - chrono::Utc::now().timestamp();
        assert!((seconds - 30..=seconds).contains(&left), "{answer}");
        let page = Client::with_token(&api.address, answer["token"].as_str().unwrap());
        let (status, me) = page.get("/api/me");
        assert_eq!((status, &me["role"], &me["vendorIds"]), (200, &json!("embed"), &json!(["v-1"])));
        assert_eq!((&me["subject"], time(&me["expiresAt"])), (&json!(null), expires_at));
        assert_eq!(page.get("/api/sellers/v-1/summary").0, 200);
        assert_eq!(page.get("/api/sellers/v-2/summary").0, 404);
        assert_eq!(page.get("/api/metrics/total_revenue/series").0, 404);
        assert_eq!(page.get("/api/rankings/products?by=views").0, 403);
        assert_eq!(page.get("/api/rankings/products?by=views&vendorId=v-2").0, 403);
        assert_eq!(page.post("/api/embed-tokens", &json!({ "vendorId": "v-1" })).0, 403, "it cannot renew itself");
        assert!(!api.log().contains(answer["token"].as_str().unwrap()));
    }
    for (body, says) in [
        (json!({}), "vendorId"),
        (json!({ "vendorId": "" }), "vendorId: "),
        (json!({ "vendorId": "v".repeat(65) }), "vendorId: "),
        (json!({ "vendorId": "v-1", "ttlSeconds": 59 }), "ttlSeconds: must be a number from 60 to 3600"),
        (json!({ "vendorId": "v-1", "ttlSeconds": 3601 }), "ttlSeconds: must be a number from 60 to 3600"),
        (json!({ "vendorId": "v-1", "ttlSeconds": -1 }), "ttlSeconds"),
        (json!({ "vendorId": "v-1", "role": "admin" }), "role"),
    ] {
        let (status, answer) = admin.post("/api/embed-tokens", &body);
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_body")), "{body}: {answer}");
        assert!(says == "ttlSeconds" || answer["detail"].as_str().unwrap().contains(says), "{body}: {answer}");
    }
}

#[test]
fn without_a_key_there_are_no_embed_tokens() {
    let service = Service::new(1);
    let api = service.api();
    let (status, answer) = Client::admin(&api.address).post("/api/embed-tokens", &json!({ "vendorId": "v-1" }));
    assert_eq!((status, &answer["code"]), (409, &json!("embedding_disabled")), "{answer}");
    assert_eq!(Client::with_token(&api.address, &embed_token("v-1")).get("/api/me").0, 401);
}

#[test]
fn a_token_of_another_kind_or_key_is_rejected() {
    let service = service();
    let api = service.api();
    let of_key = |key: &str, name: &str| EmbedKey::new(key.as_bytes(), name).unwrap().mint("v-1", 900).0;
    for (what, token) in [
        ("signed with the key of logins", of_key(SECRET, "analytics")),
        ("of another service", of_key(EMBED_KEY, "billing")),
        ("a login signed with the key of embed tokens", {
            let claims = shared_auth::Claims {
                role: vec!["admin".into()],
                exp: (chrono::Utc::now().timestamp() + 600).unsigned_abs(),
                ..shared_auth::Claims::default()
            };
            shared_auth::mint(EMBED_KEY.as_bytes(), &claims).unwrap()
        }),
    ] {
        assert_eq!(Client::with_token(&api.address, &token).get("/api/me").0, 401, "{what}");
    }
    assert_eq!(Client::with_token(&api.address, &token("admin", None)).get("/api/me").0, 200);
}

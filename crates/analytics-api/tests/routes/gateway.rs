//! Tests of tokens that a gateway adds to requests, on a running API. The table of all cases is in
//! the tests of `shared-auth`.

use analytics_testkit::client::{Client, token};
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use serde_json::{Value, json};

use crate::http::{Answer, send};

fn code(answer: &Answer) -> Value {
    serde_json::from_slice::<Value>(&answer.body).unwrap()["code"].clone()
}

#[test]
fn a_gateways_token_reads_as_any_token_does_and_writes_only_for_own_pages() {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    service.set("DASHBOARD_AUTH", "gateway");
    service.set("API_CORS_ORIGINS", "https://other.example");
    let api = service.api();
    let (admin, seller) = (token("admin", None), token("seller", Some("v-1")));
    let body = json!({ "type": "newsletters", "value": 1 }).to_string();
    let json_type = "Content-Type: application/json\r\n";
    for place in [format!("Cookie: analytics_token={admin}\r\n"), format!("X-Forwarded-Access-Token: {admin}\r\n")] {
        let get = |headers: &str| send(&api.address, "GET", "/api/me", &format!("{place}{headers}"), "");
        let me: Value = serde_json::from_slice(&get("").body).unwrap();
        assert_eq!((&me["role"], &me["subject"]), (&json!("admin"), &json!("tester")), "{place}");
        // A token of the page's own counts instead.
        let own: Value = serde_json::from_slice(&get(&format!("Authorization: Bearer {seller}\r\n")).body).unwrap();
        assert_eq!((&own["role"], &own["vendorIds"]), (&json!("seller"), &json!(["v-1"])));
        assert_eq!(get("Authorization: Bearer nonsense\r\n").status, "401 Unauthorized");
        // No page of another origin may read with the user's cookies, not even an allowed one.
        let cross = get("Origin: https://other.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n");
        assert_eq!((cross.status.as_str(), code(&cross)), ("403 Forbidden", json!("cross_site_request")));
        assert!(!cross.headers.contains_key("access-control-allow-credentials"), "{:?}", cross.headers);
        for (headers, expected) in [
            ("", "403 Forbidden"),
            ("Sec-Fetch-Site: same-origin\r\n", "403 Forbidden"),
            ("X-Requested-With: dashboard\r\nSec-Fetch-Site: cross-site\r\n", "403 Forbidden"),
            ("X-Requested-With: dashboard\r\nOrigin: https://other.example\r\n", "403 Forbidden"),
            ("X-Requested-With: dashboard\r\nSec-Fetch-Site: same-origin\r\n", "200 OK"),
            ("X-Requested-With: dashboard\r\nOrigin: https://a\r\n", "200 OK"),
        ] {
            let headers = format!("{place}{json_type}{headers}");
            let answer = send(&api.address, "POST", "/api/metrics/upsert", &headers, &body);
            assert_eq!(answer.status, expected, "{headers}");
        }
    }
    let preflight = "Origin: https://other.example\r\nAccess-Control-Request-Method: POST\r\n\
                     Access-Control-Request-Headers: content-type,x-requested-with\r\n";
    let answer = send(&api.address, "OPTIONS", "/api/metrics/upsert", preflight, "");
    let allowed = answer.headers.get("access-control-allow-headers").cloned().unwrap_or_default();
    assert!(!allowed.contains("x-requested-with"), "{allowed}");
    let forged = format!("Cookie: analytics_token={}\r\nX-Forwarded-User: admin\r\n", "a.b.c");
    assert_eq!(send(&api.address, "GET", "/api/me", &forged, "").status, "401 Unauthorized");
}

#[test]
fn without_a_gateway_cookies_are_nothing() {
    let service = Service::new(1);
    let api = service.api();
    let admin = token("admin", None);
    for place in [format!("Cookie: analytics_token={admin}\r\n"), format!("X-Forwarded-Access-Token: {admin}\r\n")] {
        assert_eq!(send(&api.address, "GET", "/api/me", &place, "").status, "401 Unauthorized", "{place}");
    }
}

#[test]
fn what_a_proxy_says_counts_only_if_it_is_trusted() {
    let admin = token("admin", None);
    let headers = format!("X-Forwarded-Access-Token: {admin}\r\nX-Forwarded-For: 203.0.113.5, 198.51.100.7\r\n");
    for (proxies, status, client) in [
        ("", "200 OK", "198.51.100.7"),
        ("192.0.2.0/24, 127.0.0.1", "200 OK", "198.51.100.7"),
        ("192.0.2.0/24", "401 Unauthorized", "127.0.0.1"),
        ("none", "401 Unauthorized", "127.0.0.1"),
    ] {
        let mut service = Service::new(1);
        service.set("DASHBOARD_AUTH", "gateway");
        service.set("TRUSTED_PROXIES", proxies);
        service.set("RUST_LOG", "analytics_api=debug");
        let api = service.api();
        assert_eq!(send(&api.address, "GET", "/api/me", &headers, "").status, status, "{proxies}");
        send(&api.address, "GET", "/health/live", &headers, "");
        let logged = format!(" {client} GET /health/live 200");
        wait::until(&logged, PATIENCE, || api.log().contains(&logged).then_some(()));
    }
}

#[test]
fn names_of_the_gateways_header_and_cookie_are_settings() {
    let mut service = Service::new(1);
    service.set("DASHBOARD_AUTH", "gateway");
    service.set("DASHBOARD_TOKEN_COOKIE", "__Host-session");
    service.set("DASHBOARD_TOKEN_HEADER", "none");
    let api = service.api();
    let admin = token("admin", None);
    for (place, expected) in [
        (format!("Cookie: __Host-session={admin}\r\n"), "200 OK"),
        (format!("Cookie: analytics_token={admin}\r\n"), "401 Unauthorized"),
        (format!("X-Forwarded-Access-Token: {admin}\r\n"), "401 Unauthorized"),
        (format!("none: {admin}\r\n"), "401 Unauthorized"),
    ] {
        assert_eq!(send(&api.address, "GET", "/api/me", &place, "").status, expected, "{place}");
    }
}

#[test]
fn everybody_learns_who_they_are() {
    let service = Service::new(1);
    let api = service.api();
    for (client, role, vendors) in [
        (Client::admin(&api.address), "admin", json!([])),
        (Client::support(&api.address), "support", json!([])),
        (Client::seller_of(&api.address, &["v-2", "v-1"]), "seller", json!(["v-1", "v-2"])),
        (Client::with_token(&api.address, &token("buyer", None)), "buyer", json!([])),
    ] {
        let (status, me) = client.get("/api/me");
        assert_eq!(status, 200, "{me}");
        assert_eq!((&me["role"], &me["vendorIds"], &me["subject"]), (&json!(role), &vendors, &json!("tester")));
        let expires_at = chrono::DateTime::parse_from_rfc3339(me["expiresAt"].as_str().unwrap()).unwrap();
        let left = expires_at.timestamp() - chrono::Utc::now().timestamp();
        assert!((3_500..=3_600).contains(&left), "{me}");
        assert_eq!(me.as_object().unwrap().len(), 4, "{me}");
    }
    assert_eq!(Client::nobody(&api.address).get("/api/me").0, 401);
}

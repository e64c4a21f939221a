//! `/api/anomalies`: who sees which, pages, filters, acknowledgements.

use analytics_testkit::client::Client;
use analytics_testkit::service::Service;
use serde_json::{Value, json};

/// One anomaly of each kind, two of each of two vendors. The last one is the newest.
const ANOMALIES: &str = "
    INSERT INTO anomalies (type, vendor_id, granularity, verdict, state, from_time, to_time, judged_until, observed,
        expected, lower, upper, confidence, opened_at, resolved_at, acknowledged_at, acknowledged_by, comment)
    SELECT type, vendor, 'h', verdict, state, '2026-11-20T00:00:00Z', '2026-11-21T00:00:00Z', '2026-11-21T00:00:00Z',
        n, 100.5, 50, 150, 0.99, timestamptz '2026-11-21T01:00:00Z' + make_interval(mins => n / 2),
        CASE WHEN state = 'resolved' THEN now() END, CASE WHEN state = 'acknowledged' THEN now() END,
        CASE WHEN state = 'acknowledged' THEN 'ann' END, CASE WHEN state = 'acknowledged' THEN 'a test' END
    FROM (VALUES
        (1, 'total_views', NULL, 'drop', 'resolved'),
        (2, 'freshness', NULL, 'delayed', 'open'),
        (3, 'seller_orders:v-1', 'v-1', 'drop', 'open'),
        (4, 'product_views:p-1', 'v-1', 'surge', 'acknowledged'),
        (5, 'seller_orders:v-2', 'v-2', 'drop', 'open'),
        (6, 'seller_views:v-2', 'v-2', 'surge', 'resolved'),
        (7, 'total_conversion', NULL, 'drop', 'open'),
        (8, 'events:rating.updated', NULL, 'unknown', 'open')) AS a (n, type, vendor, verdict, state)";

fn service() -> Service {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    service.database.execute(ANOMALIES);
    service
}

fn items(client: &Client, query: &str) -> Vec<Value> {
    let (status, body) = client.get(&format!("/api/anomalies?{query}"));
    assert_eq!(status, 200, "{body}");
    body["items"].as_array().unwrap().clone()
}

fn types(client: &Client, query: &str) -> Vec<String> {
    items(client, query).iter().map(|item| item["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_seller_sees_its_own_anomalies_only() {
    let service = service();
    let api = service.api();
    let (admin, support) = (Client::admin(&api.address), Client::support(&api.address));
    assert_eq!(types(&admin, "").len(), 8);
    assert_eq!(types(&support, ""), types(&admin, ""));
    let seller = Client::seller(&api.address, "v-1");
    assert_eq!(types(&seller, ""), ["product_views:p-1", "seller_orders:v-1"]);
    assert_eq!(types(&Client::seller_of(&api.address, &["v-1", "v-2"]), "").len(), 4);
    assert_eq!(types(&Client::seller(&api.address, "v-3"), ""), Vec::<String>::new());
    for query in ["type=total_views", "type=seller_orders:v-2", "verdict=delayed", "state=resolved"] {
        assert_eq!(types(&seller, query), Vec::<String>::new(), "{query}");
    }
    // Who acknowledged it, and what they said, is for admins.
    let [surge, ..] = &items(&seller, "")[..] else { panic!() };
    assert_eq!((&surge["comment"], &surge["acknowledgedBy"]), (&Value::Null, &Value::Null));
    assert_eq!(items(&admin, "state=acknowledged")[0]["comment"], "a test");
    assert_eq!(items(&support, "state=acknowledged")[0]["acknowledgedBy"], Value::Null);
}

#[test]
fn anomalies_are_filtered_and_paged_and_link_to_their_events() {
    let service = service();
    let api = service.api();
    let admin = Client::admin(&api.address);
    assert_eq!(
        types(&admin, "state=open&verdict=drop"),
        ["total_conversion", "seller_orders:v-2", "seller_orders:v-1"]
    );
    assert_eq!(types(&admin, "type=total_views"), ["total_views"]);
    assert_eq!(types(&admin, "vendorId=v-1"), ["product_views:p-1", "seller_orders:v-1"]);
    assert_eq!(types(&admin, "vendorId=v-2&state=unresolved"), ["seller_orders:v-2"]);
    assert_eq!(types(&admin, "state=unresolved").len(), 6);
    assert_eq!(types(&Client::seller(&api.address, "v-1"), "vendorId=v-2"), Vec::<String>::new());
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = admin.get(&format!("/api/anomalies?limit=3{cursor}"));
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, items(&admin, ""));
    for item in &paged {
        let (status, _) = admin.get(item["events"].as_str().unwrap());
        assert!(status == 200 || status == 404, "{item}");
    }
    let [drop] = &items(&admin, "type=seller_orders:v-1")[..] else { panic!() };
    for (name, value) in [
        ("verdict", json!("drop")),
        ("state", json!("open")),
        ("from", json!("2026-11-20T00:00:00Z")),
        ("to", json!("2026-11-21T00:00:00Z")),
        ("observed", json!(3.0)),
        ("expected", json!(100.5)),
        ("lower", json!(50.0)),
        ("upper", json!(150.0)),
        ("confidence", json!(0.99)),
        (
            "events",
            json!("/api/metrics/seller_orders%3Av-1/events?from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z&asOf=0"),
        ),
    ] {
        assert_eq!(drop[name], value, "{name}");
    }
    for query in ["state=closed", "verdict=up", "type=", "cursor=eA", "limit=0", "vendor=v-1"] {
        assert_eq!(admin.get(&format!("/api/anomalies?{query}")).0, 400, "{query}");
    }
}

#[test]
fn an_anomaly_is_acknowledged_with_a_comment_by_admins() {
    let service = service();
    let api = service.api();
    let admin = Client::admin(&api.address);
    let id = items(&admin, "type=seller_orders:v-1")[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/anomalies/{id}/acknowledge");
    assert_eq!(Client::seller(&api.address, "v-1").post(&path, &json!({})).0, 403);
    let (status, body) = admin.post(&path, &json!({ "comment": "a holiday" }));
    assert_eq!((status, &body["state"], &body["comment"]), (200, &json!("acknowledged"), &json!("a holiday")));
    assert!(body["acknowledgedAt"].is_string() && body["acknowledgedBy"].is_string(), "{body}");
    // Again, without a comment: the first one stays.
    assert_eq!(admin.post(&path, &json!({})).1["comment"], "a holiday");
    let resolved = items(&admin, "type=total_views")[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(admin.post(&format!("/api/anomalies/{resolved}/acknowledge"), &json!({})).1["state"], "resolved");
    for (path, body, status) in [
        (path.as_str(), json!({ "comment": "x".repeat(1001) }), 400),
        (path.as_str(), json!({ "note": "x" }), 400),
        ("/api/anomalies/nonsense/acknowledge", json!({}), 400),
        ("/api/anomalies/00000000-0000-0000-0000-000000000000/acknowledge", json!({}), 404),
    ] {
        assert_eq!(admin.post(path, &body).0, status, "{path} {body}");
    }
}

//! Tests of permissions: every route, for every role, with the caller's own and others' numbers.

use analytics_testkit::broker::Message;
use analytics_testkit::client::{Client, token};
use analytics_testkit::service::Service;
use serde_json::{Value, json};

use crate::embedding::{EMBED_KEY, embed_token};

/// The statuses for an admin, support, seller `v-1`, a buyer, and a request without a token.
type Statuses = [u16; 5];

/// Method and path as in the OpenAPI document, whose numbers are requested, the request, and the
/// expected statuses.
const MATRIX: &[(&str, &str, &str, &str, Statuses)] = &[
    ("get", "/api/metrics/{type}", "own", "/api/metrics/seller_views%3Av-1", [200, 200, 200, 403, 401]),
    ("get", "/api/metrics/{type}", "other", "/api/metrics/seller_views%3Av-2", [200, 200, 404, 403, 401]),
    ("get", "/api/metrics/{type}", "none", "/api/metrics/seller_views%3Av-9", [404, 404, 404, 403, 401]),
    ("get", "/api/metrics/{type}", "all", "/api/metrics/total_views", [200, 200, 404, 403, 401]),
    ("get", "/api/metrics/{type}/events", "own", "/api/metrics/seller_views%3Av-1/events", [200, 200, 200, 403, 401]),
    ("get", "/api/metrics/{type}/events", "other", "/api/metrics/seller_views%3Av-2/events", [200, 200, 404, 403, 401]),
    ("get", "/api/metrics/{type}/events", "none", "/api/metrics/seller_views%3Av-9/events", [404, 404, 404, 403, 401]),
    ("get", "/api/metrics/{type}/events", "all", "/api/metrics/total_views/events", [200, 200, 404, 403, 401]),
    ("get", "/api/metrics", "own", "/api/metrics?type=seller_views:v-1", [200, 200, 200, 403, 401]),
    ("get", "/api/metrics", "other", "/api/metrics?type=seller_views:v-2", [200, 200, 200, 403, 401]),
    ("get", "/api/metrics", "none", "/api/metrics?type=seller_views:v-9", [200, 200, 200, 403, 401]),
    ("get", "/api/metrics", "all", "/api/metrics?name=seller_views", [200, 200, 200, 403, 401]),
    ("get", "/api/metrics/{type}/series", "own", "/api/metrics/seller_views%3Av-1/series", [200, 200, 200, 403, 401]),
    ("get", "/api/metrics/{type}/series", "other", "/api/metrics/seller_views%3Av-2/series", [200, 200, 404, 403, 401]),
    ("get", "/api/metrics/{type}/series", "none", "/api/metrics/seller_views%3Av-9/series", [200, 200, 404, 403, 401]),
    ("get", "/api/metrics/{type}/series", "all", "/api/metrics/total_views/series", [200, 200, 404, 403, 401]),
    ("get", "/api/metrics/series", "own", "/api/metrics/series?type=seller_views:v-1", [200, 200, 200, 403, 401]),
    ("get", "/api/metrics/series", "other", "/api/metrics/series?type=seller_views:v-2", [200, 200, 200, 403, 401]),
    ("get", "/api/products", "all", "/api/products", [200, 200, 200, 403, 401]),
    ("get", "/api/products", "other", "/api/products?vendorId=v-2", [200, 200, 200, 403, 401]),
    ("get", "/api/rankings/products", "all", "/api/rankings/products", [200, 200, 200, 200, 401]),
    (
        "get",
        "/api/rankings/products",
        "own",
        "/api/rankings/products?by=revenue&vendorId=v-1",
        [200, 200, 200, 403, 401],
    ),
    ("get", "/api/rankings/sellers", "all", "/api/rankings/sellers", [200, 200, 403, 403, 401]),
    ("get", "/api/sellers", "all", "/api/sellers", [200, 200, 403, 403, 401]),
    ("get", "/api/sellers/{vendor}/summary", "own", "/api/sellers/v-1/summary", [200, 200, 200, 403, 401]),
    ("get", "/api/sellers/{vendor}/summary", "other", "/api/sellers/v-2/summary", [200, 200, 404, 403, 401]),
    ("get", "/api/sellers/{vendor}/summary", "none", "/api/sellers/v-9/summary", [200, 200, 404, 403, 401]),
    ("get", "/api/sellers/{vendor}/orders/stats", "own", "/api/sellers/v-1/orders/stats", [200, 200, 200, 403, 401]),
    ("get", "/api/sellers/{vendor}/orders/stats", "other", "/api/sellers/v-2/orders/stats", [200, 200, 404, 403, 401]),
    ("get", "/api/sellers/{vendor}/orders/stats", "none", "/api/sellers/v-9/orders/stats", [200, 200, 404, 403, 401]),
    // The body is JSON, and no list.
    ("post", "/api/sellers/{vendor}/reconcile", "own", "/api/sellers/v-1/reconcile", [400, 403, 400, 403, 401]),
    ("post", "/api/sellers/{vendor}/reconcile", "other", "/api/sellers/v-2/reconcile", [400, 403, 404, 403, 401]),
    ("post", "/api/sellers/{vendor}/reconcile", "none", "/api/sellers/v-9/reconcile", [400, 403, 404, 403, 401]),
    ("get", "/api/sellers/{vendor}/statements", "own", "/api/sellers/v-1/statements", [200, 403, 200, 403, 401]),
    ("get", "/api/sellers/{vendor}/statements", "other", "/api/sellers/v-2/statements", [200, 403, 404, 403, 401]),
    ("get", "/api/sellers/{vendor}/statements", "none", "/api/sellers/v-9/statements", [200, 403, 404, 403, 401]),
    (
        "get",
        "/api/sellers/{vendor}/statements/{month}",
        "own",
        "/api/sellers/v-1/statements/2026-10",
        [404, 403, 404, 403, 401],
    ),
    (
        "get",
        "/api/sellers/{vendor}/statements/{month}/page",
        "own",
        "/api/sellers/v-1/statements/2026-10/page",
        [404, 403, 404, 403, 401],
    ),
    ("get", "/api/statements/keys", "all", "/api/statements/keys", [200, 200, 200, 403, 401]),
    ("get", "/api/months", "all", "/api/months", [200, 200, 403, 403, 401]),
    ("get", "/api/overview", "all", "/api/overview", [200, 200, 403, 403, 401]),
    ("get", "/api/events/stats", "all", "/api/events/stats", [200, 403, 403, 403, 401]),
    ("get", "/api/arrivals/stats", "all", "/api/arrivals/stats", [200, 403, 403, 403, 401]),
    ("get", "/api/orders/{id}", "none", "/api/orders/o-9", [200, 403, 403, 403, 401]),
    ("post", "/api/metrics/upsert", "own", "seller_views:v-1", [200, 403, 403, 403, 401]),
    ("post", "/api/metrics/upsert", "other", "seller_views:v-2", [200, 403, 403, 403, 401]),
    ("post", "/api/metrics/upsert", "none", "newsletters", [200, 403, 403, 403, 401]),
    ("get", "/api/events", "all", "/api/events?vendorId=v-1", [200, 403, 403, 403, 401]),
    ("get", "/api/events/{id}", "own", "/api/events/{own}", [200, 403, 403, 403, 401]),
    ("get", "/api/events/{id}", "other", "/api/events/{other}", [200, 403, 403, 403, 401]),
    ("get", "/api/events/{id}", "none", "/api/events/00000000-0000-0000-0000-000000000000", [404, 403, 403, 403, 401]),
    ("get", "/api/dead-letters", "all", "/api/dead-letters", [200, 403, 403, 403, 401]),
    ("get", "/api/dead-letters/{id}", "own", "/api/dead-letters/{letter}", [200, 403, 403, 403, 401]),
    (
        "get",
        "/api/dead-letters/{id}",
        "none",
        "/api/dead-letters/00000000-0000-0000-0000-000000000000",
        [404, 403, 403, 403, 401],
    ),
    ("post", "/api/dead-letters/replay", "all", "/api/dead-letters/replay", [400, 403, 403, 403, 401]),
    ("post", "/api/dead-letters/discard", "all", "/api/dead-letters/discard", [400, 403, 403, 403, 401]),
    ("post", "/api/dead-letters/{id}/replay", "own", "/api/dead-letters/{letter}/replay", [200, 403, 403, 403, 401]),
    ("delete", "/api/dead-letters/{id}", "own", "/api/dead-letters/{letter}", [200, 403, 403, 403, 401]),
    ("get", "/api/proofs", "all", "/api/proofs", [200, 403, 403, 403, 401]),
    ("get", "/api/anomalies", "all", "/api/anomalies", [200, 200, 200, 403, 401]),
    (
        "post",
        "/api/anomalies/{id}/acknowledge",
        "none",
        "/api/anomalies/00000000-0000-0000-0000-000000000000/acknowledge",
        [404, 403, 403, 403, 401],
    ),
    ("get", "/api/audit", "all", "/api/audit", [200, 403, 403, 403, 401]),
    ("get", "/api/freshness", "all", "/api/freshness", [200, 200, 200, 200, 401]),
    ("get", "/api/live", "all", "/api/live", [200, 200, 200, 200, 401]),
    ("get", "/api/me", "own", "/api/me", [200, 200, 200, 200, 401]),
    ("post", "/api/embed-tokens", "all", "/api/embed-tokens", [400, 403, 403, 403, 401]),
];

/// The paths that a page of vendor `v-1` in another site may GET. It is answered as a seller is.
const EMBEDDED: &[&str] = &[
    "/api/metrics/{type}/events",
    "/api/metrics/{type}/series",
    "/api/metrics/series",
    "/api/rankings/products",
    "/api/sellers/{vendor}/summary",
    "/api/sellers/{vendor}/orders/stats",
    "/api/freshness",
    "/api/live",
    "/api/me",
];

/// Returns the expected status for a page of vendor `v-1` in another site.
fn embed_status((method, path, _, request, statuses): (&str, &str, &str, &str, Statuses)) -> u16 {
    let foreign_products = path == "/api/rankings/products" && !request.contains("vendorId=v-1");
    if method == "get" && EMBEDDED.contains(&path) && !foreign_products { statuses[2] } else { 403 }
}

fn service() -> Service {
    let mut service = Service::new(1);
    service.set("EMBED_SIGNING_KEY", EMBED_KEY);
    service.set("API_MODE", "read-write");
    service
}

fn count_views(service: &Service) {
    let view = |vendor: &str| Message::json("product.viewed", json!({ "productId": "p", "vendorId": vendor }));
    service.send(&[view("v-1"), view("v-2"), Message::json("product.viewed", "{}")]);
    service.wait_all_consumed();
}

#[test]
fn every_route_answers_every_role_as_the_matrix_says() {
    let service = service();
    let _ingest = service.ingest();
    count_views(&service);
    let api = service.api();
    let clients = [
        Client::admin(&api.address),
        Client::support(&api.address),
        Client::seller(&api.address, "v-1"),
        Client::with_token(&api.address, &token("buyer", None)),
        Client::nobody(&api.address),
    ];
    let embedded = Client::with_token(&api.address, &embed_token("v-1"));
    let event = |vendor: &str| {
        service.database.lines(&format!("SELECT id::text FROM event_logs WHERE vendor_id = '{vendor}'")).remove(0)
    };
    let (own, other) = (event("v-1"), event("v-2"));
    let letter = service.database.lines("SELECT id::text FROM dead_letters").remove(0);
    for (method, path, whose, request, expected) in MATRIX {
        let request = request.replace("{own}", &own).replace("{other}", &other).replace("{letter}", &letter);
        let status = |client: &Client| match *method {
            "post" if request.starts_with('/') => client.post(&request, &json!({})).0,
            "post" => client.post(path, &json!({ "type": request, "value": 5 })).0,
            "delete" => client.delete(&request).0,
            // A live stream has no end.
            _ => client.open(&request, &[]).status().as_u16(),
        };
        let row = (*method, *path, *whose, request.as_str(), *expected);
        assert_eq!(status(&embedded), embed_status(row), "{method} {path} ({whose}) as an embedded page");
        assert_eq!(clients.each_ref().map(status), *expected, "{method} {path} ({whose})");
    }
}

/// The OpenAPI document lists the roles from the table of routes. A status of the matrix must be
/// 403 exactly for the roles that are not listed, and each route must have a row.
#[test]
fn the_matrix_covers_every_route_and_agrees_with_the_document() {
    let document = Client::nobody(&service().api().address).get("/api/openapi.json").1;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            assert!(MATRIX.iter().any(|row| row.0 == method && row.1 == path), "{method} {path} has no row");
        }
    }
    for (method, path, whose, request, statuses) in MATRIX {
        let operation = &document["paths"][path][method];
        assert!(operation.is_object(), "{method} {path} has a row but is not in the document");
        let roles = operation["x-roles"].as_array().unwrap();
        let is_embedded = *method == "get" && EMBEDDED.contains(path);
        assert_eq!(roles.contains(&json!("embed")), is_embedded, "{method} {path} as an embedded page");
        for (role, status) in ["admin", "support", "seller", "buyer"].iter().zip(statuses) {
            // Money of products is for their sellers.
            let is_money = request.contains("by=revenue");
            assert_eq!(roles.contains(&json!(role)), *status != 403 || is_money, "{method} {path} ({whose}) as {role}");
        }
        assert_eq!(statuses[4], 401, "{method} {path} without a token");
    }
}

/// Returns the types of the metrics on a page.
fn types(client: &Client, query: &str) -> Vec<String> {
    let (status, body) = client.get(&format!("/api/metrics?{query}"));
    assert_eq!(status, 200, "{body}");
    body["items"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn lists_contain_only_metrics_that_the_caller_may_read() {
    let service = service();
    let _ingest = service.ingest();
    count_views(&service);
    let api = service.api();
    let (admin, seller) = (Client::admin(&api.address), Client::seller(&api.address, "v-1"));
    assert_eq!(types(&admin, "name=seller_views"), ["seller_views:v-1", "seller_views:v-2"]);
    assert_eq!(types(&seller, "name=seller_views"), ["seller_views:v-1"]);
    assert_eq!(types(&seller, "name=product_views"), Vec::<String>::new());
    let three = "type=seller_views:v-2&type=seller_views:v-1&type=total_views";
    assert_eq!(types(&admin, three), ["seller_views:v-1", "seller_views:v-2", "total_views"]);
    assert_eq!(types(&seller, three), ["seller_views:v-1"]);
    let (_, first) = admin.get("/api/metrics?name=seller_views&limit=1");
    let cursor = first["nextCursor"].as_str().unwrap();
    let (_, second) = admin.get(&format!("/api/metrics?name=seller_views&limit=1&cursor={cursor}"));
    assert_eq!((&second["items"][0]["type"], &second["nextCursor"]), (&"seller_views:v-2".into(), &Value::Null));
    let support = Client::support(&api.address);
    for query in ["name=seller_views", "name=product_views", three] {
        assert_eq!(types(&support, query), types(&admin, query), "{query}");
    }
}

#[test]
fn a_seller_with_several_vendors_reads_the_metrics_of_each() {
    let service = service();
    let _ingest = service.ingest();
    // The types of "a" with a currency sort after those of "a-1" and "a-2".
    let sale = |vendor: &str, currency: &str| {
        let id = format!("{vendor}-{currency}");
        Message::json("order.created", json!({"orderId": id, "currency": currency, "vendorId": vendor, "total": "1"}))
    };
    service
        .send(&["a", "a-1", "a-2", "ab"].map(|vendor| ["USD", "EUR"].map(|currency| sale(vendor, currency))).concat());
    service.wait_all_consumed();
    let api = service.api();
    let both = Client::seller_of(&api.address, &["ab", "a", "a-2", "uncounted"]);
    let own = ["a", "a-2", "a-2:EUR", "a:EUR", "ab", "ab:EUR"].map(|end| format!("seller_revenue:{end}"));
    assert_eq!(types(&both, "name=seller_revenue"), own);
    assert_eq!(types(&both, "name=total_revenue"), Vec::<String>::new());
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = both.get(&format!("/api/metrics?name=seller_revenue&limit=1{cursor}"));
        paged.push(page["items"][0]["type"].as_str().unwrap().to_owned());
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, own);
    let none = Vec::<String>::new();
    for order in ["", "&order=desc", "&sort=value"] {
        let of = |client: &Client, vendor: &str| {
            let mut types = types(client, &format!("name=seller_revenue&vendorId={vendor}{order}"));
            types.sort();
            types
        };
        for client in [&both, &Client::admin(&api.address), &Client::support(&api.address)] {
            assert_eq!(of(client, "a-2"), ["seller_revenue:a-2", "seller_revenue:a-2:EUR"], "{order}");
        }
        assert_eq!(of(&both, "a-1"), none, "{order}");
        assert_eq!(of(&both, "nobody"), none, "{order}");
        assert_eq!(of(&Client::admin(&api.address), "a-1").len(), 2, "{order}");
    }
    assert_eq!(types(&Client::admin(&api.address), "name=total_revenue&vendorId=a"), none);
    let (status, answer) = both.get("/api/metrics?type=seller_orders:a&vendorId=a");
    assert_eq!((status, &answer["parameter"]), (400, &"vendorId".into()), "{answer}");
    assert_eq!(types(&both, "type=seller_orders:a&type=seller_orders:a-1&type=seller_orders:ab").len(), 2);
    for (vendor, status) in [("a", 200), ("a-2", 200), ("ab", 200), ("a-1", 404), ("uncounted", 404)] {
        let path = format!("/api/metrics/seller_orders%3A{vendor}");
        assert_eq!((both.get(&path).0, both.get(&format!("{path}/events")).0), (status, status), "{vendor}");
    }
    assert_eq!(both.get("/api/events").0, 403);
    let many: Vec<String> = (0..=100).map(|n| format!("v-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(Client::seller_of(&api.address, &many[1..]).get("/api/metrics?name=seller_views").0, 200);
    assert_eq!(Client::seller_of(&api.address, &many).get("/api/metrics?name=seller_views").0, 401);
    assert!(api.log().contains("GET /api/metrics rejected: more than 100 vendors"), "{}", api.log());
}

#[test]
fn only_admins_get_read_only_mode_from_a_read_only_api() {
    let service = Service::new(1);
    let api = service.api();
    let body = json!({ "type": "newsletters", "value": 1 });
    let (status, answer) = Client::admin(&api.address).post("/api/metrics/upsert", &body);
    assert_eq!((status, &answer["code"]), (403, &"read_only_mode".into()));
    let (status, answer) = Client::seller(&api.address, "v").post("/api/metrics/upsert", &body);
    assert_eq!((status, &answer["code"]), (403, &"forbidden".into()));
}

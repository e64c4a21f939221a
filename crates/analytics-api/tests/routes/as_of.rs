//! Tests of `asOf` and the header `As-Of`: every answer has both, they are true, and they alone do not
//! change the tag of an answer.

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, STATEMENT_KEY, Service};
use analytics_testkit::wait;
use serde_json::{Value, json};

fn counted() -> (Service, Process, Process) {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    service.set("STATEMENT_SIGNING_KEY", STATEMENT_KEY);
    let ingest = service.ingest();
    let order =
        json!({ "orderId": "o-1", "userId": "u", "items": [{ "productId": "p", "vendorId": "v", "price": "2" }] });
    service.send(&[
        Message::json("product.viewed", r#"{"productId":"p","vendorId":"v"}"#),
        Message::json("product.viewed", "nonsense"),
        Message::json("order.created", order),
        Message::json(
            "order.created",
            r#"{"orderId":"o-2","vendorId":"v","total":1,"placedAt":"2026-10-01T12:00:00Z"}"#,
        ),
    ]);
    service.wait_all_consumed();
    service.done(&["verify"]);
    service.done(&["statements", "close", "--month", "2026-10", "--accept-gaps"]);
    let api = service.api();
    (service, ingest, api)
}

/// A request for each route that reads.
fn paths(service: &Service) -> Vec<String> {
    let id = |table: &str| service.database.lines(&format!("SELECT id::text FROM {table}")).remove(0);
    let paths = [
        "/api/metrics/total_views",
        "/api/metrics?type=total_views",
        "/api/metrics?type=never_counted",
        "/api/metrics?name=seller_views",
        "/api/metrics?name=seller_views&sort=value",
        "/api/metrics/total_views/events",
        "/api/metrics/total_views/series?period=7d",
        "/api/metrics/series?type=total_views&type=total_orders&period=7d",
        "/api/rankings/products",
        "/api/rankings/sellers",
        "/api/sellers",
        "/api/sellers/v/summary",
        "/api/sellers/v/orders/stats",
        "/api/overview",
        "/api/events",
        "/api/events/stats",
        "/api/arrivals/stats",
        "/api/products",
        "/api/orders/o-1",
        "/api/dead-letters",
        "/api/anomalies",
        "/api/proofs",
        "/api/sellers/v/statements",
        "/api/sellers/v/statements/2026-10",
        "/api/statements/keys",
        "/api/months",
        "/api/audit",
        "/api/freshness",
        &format!("/api/events/{}", id("event_logs")),
        &format!("/api/dead-letters/{}", id("dead_letters")),
    ];
    paths.map(str::to_owned).into()
}

#[test]
fn every_answer_says_which_batch_it_includes() {
    let (service, _ingest, api) = counted();
    let client = Client::admin(&api.address);
    let watermark = service.database.number("SELECT number FROM watermark").unwrap();
    let paths = paths(&service);
    for path in &paths {
        let answer = client.answer(path, &[]);
        let body: Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(answer.status(), 200, "{path}: {body}");
        assert_eq!(answer.headers()["as-of"], watermark.to_string().as_str(), "{path}");
        assert_eq!(body["asOf"], watermark, "{path}: {body}");
        if body["items"].is_array() || body["buckets"].is_array() {
            let csv = client.answer(path, &[("Accept", "text/csv")]);
            assert_eq!(csv.headers()["as-of"], watermark.to_string().as_str(), "{path} as CSV");
            assert!(csv.headers()["content-type"].to_str().unwrap().starts_with("text/csv"), "{path}");
        }
    }
    // Each route that reads is in the list, and documents the header.
    let document = client.get("/api/openapi.json").1;
    for (route, item) in document["paths"].as_object().unwrap() {
        if !item["get"].is_object() || ["/api/live", "/api/me"].contains(&route.as_str()) || route.ends_with("/page") {
            continue;
        }
        let fits = |path: &String| {
            let path: Vec<&str> = path.split(['?']).next().unwrap().split('/').collect();
            let route: Vec<&str> = route.split('/').collect();
            path.len() == route.len()
                && route.iter().zip(&path).all(|(own, given)| own == given || own.starts_with('{'))
        };
        assert!(paths.iter().any(fits), "{route} has no request");
        let header = &item["get"]["responses"]["200"]["headers"]["As-Of"];
        assert!(header.is_object(), "{route} does not document the header");
    }
    // What is written says so, too.
    let (_, set) = client.post("/api/metrics/upsert", &json!({ "type": "newsletters", "value": 1 }));
    assert_eq!(set["asOf"], watermark + 1);
    let (_, discarded) = client.post("/api/dead-letters/discard", &json!({ "reason": "not_json" }));
    assert_eq!(discarded["asOf"], watermark + 1, "{discarded}");
}

#[test]
fn an_answer_of_which_only_the_number_moved_is_a_304() {
    let (service, _ingest, api) = counted();
    let client = Client::admin(&api.address);
    let number = || service.database.number("SELECT number FROM watermark").unwrap();
    // Rankings and lists by value are kept, answers that name a time or the freshness change with it, and the number of
    // a statement never moves.
    let moving =
        ["/api/rankings", "/summary", "sort=value", "/api/freshness", "/total_views/events", "/statements/2026-10"];
    let paths = paths(&service).into_iter().filter(|path| !moving.iter().any(|moving| path.contains(moving)));
    wait::until("all buckets of yesterday to be complete", PATIENCE, || {
        (client.get("/api/freshness").1["state"] == "live").then_some(())
    });
    let read: Vec<_> = paths.map(|path| (client.answer(&path, &[]), path)).collect();
    let before = number();
    assert_eq!(client.post("/api/metrics/upsert", &json!({ "type": "newsletters", "value": 1 })).0, 200);
    assert_eq!(number(), before + 1);
    for (first, path) in &read {
        let tag = first.headers()["etag"].to_str().unwrap();
        let again = client.answer(path, &[("If-None-Match", tag)]);
        // The adjustment is an event, so lists and counts of events changed; and it is audited.
        let is_changed = path.starts_with("/api/events?")
            || ["/api/events", "/api/events/stats", "/api/audit"].contains(&path.as_str());
        assert_eq!(again.status() == 304, !is_changed, "{path}: {} {}", first.body(), client.answer(path, &[]).body());
        assert_eq!(again.headers()["as-of"], (before + 1).to_string().as_str(), "{path}");
    }
    service.send(&[Message::json("product.viewed", r#"{"productId":"p","vendorId":"v"}"#)]);
    service.wait_consumed(5);
    for (first, path) in read.iter().filter(|(_, path)| path.contains("views")) {
        let tag = first.headers()["etag"].to_str().unwrap();
        let expected = if path.contains("never_counted") { 304 } else { 200 };
        assert_eq!(client.answer(path, &[("If-None-Match", tag)]).status(), expected, "{path}");
    }
}

#[test]
fn the_number_of_an_answer_is_true_while_batches_are_counted() {
    let service = Service::new(1);
    let (_ingest, api) = (service.ingest(), service.api());
    let client = Client::admin(&api.address);
    let mut sums = 0;
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for _ in 0..40 {
                service.send(&vec![Message::json("product.viewed", r#"{"productId":"p","vendorId":"v"}"#); 5]);
            }
        });
        wait::until("the first view", PATIENCE, || (client.metric("total_views").0 == 200).then_some(()));
        while !sending.is_finished() || sums < 5 {
            for path in ["/api/metrics/total_views", "/api/metrics?type=total_views"] {
                let (_, body) = client.get(path);
                let value = if body["items"].is_array() { &body["items"][0]["value"] } else { &body["value"] };
                let events = format!("/api/metrics/total_views/events?limit=1000&asOf={}", body["asOf"]);
                let (status, page) = client.get(&events);
                assert_eq!(status, 200, "{page}");
                let sum: i64 = page["items"].as_array().unwrap().iter().map(|e| e["delta"].as_i64().unwrap()).sum();
                assert_eq!(*value, sum, "{path} {}", body["asOf"]);
                sums += 1;
            }
        }
    });
}

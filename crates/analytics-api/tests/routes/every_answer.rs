//! Tests of what all responses have in common, and of consistent pages.

use std::collections::BTreeMap;
use std::thread;

use analytics_testkit::client::Client;
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;
use analytics_testkit::wait;
use diesel::connection::SimpleConnection;

/// Starts a service that has counted some traffic, and returns it with its worker.
fn counted(events: usize) -> (Service, analytics_testkit::process::Process) {
    let service = Service::new(2);
    let ingest = service.ingest();
    service.send_traffic(&mut Tally::default(), 1, events);
    service.wait_all_consumed();
    (service, ingest)
}

#[test]
fn a_response_that_the_client_has_is_a_304() {
    let (service, _ingest) = counted(100);
    let api = service.api();
    let client = Client::admin(&api.address);
    let first = client.answer("/api/metrics/total_views", &[]);
    let tag = first.headers()["etag"].to_str().unwrap();
    let again = client.answer("/api/metrics/total_views", &[("If-None-Match", tag)]);
    assert_eq!((again.status().as_u16(), again.body().as_str()), (304, ""));
    assert_eq!(again.headers()["etag"], tag);
    let other = client.answer("/api/metrics/total_views", &[("If-None-Match", "W/\"other\"")]);
    assert_eq!(other.status(), 200);
}

#[test]
fn every_read_says_how_fresh_it_is() {
    let (service, mut ingest) = counted(100);
    let api = service.api();
    let client = Client::admin(&api.address);
    let lag = |client: &Client| {
        let answer = client.answer("/api/metrics/total_views", &[]);
        answer.headers().get("data-lag-seconds").map(|lag| lag.to_str().unwrap().parse::<i64>().unwrap())
    };
    wait::until("fresh numbers", analytics_testkit::service::PATIENCE, || lag(&client).filter(|lag| *lag < 15));
    assert_eq!(client.get("/api/freshness").1["state"], "live");
    assert!(ingest.stop().success());
    // As if ingest had not reported for an hour.
    service.database.execute(
        "UPDATE ingest_offsets SET updated_at = updated_at - interval '1 hour', \
         ends_known_at = ends_known_at - interval '1 hour', caught_up_at = caught_up_at - interval '1 hour'",
    );
    wait::until("the API to report stalled numbers", analytics_testkit::service::PATIENCE, || {
        let (_, body) = client.get("/api/freshness");
        (body["state"] == "stalled" && lag(&client) >= Some(3600)).then_some(())
    });
    let as_of = client.answer("/api/events", &[]).headers()["data-as-of"].to_str().unwrap().to_owned();
    assert!(as_of.ends_with('Z'), "{as_of}");
}

#[test]
fn requests_have_ids_and_unknown_routes_are_problems() {
    let (service, _ingest) = counted(200);
    let api = service.api();
    let client = Client::admin(&api.address);
    let id = |answer: &ureq::http::Response<String>| answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(id(&client.answer("/api/events", &[("X-Request-Id", "trace-1")])), "trace-1");
    let made = id(&client.answer("/api/events", &[("X-Request-Id", "bad\tid")]));
    assert_eq!(made.len(), 36);
    assert_eq!(id(&client.answer("/nowhere", &[("X-Request-Id", "trace-2")])), "trace-2");
    assert_eq!(client.answer("/nowhere", &[]).headers()["content-type"], "application/problem+json");
}

#[test]
fn a_statement_that_takes_too_long_is_a_503() {
    let mut service = Service::new(1);
    service.set("API_STATEMENT_TIMEOUT_MS", "300");
    let api = service.api();
    let client = Client::admin(&api.address);
    let mut holder = service.database.connect();
    holder.batch_execute("BEGIN; LOCK TABLE metrics IN ACCESS EXCLUSIVE MODE").unwrap();
    let (status, body) = client.metric("total_views");
    assert_eq!((status, &body["code"]), (503, &"database_unavailable".into()));
    holder.batch_execute("ROLLBACK").unwrap();
    assert_eq!(client.metric("total_views").0, 404);
}

/// A failure that is not temporary must not look like a slow database.
#[test]
fn a_failure_that_should_not_happen_is_a_500_with_an_error_in_the_log() {
    let service = Service::new(1);
    let mut api = service.api();
    let client = Client::admin(&api.address);
    service.database.connect().batch_execute("ALTER TABLE metrics RENAME COLUMN value TO amount").unwrap();
    for path in ["/api/metrics/total_views", "/api/metrics?name=total_views"] {
        let (status, body) = client.get(path);
        assert_eq!((status, &body["code"]), (500, &"internal_error".into()), "{path}");
    }
    assert!(api.stop().success());
    assert!(api.log().contains("ERROR") && api.log().contains("value"), "{}", api.log());
}

#[test]
fn a_base_path_and_cors_can_be_set() {
    let mut service = Service::new(1);
    service.set("API_BASE_PATH", "/analytics");
    service.set("API_CORS_ORIGINS", "https://panel.example");
    let api = service.api();
    let client = Client::admin(&api.address);
    assert_eq!(client.get("/analytics/api/events").0, 200);
    assert_eq!(client.get("/api/events").0, 404);
    let (status, document) = client.get("/analytics/api/openapi.json");
    assert_eq!((status, &document["servers"][0]["url"]), (200, &"/analytics".into()));
    let answer = client.answer("/analytics/api/events", &[("Origin", "https://panel.example")]);
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://panel.example");
    let docs = client.answer("/analytics/api/docs/", &[]);
    assert!(docs.status() == 200 && docs.body().contains("swagger-ui") && !docs.body().contains("https://"));
}

#[test]
fn paging_through_100_000_events_while_10_000_arrive_shows_each_old_one_once() {
    let (service, _ingest) = counted(100_000);
    let api = service.api();
    let client = Client::admin(&api.address);
    let old = service.database.lines("SELECT id::text FROM event_logs");
    let mut seen = BTreeMap::<String, u32>::new();
    thread::scope(|scope| {
        // The new events are of the same hours as the old ones, so they are sorted between them.
        scope.spawn(|| service.send_traffic(&mut Tally::default(), 2, 10_000));
        let mut path = "/api/events?limit=1000".to_owned();
        loop {
            let answer = client.answer(&path, &[]);
            assert_eq!(answer.status(), 200);
            let page: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
            for event in page["items"].as_array().unwrap() {
                *seen.entry(event["id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            let next = format!("?limit=1000&cursor={cursor}");
            assert_eq!(answer.headers()["link"].to_str().unwrap(), format!("<{next}>; rel=\"next\""));
            path = format!("/api/events{next}");
        }
    });
    assert_eq!(old.len(), 100_000);
    assert!(old.iter().all(|id| seen.get(id) == Some(&1)), "an old event was missed or shown twice");
    assert!(seen.values().all(|times| *times == 1));
}

#[test]
fn events_are_filtered_by_type_user_product_vendor_and_time() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let send = |topic: &str, payload: &str| {
        service.send(&[analytics_testkit::broker::Message::json(topic, payload)]);
        service.wait_all_consumed();
    };
    send("product.viewed", r#"{"productId":"p","vendorId":"v","userId":"a","viewedAt":"2026-11-01T10:00:00Z"}"#);
    send(
        "order.created",
        r#"{"id":1,"userId":"b","items":[{"productId":"p","price":1},{"productId":"q","price":1}],"placedAt":"2026-11-01T11:00:00.0005Z"}"#,
    );
    send("rating.updated", r#"{"userId":"a","vendorId":"v","stars":5,"updatedAt":"2026-11-01T12:00:00Z"}"#);
    let api = service.api();
    let client = Client::admin(&api.address);
    for (query, expected) in [
        ("", &["rating.updated", "order.created", "product.viewed"][..]),
        ("productId=p", &["order.created", "product.viewed"]),
        ("productId=q", &["order.created"]),
        ("vendorId=v", &["rating.updated", "order.created", "product.viewed"]),
        ("vendorId=v&productId=p", &["order.created", "product.viewed"]),
        ("userId=a", &["rating.updated", "product.viewed"]),
        ("userId=a&productId=p", &["product.viewed"]),
        ("type=order.created&vendorId=v", &["order.created"]),
        ("from=2026-11-01&to=2026-11-01", &["rating.updated", "order.created", "product.viewed"]),
        ("from=2026-11-02", &[]),
        ("to=2026-10-31", &[]),
        ("from=2026-11-01T11:00:00Z", &["rating.updated", "order.created"]),
        ("from=2026-11-01T11:00:00.001Z", &["rating.updated"]),
        ("to=2026-11-01T11:00:00.0004Z", &["product.viewed"]),
        ("to=2026-11-01T11:00:00.0006Z", &["order.created", "product.viewed"]),
        ("from=2026-11-01T10:00:00Z&to=2026-11-01T12:00:00Z&productId=p", &["order.created", "product.viewed"]),
        ("productId=none", &[]),
    ] {
        let (status, body) = client.get(&format!("/api/events?{query}"));
        let types: Vec<_> =
            body["items"].as_array().unwrap().iter().map(|e| e["eventType"].as_str().unwrap()).collect();
        assert_eq!((status, types.as_slice()), (200, expected), "{query}");
    }
    let (_, page) = client.get("/api/events?limit=1");
    let id = page["items"][0]["id"].as_str().unwrap();
    let (_, mut one) = client.get(&format!("/api/events/{id}"));
    assert_eq!(one.as_object_mut().unwrap().remove("asOf").as_ref(), Some(&page["asOf"]));
    assert_eq!(one, page["items"][0]);
}

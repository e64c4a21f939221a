//! Tests of metrics that are set by hand, also while events are counted.

use std::thread;

use analytics_db::locks::Lock;
use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::tally::Tally;
use analytics_testkit::wait;
use diesel::connection::SimpleConnection;
use serde_json::json;

fn service() -> Service {
    let mut service = Service::new(2);
    service.set("API_MODE", "read-write");
    service
}

#[test]
fn an_adjustment_racing_with_ingest_ends_with_the_right_value_and_event() {
    let service = service();
    let mut ingest = service.ingest();
    ingest.wait_ready();
    let api = service.api();
    let client = Client::admin(&api.address);
    let mut tally = Tally::default();
    for round in 0..20 {
        service.send_traffic(&mut tally, round, 300);
        let (status, body) = client.post(
            "/api/metrics/upsert",
            &json!({ "type": "product_views:p-1", "value": 1000, "reason": format!("round {round}") }),
        );
        assert_eq!(status, 200, "{body}");
    }
    service.wait_all_consumed();
    let counted = "SELECT count(*) FROM event_logs WHERE event_type = 'product.viewed' AND product_id = 'p-1'";
    let adjusted = "SELECT sum((metadata->>'delta')::bigint) FROM event_logs WHERE event_type = 'metric.adjusted'";
    let (counted, adjusted) = (service.database.number(counted).unwrap(), service.database.number(adjusted).unwrap());
    assert!(counted > 100 && adjusted != 0);
    assert_eq!(client.value("product_views:p-1"), Some(counted + adjusted));
    let logged = service.database.number(
        "SELECT count(*) FROM event_logs WHERE event_type = 'metric.adjusted' AND user_id = 'tester' \
         AND metadata->>'actor' = 'tester' AND metadata->>'reason' LIKE 'round %' \
         AND (metadata->>'value')::bigint = coalesce((metadata->>'previous')::bigint, 0) + (metadata->>'delta')::bigint",
    );
    assert_eq!(logged, Some(20));
}

#[test]
fn sellers_that_have_ratings_or_adjusted_numbers_alone_are_listed() {
    let service = service();
    let _ingest = service.ingest();
    let rating = json!({ "userId": "u", "vendorId": "rated", "stars": 5 });
    service.send(&[Message::json("rating.updated", rating)]);
    service.wait_all_consumed();
    let api = service.api();
    let client = Client::admin(&api.address);
    for (metric, value) in
        [("seller_revenue:earned", 500), ("seller_revenue:earned:EUR", 300), ("seller_units:sold", 2)]
    {
        assert_eq!(client.post("/api/metrics/upsert", &json!({ "type": metric, "value": value })).0, 200, "{metric}");
    }
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = client.get(&format!("/api/sellers?limit=1{cursor}"));
        let seller = &page["items"][0];
        listed.push(json!([seller["vendorId"], seller["units"], seller["revenue"]]));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(listed, [json!(["earned", 0, 500]), json!(["rated", 0, 0]), json!(["sold", 2, 0])]);
}

#[test]
fn derived_metrics_and_invalid_values_are_rejected() {
    let service = service();
    let api = service.api();
    let client = Client::admin(&api.address);
    for (body, parameter) in [
        (json!({ "type": "conversion_rate:v-1", "value": 1 }), Some("type")),
        (json!({ "type": "seller_rating:v-1", "value": 1 }), Some("type")),
        (json!({ "type": "total_revenue", "value": 1 }), Some("type")),
        (json!({ "type": "seller_revenue", "value": 1 }), Some("type")),
        (json!({ "type": "", "value": 1 }), Some("type")),
        (json!({ "type": "x".repeat(101), "value": 1 }), Some("type")),
        (json!({ "type": "x" }), None),
        (json!({ "type": "x", "value": 1.5 }), None),
        (json!({ "type": "x", "value": 1, "typo": 1 }), None),
        (json!({ "type": "x", "metadata": [1] }), None),
        (json!({ "type": "x", "metadata": { "a": "\0" } }), None),
        (json!({ "type": "x", "value": 1, "reason": "r".repeat(1001) }), None),
        (json!({ "type": "x", "value": 1_000_000_000_000_000_001_i64 }), None),
        (json!([]), None),
    ] {
        let (status, answer) = client.post("/api/metrics/upsert", &body);
        assert_eq!((status, answer["parameter"].as_str()), (400, parameter), "{body}: {answer}");
    }
    let too_large = json!({ "type": "x", "metadata": { "a": "x".repeat(70_000) } });
    let (status, answer) = client.post("/api/metrics/upsert", &too_large);
    assert_eq!((status, &answer["code"]), (413, &"body_too_large".into()));
    assert_eq!(service.database.number("SELECT count(*) FROM event_logs"), Some(0));
}

#[test]
fn a_custom_metric_can_be_created_and_its_metadata_changed() {
    let service = service();
    let api = service.api();
    let client = Client::admin(&api.address);
    let upsert = |body| client.post("/api/metrics/upsert", &body);
    assert_eq!(upsert(json!({ "type": "newsletters/week 1", "value": 7, "metadata": { "by": "hand" } })).0, 200);
    let (status, body) = upsert(json!({ "type": "newsletters/week 1", "metadata": { "by": "feet" } }));
    assert_eq!((status, &body["value"], &body["metadata"]["by"]), (200, &7.into(), &"feet".into()));
    let (status, body) = upsert(json!({ "type": "newsletters/week 1", "value": -9 }));
    assert_eq!((status, &body["value"], &body["metadata"]["by"]), (200, &(-9).into(), &"feet".into()));
    assert_eq!(client.metric("newsletters/week 1").1["unit"], serde_json::Value::Null);
    assert_eq!(Client::seller(&api.address, "v").metric("newsletters/week 1").0, 404);
}

#[test]
fn metadata_keeps_every_digit() {
    let service = service();
    let api = service.api();
    let said = r#"{"type":"x","metadata":{"n":12345678901234567890123,"d":0.10000000000000000000000001,"e":1e30}}"#;
    let client = Client::admin(&api.address);
    assert_eq!(client.post_text("/api/metrics/upsert", said).0, 200);
    let stored = service.database.lines(
        "SELECT metadata FROM metrics WHERE type = 'x' \
         UNION ALL SELECT metadata->'metadata' FROM event_logs WHERE event_type = 'metric.adjusted'",
    );
    let expected =
        r#"{"d": 0.10000000000000000000000001, "e": 1000000000000000000000000000000, "n": 12345678901234567890123}"#;
    assert_eq!(stored, [expected, expected]);
    for (metadata, says) in [
        (r#"{"n":1e200000}"#, "metadata: "),
        (r#"{"n":1e-9223372036854775808}"#, "metadata: "),
        (r#"{"\ud800":1}"#, "metadata: "),
        (r#"[1]"#, "metadata: must be a JSON object"),
        ("1", "metadata: must be a JSON object"),
    ] {
        let body = format!(r#"{{"type":"x","metadata":{metadata}}}"#);
        let (status, answer) = client.post_text("/api/metrics/upsert", &body);
        assert_eq!((status, answer["code"].as_str()), (400, Some("invalid_body")), "{metadata}");
        assert!(answer["detail"].as_str().unwrap().starts_with(says), "{metadata}: {answer}");
    }
}

#[test]
fn an_adjustment_waits_for_a_running_batch_and_includes_its_result() {
    let service = service();
    let api = service.api();
    let client = Client::admin(&api.address);
    service.database.execute("INSERT INTO metrics (type, value) VALUES ('product_views:p', 10)");
    // A batch that has counted five views and is not committed yet.
    let mut counting = service.database.connect();
    let batch = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({}); UPDATE metrics SET value = value + 5 WHERE type = 'product_views:p'",
        Lock::Counting as i64
    );
    counting.batch_execute(&batch).unwrap();
    thread::scope(|scope| {
        let adjusting =
            scope.spawn(|| client.post("/api/metrics/upsert", &json!({ "type": "product_views:p", "value": 100 })));
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        wait::until("the adjustment to wait", PATIENCE, || (service.database.number(waiting) > Some(0)).then_some(()));
        counting.batch_execute("COMMIT").unwrap();
        assert_eq!(adjusting.join().unwrap().0, 200);
    });
    assert_eq!(client.value("product_views:p"), Some(100));
    let logged = service.database.lines(
        "SELECT concat_ws(' ', metadata->>'previous', metadata->>'delta') FROM event_logs WHERE event_type = 'metric.adjusted'",
    );
    assert_eq!(logged, ["15 85"]);
}

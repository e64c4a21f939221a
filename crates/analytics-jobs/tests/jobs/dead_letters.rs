//! Dead letters: listing, replaying with or without a correction, discarding, purging, and the
//! limits on their size.

use std::thread;

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use serde_json::{Value, json};

const BROKEN: &str = r#"{"orderId":"o-1","items":[{"productId":"tea","vendorId":"ann","price":"twelve"}]}"#;

fn corrected(price: &str) -> Value {
    json!({"orderId":"o-1","items":[{"productId":"tea","vendorId":"ann","price":price}]})
}

/// Starts a service in read-write mode whose ingest has processed and rejected these records.
fn refused(environment: &[(&str, &str)], records: &[Message]) -> (Service, Process) {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    for (name, value) in environment {
        service.set(name, value);
    }
    let ingest = service.ingest();
    service.send(records);
    service.wait_all_consumed();
    (service, ingest)
}

fn letters(client: &Client, query: &str) -> Vec<Value> {
    let (status, page) = client.get(&format!("/api/dead-letters{query}"));
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

fn replay(client: &Client, id: &Value, body: Value) -> (u16, Value) {
    client.post(&format!("/api/dead-letters/{}/replay", id.as_str().unwrap()), &body)
}

/// Returns the number of logged events and the sum of all metrics, which change whenever anything
/// is counted.
fn counted(service: &Service) -> (Option<i64>, Option<i64>) {
    let database = &service.database;
    (database.number("SELECT count(*) FROM event_logs"), database.number("SELECT sum(value) FROM metrics"))
}

#[test]
fn a_corrected_record_counts_once_however_often_it_is_replayed() {
    let (service, _ingest) = refused(&[], &[Message::json("order.created", BROKEN)]);
    let api = service.api();
    let client = Client::admin(&api.address);
    let id = letters(&client, "?state=open&reason=invalid_amount")[0]["id"].clone();
    let (_, again) = replay(&client, &id, json!({}));
    assert_eq!(again["result"], "rejected");
    assert!(again["detail"].as_str().unwrap().contains("price"), "{again}");
    let (_, first) = replay(&client, &id, json!({"payload": corrected("2.50")}));
    assert_eq!(first["result"], "counted", "{first}");
    assert_eq!(client.value("seller_revenue:ann"), Some(250));
    let before = counted(&service);
    let (_, same) = replay(&client, &id, json!({"payload": corrected("2.50")}));
    assert_eq!((&same["result"], &same["eventId"]), (&json!("duplicate"), &first["eventId"]));
    let (_, other) = replay(&client, &id, json!({"payload": corrected("9.99")}));
    assert_eq!(other["result"], "rejected", "the first one stays counted: {other}");
    assert_eq!(counted(&service), before);

    let (_, letter) = client.get(&format!("/api/dead-letters/{}", id.as_str().unwrap()));
    assert_eq!(
        (&letter["state"], &letter["payload"], &letter["payloadCut"]),
        (&json!("replayed"), &json!(BROKEN), &json!(false))
    );
    let trace: Vec<_> =
        letter["actions"].as_array().unwrap().iter().map(|a| (&a["actor"], &a["result"], &a["corrected"])).collect();
    let by_tester = |result, corrected| (json!("tester"), json!(result), json!(corrected));
    let expected = [
        by_tester("rejected", false),
        by_tester("counted", true),
        by_tester("duplicate", true),
        by_tester("rejected", true),
    ];
    assert_eq!(trace, expected.iter().map(|(a, r, c)| (a, r, c)).collect::<Vec<_>>());
    assert_eq!(letters(&client, "?state=open"), Vec::<Value>::new());
    service.done(&["verify", "--full"]);
}

#[test]
fn the_records_place_is_its_identity_whatever_the_corrected_payload_says() {
    // The view has no identity of its own: without its place, another time would make it another
    // event.
    let (service, mut ingest) = refused(&[], &[Message::json("product.viewed", r#"{"vendorId":"ann"}"#)]);
    let api = service.api();
    let client = Client::admin(&api.address);
    let id = letters(&client, "")[0]["id"].clone();
    let view = |hour: u8| json!({"payload": {"productId":"tea","occurredAt":format!("2026-11-02T{hour:02}:00:00Z")}});
    assert_eq!(replay(&client, &id, view(10)).1["result"], "counted");
    assert_eq!(replay(&client, &id, view(10)).1["result"], "duplicate");
    assert_eq!(replay(&client, &id, view(11)).1["result"], "rejected");
    assert_eq!(client.value("product_views:tea"), Some(1));
    assert!(ingest.stop().success());
    service.database.execute("UPDATE ingest_offsets SET next_offset = 0");
    let _again = service.ingest();
    service.wait_consumed(2);
    assert_eq!(client.value("total_views"), Some(1));
    service.done(&["verify", "--full"]);
}

#[test]
fn concurrent_first_replays_count_once() {
    let (service, _ingest) = refused(&[], &[Message::json("product.viewed", r#"{"vendorId":"ann"}"#)]);
    let api = service.api();
    let id = letters(&Client::admin(&api.address), "")[0]["id"].clone();
    let results: Vec<Value> = thread::scope(|scope| {
        let attempt = |hour: u8| {
            let (id, address) = (&id, &api.address);
            scope.spawn(move || {
                let view = json!({"payload": {"productId":"tea","occurredAt":format!("2026-11-02T{hour:02}:00:00Z")}});
                replay(&Client::admin(address), id, view).1["result"].clone()
            })
        };
        let attempts: Vec<_> = (10..16).map(attempt).collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| **result == "counted").count(), 1, "{results:?}");
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'total_views'"), Some(1));
    service.done(&["verify", "--full"]);
}

#[test]
fn a_record_that_can_be_counted_when_it_is_read_again_closes_its_letter() {
    let large = format!(r#"{{"productId":"tea","vendorId":"ann","pad":"{}"}}"#, "x".repeat(500));
    let records = [Message::json("product.viewed", &large), Message::json("product.viewed", &large)];
    let (mut service, mut ingest) = refused(&[("MAX_RECORD_BYTES", "300")], &records);
    assert!(ingest.stop().success());
    service.set("MAX_RECORD_BYTES", "1000");
    // One of the two is replayed, then both are read again.
    let one = service.database.lines("SELECT id::text FROM dead_letters ORDER BY \"offset\" LIMIT 1").remove(0);
    assert!(service.done(&["dead-letters", "replay", "--id", &one, "--actor", "jane"]).contains("1 counted"));
    service.database.execute("UPDATE ingest_offsets SET next_offset = 0");
    let _again = service.ingest();
    service.wait_consumed(4);
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'total_views'"), Some(2));
    let states = "SELECT state || ' ' || coalesce(string_agg(action || ' ' || actor || ' ' || result, ', '), '') \
                  FROM dead_letters d LEFT JOIN dead_letter_actions a ON a.dead_letter_id = d.id \
                  GROUP BY d.id, d.\"offset\", state ORDER BY d.\"offset\"";
    assert_eq!(service.database.lines(states), ["replayed replay jane counted", "replayed reread ingest counted"]);
    service.done(&["verify", "--full"]);
}

#[test]
fn a_replayed_record_is_known_by_its_place_after_a_purge() {
    let large = format!(r#"{{"productId":"tea","vendorId":"ann","pad":"{}"}}"#, "x".repeat(500));
    let records = vec![Message::json("product.viewed", &large); 3];
    let (mut service, mut ingest) = refused(&[("MAX_RECORD_BYTES", "300")], &records);
    assert!(ingest.stop().success());
    service.set("MAX_RECORD_BYTES", "1000");
    let ids = service.database.lines("SELECT id::text FROM dead_letters ORDER BY \"offset\"");
    for (id, action) in [(&ids[0], "replay"), (&ids[1], "replay"), (&ids[2], "discard")] {
        service.done(&["dead-letters", action, "--id", id, "--actor", "jane"]);
    }
    service.database.execute("UPDATE dead_letters SET created_at = now() - interval '3 days' WHERE \"offset\" <> 1");
    service.set("DEAD_LETTER_DAYS", "2");
    service.done(&["dead-letters", "purge"]);
    let left = service.database.lines("SELECT state FROM dead_letters");
    assert_eq!(left, ["replayed", "replayed"], "replayed letters are kept for DEDUPE_DAYS");
    service.database.execute("UPDATE ingest_offsets SET next_offset = 0");
    let _again = service.ingest();
    service.wait_consumed(6);
    // Two are counted already. The discarded one is counted now, because it was read again.
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'total_views'"), Some(3));
    service.done(&["verify", "--full"]);
}

#[test]
fn letters_are_listed_and_handled_in_bulk() {
    let view = |n: i32| Message::json("product.viewed", json!({"productId": format!("p-{n}"), "pad": "x".repeat(300)}));
    let mut records: Vec<Message> = (0..30).map(view).collect();
    records.extend((0..5).map(|_| Message::json("product.viewed", "nonsense")));
    records.push(Message::json("user.registered", "{}"));
    let (mut service, _ingest) = refused(&[("MAX_RECORD_BYTES", "200")], &records);
    service.set("MAX_RECORD_BYTES", "1000");
    let api = service.api();
    let client = Client::admin(&api.address);
    let topic = format!("{}user.registered", service.prefix);
    for (query, expected) in [
        (String::new(), 36),
        ("?reason=too_large".into(), 30),
        (format!("?topic={topic}"), 1),
        ("?state=replayed".into(), 0),
        ("?from=2099-01-01T00:00:00Z".into(), 0),
        ("?to=2099-01-01T00:00:00Z&reason=not_json".into(), 5),
    ] {
        assert_eq!(letters(&client, &query).len(), expected, "{query}");
    }
    let (_, first) = client.get("/api/dead-letters?limit=20");
    let (_, second) =
        client.get(&format!("/api/dead-letters?limit=20&cursor={}", first["nextCursor"].as_str().unwrap()));
    assert_eq!((second["items"].as_array().unwrap().len(), &second["nextCursor"]), (16, &Value::Null));
    for (path, body, parameter) in [
        ("replay", json!({}), 400),
        ("replay", json!({"reason": "ugly"}), 400),
        ("discard", json!({"everything": true}), 400),
    ] {
        assert_eq!(client.post(&format!("/api/dead-letters/{path}"), &body).0, parameter, "{path} {body}");
    }
    assert!(!service.job(&["dead-letters", "replay"]).0, "a selection is required");
    assert!(service.done(&["dead-letters", "list", "--reason", "not_json"]).contains("5 dead letters"));

    let (_, replayed) = client.post("/api/dead-letters/replay", &json!({"reason": "too_large"}));
    let results = replayed["items"].as_array().unwrap();
    assert!(results.len() == 30 && results.iter().all(|item| item["result"] == "counted"), "{replayed}");
    assert_eq!(client.value("total_views"), Some(30));
    let (_, discarded) = client.post("/api/dead-letters/discard", &json!({"topic": topic}));
    assert_eq!(discarded["items"][0]["result"], "discarded");
    let said = service.done(&["dead-letters", "replay", "--all", "--actor", "jane"]);
    assert!(said.contains("5 rejected"), "{said}");
    let said = service.done(&["dead-letters", "discard", "--reason", "not_json", "--actor", "jane"]);
    assert!(said.contains("5 discarded"), "{said}");
    assert_eq!(service.database.number("SELECT count(*) FROM dead_letters WHERE state = 'open'"), Some(0));
    let gone = letters(&client, "?reason=not_json")[0].clone();
    let said = service.done(&["dead-letters", "show", gone["id"].as_str().unwrap()]);
    assert!(said.contains("discard by jane") && said.contains("replay by jane: rejected"), "{said}");
    assert_eq!(replay(&client, &gone["id"], json!({})).1["result"], "refused", "its bytes are gone");
    assert_eq!(client.delete(&format!("/api/dead-letters/{}", gone["id"].as_str().unwrap())).0, 404);
    service.done(&["verify", "--full"]);
}

#[test]
fn a_replay_that_the_database_refuses_does_not_block_others() {
    let view = |n: i32| Message::json("product.viewed", json!({"productId": "tea", "n": n, "pad": "x".repeat(300)}));
    let records: Vec<Message> = (0..9).map(view).collect();
    let (mut service, _ingest) = refused(&[("MAX_RECORD_BYTES", "200")], &records);
    service.set("MAX_RECORD_BYTES", "1000");
    service.database.execute("ALTER TABLE event_logs ADD CHECK (metadata->>'n' <> '4')");
    let said = service.done(&["dead-letters", "replay", "--all"]);
    assert!(
        said.contains("8 counted") && said.contains("1 not replayed") && said.contains("did not store it"),
        "{said}"
    );
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'product_views:tea'"), Some(8));
    assert_eq!(service.database.number("SELECT count(*) FROM dead_letters WHERE state = 'open'"), Some(1));
    service.done(&["verify", "--full"]);
}

#[test]
fn a_record_of_an_unmapped_topic_is_not_replayed() {
    let (mut service, _ingest) = refused(&[], &[Message::json("product.viewed", "{}")]);
    service.set("KAFKA_TOPICS", "");
    let id = service.database.lines("SELECT id::text FROM dead_letters").remove(0);
    let said = service.done(&["dead-letters", "replay", "--id", &id]);
    assert!(said.contains("check KAFKA_TOPICS"), "{said}");
    assert_eq!(service.database.number("SELECT count(*) FROM event_logs"), Some(0));
}

#[test]
fn large_payloads_are_truncated_and_old_letters_purged() {
    let records: Vec<Message> =
        (0..40).map(|n| Message::json("product.viewed", format!("{n} {}", "x".repeat(1000)))).collect();
    let (mut service, _ingest) = refused(&[("DEAD_LETTER_MAX_BYTES", "100")], &records);
    let kept = "SELECT count(*) FROM dead_letters WHERE length(payload) = 100 AND payload_bytes > 1000";
    assert_eq!(service.database.number(kept), Some(40));
    let api = service.api();
    let client = Client::admin(&api.address);
    let (_, letter) = client.get(&format!("/api/dead-letters/{}", letters(&client, "")[0]["id"].as_str().unwrap()));
    assert_eq!(letter["payloadCut"], true);
    assert_eq!(replay(&client, &letter["id"], json!({})).1["result"], "refused");
    service.database.execute("UPDATE dead_letters SET created_at = now() - interval '3 days' WHERE \"offset\" < 10");
    wait::until("the gauges", PATIENCE, || {
        let (letters, oldest) =
            (api.metric("analytics_dead_letters"), api.metric("analytics_dead_letter_oldest_seconds"));
        (letters == 40.0 && oldest > 250_000.0).then_some(())
    });
    service.set("DEAD_LETTER_DAYS", "2");
    let said = service.done(&["dead-letters", "purge"]);
    assert!(said.contains("10 dead letters older than 2 days purged"), "{said}");
    assert_eq!(service.database.number("SELECT count(*) FROM dead_letters"), Some(30));
}

#[test]
fn proofs_are_published() {
    let (service, _ingest) = refused(&[], &[Message::json("product.viewed", r#"{"productId":"tea"}"#)]);
    let api = service.api();
    let client = Client::admin(&api.address);
    assert_eq!(client.get("/api/proofs").1["items"], json!([]));
    assert!(!client.answer("/metrics", &[]).into_body().contains("analytics_metric_drift"), "nothing is proved yet");
    service.done(&["verify", "--full"]);
    service.database.execute("UPDATE metrics SET value = 5 WHERE type = 'total_views'");
    assert!(!service.job(&["verify"]).0);
    let (_, proofs) = client.get("/api/proofs");
    let drifts: Vec<_> =
        proofs["items"].as_array().unwrap().iter().map(|proof| (&proof["drift"], &proof["complete"])).collect();
    assert_eq!(drifts, [(&json!(1), &json!(false)), (&json!(0), &json!(true))]);
    let difference = json!({"kind": "metric", "key": "total_views", "found": "5", "expected": "1"});
    assert_eq!(proofs["items"][0]["differences"], json!([difference]));
    wait::until("the gauge", PATIENCE, || (api.metric("analytics_metric_drift") == 1.0).then_some(()));
    assert!(api.metric("analytics_proof_age_seconds") > 0.0);
    service.done(&["rebuild"]);
    service.done(&["verify"]);
    wait::until("the gauge", PATIENCE, || (api.metric("analytics_metric_drift") == 0.0).then_some(()));
}

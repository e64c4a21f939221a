//! Events that name products and vendors: a directory of the latest names, from topics that may be
//! absent.

use std::time::{Duration, Instant};

use analytics_testkit::broker::{self, Message};
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;
use analytics_testkit::wait;
use serde_json::{Value, json};

fn directory(service: &Service) -> Vec<String> {
    service.database.lines(
        "SELECT kind || ' ' || id || ' ' || name || coalesce(' of ' || vendor_id, '') FROM directory ORDER BY kind, id",
    )
}

/// Starts a service whose optional topics exist.
fn with_topics() -> Service {
    let service = Service::new(1);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    service
}

fn product(id: &str, name: &str, time: &str) -> Value {
    json!({ "id": id, "name": name, "updatedAt": time })
}

#[test]
fn an_absent_topic_of_names_is_idle_and_is_found_within_30_s_of_its_creation() {
    let service = Service::new(2);
    let mut ingest = service.ingest();
    ingest.wait_ready();
    let mut tally = Tally::default();
    service.send_traffic(&mut tally, 1, 500);
    service.wait_all_consumed();
    assert!(!ingest.log().contains("product.created: "), "{}", ingest.log());
    assert!(!ingest.log().contains("not available"), "{}", ingest.log());

    let created = Instant::now();
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    service.send(&[Message::json("product.created", product("p-1", "Oak table", "2026-11-01T00:00:00Z"))]);
    wait::until("the name", Duration::from_secs(30), || {
        (directory(&service) == ["product p-1 Oak table"]).then_some(())
    });
    assert!(created.elapsed() < Duration::from_secs(30), "{:?}", created.elapsed());
    assert!(ingest.is_ready());
    assert!((ingest.metric("analytics_ingest_sessions_total") - 1.0).abs() < f64::EPSILON, "it stayed in the group");

    service.send_traffic(&mut tally, 2, 500);
    service.wait_consumed(1_001);
    assert!(service.done(&["verify", "--full"]).contains("drift 0"));
}

#[test]
fn the_latest_name_is_kept_whatever_the_order_of_arrival() {
    let service = with_topics();
    let _ingest = service.ingest();
    let [early, late] = ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"];
    let named = |topic: &str, payload: Value| {
        let before = service.consumed();
        service.send(&[Message::json(topic, payload)]);
        service.wait_consumed(before + 1);
    };
    named("product.updated", product("p-1", "New", late));
    named("product.created", product("p-1", "Old", early));
    named("vendor.created", json!({ "sellerId": "v:1%", "shopName": "Oaks \u{202e}&\n Co", "createdAt": early }));
    named("product.created", json!({ "id": "p-2", "title": "<b>=1+1</b>", "vendorId": "v:1%", "createdAt": early }));
    let latest = ["product p-1 New", "product p-2 <b>=1+1</b> of v:1%", "vendor v:1% Oaks & Co"];
    assert_eq!(directory(&service), latest);
    assert_eq!(service.database.lines("SELECT subject FROM directory WHERE kind = 'vendor'"), ["v%3A1%25"]);
    // Two names at one time: the greater event id, as the log says.
    named("product.updated", product("p-3", "A", late));
    named("product.updated", product("p-3", "B", late));
    let greater = service
        .database
        .lines("SELECT metadata ->> 'name' FROM event_logs WHERE product_id = 'p-3' ORDER BY id DESC LIMIT 1");
    assert_eq!(service.database.lines("SELECT name FROM directory WHERE id = 'p-3'"), greater);

    // Reading everything again changes nothing.
    let before = service.numbers();
    let consumed = service.consumed();
    service.done(&["verify", "--full"]);
    drop(_ingest);
    service.database.execute("UPDATE ingest_offsets SET next_offset = 0, last_record_timestamp = NULL");
    let _heir = service.ingest();
    service.wait_consumed(consumed * 2);
    assert_eq!(service.numbers(), before);
}

#[test]
fn names_are_logged_and_nothing_is_counted() {
    let service = with_topics();
    let _ingest = service.ingest();
    let view = || Message::json("product.viewed", json!({ "productId": "p" }));
    let named = Message::json("product.created", json!({ "id": "p", "name": "n", "vendorId": "v", "eventId": "e" }));
    service.send(std::slice::from_ref(&named));
    service.wait_consumed(1);
    service.send(&[view(), named, Message::json("product.created", json!({ "id": "p", "name": "m", "eventId": "e" }))]);
    for bad in [json!({ "id": "p" }), json!({ "name": "n" }), json!({ "id": "p", "name": "x".repeat(256) })] {
        service.send(&[Message::json("vendor.updated", bad)]);
    }
    service.wait_consumed(7);
    // The view's vendor stays unknown.
    let metrics = service.database.lines("SELECT type || ' ' || value FROM metrics ORDER BY type COLLATE \"C\"");
    assert_eq!(metrics, ["product_views:p 1", "total_views 1"]);
    assert_eq!(service.database.number("SELECT count(*) FROM product_vendors"), Some(0));
    let logged = "SELECT event_type || ' ' || count(*) FROM event_logs GROUP BY event_type ORDER BY 1";
    assert_eq!(service.database.lines(logged), ["product.created 1", "product.viewed 1"]);
    assert_eq!(service.database.number("SELECT sum(duplicates) FROM ingest_offsets"), Some(1));
    let letters = service.database.lines("SELECT reason || ': ' || detail FROM dead_letters ORDER BY reason, detail");
    assert_eq!(letters.len(), 4, "{letters:?}");
    assert!(letters[0].starts_with("identity_conflict"), "{letters:?}");
    assert_eq!(letters[1], "invalid_name: name has 256 characters, at most 255 are allowed");
    assert!(letters[2].starts_with("missing_field: shopName or ") && letters[3].contains("vendorId or"), "{letters:?}");

    // A corrected dead letter names the vendor.
    let numbers = service.database.lines("SELECT type || value FROM metrics ORDER BY 1");
    let letter = service.database.lines("SELECT id::text FROM dead_letters WHERE reason = 'invalid_name'").remove(0);
    let corrected = r#"{"id":"v","name":"Oaks"}"#;
    let file = std::env::temp_dir().join(format!("{}corrected.json", service.prefix));
    std::fs::write(&file, corrected).unwrap();
    service.done(&["dead-letters", "replay", "--id", &letter, "--payload", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(directory(&service), ["product p n of v", "vendor v Oaks"]);
    assert_eq!(service.database.lines("SELECT type || value FROM metrics ORDER BY 1"), numbers);
    for job in [&["verify", "--full"][..], &["rebuild"], &["rebuild", "--reattribute"], &["verify", "--full"]] {
        service.done(job);
    }
    assert_eq!(service.database.lines("SELECT type || value FROM metrics ORDER BY 1"), numbers);
}

//! The audit log: every administrative write, with who did it, in the transaction of the write.

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::service::Service;
use serde_json::{Value, json};

/// The recorded writes but migrations, oldest first: actor, action and subject.
fn recorded(service: &Service) -> Vec<String> {
    service.database.lines(
        "SELECT concat_ws(' | ', actor, action, subject) FROM audit_log WHERE action <> 'schema.migrate' ORDER BY id",
    )
}

#[test]
fn every_administrative_write_is_listed_with_who_did_it() {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    let ingest = service.ingest();
    let letter = || Message::json("product.viewed", "nonsense");
    let order = json!({"orderId":"o","items":[{"productId":"tea","price":"1"}]});
    service.send(&[letter(), letter(), Message::json("order.created", &order)]);
    service.wait_all_consumed();
    // The vendor becomes known after the order was counted: topics are read at once.
    service.send(&[Message::json("product.viewed", json!({"productId":"tea","vendorId":"ann"}))]);
    service.wait_all_consumed();
    drop(ingest);
    let (group, topic) = (format!("{}group", service.prefix), format!("{}product.viewed", service.prefix));
    let api = service.api();
    let client = Client::admin(&api.address);
    let upsert = json!({"type": "newsletters", "value": 7, "reason": "a campaign"});
    assert_eq!(client.post("/api/metrics/upsert", &upsert).0, 200);
    let ids = service.database.lines("SELECT id FROM dead_letters ORDER BY id");
    assert_eq!(client.post(&format!("/api/dead-letters/{}/replay", ids[0]), &json!({})).0, 200);
    assert_eq!(client.post("/api/dead-letters/discard", &json!({ "ids": [ids[0]] })).0, 200);
    for job in [
        &["dead-letters", "discard", "--all", "--actor", "bob"][..],
        &["rebuild", "--reattribute", "--actor", "bob"],
        &["offsets", "set", "--topic", &topic, "--offset", "1", "--actor", "bob"],
        &["offsets", "forget", "--topic", &topic, "--actor", "bob"],
        &["metadata-index", "--path", "source", "--actor", "bob"],
        &["metadata-index", "--path", "source", "--drop", "--actor", "bob"],
    ] {
        service.done(job);
    }
    service.database.execute("UPDATE metrics SET value = value + 1 WHERE type = 'total_views'");
    service.done(&["rebuild", "--dry-run", "--actor", "eve"]);
    service.done(&["rebuild", "--actor", "bob"]);
    assert_eq!(
        recorded(&service),
        [
            "tester | metric.adjust | newsletters".to_owned(),
            "tester | dead_letters.replay | dead letters: 1".into(),
            "tester | dead_letters.discard | dead letters: 1".into(),
            "bob | dead_letters.discard | dead letters: 1".into(),
            "bob | numbers.reattribute | events: 1".into(),
            format!("bob | offsets.set | {group} {topic}/0"),
            format!("bob | offsets.forget | {group} {topic}"),
            "bob | metadata_index.create | source".into(),
            "bob | metadata_index.drop | source".into(),
            "bob | numbers.rebuild | numbers: 1".into(),
        ]
    );

    let said = service.done(&["audit-log", "--actor", "bob", "--limit", "2"]);
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.contains("numbers.rebuild") && said.contains("total_views"), "{said}");
    let (status, first) = client.get("/api/audit?limit=4");
    assert_eq!((status, first["items"][0]["action"].as_str()), (200, Some("numbers.rebuild")));
    let cursor = first["nextCursor"].as_str().unwrap();
    let (_, rest) = client.get(&format!("/api/audit?cursor={cursor}"));
    assert_eq!(rest["items"].as_array().unwrap().len(), 6, "{rest}");
    let (_, adjusted) = client.get("/api/audit?action=metric.adjust&actor=tester");
    let item = &adjusted["items"][0];
    assert_eq!(item["detail"]["reason"], "a campaign");
    assert_eq!((&item["detail"]["delta"], &item["detail"]["previous"]), (&json!(7), &Value::Null));
    assert_eq!(client.get("/api/audit?from=2099-01-01T00:00:00Z").1["items"], json!([]));
    assert_eq!(client.get("/api/audit?action=nonsense").0, 400);
}

#[test]
fn a_write_that_cannot_be_recorded_is_not_done() {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    let ingest = service.ingest();
    service.send(&[Message::json("product.viewed", "nonsense")]);
    service.wait_all_consumed();
    drop(ingest);
    let api = service.api();
    service.database.execute("ALTER TABLE audit_log ADD CHECK (actor <> 'tester' AND actor <> 'bob') NOT VALID");
    let client = Client::admin(&api.address);
    assert!(client.post("/api/metrics/upsert", &json!({"type": "newsletters", "value": 7})).0 >= 500);
    let topic = format!("{}product.viewed", service.prefix);
    for job in [
        &["dead-letters", "discard", "--all", "--actor", "bob"][..],
        &["dead-letters", "replay", "--all", "--actor", "bob"],
        &["offsets", "set", "--topic", &topic, "--offset", "0", "--actor", "bob"],
        &["offsets", "forget", "--topic", &topic, "--actor", "bob"],
        &["metadata-index", "--path", "source", "--actor", "bob"],
    ] {
        let (done, said) = service.job(job);
        assert!(!done || said.contains("did not store it"), "{job:?}: {said}");
    }
    for (query, expected) in [
        ("SELECT count(*) FROM metrics WHERE type = 'newsletters'", 0),
        ("SELECT count(*) FROM event_logs WHERE event_type = 'metric.adjusted'", 0),
        ("SELECT count(*) FROM dead_letters WHERE state = 'open'", 1),
        ("SELECT count(*) FROM dead_letter_actions", 0),
        ("SELECT count(*) FROM metadata_indexes", 0),
    ] {
        assert_eq!(service.database.number(query), Some(expected), "{query}");
    }
    let offset = format!("SELECT next_offset FROM ingest_offsets WHERE topic = '{topic}'");
    assert_eq!(service.database.number(&offset), Some(1));
}

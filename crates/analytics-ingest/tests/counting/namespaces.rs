//! Two shops with separate topics and overlapping order numbers: namespaces keep their ids apart.

use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::Client;
use analytics_testkit::process::Process;
use analytics_testkit::service::Service;
use serde_json::{Value, json};

/// The event families and topics of the second shop.
const US: [(&str, &str); 3] =
    [("order.created", "us.orders"), ("user.registered", "us.users"), ("rating.updated", "us.ratings")];

/// Starts a service for two shops. The first shop uses the topics named like the event families.
fn shops(namespaces: [&str; 2]) -> (Service, Process) {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    let prefix = service.prefix.clone();
    let names: Vec<String> = US.iter().map(|(_, topic)| format!("{prefix}{topic}")).collect();
    broker::create_topics(&service.broker, &names, 1);
    let [eu, us] = namespaces;
    let entry = |(family, topic): &(&str, &str)| format!("{family}={prefix}{family}{eu},{family}={prefix}{topic}{us}");
    let mapping: Vec<String> = US.iter().map(entry).collect();
    service.set("KAFKA_TOPICS", &format!("product.viewed={prefix}product.viewed,{}", mapping.join(",")));
    let ingest = service.ingest();
    (service, ingest)
}

fn order(topic: &str, id: u32, vendor: &str, price: &str) -> Message {
    let line = json!({"productId": format!("{vendor}-tea"), "vendorId": vendor, "price": price});
    Message::json(topic, json!({"orderId": id, "userId": "u-1", "items": [line]}))
}

fn signup(topic: &str, role: &str) -> Message {
    Message::json(topic, json!({"userId": "u-1", "role": role}))
}

fn rating(topic: &str, user: &str, stars: u8) -> Message {
    let edited = "2026-11-02T10:00:00Z";
    Message::json(
        topic,
        json!({"ratingId": 1, "userId": user, "productId": "cup", "stars": stars, "updatedAt": edited}),
    )
}

/// Returns how many events explain a number, and the sum of what they added.
fn explained(client: &Client, metric: &str) -> (usize, i64) {
    let (status, page) = client.get(&format!("/api/metrics/{}/events", metric.replace(':', "%3A")));
    assert_eq!(status, 200, "{metric}: {page}");
    let items = page["items"].as_array().unwrap();
    (items.len(), items.iter().map(|item| item["delta"].as_i64().unwrap()).sum())
}

/// Returns the records of both shops: for each, ten orders, a user and a rating, with the same ids.
fn both() -> Vec<Message> {
    let mut records = Vec::new();
    for id in 1..=10 {
        records.extend([order("order.created", id, "ann", "1.00"), order("us.orders", id, "bob", "2.00")]);
    }
    records.extend([signup("user.registered", "buyer"), signup("us.users", "seller")]);
    records.extend([rating("rating.updated", "u-1", 2), rating("us.ratings", "u-2", 4)]);
    records
}

#[test]
fn the_same_ids_in_two_namespaces_are_distinct() {
    let (service, mut ingest) = shops(["@eu", "@us"]);
    let records = both();
    service.send(&records);
    service.wait_consumed(24);
    // Within its namespace, a repeated record is a duplicate.
    service.send(&records);
    service.wait_consumed(48);
    assert_eq!(service.database.number("SELECT count(*) FROM dead_letters"), Some(0));
    assert_eq!(service.database.number("SELECT sum(duplicates) FROM ingest_offsets"), Some(24));
    let api = service.api();
    let client = Client::admin(&api.address);
    for (metric, events, value) in [
        ("total_orders", 20, 20),
        ("total_revenue", 20, 3_000),
        ("seller_revenue:ann", 10, 1_000),
        ("seller_revenue:bob", 10, 2_000),
        ("total_signups", 2, 2),
    ] {
        assert_eq!((client.value(metric), explained(&client, metric)), (Some(value), (events, value)), "{metric}");
    }
    assert_eq!(client.metric("product_rating:cup").1["value"], 300);
    service.done(&["verify", "--full"]);

    // When the records are read again from the start, all of them are known.
    assert!(ingest.stop().success());
    let before = service.numbers();
    service.database.execute("UPDATE ingest_offsets SET next_offset = 0");
    let _again = service.ingest();
    service.wait_consumed(96);
    assert_eq!(service.numbers(), before);
    service.done(&["verify", "--full"]);
}

#[test]
fn without_namespaces_records_of_the_second_shop_are_rejected_and_not_lost() {
    let (service, _ingest) = shops(["", ""]);
    service.send(&both());
    service.wait_consumed(24);
    let refused = "SELECT reason || ' ' || count(*) FROM dead_letters GROUP BY reason";
    assert_eq!(service.database.lines(refused), ["identity_conflict 12"]);
    service.done(&["verify", "--full"]);
}

#[test]
fn a_replayed_record_belongs_to_its_topics_namespace() {
    let (service, _ingest) = shops(["@eu", "@us"]);
    service.send(&[order("order.created", 7, "ann", "1.00"), order("us.orders", 7, "bob", "two")]);
    service.wait_consumed(2);
    let api = service.api();
    let client = Client::admin(&api.address);
    let id = service.database.lines("SELECT id FROM dead_letters").remove(0);
    let mended: Value = serde_json::from_slice(&order("", 7, "bob", "2.00").payload.unwrap()).unwrap();
    let (_, replayed) = client.post(&format!("/api/dead-letters/{id}/replay"), &json!({ "payload": mended }));
    assert_eq!(replayed["result"], "counted", "{replayed}");
    // The order is counted: sent once more, it is a duplicate, within its own shop only.
    service.send(&[order("us.orders", 7, "bob", "2.00")]);
    service.wait_consumed(3);
    assert_eq!(service.database.number("SELECT sum(duplicates) FROM ingest_offsets"), Some(1));
    assert_eq!((client.value("total_orders"), client.value("seller_revenue:bob")), (Some(2), Some(200)));
    service.done(&["verify", "--full"]);
}

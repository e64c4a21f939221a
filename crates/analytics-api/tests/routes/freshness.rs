//! Tests of `/api/freshness` in each state that ingest and Kafka can be in.

use analytics_testkit::broker::{self, Message, Sender};
use analytics_testkit::client::Client;
use analytics_testkit::kafka::Kafka;
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use serde_json::Value;

fn views(count: usize) -> Vec<Message> {
    vec![Message::json("product.viewed", r#"{"productId":"p"}"#); count]
}

/// Returns the freshness of the topic with this name without the prefix, or the whole response for
/// `""`.
fn topic(api: &Process, service: &Service, name: &str) -> Value {
    let (status, body) = Client::admin(&api.address).get("/api/freshness");
    assert_eq!(status, 200, "{body}");
    if name.is_empty() {
        return body;
    }
    let full = format!("{}{name}", service.prefix);
    body["topics"].as_array().unwrap().iter().find(|topic| topic["topic"] == full.as_str()).cloned().unwrap_or_default()
}

/// Waits until a topic is in this state, and returns the reason.
fn wait_for(api: &Process, service: &Service, name: &str, state: &str) -> String {
    wait::until(&format!("{name} to be {state}"), PATIENCE, || {
        let topic = topic(api, service, name);
        (topic["state"] == state).then(|| topic["reason"].as_str().unwrap_or_default().to_owned())
    })
}

#[test]
fn an_open_transaction_delays_its_topic_until_it_ends() {
    let service = Service::new(1);
    let (_ingest, api) = (service.ingest(), service.api());
    service.send(&views(10));
    wait_for(&api, &service, "", "live");
    let sender = Sender::transactional(&service.broker, &service.prefix);
    for commit in [false, true] {
        sender.begin(&views(16));
        let why = wait_for(&api, &service, "product.viewed", "delayed");
        assert!(why.contains("not counted"), "{why}");
        assert_eq!(topic(&api, &service, "order.created")["state"], "live", "other topics are not affected");
        assert_eq!(topic(&api, &service, "")["state"], "delayed", "the overall state is the worst");
        // Only the control record that ends the transaction follows. Consumers do not see it.
        sender.end(commit);
        wait_for(&api, &service, "", "live");
        wait::until("the control record not to count as lag", PATIENCE, || {
            (topic(&api, &service, "product.viewed")["lagMessages"] == 0).then_some(())
        });
    }
    assert_eq!(service.consumed(), 26);
}

#[test]
fn a_missing_topic_is_stalled_until_it_is_created() {
    let mut service = Service::new(1);
    let missing = format!("{}orders.eu", service.prefix);
    service.set("KAFKA_TOPICS", &format!("{},order.created={missing}", service.environment["KAFKA_TOPICS"]));
    let (_ingest, api) = (service.ingest(), service.api());
    service.send(&views(10));
    wait_for(&api, &service, "product.viewed", "live");
    let why = wait_for(&api, &service, "orders.eu", "stalled");
    assert!(why.contains("does not exist"), "{why}");
    assert_eq!(topic(&api, &service, "")["state"], "stalled");
    broker::create_topics(&service.broker, &[missing], 2);
    wait_for(&api, &service, "orders.eu", "live");
    wait_for(&api, &service, "", "live");
}

#[test]
fn an_absent_topic_of_an_optional_family_is_idle_and_delays_nothing() {
    let service = Service::new(1);
    let (_ingest, api) = (service.ingest(), service.api());
    service.send(&views(10));
    wait_for(&api, &service, "", "live");
    let why = wait_for(&api, &service, "product.created", "idle");
    assert!(why.contains("optional"), "{why}");
    let all = topic(&api, &service, "");
    assert!(all["countedUpTo"].is_string() && all["reason"].is_null(), "{all}");
    let created = format!("{}product.created", service.prefix);
    broker::create_topics(&service.broker, std::slice::from_ref(&created), 2);
    wait_for(&api, &service, "product.created", "live");
    wait_for(&api, &service, "", "live");
    broker::delete_topic(&service.broker, &created);
    wait_for(&api, &service, "product.created", "idle");
    wait_for(&api, &service, "", "live");
}

#[test]
fn a_retired_topic_is_no_longer_listed() {
    let mut service = Service::new(1);
    let retired = format!("{}old", service.prefix);
    broker::create_topics(&service.broker, std::slice::from_ref(&retired), 2);
    let mapping = service.environment["KAFKA_TOPICS"].clone();
    service.set("KAFKA_TOPICS", &format!("{mapping},product.viewed={retired}"));
    let (mut ingest, api) = (service.ingest(), service.api());
    service.send(&[Message::json("old", r#"{"productId":"p"}"#)]);
    service.send(&views(1));
    service.wait_consumed(2);
    wait_for(&api, &service, "", "live");
    assert!(ingest.stop().success());

    service.set("KAFKA_TOPICS", &mapping);
    let _heir = service.ingest();
    broker::delete_topic(&service.broker, &retired);
    service.done(&["offsets", "forget", "--topic", &retired]);
    wait::until("the topic not to be listed", PATIENCE, || topic(&api, &service, "old").is_null().then_some(()));
    wait_for(&api, &service, "", "live");
    assert!(!service.done(&["offsets", "show"]).contains(&retired));
    assert_eq!(Client::admin(&api.address).value("total_views"), Some(2), "what was counted stays counted");
}

#[test]
fn a_topic_recreated_with_fewer_partitions_is_live_again() {
    let mut service = Service::new(4);
    let (_ingest, api) = (service.ingest(), service.api());
    service.send(&views(40));
    service.wait_all_consumed();
    wait_for(&api, &service, "", "live");
    service.remake_topic("product.viewed", 2);
    service.send(&views(40));
    service.wait_consumed(80);
    wait_for(&api, &service, "", "live");
    let partitions = "SELECT count(*) FROM ingest_offsets WHERE topic LIKE '%product.viewed'";
    wait::until("removed partitions to be ignored", PATIENCE, || {
        (topic(&api, &service, "product.viewed")["state"] == "live").then_some(())
    });
    assert!(service.database.number(partitions) >= Some(2));
}

#[test]
fn a_dead_worker_is_stalled_whatever_the_clock_of_the_api() {
    let mut service = Service::new(1);
    let library = glob("/usr/lib", "faketime/libfaketimeMT.so.1");
    let mut ingest = service.ingest();
    service.send(&views(10));
    service.wait_all_consumed();
    service.set("LD_PRELOAD", &library);
    service.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut apis = Vec::new();
    for clock in ["-45s", "+0s", "+45s"] {
        service.set("FAKETIME", clock);
        apis.push(service.api());
    }
    for api in &apis {
        wait_for(api, &service, "", "live");
        let lag = topic(api, &service, "")["lagSeconds"].as_i64().unwrap();
        assert!((0..30).contains(&lag), "{lag}");
    }
    ingest.kill();
    for api in &apis {
        assert!(wait_for(api, &service, "", "stalled").contains("no worker has reported"));
    }
}

/// Finds the file with the relative path `end` in a subfolder of `folder`.
fn glob(folder: &str, end: &str) -> String {
    let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
    let found = entries.map(|entry| entry.path().join(end)).find(|path| path.exists());
    found.expect("libfaketime is installed; scripts/test installs it").to_str().unwrap().to_owned()
}

#[test]
fn a_partition_without_a_leader_is_stalled_and_does_not_delay_others() {
    let mut kafka = Kafka::start();
    let mut service = Service::new(1);
    // Kafka's internal topics for the group are created before the second broker exists, so that
    // they are not on it.
    service.set("KAFKA_BROKER", &kafka.address);
    broker::create_topics(&kafka.address, &broker::family_topics(&service.prefix), 2);
    let mut first = service.ingest();
    first.wait_ready();
    assert!(first.stop().success());
    let mut second = kafka.second();
    let apart = format!("{}apart", service.prefix);
    broker::create_topic_on(&kafka.address, &apart, &[&[1], &[2]]);
    service.set("KAFKA_TOPICS", &format!("{},product.viewed={apart}", service.environment["KAFKA_TOPICS"]));
    let (worker, api) = (service.ingest(), service.api());
    let sender = Sender::new(&kafka.address, &service.prefix);
    sender.send(&views(10));
    wait_for(&api, &service, "", "live");

    second.kill();
    sender.send(&views(20));
    service.wait_consumed(30);
    let why = wait_for(&api, &service, "apart", "stalled");
    assert!(why.contains("broker"), "{why}");
    // A worker that starts meanwhile counts the other partitions, too.
    drop(worker);
    let worker = service.ingest();
    sender.send(&views(30));
    service.wait_consumed(60);
    assert_eq!(topic(&api, &service, "order.created")["state"], "live");
    assert!(!worker.log().contains("panicked"));

    second.run();
    wait_for(&api, &service, "", "live");
    let keyed = (0..40).map(|n| Message { topic: "apart".into(), key: Some(n.to_string()), ..views(1).remove(0) });
    sender.send(&keyed.collect::<Vec<_>>());
    service.wait_consumed(100);
    drop(worker);
    kafka.kill();
}

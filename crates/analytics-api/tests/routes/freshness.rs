//! What `/api/freshness` says in each state that ingest and Kafka can be in.

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

/// The state of one topic by its name without the prefix; of all for `""`.
fn topic(api: &Process, service: &Service, name: &str) -> Value {
    let (status, body) = Client::admin(&api.address).get("/api/freshness");
    assert_eq!(status, 200, "{body}");
    if name.is_empty() {
        return body;
    }
    let full = format!("{}{name}", service.prefix);
    body["topics"].as_array().unwrap().iter().find(|topic| topic["topic"] == full.as_str()).cloned().unwrap_or_default()
}

/// Waits until a topic is in this state, and returns why.
fn wait_for(api: &Process, service: &Service, name: &str, state: &str) -> String {
    wait::until(&format!("{name} to be {state}"), PATIENCE, || {
        let topic = topic(api, service, name);
        (topic["state"] == state).then(|| topic["reason"].as_str().unwrap_or_default().to_owned())
    })
}

#[test]
fn an_open_transaction_is_a_delay_and_its_end_is_none() {
    let service = Service::new(1);
    let (_ingest, api) = (service.ingest(), service.api());
    service.send(&views(10));
    wait_for(&api, &service, "", "live");
    let sender = Sender::transactional(&service.broker, &service.prefix);
    for commit in [false, true] {
        sender.begin(&views(16));
        let why = wait_for(&api, &service, "product.viewed", "delayed");
        assert!(why.contains("not counted"), "{why}");
        assert_eq!(topic(&api, &service, "order.created")["state"], "live", "the others are what they are");
        assert_eq!(topic(&api, &service, "")["state"], "delayed", "all are as fresh as the worst");
        // Nothing follows the mark of its end, which is no record.
        sender.end(commit);
        wait_for(&api, &service, "", "live");
        wait::until("the mark to be no lag", PATIENCE, || {
            (topic(&api, &service, "product.viewed")["lagMessages"] == 0).then_some(())
        });
    }
    assert_eq!(service.consumed(), 26);
}

#[test]
fn a_topic_that_does_not_exist_is_named_until_it_does() {
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
fn a_retired_topic_is_named_no_more() {
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
    wait::until("it to be named no more", PATIENCE, || topic(&api, &service, "old").is_null().then_some(()));
    wait_for(&api, &service, "", "live");
    assert!(!service.done(&["offsets", "show"]).contains(&retired));
    assert_eq!(Client::admin(&api.address).value("total_views"), Some(2), "what was counted stays counted");
}

#[test]
fn a_topic_made_again_with_fewer_partitions_is_live_again() {
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
    wait::until("partitions that are gone to be forgotten", PATIENCE, || {
        (topic(&api, &service, "product.viewed")["state"] == "live").then_some(())
    });
    assert!(service.database.number(partitions) >= Some(2));
}

#[test]
fn a_dead_worker_stalls_whatever_the_clock_of_the_api() {
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

/// The one file with this end in a folder of a folder.
fn glob(folder: &str, end: &str) -> String {
    let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
    let found = entries.map(|entry| entry.path().join(end)).find(|path| path.exists());
    found.expect("libfaketime; scripts/test installs it").to_str().unwrap().to_owned()
}

#[test]
fn a_partition_without_a_leader_is_told_and_holds_up_no_other() {
    let mut kafka = Kafka::start();
    let mut service = Service::new(1);
    // The group's own topics are made before there is another broker on which they could be.
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
    // Who comes meanwhile counts what there is as well.
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

//! `KAFKA_START` applies to partitions that existed before the group. Partitions created later are
//! counted from their beginning.

use analytics_testkit::broker::{self, Message};
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;

fn views(service: &Service, count: usize) {
    service.send(&vec![Message::json("product.viewed", r#"{"productId":"p"}"#); count]);
}

fn counted(service: &Service) -> i64 {
    service.database.number("SELECT count(*) FROM event_logs").unwrap()
}

#[test]
fn a_partition_that_is_added_is_counted_from_its_beginning() {
    let mut service = Service::new(1);
    service.set("KAFKA_START", "latest");
    views(&service, 100);
    let mut ingest = service.ingest();
    ingest.wait_ready();
    assert_eq!(counted(&service), 0, "older records are skipped");
    broker::add_partitions(&service.broker, &format!("{}product.viewed", service.prefix), 4);
    // Records with other keys go to the new partitions before the worker has noticed these.
    let keyed = (0..200)
        .map(|n| Message { key: Some(format!("k-{n}")), ..Message::json("product.viewed", r#"{"productId":"p"}"#) });
    let sender = broker::Sender::new(&service.broker, &service.prefix);
    sender.send(&keyed.collect::<Vec<_>>());
    wait::until("all of them", PATIENCE, || (counted(&service) == 200).then_some(()));
    assert_eq!(service.database.number("SELECT count(*) FROM ingest_gaps"), Some(0));
    let rows = "SELECT count(*) FROM ingest_offsets WHERE topic LIKE '%product.viewed' AND next_offset > 0";
    assert!(service.database.number(rows) > Some(1), "the new partitions have records");
}

#[test]
fn a_topic_that_is_created_later_is_counted_from_its_beginning() {
    let mut service = Service::new(1);
    let late = format!("{}late", service.prefix);
    service.set("KAFKA_START", "latest");
    service.set("KAFKA_TOPICS", &format!("{},product.viewed={late}", service.environment["KAFKA_TOPICS"]));
    let mut ingest = service.ingest();
    ingest.wait_ready();
    drop(ingest);
    // While no worker runs, as during a rollout.
    broker::create_topics(&service.broker, &[late], 2);
    service.send(&vec![Message::json("late", r#"{"productId":"p"}"#); 150]);
    let _heir = service.ingest();
    wait::until("all of them", PATIENCE, || (counted(&service) == 150).then_some(()));
}

#[test]
fn a_group_that_starts_late_skips_only_older_records() {
    let mut service = Service::new(2);
    service.set("KAFKA_START", "latest");
    views(&service, 100);
    let mut ingest = service.ingest();
    ingest.wait_ready();
    views(&service, 50);
    wait::until("the later ones", PATIENCE, || (counted(&service) == 50).then_some(()));
    assert!(ingest.stop().success());
    views(&service, 30);
    let _heir = service.ingest();
    wait::until("those that were sent while no worker ran", PATIENCE, || (counted(&service) == 80).then_some(()));
}

//! Records that Kafka has lost: corrupt records, and a partition that ends before the stored
//! offset.

use std::time::Duration;

use analytics_testkit::broker::{self, Message, Sender};
use analytics_testkit::kafka::Kafka;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;

fn gaps(service: &Service) -> Vec<String> {
    service.database.lines("SELECT concat_ws(' ', from_offset, to_offset, resumed_at, reason) FROM ingest_gaps")
}

fn views(text: &str, count: usize) -> Vec<Message> {
    vec![Message::json("product.viewed", format!(r#"{{"productId":"p","x":"{text}"}}"#)); count]
}

#[test]
fn corrupt_records_are_a_gap_and_those_after_them_are_counted() {
    let kafka = Kafka::start();
    let mut service = Service::new(1);
    service.set("KAFKA_BROKER", &kafka.address);
    broker::create_topics(&kafka.address, &broker::family_topics(&service.prefix), 1);
    let sender = Sender::compressing(&kafka.address, &service.prefix, "none");
    // Each is one batch. The search for the end of a corrupt batch must not confuse the two corrupt
    // ones.
    for (text, count) in [("good", 10), ("rotten-in-places", 7), ("good", 1), ("rotten-in-places", 23), ("good", 3)] {
        sender.send(&views(text, count));
    }
    kafka.rot(&format!("{}product.viewed", service.prefix), 0, b"rotten-in-places");
    let mut ingest = service.ingest();
    wait::until("the intact records", PATIENCE, || (service.consumed() == 14).then_some(()));
    let gaps = gaps(&service);
    let expected = ["10 17 17 ", "18 41 41 "];
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    for (gap, place) in gaps.iter().zip(expected) {
        assert!(gap.starts_with(place) && gap.contains("checksum"), "{gaps:?}");
    }
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'total_views'"), Some(14));
    assert!(ingest.log().contains("damaged"), "the log must mention the damage: {}", ingest.log());
    sender.send(&views("good", 2));
    wait::until("the later records", PATIENCE, || (service.consumed() == 16).then_some(()));
    ingest.wait_ready();
    assert!(ingest.stop().success());
}

#[test]
fn corrupt_records_after_an_aborted_transaction_are_a_gap() {
    let kafka = Kafka::start();
    let mut service = Service::new(1);
    service.set("KAFKA_BROKER", &kafka.address);
    broker::create_topics(&kafka.address, &broker::family_topics(&service.prefix), 1);
    Sender::transactional(&kafka.address, &service.prefix).transaction(&views("never", 10), false);
    let sender = Sender::compressing(&kafka.address, &service.prefix, "none");
    sender.send(&views("rotten-in-places", 5));
    sender.send(&views("good", 3));
    kafka.rot(&format!("{}product.viewed", service.prefix), 0, b"rotten-in-places");
    let _ingest = service.ingest();
    wait::until("the intact records", PATIENCE, || (service.consumed() == 3).then_some(()));
    let gaps = gaps(&service);
    // Ten records, the abort marker, and five corrupt records.
    assert!(gaps.len() == 1 && gaps[0].starts_with("0 16 16 "), "{gaps:?}");
}

/// Counts ten views, and then moves the stored offset past the end of the partition.
fn counted_too_far(offset: &str) -> Service {
    let service = Service::new(1);
    let mut worker = service.ingest();
    service.send(&views("", 10));
    service.wait_consumed(10);
    assert!(worker.stop().success());
    let topic = format!("{}product.viewed", service.prefix);
    service.done(&["offsets", "set", "--topic", &topic, "--offset", offset]);
    service
}

#[test]
fn a_partition_that_ends_too_early_for_a_moment_is_waited_for() {
    let service = counted_too_far("15");
    let worker = service.ingest();
    wait::until("the worker to notice", PATIENCE, || {
        worker.log().contains("before the stored offset 15").then_some(())
    });
    // A signup shows that the other partitions are counted meanwhile.
    service.send(&[Message::json("user.registered", r#"{"userId":"u"}"#)]);
    service.wait_consumed(11);
    service.send(&views("", 10));
    service.wait_consumed(16);
    assert_eq!(gaps(&service), Vec::<String>::new(), "nothing was lost, and nothing must be read again");
}

#[test]
fn a_partition_that_stays_too_short_is_read_from_its_beginning() {
    let service = counted_too_far("1000000");
    let _worker = service.ingest();
    let recorded = wait::until("the gap", Duration::from_secs(150), || gaps(&service).pop());
    assert!(recorded.starts_with("1000000 1000000 0 "), "{recorded}");
    // All ten are known by their offsets.
    wait::until("its records", PATIENCE, || (service.consumed() == 20).then_some(()));
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'total_views'"), Some(10));
}

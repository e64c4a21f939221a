//! Reading the same records again changes no number.

use analytics_testkit::recorded;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;

/// Returns a service that has counted the recorded stream.
fn counted() -> Service {
    let service = Service::new(2);
    let mut ingest = service.ingest();
    for part in [1, 2] {
        service.send(&recorded::part(part));
        service.wait_all_consumed();
    }
    assert!(ingest.stop().success());
    service
}

#[test]
fn offsets_reset_to_the_start_change_no_number() {
    let service = counted();
    let before = service.numbers();
    for topic in ["product.viewed", "order.created", "rating.updated", "user.registered"] {
        service.done(&["offsets", "set", "--topic", &format!("{}{topic}", service.prefix), "--offset", "0"]);
    }
    let _ingest = service.ingest();
    service.wait_consumed(service.held() * 2);
    assert_eq!(service.numbers(), before);
}

#[test]
fn a_running_worker_follows_offsets_that_are_set() {
    let service = counted();
    let mut ingest = service.ingest();
    ingest.wait_ready();
    let before = service.numbers();
    let topic = format!("{}order.created", service.prefix);
    let again =
        service.database.number("SELECT sum(next_offset) FROM ingest_offsets WHERE topic LIKE '%order.created'");
    service.done(&["offsets", "set", "--topic", &topic, "--offset", "0"]);
    service.wait_consumed(service.held() + again.unwrap());
    assert_eq!(service.numbers(), before);
    let shown = service.done(&["offsets", "show"]);
    assert!(shown.contains(&topic) && shown.lines().count() == 9, "{shown}");
}

#[test]
fn a_new_group_changes_no_number() {
    let mut service = counted();
    let before = service.numbers();
    service.set("KAFKA_GROUP_ID", "another-group");
    let _ingest = service.ingest();
    service.wait_consumed(service.held() * 2);
    assert_eq!(service.numbers(), before);
}

#[test]
fn two_groups_at_once_count_everything_once() {
    let mut service = Service::new(2);
    let mut tally = analytics_testkit::tally::Tally::default();
    service.send_traffic(&mut tally, 1, 5_000);
    let _first = service.ingest();
    service.set("KAFKA_GROUP_ID", "another-group");
    let _second = service.ingest();
    let held = service.held();
    wait::until("both groups to be done", PATIENCE, || (service.consumed() == held * 2).then_some(()));
    tally.assert_counted(&service);
}

//! A topic that is deleted and made again under the same name: its records are counted from the
//! first one on, and that it happened is recorded.

use analytics_testkit::broker::Message;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;

fn views(service: &Service, count: usize) {
    service.send(&vec![Message::json("product.viewed", r#"{"productId":"p"}"#); count]);
}

fn wait_for_views(service: &Service, count: i64) {
    let counted = "SELECT value FROM metrics WHERE type = 'total_views'";
    wait::until("the views", PATIENCE, || (service.database.number(counted) == Some(count)).then_some(()));
}

/// The gap that must be recorded, once.
fn assert_recorded(service: &Service, from: i64) {
    let gaps =
        service.database.lines("SELECT concat_ws(' ', from_offset, to_offset, resumed_at, reason) FROM ingest_gaps");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].starts_with(&format!("{from} {from} 0 ")) && gaps[0].contains("made again"), "{gaps:?}");
}

#[test]
fn a_topic_that_grew_past_the_stored_offset_is_read_from_its_start() {
    let mut service = Service::new(1);
    let mut worker = service.ingest();
    views(&service, 10);
    wait_for_views(&service, 10);
    assert!(worker.stop().success());
    service.remake_topic("product.viewed", 1);
    views(&service, 25);
    let _heir = service.ingest();
    wait_for_views(&service, 35);
    assert_recorded(&service, 10);
}

#[test]
fn a_running_worker_notices_as_well() {
    let mut service = Service::new(1);
    let worker = service.ingest();
    views(&service, 10);
    wait_for_views(&service, 10);
    service.remake_topic("product.viewed", 1);
    views(&service, 25);
    wait_for_views(&service, 35);
    assert_recorded(&service, 10);
    drop(worker);
}

#[test]
fn a_topic_that_is_the_same_is_no_gap() {
    let service = Service::new(1);
    let mut worker = service.ingest();
    views(&service, 10);
    wait_for_views(&service, 10);
    assert!(worker.stop().success());
    views(&service, 5);
    let _heir = service.ingest();
    wait_for_views(&service, 15);
    assert_eq!(service.database.number("SELECT count(*) FROM ingest_gaps"), Some(0));
    assert_eq!(service.consumed(), 15, "the record that was looked at is not consumed again");
}

//! A topic that is deleted and recreated under the same name: its records are counted from the
//! first one, and a gap is recorded.

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

/// Asserts that exactly one gap is recorded, at offset `from`.
fn assert_recorded(service: &Service, from: i64) {
    let gaps =
        service.database.lines("SELECT concat_ws(' ', from_offset, to_offset, resumed_at, reason) FROM ingest_gaps");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].starts_with(&format!("{from} {from} 0 ")) && gaps[0].contains("recreated"), "{gaps:?}");
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
fn a_running_worker_notices_that_a_topic_is_recreated() {
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
fn an_unchanged_topic_is_not_a_gap() {
    let service = Service::new(1);
    let mut worker = service.ingest();
    views(&service, 10);
    wait_for_views(&service, 10);
    assert!(worker.stop().success());
    views(&service, 5);
    let _heir = service.ingest();
    wait_for_views(&service, 15);
    assert_eq!(service.database.number("SELECT count(*) FROM ingest_gaps"), Some(0));
    assert_eq!(service.consumed(), 15, "the record that was compared is not consumed again");
}

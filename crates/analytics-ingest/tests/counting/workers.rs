//! Workers that join, leave, are killed, freeze and resume: totals stay exact.

use std::time::Duration;

use analytics_db::locks::Lock;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::tally::Tally;
use analytics_testkit::wait;
use diesel::connection::SimpleConnection;

/// Locks a table that batches write last, so that a worker stops in the middle of its transaction.
struct Obstacle(analytics_db::Connection);

impl Obstacle {
    fn hold(service: &Service) -> Self {
        let mut connection = service.database.connect();
        connection.batch_execute("BEGIN; LOCK TABLE arrivals IN SHARE MODE").unwrap();
        Self(connection)
    }

    /// Waits until a worker waits for the lock.
    fn wait_for_worker(&self, service: &Service) {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'arrivals'::regclass";
        wait::until("a worker in mid-batch", PATIENCE, || (service.database.number(waiting) > Some(0)).then_some(()));
    }

    fn release(self) {
        drop(self.0);
    }
}

#[test]
fn workers_joining_and_leaving_keep_totals_exact() {
    let service = Service::new(3);
    let mut tally = Tally::default();
    let mut first = service.ingest();
    service.send_traffic(&mut tally, 1, 4_000);
    let mut second = service.ingest();
    service.send_traffic(&mut tally, 2, 4_000);
    second.wait_ready();
    let third = service.ingest();
    service.send_traffic(&mut tally, 3, 4_000);
    assert!(first.stop().success());
    service.send_traffic(&mut tally, 4, 4_000);
    let mut fourth = service.ingest();
    fourth.wait_ready();
    service.send_traffic(&mut tally, 5, 4_000);
    second.kill();
    service.send_traffic(&mut tally, 6, 4_000);
    service.wait_all_consumed();
    drop(third);
    tally.assert_counted(&service);
}

#[test]
fn a_kill_in_mid_batch_loses_and_duplicates_nothing() {
    let mut service = Service::new(2);
    service.set("KAFKA_PROPERTIES", "session.timeout.ms=6000");
    let mut tally = Tally::default();
    let mut victim = service.ingest();
    victim.wait_ready();
    let lock = Obstacle::hold(&service);
    service.send_traffic(&mut tally, 1, 3_000);
    lock.wait_for_worker(&service);
    victim.kill();
    lock.release();
    assert_eq!(service.consumed(), 0, "nothing of the batch was committed");
    let _heir = service.ingest();
    service.send_traffic(&mut tally, 2, 3_000);
    service.wait_all_consumed();
    tally.assert_counted(&service);
}

#[test]
fn a_frozen_worker_that_resumes_duplicates_nothing() {
    let mut service = Service::new(2);
    service.set("KAFKA_PROPERTIES", "session.timeout.ms=6000");
    let mut tally = Tally::default();
    let mut zombie = service.ingest();
    zombie.wait_ready();
    let lock = Obstacle::hold(&service);
    service.send_traffic(&mut tally, 1, 3_000);
    lock.wait_for_worker(&service);
    zombie.signal("-STOP");
    lock.release();
    // The group assigns the zombie's partitions to another worker, which counts all records.
    let heir = service.ingest();
    service.wait_all_consumed();
    assert!(heir.metric("analytics_ingest_events_total") > 0.0);
    zombie.signal("-CONT");
    // It notices first either that it is no longer in the group, or that the stored offsets have
    // moved.
    wait::until("the zombie to give up what it held", PATIENCE, || {
        let fenced = zombie.metric("analytics_ingest_fenced_total") >= 1.0;
        (fenced || zombie.log().contains("gave up all partitions")).then_some(())
    });
    service.send_traffic(&mut tally, 2, 3_000);
    service.wait_all_consumed();
    tally.assert_counted(&service);
}

#[test]
fn a_worker_whose_partition_went_to_another_is_fenced_in_mid_batch() {
    let service = Service::new(1);
    let mut tally = Tally::default();
    let mut worker = service.ingest();
    worker.wait_ready();
    let lock = Obstacle::hold(&service);
    service.send_traffic(&mut tally, 1, 500);
    lock.wait_for_worker(&service);
    // As another worker that owns the partitions would have done.
    service.database.execute("UPDATE ingest_offsets SET next_offset = 1");
    lock.release();
    wait::until("the worker to be fenced", PATIENCE, || {
        (worker.metric("analytics_ingest_fenced_total") >= 1.0).then_some(())
    });
    // The other worker does not exist: set the offset back, so that its records are counted.
    service.database.execute("UPDATE ingest_offsets SET next_offset = 0");
    let counted = "SELECT count(*) FROM event_logs WHERE NOT EXISTS (SELECT FROM batches WHERE number IS NULL)";
    wait::until("all events", PATIENCE, || (service.database.number(counted) == Some(500)).then_some(()));
    tally.assert_counted(&service);
}

#[test]
fn sigterm_drains_what_was_fetched_within_ten_seconds() {
    let service = Service::new(2);
    let mut tally = Tally::default();
    let mut worker = service.ingest();
    worker.wait_ready();
    service.send_traffic(&mut tally, 1, 5_000);
    wait::until("the first batch", PATIENCE, || (service.consumed() > 0).then_some(()));
    assert!(worker.stop().success(), "stopped in good order");
    let stored = service.database.number("SELECT sum(next_offset) FROM ingest_offsets");
    assert_eq!(stored, Some(service.consumed()), "offsets and counts agree");
    let _heir = service.ingest();
    service.wait_all_consumed();
    tally.assert_counted(&service);
}

#[test]
fn a_lone_event_is_readable_within_a_second() {
    let service = Service::new(4);
    let mut ingest = service.ingest();
    ingest.wait_ready();
    let api = service.api();
    let client = analytics_testkit::client::Client::admin(&api.address);
    let mut took = Vec::new();
    for number in 1..=5 {
        let sent = std::time::Instant::now();
        service.send(&[analytics_testkit::broker::Message::json("product.viewed", r#"{"productId":"lone"}"#)]);
        wait::until("the view to be readable", PATIENCE, || {
            let (status, body) = client.metric("product_views:lone");
            (status == 200 && body["value"] == number).then_some(())
        });
        took.push(sent.elapsed());
    }
    // The median, because other tests use the same two cores.
    took.sort();
    println!("a lone event was readable after {took:?}");
    assert!(took[2] < Duration::from_secs(1), "it took {took:?}");
}

#[test]
fn what_a_killed_worker_has_logged_is_counted_by_another_one() {
    let service = Service::new(2);
    let mut tally = Tally::default();
    let mut victim = service.ingest();
    victim.wait_ready();
    let mut holder = service.database.connect();
    holder.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({})", Lock::Counting as i64)).unwrap();
    service.send_traffic(&mut tally, 1, 3_000);
    let waiting = "SELECT sum(records) FROM batches WHERE number IS NULL";
    wait::until("the batches", PATIENCE, || (service.database.number(waiting) == Some(3_000)).then_some(()));
    victim.kill();
    drop(holder);
    assert_eq!(service.consumed(), 0, "nothing is counted");
    assert_eq!(service.database.number("SELECT count(*) FROM metrics"), Some(0));
    assert_eq!(service.database.number("SELECT sum(counted_offset) FROM ingest_offsets"), Some(0));
    let _heirs = (service.ingest(), service.ingest());
    service.wait_all_consumed();
    tally.assert_counted(&service);
    assert_eq!(
        service.database.number("SELECT sum(counted_offset) FROM ingest_offsets"),
        service.database.number("SELECT sum(next_offset) FROM ingest_offsets")
    );
}

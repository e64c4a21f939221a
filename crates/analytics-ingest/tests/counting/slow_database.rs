//! A slow database: batches that take too long are retried in smaller parts, and waiting for a lock
//! is not a failure.

use std::time::{Duration, Instant};

use analytics_db::locks::Lock;
use analytics_testkit::broker::Message;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use diesel::connection::SimpleConnection;

fn views(count: usize) -> Vec<Message> {
    vec![Message::json("product.viewed", r#"{"productId":"p"}"#); count]
}

#[test]
fn a_batch_that_takes_too_long_is_halved() {
    let service = Service::new(1);
    // After the first 500, each row of a transaction takes a second.
    service.database.execute(
        "CREATE FUNCTION slow(jsonb) RETURNS boolean LANGUAGE plpgsql AS $$ \
         DECLARE seen integer := coalesce(nullif(current_setting('slow.seen', true), ''), '0')::integer + 1; BEGIN \
         PERFORM set_config('slow.seen', seen::text, true); \
         IF seen > 500 THEN PERFORM pg_sleep(1); END IF; RETURN true; END $$; \
         ALTER TABLE event_logs ADD CHECK (slow(metadata))",
    );
    service.send(&views(900));
    let ingest = service.ingest();
    wait::until("all of them", Duration::from_secs(240), || (service.consumed() == 900).then_some(()));
    assert_eq!(service.database.number("SELECT count(*) FROM dead_letters"), Some(0), "no record is rejected");
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'total_views'"), Some(900));
    assert!(ingest.log().contains("took too long"), "{}", ingest.log());
}

#[test]
fn a_row_that_somebody_keeps_locked_holds_up_no_other_partition() {
    let service = Service::new(1);
    let mut ingest = service.ingest();
    service.send(&views(1));
    service.wait_consumed(1);
    let mut holder = service.database.connect();
    holder
        .batch_execute("BEGIN; UPDATE ingest_offsets SET updated_at = now() WHERE topic LIKE '%product.viewed'")
        .unwrap();
    // Long enough for several heartbeats, which also report the locked partition.
    let deadline = Instant::now() + Duration::from_secs(25);
    let mut sent = 0;
    while Instant::now() < deadline {
        service.send(&[Message::json("user.registered", format!(r#"{{"userId":"u-{sent}"}}"#))]);
        sent += 1;
        wait::until("a signup", Duration::from_secs(15), || (service.consumed() > sent).then_some(()));
    }
    assert_eq!(service.database.number("SELECT count(*) FROM event_logs"), Some(1 + sent));
    drop(holder);
    service.send(&views(1));
    service.wait_consumed(2 + sent);
    ingest.wait_ready();
}

#[test]
fn records_are_logged_while_somebody_else_holds_the_counting_lock() {
    let service = Service::new(1);
    let mut ingest = service.ingest();
    ingest.wait_ready();
    let mut holder = service.database.connect();
    holder.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({})", Lock::Counting as i64)).unwrap();
    service.send(&views(10));
    let logged = "SELECT sum(records) FROM batches WHERE number IS NULL";
    wait::until("the batches", PATIENCE, || (service.database.number(logged) == Some(10)).then_some(()));
    wait::until("the gauge", PATIENCE, || (ingest.metric("analytics_ingest_waiting_records") >= 10.0).then_some(()));
    assert_eq!((service.consumed(), service.database.number("SELECT count(*) FROM metrics")), (0, Some(0)));
    drop(holder);
    service.wait_consumed(10);
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'total_views'"), Some(10));
    let log = ingest.log();
    assert_eq!(log.matches("INFO  analytics_ingest::telemetry: assigned").count(), 1, "{log}");
}

#[test]
fn nothing_is_logged_while_too_much_waits_to_be_counted() {
    let mut service = Service::new(1);
    service.set("FOLD_MAX_WAITING_RECORDS", "5");
    let mut ingest = service.ingest();
    ingest.wait_ready();
    let mut holder = service.database.connect();
    holder.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({})", Lock::Counting as i64)).unwrap();
    service.send(&views(10));
    wait::until("the gauge", PATIENCE, || (ingest.metric("analytics_ingest_waiting_records") >= 6.0).then_some(()));
    let logged = "SELECT sum(next_offset) FROM ingest_offsets";
    let before = service.database.number(logged);
    service.send(&views(10));
    // Idle partitions are reported while the batch waits: a writer has taken it by then.
    let first = service.database.lines("SELECT clock_timestamp()::text").remove(0);
    let later =
        format!("SELECT count(*) FROM ingest_offsets WHERE updated_at > '{first}'::timestamptz + interval '3 s'");
    wait::until("reports", PATIENCE, || (service.database.number(&later) > Some(0)).then_some(()));
    assert_eq!(service.database.number(logged), before, "the writer waits");
    drop(holder);
    service.wait_consumed(20);
}

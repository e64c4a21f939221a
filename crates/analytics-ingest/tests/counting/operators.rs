//! Indexes and triggers that an operator adds to the service's tables may refuse good records.
//! Ingest waits, names the obstacle in its log, and counts everything once it is gone.

use std::time::{Duration, Instant};

use analytics_testkit::broker::Message;
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::tally::Tally;
use analytics_testkit::wait;

/// How long ingest may continue to report that it is ready.
const UNREADY: Duration = Duration::from_secs(15);

/// A trigger function that raises an error, of a class that normally means that the record is at
/// fault.
const RAISES: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = 'check_violation'; END $$";

fn is_unready(ingest: &Process) -> bool {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    agent.get(format!("http://{}/health/ready", ingest.address)).call().unwrap().status() == 503
}

/// Asserts that ingest waits: it is not ready, names the obstacle, and does not retry without
/// pauses.
fn assert_waits(ingest: &Process, named: &str) {
    wait::until("ingest to be unready, and to say why", UNREADY, || {
        let says_why = |line: &str| line.contains(named) && line.contains("be dropped");
        (is_unready(ingest) && ingest.log().lines().any(says_why)).then_some(())
    });
    let retries = || ingest.metric("analytics_ingest_retries_total");
    wait::until("the first tries to be over", PATIENCE, || (retries() >= 8.0).then_some(()));
    let (before, began, lines, worked) =
        (retries(), Instant::now(), ingest.log().lines().count(), ingest.cpu_seconds());
    wait::until("some more", PATIENCE, || (retries() >= before + 4.0).then_some(()));
    let took = began.elapsed();
    // Two writers, each of which tries every two seconds.
    assert!(took > Duration::from_secs(2), "it retries without pauses: {took:?}");
    assert!(ingest.cpu_seconds() - worked < took.as_secs_f64() / 2.0, "it uses too much CPU time");
    let said = ingest.log().lines().count() - lines;
    assert!(said < 20, "{said} lines in {took:?}");
}

/// Checks that ingest waits while `obstacle` exists, and counts everything after `undo`.
fn obstructed(prepare: &str, obstacle: &str, named: &str, undo: &str) {
    let service = Service::new(2);
    let mut tally = Tally::default();
    let mut ingest = service.ingest();
    service.send_traffic(&mut tally, 1, 500);
    service.wait_all_consumed();
    ingest.wait_ready();
    service.database.execute(prepare);
    service.database.execute(obstacle);
    service.send_traffic(&mut tally, 2, 1_000);
    assert_waits(&ingest, named);
    assert_eq!(service.database.number("SELECT count(*) FROM dead_letters"), Some(0), "no good record is rejected");
    service.database.execute(undo);
    service.wait_all_consumed();
    tally.assert_counted(&service);
    ingest.wait_ready();
    assert!(ingest.stop().success(), "it did not end by itself");
    service.done(&["verify", "--full"]);
}

#[test]
fn a_unique_index_on_the_log_is_waited_out() {
    // PostgreSQL accepts no such index on the partitioned table: it would have to include the id,
    // the partition key.
    let on_each = "DO $$ DECLARE part regclass; number integer := 0; BEGIN \
         FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'event_logs'::regclass LOOP \
             number := number + 1; \
             EXECUTE format('CREATE UNIQUE INDEX their_own_%s ON %s (event_type, product_id) \
                 WHERE ingested_at > %L', number, part, now()); \
         END LOOP; END $$";
    let undo = "DO $$ DECLARE own text; BEGIN \
         FOR own IN SELECT indexname FROM pg_indexes WHERE indexname LIKE 'their\\_own\\_%' LOOP \
             EXECUTE format('DROP INDEX %I', own); \
         END LOOP; END $$";
    obstructed("SELECT 1", on_each, "their_own_", undo);
}

#[test]
fn a_unique_index_on_product_vendors_is_waited_out() {
    let clear = "DELETE FROM product_vendors p USING product_vendors q \
         WHERE p.vendor_id = q.vendor_id AND p.product_id > q.product_id";
    let index = "CREATE UNIQUE INDEX one_product_each ON product_vendors (vendor_id)";
    obstructed(clear, index, "one_product_each", "DROP INDEX one_product_each");
}

#[test]
fn a_trigger_on_the_log_that_raises_is_waited_out() {
    let trigger = "CREATE TRIGGER theirs BEFORE INSERT ON event_logs FOR EACH ROW EXECUTE FUNCTION refuse()";
    obstructed(RAISES, trigger, "theirs on event_logs", "DROP TRIGGER theirs ON event_logs");
}

#[test]
fn a_trigger_on_the_numbers_that_raises_is_waited_out() {
    let trigger = "CREATE TRIGGER theirs AFTER UPDATE ON metrics FOR EACH STATEMENT EXECUTE FUNCTION refuse()";
    obstructed(RAISES, trigger, "theirs on metrics", "DROP TRIGGER theirs ON metrics");
}

#[test]
fn a_trigger_on_the_offsets_that_raises_is_waited_out() {
    let trigger = "CREATE TRIGGER theirs AFTER UPDATE ON ingest_offsets FOR EACH ROW EXECUTE FUNCTION refuse()";
    obstructed(RAISES, trigger, "theirs on ingest_offsets", "DROP TRIGGER theirs ON ingest_offsets");
}

/// Checks that ingest waits while a trigger silently drops every row of a table.
fn dropping(table: &str) {
    let drops = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$";
    let trigger =
        format!("CREATE TRIGGER theirs BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()");
    obstructed(drops, &trigger, &format!("theirs on {table}"), &format!("DROP TRIGGER theirs ON {table}"));
}

#[test]
fn a_trigger_that_drops_rows_of_the_log_is_waited_out() {
    dropping("event_logs");
}

#[test]
fn a_trigger_that_drops_rows_of_the_lines_is_waited_out() {
    dropping("order_lines");
}

#[test]
fn a_trigger_that_drops_rows_of_the_numbers_is_waited_out() {
    dropping("metrics");
}

#[test]
fn a_trigger_that_drops_rows_of_the_rollups_is_waited_out() {
    dropping("rollups");
}

#[test]
fn a_trigger_that_drops_rows_of_the_offsets_is_waited_out() {
    dropping("ingest_offsets");
}

#[test]
fn a_unique_index_on_identities_is_waited_out() {
    let service = Service::new(1);
    let mut ingest = service.ingest();
    ingest.wait_ready();
    service.send(&[Message::json("order.created", r#"{"orderId":"o-0","total":"1.00"}"#)]);
    service.wait_all_consumed();
    service.database.execute("CREATE UNIQUE INDEX one_order ON order_keys_1 (generation)");
    // An event with two identities: the id of its producer and the order's id.
    let order = r#"{"orderId":"o-1","items":[{"productId":"tea","vendorId":"ann","price":"2.50"}]}"#;
    let headers = vec![(b"event-id".to_vec(), b"e-1".to_vec())];
    service.send(&[Message { headers, ..Message::json("order.created", order) }]);
    assert_waits(&ingest, "one_order");
    service.database.execute("DROP INDEX one_order");
    service.wait_all_consumed();
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'seller_revenue:ann'"), Some(250));
    let keys = "SELECT (SELECT count(*) FROM event_keys) || ' ' || (SELECT count(*) FROM order_keys)";
    assert_eq!(service.database.lines(keys), ["1 2"]);
    service.done(&["verify", "--full"]);
}

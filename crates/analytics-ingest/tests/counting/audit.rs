//! `analytics-ingest audit`: what was counted is compared with what Kafka holds, and `verify` reports it.

use std::time::Duration;

use analytics_db::locks::Lock;
use analytics_testkit::broker::{self, Message, Sender};
use analytics_testkit::process::Job;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::tally::Tally;
use analytics_testkit::wait;

const RANGES: &str = "SELECT concat_ws(' ', partition, from_offset, to_offset, records, state) FROM offset_ranges \
    WHERE topic LIKE '%product.viewed' ORDER BY partition, id";

fn views(count: usize) -> Vec<Message> {
    (0..count).map(|n| Message::json("product.viewed", format!(r#"{{"productId":"p-{n}"}}"#))).collect()
}

/// The ranges of the topic of views.
fn ranges(service: &Service) -> Vec<String> {
    service.database.lines(RANGES)
}

/// Sends views in this many portions, each of which becomes a range of its own.
fn send_portions(service: &Service, portions: usize, each: usize) {
    for _ in 0..portions {
        service.send(&views(each));
        service.wait_all_consumed();
        service.database.execute("UPDATE offset_ranges SET is_open = false");
    }
}

fn topic(service: &Service) -> String {
    format!("{}product.viewed", service.prefix)
}

/// Audits, and asserts that nothing differs.
fn audited(service: &Service) -> String {
    let (well, said) = service.audit();
    assert!(well, "{said}");
    said
}

/// Verifies, and returns the lines about the coverage.
fn coverage(service: &Service, holds: bool) -> String {
    let (well, said) = service.job(&["verify", "--full"]);
    assert_eq!(well, holds, "{said}");
    let about =
        |line: &&str| ["coverage: ", "gap: ", "difference: ", "analytics-jobs: "].iter().any(|is| line.starts_with(is));
    said.lines().filter(about).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_was_counted_is_what_kafka_holds() {
    let service = Service::new(2);
    let mut tally = Tally::default();
    let mut ingest = service.ingest();
    service.send_traffic(&mut tally, 1, 3_000);
    let view = Message::json("product.viewed", r#"{"productId":"p"}"#);
    service.send(&[
        // A tombstone, an empty record, and records that cannot be counted.
        Message { payload: None, ..view.clone() },
        Message { payload: Some(Vec::new()), ..view.clone() },
        Message { payload: Some(b"\xff\0".to_vec()), ..view.clone() },
        // The oldest timestamp.
        Message { timestamp: Some(1), ..view.clone() },
        // Headers and keys are not compared.
        Message { key: Some("k".into()), headers: vec![(b"h\xff".to_vec(), b"v".to_vec())], ..view },
    ]);
    service.wait_all_consumed();
    let told = coverage(&service, true);
    assert!(told.starts_with("coverage: not whole, 0 records audited, 3005 not yet audited since 20"), "{told}");
    let said = audited(&service);
    assert!(
        said.contains(" ranges with 3005 records: ") && said.contains(" 0 different, 0 gone; 0 ranges left"),
        "{said}"
    );
    assert_eq!(
        coverage(&service, true),
        "coverage: whole, 3005 records audited, 0 not yet audited, 0 gone before they were audited, 0 gaps, 0 differences"
    );
    // The proof has it, too.
    let proof = "SELECT concat_ws(' ', coverage->>'whole', coverage->'equal'->>'records', coverage->'differences') \
        FROM proofs ORDER BY id DESC LIMIT 1";
    assert_eq!(service.database.lines(proof), ["true 3005 []"]);
    // What is audited once is not read again, and stays one range of each partition.
    service.send_traffic(&mut tally, 2, 1_000);
    service.wait_all_consumed();
    assert!(audited(&service).contains(" ranges with 1000 records: "));
    assert!(audited(&service).contains("audited 0 ranges with 0 records: "));
    let rows = "SELECT count(*) FROM offset_ranges GROUP BY topic, partition HAVING count(*) > 1";
    assert_eq!(service.database.lines(rows), Vec::<String>::new());
    assert!(ingest.stop().success());
}

#[test]
fn records_that_ingest_skipped_are_found_and_can_be_counted_later() {
    let mut service = Service::new(1);
    service.set("ANALYTICS_MUTANT", "skipped-range");
    let mut ingest = service.ingest();
    service.send(&views(600));
    let topic = topic(&service);
    let at_end = format!("SELECT 1 FROM ingest_offsets WHERE topic = '{topic}' AND counted_offset = 600");
    wait::until("the views to be passed", PATIENCE, || service.database.number(&at_end));
    assert!(ingest.stop().success());
    assert_eq!(service.consumed(), 590);
    // The log agrees with the numbers: only the audit can know.
    assert!(coverage(&service, true).contains("590 not yet audited"));
    let (well, said) = service.audit();
    assert!(!well, "{said}");
    let difference = "offsets 0 to 599: Kafka holds 600 records, ingest was given 590";
    assert!(said.contains(difference) && said.contains(" 0 equal, 1 different, 0 gone; 0 ranges left"), "{said}");
    let told = coverage(&service, false);
    assert!(told.contains(&format!("{topic}/0, {difference}")) && told.contains(", 1 differences"), "{told}");
    assert!(told.contains("analytics-jobs: 1 ranges of offsets differ from what Kafka held"), "{told}");
    // It is reported until it is settled.
    assert!(!service.audit().0);
    service.set("ANALYTICS_MUTANT", "");
    service.done(&["offsets", "set", "--topic", &topic, "--offset", "0"]);
    let _ingest = service.ingest();
    wait::until("them to be read again", PATIENCE, || (service.consumed() == 590 + 600).then_some(()));
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'total_views'"), Some(600));
    assert!(audited(&service).contains("audited 1 ranges with 600 records: 1 equal"));
    assert!(coverage(&service, true).starts_with("coverage: whole, 600 records audited"));
}

#[test]
fn a_digest_that_differs_is_found_and_only_its_range_is() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    send_portions(&service, 3, 10);
    service.database.execute("UPDATE offset_ranges SET digest = digest + 1 WHERE from_offset = 10");
    let (well, said) = service.audit();
    let difference = "offsets 10 to 19: Kafka holds 10 records, as many as ingest was given, but others";
    assert!(!well && said.contains(difference), "{said}");
    assert_eq!(ranges(&service), ["0 0 10 10 equal", "0 10 20 10 different", "0 20 30 10 equal"]);
    assert!(coverage(&service, false).contains(difference));
}

#[test]
fn what_is_counted_and_in_no_range_is_a_difference() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    send_portions(&service, 3, 10);
    service.database.execute("DELETE FROM offset_ranges WHERE from_offset = 10");
    let told = coverage(&service, false);
    assert!(told.contains("/0, offsets 10 to 19: they are counted up to there, but no range has them"), "{told}");
    let mut api = service.api();
    wait::until("the gauge", PATIENCE, || (api.metric("analytics_coverage_differences") == 1.0).then_some(()));
    assert!(api.stop().success());
}

#[test]
fn a_difference_that_cannot_be_settled_is_accepted() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    send_portions(&service, 4, 10);
    service.database.execute("UPDATE offset_ranges SET digest = digest - 1 WHERE from_offset = 10");
    assert!(!service.audit().0);
    service.database.execute("DELETE FROM offset_ranges WHERE from_offset = 20");
    assert!(coverage(&service, false).contains("2 ranges of offsets differ"));
    let accept = |topic: &str| service.job(&["offsets", "accept", "--topic", topic]);
    let (well, said) = accept(&topic(&service));
    assert!(well && said.contains("accepted 2 ranges that differ"), "{said}");
    let told = coverage(&service, true);
    assert!(told.contains(" but others; an operator accepted it") && told.contains(" 2 gaps, 0 differences"), "{told}");
    audited(&service);
    let (well, said) = accept(&topic(&service));
    assert!(!well && said.contains("differs from what Kafka held"), "{said}");
}

#[test]
fn what_retention_took_before_it_was_audited_is_gone() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    send_portions(&service, 4, 10);
    // The second range is cut in two.
    broker::forget_below(&service.broker, &topic(&service), 0, 15);
    let said = audited(&service);
    assert!(said.contains("offsets 0 to 9: gone: retention has removed records of it"), "{said}");
    assert_eq!(ranges(&service), ["0 0 20 20 gone", "0 20 40 20 equal"]);
    let told = coverage(&service, true);
    assert!(told.starts_with("coverage: not whole, 20 records audited, 0 not yet audited, 20 gone"), "{told}");
}

#[test]
fn what_compaction_removed_is_gone_and_more_than_was_counted_is_a_difference() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    send_portions(&service, 2, 10);
    broker::compact(&service.broker, &topic(&service));
    service.database.execute(
        "UPDATE offset_ranges SET records = CASE from_offset WHEN 0 THEN 11 ELSE 9 END WHERE topic LIKE '%viewed'",
    );
    let (well, said) = service.audit();
    assert!(!well && said.contains("gone: compaction has removed records of it"), "{said}");
    assert_eq!(ranges(&service), ["0 0 10 11 gone", "0 10 20 9 different"]);
}

#[test]
fn aborted_records_and_markers_are_in_no_range() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let transactions = Sender::transactional(&service.broker, &service.prefix);
    let view = views(10);
    transactions.transaction(&view, false);
    transactions.transaction(&view, true);
    transactions.transaction(&view, false);
    service.send(&view);
    service.wait_consumed(20);
    service.database.execute("UPDATE offset_ranges SET is_open = false");
    // The last offsets have no records, and nothing follows.
    transactions.transaction(&view, true);
    transactions.transaction(&view, false);
    service.wait_consumed(30);
    let said = audited(&service);
    assert!(said.contains("with 30 records: "), "{said}");
    assert!(coverage(&service, true).starts_with("coverage: whole, 30 records audited"));
}

#[test]
fn moves_of_an_operator_are_gaps_or_ranges_that_overlap() {
    let service = Service::new(1);
    let mut ingest = service.ingest();
    service.send(&views(10));
    service.wait_all_consumed();
    assert!(ingest.stop().success());
    service.send(&views(20));
    let topic = topic(&service);
    service.done(&["offsets", "set", "--topic", &topic, "--offset", "20"]);
    let mut ingest = service.ingest();
    service.wait_consumed(20);
    let told = coverage(&service, true);
    assert!(told.contains("/0, offsets 10 to 19: an operator moved the stored offset over them"), "{told}");
    service.done(&["offsets", "set", "--topic", &topic, "--offset", "5"]);
    service.wait_consumed(45);
    assert_eq!(ranges(&service), ["0 0 10 10 waiting", "0 10 20 0 gap", "0 20 30 10 waiting", "0 5 30 25 waiting"]);
    assert!(audited(&service).contains("3 equal, 0 different"));
    coverage(&service, true);
    assert!(ingest.stop().success());
}

#[test]
fn ranges_of_a_deleted_topic_are_not_compared_with_the_new_one() {
    let mut service = Service::new(1);
    let mut ingest = service.ingest();
    service.send(&views(10));
    service.wait_all_consumed();
    assert!(ingest.stop().success());
    service.remake_topic("product.viewed", 1);
    service.send(&views(12));
    let (well, said) = service.audit();
    assert!(!well && said.contains("the topic was recreated, and ingest has not noticed yet"), "{said}");
    let _ingest = service.ingest();
    service.wait_consumed(22);
    let said = audited(&service);
    assert!(said.contains("offsets 0 to 9: gone: the topic was deleted and recreated"), "{said}");
    assert_eq!(ranges(&service), ["0 0 10 10 gone", "0 0 12 12 equal"]);
    assert!(coverage(&service, true).contains("12 records audited, 0 not yet audited, 10 gone"));
}

#[test]
fn an_audit_that_is_killed_is_continued_and_of_two_at_once_one_audits() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    send_portions(&service, 6, 50);
    let settled =
        || service.database.number("SELECT sum(records)::bigint FROM offset_ranges WHERE state = 'equal'").unwrap_or(0);
    let mut slow = service.environment.clone();
    slow.insert("AUDIT_RECORDS_PER_SECOND".into(), "50".into());
    let killed = Job::start("analytics-ingest", &["audit"], &slow);
    wait::until("the first ranges", PATIENCE, || (settled() >= 100).then_some(()));
    // Another one at the same time ends at once.
    assert!(audited(&service).contains("another audit is running"));
    drop(killed);
    let left = 300 - settled();
    assert!(left > 0, "the audit was not interrupted");
    wait::until("the lock to be free", PATIENCE, || {
        let said = audited(&service);
        (!said.contains("another audit")).then_some(())
    });
    assert_eq!(ranges(&service), ["0 0 300 300 equal"]);
    // One that is asked to stop says so.
    service.database.execute("UPDATE offset_ranges SET state = 'waiting'");
    slow.insert("AUDIT_RECORDS_PER_SECOND".into(), "10".into());
    let mut stopped = Job::start("analytics-ingest", &["audit"], &slow);
    let is_running = format!(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint) = {} \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        Lock::Audit as i64
    );
    wait::until("the audit to run", PATIENCE, || service.database.number(&is_running).filter(|count| *count > 0));
    assert_eq!(stopped.stop(Duration::from_secs(10)).code(), Some(1));
}

#[test]
fn an_audit_beside_ingest_never_finds_a_difference() {
    let service = Service::new(3);
    let (mut first, _second) = (service.ingest(), service.ingest());
    let mut tally = Tally::default();
    for seed in 1..=6 {
        service.send_traffic(&mut tally, seed, 3_000);
        audited(&service);
    }
    first.kill();
    service.wait_all_consumed();
    audited(&service);
    assert!(coverage(&service, true).starts_with("coverage: whole, 18000 records audited"));
}

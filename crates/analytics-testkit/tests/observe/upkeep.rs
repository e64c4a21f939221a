//! What the alerts on the database and on the jobs read is true.

use analytics_testkit::client::Client;
use analytics_testkit::database::{Database, Server};
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;

#[test]
fn the_api_says_what_the_jobs_have_left_to_do_and_whether_it_has_its_database() {
    const DAY: f64 = 86_400.0;
    let mut server = Server::start();
    let service = Service::on(Database::migrated_on(&server), 1);
    service.database.execute(
        "INSERT INTO offset_ranges (consumer_group, topic, partition, log_since, from_offset, to_offset, records,
             first_logged_at, state)
         SELECT 'g', 't', 0, now(), n, n + 1, n, now() - n * interval '1 hour', state
         FROM (VALUES (3, 'waiting'), (5, 'waiting'), (7, 'gone'), (9, 'equal'), (11, 'gone')) AS r (n, state)",
    );
    let api = service.api();
    wait::until("the gauge", PATIENCE, || (api.metric("analytics_audit_gone_records") == 18.0).then_some(()));
    let waiting = api.metric("analytics_audit_waiting_seconds");
    assert!((5.0 * 3_600.0..5.1 * 3_600.0).contains(&waiting), "{waiting}");
    let remaining = api.metric("analytics_partitions_remaining_seconds");
    assert!((45.0 * DAY..52.0 * DAY).contains(&remaining), "{remaining}");
    assert_eq!(api.metric("analytics_database_usable"), 1.0);
    service.database.execute("DELETE FROM offset_ranges WHERE state = 'waiting'");
    wait::until("the audit", PATIENCE, || (api.metric("analytics_audit_waiting_seconds") == 0.0).then_some(()));
    server.crash();
    wait::until("the database to be away", PATIENCE, || (api.metric("analytics_database_usable") == 0.0).then_some(()));
    let metrics = Client::nobody(&api.address).answer("/metrics", &[]).into_body();
    assert!(metrics.lines().any(|line| line == "analytics_database_usable 0"), "{metrics}");
}

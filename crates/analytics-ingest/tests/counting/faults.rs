//! Ingest waits for a database and a broker that are unavailable.

use std::time::Duration;

use analytics_testkit::database::{Database, Server};
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::tally::Tally;
use analytics_testkit::wait;

#[test]
fn a_database_crash_and_restart_is_waited_out() {
    let mut server = Server::start();
    let service = Service::on(Database::migrated_on(&server), 2);
    let mut tally = Tally::default();
    let mut ingest = service.ingest();
    ingest.wait_ready();
    service.send_traffic(&mut tally, 1, 2_000);
    service.wait_all_consumed();
    server.crash();
    service.send_traffic(&mut tally, 2, 2_000);
    wait::until("the worker to notice", PATIENCE, || {
        (ingest.metric("analytics_ingest_retries_total") >= 1.0).then_some(())
    });
    assert!(not_ready(&ingest), "a worker without its database is not ready");
    server.run();
    service.wait_all_consumed();
    ingest.wait_ready();
    tally.assert_counted(&service);
    drop(service);
}

#[test]
fn a_worker_may_start_before_its_database() {
    let mut server = Server::start();
    let service = Service::on(Database::migrated_on(&server), 1);
    server.crash();
    let mut tally = Tally::default();
    let mut ingest = service.ingest();
    wait::until("the probes", PATIENCE, || ureq_status(&ingest, "/health/live"));
    assert!(not_ready(&ingest));
    service.send_traffic(&mut tally, 1, 500);
    server.run();
    ingest.wait_ready();
    service.wait_all_consumed();
    tally.assert_counted(&service);
    assert!(ingest.stop().success());
}

#[test]
fn a_worker_may_start_before_its_broker_and_stops_all_the_same() {
    let mut service = Service::new(1);
    service.set("KAFKA_BROKER", &format!("127.0.0.1:{}", analytics_testkit::process::free_port()));
    let mut ingest = service.ingest();
    wait::until("the probes", PATIENCE, || ureq_status(&ingest, "/health/live"));
    wait::until("the worker to notice", Duration::from_secs(30), || ingest.log().contains("Kafka").then_some(()));
    assert!(not_ready(&ingest));
    assert!(ingest.stop().success());
}

fn ureq_status(process: &Process, path: &str) -> Option<()> {
    ureq::get(format!("http://{}{path}", process.address)).call().ok().map(drop)
}

fn not_ready(process: &Process) -> bool {
    ureq_status(process, "/health/ready").is_none()
}

#[test]
fn a_worker_stops_in_time_while_its_database_is_frozen() {
    let server = Server::start();
    let service = Service::on(Database::migrated_on(&server), 2);
    let mut tally = Tally::default();
    let mut ingest = service.ingest();
    ingest.wait_ready();
    server.freeze();
    // More than two batches and what the buffer holds besides them.
    service.send_traffic(&mut tally, 1, 80_000);
    wait::until("the worker to stop with a full buffer", PATIENCE, || {
        (ingest.metric("analytics_ingest_buffer_full") > 0.0).then_some(())
    });
    assert!(ingest.stop().success());
    server.thaw();
    let _heir = service.ingest();
    service.wait_all_consumed();
    tally.assert_counted(&service);
}

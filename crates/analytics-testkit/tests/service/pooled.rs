//! A PgBouncer in transaction mode between the service and PostgreSQL, with fewer sessions than
//! clients, and one role for all.

use analytics_testkit::client::Client;
use analytics_testkit::database::{Database, Server};
use analytics_testkit::pooler::Pooler;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::tally::Tally;
use analytics_testkit::wait;
use serde_json::json;

#[test]
fn everything_works_with_shared_sessions() {
    let server = Server::start();
    let mut service = Service::on(Database::empty_on(&server), 3);
    let pooler = Pooler::start(&server, 4);
    service.set("DATABASE_URL", &pooler.in_front_of(&service.database.url, &server));
    service.set("API_STATEMENT_TIMEOUT_MS", "1000");
    service.done(&["migrate"]);
    service.done(&["partitions"]);
    let mut tally = Tally::default();
    // A read-only API first: a setting that it left on a session would affect every other client.
    let reader = service.api();
    let client = Client::admin(&reader.address);
    for _ in 0..50 {
        assert_eq!(client.get("/api/events").0, 200);
        assert_eq!(client.metric("total_views").0, 404);
    }
    let workers = [service.ingest(), service.ingest()];
    service.send_traffic(&mut tally, 1, 5_000);
    service.wait_all_consumed();
    for _ in 0..50 {
        assert_eq!(client.metric("total_views").0, 200);
        assert_eq!(client.get("/api/metrics/total_views/events?limit=10").0, 200);
    }
    service.send_traffic(&mut tally, 2, 5_000);
    service.wait_all_consumed();
    for job in [&["verify", "--full"][..], &["rebuild"], &["offsets", "show"], &["dead-letters", "list"]] {
        service.done(job);
    }
    tally.assert_counted(&service);
    service.set("API_MODE", "read-write");
    let writer = service.api();
    let writing = Client::admin(&writer.address);
    assert_eq!(writing.post("/api/metrics/upsert", &json!({ "type": "by-hand", "value": 7 })).0, 200);
    wait::until("the written metric", PATIENCE, || (client.value("by-hand") == Some(7)).then_some(()));
    // No session keeps a lock.
    let left = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    wait::until("all locks to be gone", PATIENCE, || (service.database.number(left) == Some(0)).then_some(()));
    for worker in &workers {
        assert_eq!(worker.metric("analytics_ingest_fenced_total"), 0.0, "{}", worker.log());
    }
}

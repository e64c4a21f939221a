//! A database that stops answering without an error: frozen, or behind a network that drops every
//! byte.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use analytics_testkit::client::{Client, token};
use analytics_testkit::database::{Database, Server};
use analytics_testkit::proxy::Proxy;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::tally::Tally;
use analytics_testkit::wait;

/// Time within which a process must report that it is not ready.
const READY: Duration = Duration::from_secs(15);

/// Checks the API and ingest while the database does not answer, and after it answers again.
fn away_and_back(service: &mut Service, away: impl FnOnce(), back: impl FnOnce()) {
    service.set("API_STATEMENT_TIMEOUT_MS", "3000");
    let mut tally = Tally::default();
    let ingest = service.ingest();
    service.send_traffic(&mut tally, 1, 1_000);
    service.wait_all_consumed();
    let api = service.api();
    let client = Client::admin(&api.address);
    assert_eq!(client.metric("total_views").0, 200);
    let mut ingest = ingest;
    ingest.wait_ready();

    away();
    let since = Instant::now();
    service.send_traffic(&mut tally, 2, 1_000);
    thread::scope(|scope| {
        // More concurrent requests than there are connections, for single metrics and lists.
        let asking: Vec<_> = (0..24)
            .map(|n| {
                let client = Client::admin(&api.address);
                scope.spawn(move || {
                    let asked = Instant::now();
                    let status = match n % 3 {
                        0 => client.get("/api/events").0,
                        1 => client.get("/api/metrics/total_views/events").0,
                        _ => client.metric("total_views").0,
                    };
                    (status, asked.elapsed())
                })
            })
            .collect();
        for answer in asking {
            let (status, took) = answer.join().unwrap();
            assert_eq!(status, 503);
            // The statement timeout of 3 s, one more second, and 0.5 s for a machine with few
            // cores.
            assert!(took < Duration::from_millis(4_500), "{took:?}");
        }
    });
    for process in [&api, &ingest] {
        wait::until("the process to be not ready", READY, || (!process.is_ready()).then_some(()));
    }
    assert!(since.elapsed() < READY + Duration::from_secs(5));

    back();
    wait::until("the API to answer again", PATIENCE, || (client.metric("total_views").0 == 200).then_some(()));
    for path in ["/api/events", "/api/metrics/total_views/events"] {
        wait::until("lists to be available again", PATIENCE, || (client.get(path).0 == 200).then_some(()));
    }
    service.wait_all_consumed();
    tally.assert_counted(service);
    ingest.wait_ready();
    wait::until("the API to be ready again", PATIENCE, || api.is_ready().then_some(()));
}

#[test]
fn processes_time_out_on_a_frozen_database_and_recover() {
    let server = Server::start();
    let mut service = Service::on(Database::migrated_on(&server), 2);
    away_and_back(&mut service, || server.freeze(), || server.thaw());
}

#[test]
fn processes_time_out_on_a_network_that_drops_every_byte_and_recover() {
    let server = Server::start();
    let proxy = Proxy::start(0, &server.address());
    let mut service = Service::on(Database::migrated_on(&server), 2);
    let url = service.database.url.replace(&server.address(), &format!("127.0.0.1:{}", proxy.port()));
    service.set("DATABASE_URL", &url);
    away_and_back(&mut service, || proxy.swallow(true), || proxy.swallow(false));
}

#[test]
fn the_api_stops_in_time_while_its_database_is_frozen() {
    let server = Server::start();
    let service = Service::on(Database::migrated_on(&server), 1);
    let mut api = service.api();
    server.freeze();
    // A client is still waiting for an answer.
    let mut asking = TcpStream::connect(&api.address).unwrap();
    let token = token("admin", None);
    write!(asking, "GET /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    api.stop();
    server.thaw();
}

//! Tests of what protects the service from its clients: time limits, slots for expensive reads, and
//! the rate limit.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::{Client, SECRET, token};
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use diesel::connection::SimpleConnection;
use shared_auth::{Claims, mint};

/// Statements of the API that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'analytics-api' AND wait_event_type = 'Lock'";
/// An expensive read of a table that no panel needs.
const EXPENSIVE: &str = "/api/metrics/total_refunds/events";

#[test]
fn every_statement_that_takes_too_long_is_a_503_that_says_when_to_try_again() {
    let mut service = Service::new(1);
    service.set("API_STATEMENT_TIMEOUT_MS", "300");
    let api = service.api();
    let client = Client::admin(&api.address);
    // A row of each of these tables takes a minute.
    for table in [
        "metrics",
        "event_logs",
        "rollups",
        "dead_letters",
        "event_days",
        "proofs",
        "order_keys",
        "audit_log",
        "anomalies",
        "statements",
        "months",
    ] {
        service.database.execute(&format!(
            "ALTER TABLE {table} RENAME TO fast_{table}; CREATE VIEW {table} AS \
             SELECT * FROM fast_{table} WHERE (SELECT pg_sleep(60)::text) IS NOT NULL"
        ));
    }
    for path in [
        "/api/metrics/total_views",
        "/api/metrics?name=total_views",
        "/api/metrics?name=total_views&sort=value",
        "/api/metrics/total_views/series",
        "/api/metrics/total_views/events",
        "/api/metrics/total_views/events?from=2026-11-01&format=ndjson",
        "/api/events",
        "/api/events?format=ndjson",
        "/api/events/00000000-0000-0000-0000-000000000000",
        "/api/events/stats",
        // Those of other periods, and by ratings of all products, are kept ready.
        "/api/rankings/products?period=90d",
        "/api/rankings/products?by=rating&vendorId=v",
        "/api/sellers",
        "/api/sellers/v/summary",
        "/api/sellers/v/orders/stats",
        "/api/overview",
        "/api/orders/o",
        "/api/dead-letters",
        "/api/proofs",
        "/api/audit",
        "/api/anomalies",
        "/api/sellers/v/statements",
        "/api/sellers/v/statements/2026-10",
        "/api/statements/keys",
        "/api/months",
    ] {
        let since = Instant::now();
        let answer = client.answer(path, &[]);
        let after = answer.headers().get("retry-after").map(|after| after.to_str().unwrap());
        assert_eq!((answer.status().as_u16(), after), (503, Some("2")), "{path}: {}", answer.body());
        assert!(answer.body().contains("\"code\":\"database_unavailable\""), "{path}: {}", answer.body());
        assert!(since.elapsed() < Duration::from_secs(2), "{path}: {:?}", since.elapsed());
    }
}

#[test]
fn panels_answer_while_expensive_reads_hang() {
    let mut service = Service::new(1);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    service.set("API_STATEMENT_TIMEOUT_MS", "4000");
    let mut ingest = service.ingest();
    let order = r#"{"orderId":"o","userId":"u","items":[{"productId":"p","vendorId":"v-1","price":"10.00"}]}"#;
    let refund = r#"{"refundId":"r","orderId":"o","amount":"1.00"}"#;
    service.send(&[Message::json("order.created", order), Message::json("order.refunded", refund)]);
    service.wait_consumed(2);
    assert!(ingest.stop().success());
    let api = service.api();
    let (admin, seller) = (Client::admin(&api.address), Client::seller(&api.address, "v-1"));
    assert_eq!(admin.get(EXPENSIVE).0, 200);
    let mut holder = service.database.connect();
    holder.batch_execute("BEGIN; LOCK TABLE reversals IN ACCESS EXCLUSIVE MODE").unwrap();
    let (done, mut most) = (AtomicBool::new(false), 0);
    let codes = thread::scope(|scope| {
        let most = &mut most;
        let (done, service) = (&done, &service);
        // Also after a failure, so that the test ends.
        let _ended = Ended(done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                *most = (*most).max(service.database.number(WAITING).unwrap_or(0));
            }
        });
        // Clients that do not wait for their answers free nothing.
        let gone: Vec<TcpStream> = (0..20).map(|_| ask(&api.address, EXPENSIVE)).collect();
        wait::until("expensive reads to hang", PATIENCE, || {
            (api.metric("analytics_api_pool_connections") >= 3.0).then_some(())
        });
        // Requests that begin later still wait for a slot when these give up, so that some get one.
        wait::until("expensive reads to hang for a second", PATIENCE, || {
            (service.database.number(&format!("{WAITING} AND now() - query_start > '1 s'")) == Some(3)).then_some(())
        });
        drop(gone);
        let expensive: Vec<_> = (0..40)
            .map(|number| {
                let path = if number % 2 == 0 { EXPENSIVE.to_owned() } else { format!("{EXPENSIVE}?format=ndjson") };
                scope.spawn(|| {
                    let path = path;
                    let answer = Client::admin(&api.address).answer(&path, &[]);
                    assert_eq!(
                        (answer.status().as_u16(), &answer.headers()["retry-after"]),
                        (503, &"2".parse().unwrap())
                    );
                    let body: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
                    body["code"].as_str().unwrap().to_owned()
                })
            })
            .collect();
        while !expensive.iter().any(thread::ScopedJoinHandle::is_finished) {
            for path in [
                "/api/metrics/seller_revenue%3Av-1",
                "/api/sellers/v-1/summary",
                "/api/metrics/seller_revenue%3Av-1/series",
            ] {
                let since = Instant::now();
                assert_eq!(seller.get(path).0, 200, "{path}");
                assert!(since.elapsed() < Duration::from_secs(2), "{path}: {:?}", since.elapsed());
            }
        }
        let codes = expensive.into_iter().map(|thread| thread.join().unwrap());
        let mut counts = BTreeMap::<String, u32>::new();
        codes.for_each(|code| *counts.entry(code).or_default() += 1);
        counts
    });
    assert_eq!(most, 3, "half of the connections, at most");
    assert_eq!(codes.keys().collect::<Vec<_>>(), ["busy", "database_unavailable"], "{codes:?}");
    holder.batch_execute("ROLLBACK").unwrap();
    wait::until("expensive reads to answer again", PATIENCE, || (admin.get(EXPENSIVE).0 == 200).then_some(()));
}

/// Says that it is over when it is dropped.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends a request without waiting for its answer.
fn ask(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let token = token("admin", None);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    stream
}

fn client_of(address: &str, user: Option<&str>, role: &str, exp: u64) -> Client {
    let exp = (chrono::Utc::now().timestamp() + 3600).unsigned_abs() + exp;
    let claims = Claims { user_id: user.map(str::to_owned), role: vec![role.into()], exp, ..Claims::default() };
    Client::with_token(address, &mint(SECRET.as_bytes(), &claims).unwrap())
}

#[test]
fn a_user_that_sends_too_many_requests_gets_429_and_others_do_not() {
    let mut service = Service::new(1);
    service.set("API_RATE_LIMIT", "6");
    service.set("API_RATE_BURST", "5");
    let api = service.api();
    // Another token of the same user is no other allowance.
    let [one, same] = [0, 1].map(|exp| client_of(&api.address, Some("one"), "admin", exp));
    for number in 0..5 {
        assert_eq!([&one, &same][number % 2].get("/api/freshness").0, 200);
    }
    for path in ["/api/freshness", "/api/events?format=ndjson", "/api/metrics/total_views"] {
        let answer = same.answer(path, &[]);
        let after: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=10).contains(&after) && answer.headers().contains_key("x-request-id"), "{after}");
        let body: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!((answer.status().as_u16(), &body["code"]), (429, &"rate_limited".into()));
    }
    assert_eq!(client_of(&api.address, Some("two"), "admin", 0).get("/api/freshness").0, 200);
    assert_eq!(client_of(&api.address, None, "admin", 0).get("/api/freshness").0, 200);
    assert!((api.metric("analytics_api_rate_limited_total") - 3.0).abs() < 0.5);
    // Requests without a valid token have no allowance to use up, and no probe has a limit.
    for number in 0..50 {
        assert_eq!(Client::with_token(&api.address, &format!("nonsense{number}")).get("/api/freshness").0, 401);
        assert!(api.is_ready());
    }
    assert!((api.metric("analytics_api_rate_limited_total") - 3.0).abs() < 0.5);
}

#[test]
fn there_is_no_rate_limit_unless_it_is_set() {
    let service = Service::new(1);
    let api = service.api();
    let client = Client::admin(&api.address);
    assert!((0..200).all(|_| client.get("/api/freshness").0 == 200));
}

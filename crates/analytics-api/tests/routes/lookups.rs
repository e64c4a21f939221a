//! Tests of concurrent requests for single metrics, which share queries: each gets its own answer,
//! not older than the request.

use std::thread;

use analytics_testkit::client::Client;
use analytics_testkit::service::Service;
use diesel::connection::SimpleConnection;

#[test]
fn concurrent_requests_each_get_their_own_metric() {
    let service = Service::new(1);
    service.database.execute(
        "INSERT INTO metrics (type, value) SELECT 'product_views:p-' || n, n FROM generate_series(1, 40) AS n; \
         INSERT INTO metrics (type, value) SELECT 'seller_views:v-' || n, 1000 + n FROM generate_series(1, 8) AS n",
    );
    let api = service.api();
    let admin = || {
        let client = Client::admin(&api.address);
        for n in (1..=60).cycle().take(600) {
            let (status, body) = client.metric(&format!("product_views:p-{n}"));
            let expected = if n <= 40 { (200, Some(n)) } else { (404, None) };
            assert_eq!((status, body["value"].as_i64()), expected, "{body}");
        }
    };
    let seller = |own: i64| {
        let client = Client::seller(&api.address, &format!("v-{own}"));
        for n in (1..=8).cycle().take(600) {
            let (status, body) = client.metric(&format!("seller_views:v-{n}"));
            let expected = if n == own { (200, Some(1000 + n)) } else { (404, None) };
            assert_eq!((status, body["value"].as_i64()), expected, "{own} requests {n}: {body}");
        }
    };
    // A request sees what was written before it, even while queries for others are running.
    let writer = || {
        let (client, connection) = (Client::admin(&api.address), &mut service.database.connect());
        for value in 1..=300 {
            let write = format!(
                "INSERT INTO metrics (type, value) VALUES ('total_views', {value}) \
                 ON CONFLICT (type) DO UPDATE SET value = excluded.value"
            );
            connection.batch_execute(&write).unwrap();
            assert_eq!(client.value("total_views"), Some(value));
        }
    };
    thread::scope(|scope| {
        for own in 1..=4 {
            scope.spawn(move || seller(own));
            scope.spawn(admin);
        }
        scope.spawn(writer);
    });
}

#[test]
fn a_failed_query_fails_the_waiting_requests_and_no_later_ones() {
    let mut service = Service::new(1);
    service.set("API_STATEMENT_TIMEOUT_MS", "300");
    service.database.execute("INSERT INTO metrics (type, value) VALUES ('total_views', 7)");
    let api = service.api();
    let ask = || Client::admin(&api.address).metric("total_views");
    let mut holder = service.database.connect();
    holder.batch_execute("BEGIN; LOCK TABLE metrics IN ACCESS EXCLUSIVE MODE").unwrap();
    thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        for (status, body) in asked.into_iter().map(|asked| asked.join().unwrap()) {
            assert_eq!((status, &body["code"]), (503, &"database_unavailable".into()));
        }
    });
    holder.batch_execute("ROLLBACK").unwrap();
    let (status, body) = ask();
    assert_eq!((status, body["value"].as_i64()), (200, Some(7)), "{body}");
}

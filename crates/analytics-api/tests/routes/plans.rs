//! Tests that no read of the API goes through a large table from end to end.
//!
//! PostgreSQL logs the plan of every statement of the API with the rows that it read (`auto_explain`),
//! while each GET route is requested in every way that leads to another statement. A route without a
//! request here fails the test.

use std::time::Duration;

use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::Client;
use analytics_testkit::database::{Database, Server};
use analytics_testkit::names;
use analytics_testkit::service::Service;
use analytics_testkit::traffic::{Generator, Marketplace};
use analytics_testkit::wait;
use chrono::{TimeDelta, Utc};

use super::logged_plans::{Tables, brief, plans};

const EVENTS: usize = 120_000;
const DAYS: i64 = 80;
const WAIT: Duration = Duration::from_secs(60);

/// Routes as in the OpenAPI document, each with requests. `{event}` is the id of an event, `{letter}`
/// that of a dead letter, `{order}` that of an order, `{product}` and `{vendor}` rare ones, `{user}`
/// a user, `{currency}` another currency than the base currency, `{day}` a day three weeks ago, and
/// `{asOf}` the number of a batch.
const REQUESTS: &[(&str, &[&str])] = &[
    ("/api/metrics/{type}", &["/api/metrics/total_views", "/api/metrics/seller_revenue%3A{vendor}"]),
    (
        "/api/metrics",
        &[
            "/api/metrics?type=total_views&type=seller_views:{vendor}",
            "/api/metrics?name=product_views",
            "/api/metrics?name=product_views&order=desc",
            "/api/metrics?name=total_views",
            "/api/metrics?name=seller_views&sort=value",
            "/api/metrics?name=seller_revenue&sort=value&order=asc&limit=5",
        ],
    ),
    (
        "/api/metrics/{type}/series",
        &[
            "/api/metrics/total_views/series?interval=hour&period=7d&compare=previous",
            "/api/metrics/seller_revenue%3A{vendor}/series?period=this_year",
            "/api/metrics/product_views%3A{product}/series?compare=previous_week",
            "/api/metrics/conversion_rate%3A{vendor}/series",
            "/api/metrics/product_rating%3A{product}/series",
            "/api/metrics/seller_rating%3A{vendor}/series?compare=previous",
            "/api/metrics/daily_signups/series",
            "/api/metrics/unattributed_revenue/series?period=90d&interval=week",
        ],
    ),
    ("/api/metrics/series", &["/api/metrics/series?type=total_orders&type=total_units"]),
    (
        "/api/metrics/{type}/events",
        &[
            "/api/metrics/total_views/events",
            "/api/metrics/total_orders/events?limit=1000",
            "/api/metrics/total_revenue%3A{currency}/events?limit=10",
            "/api/metrics/unattributed_revenue/events?limit=10",
            "/api/metrics/seller_views%3A{vendor}/events",
            "/api/metrics/seller_revenue%3A{vendor}/events",
            "/api/metrics/seller_revenue%3A{vendor}/events?productId={product}",
            "/api/metrics/conversion_rate%3A{vendor}/events",
            "/api/metrics/product_views%3A{product}/events",
            "/api/metrics/product_units%3A{product}/events",
            "/api/metrics/product_rating%3A{product}/events",
            "/api/metrics/seller_rating%3A{vendor}/events",
            "/api/metrics/daily_signups%3A{day}/events",
            "/api/metrics/total_signups/events?from={day}&to={day}",
            "/api/metrics/seller_rating%3A{vendor}/events?from={day}",
            "/api/metrics/total_orders/events?asOf={asOf}",
            "/api/metrics/seller_views%3A{vendor}/events?countedAfter={asOf}",
            "/api/metrics/seller_views%3A{vendor}/events?countedAfter=2100-01-01T00:00:00Z",
            "/api/metrics/seller_orders%3A{vendor}/events?format=ndjson",
        ],
    ),
    (
        "/api/rankings/products",
        &[
            "/api/rankings/products",
            "/api/rankings/products?by=revenue&period=7d",
            "/api/rankings/products?by=conversion&period=today",
            "/api/rankings/products?by=rating",
            "/api/rankings/products?by=units&vendorId={vendor}",
        ],
    ),
    ("/api/rankings/sellers", &["/api/rankings/sellers?by=revenue", "/api/rankings/sellers?by=rating"]),
    ("/api/sellers", &["/api/sellers", "/api/sellers?prefix=v-1"]),
    ("/api/sellers/{vendor}/summary", &["/api/sellers/{vendor}/summary"]),
    ("/api/sellers/{vendor}/orders/stats", &["/api/sellers/{vendor}/orders/stats?interval=hour&period=7d"]),
    (RECONCILE, &[RECONCILE]),
    ("/api/overview", &["/api/overview", "/api/overview?period=today&compare=previous_week"]),
    (
        "/api/events/stats",
        &[
            "/api/events/stats?interval=week",
            "/api/events/stats?type=order.created",
            "/api/events/stats?interval=hour&from={day}&to={day}",
            "/api/events/stats?where=metadata.source%3Dsearch&from={day}&to={day}",
            "/api/events/stats?by=metadata.source&from={day}&to={day}",
            "/api/events/stats?period=all",
        ],
    ),
    ("/api/arrivals/stats", &["/api/arrivals/stats", "/api/arrivals/stats?interval=hour&period=today"]),
    (
        "/api/products",
        &[
            "/api/products",
            "/api/products?prefix=p-1",
            "/api/products?prefix=amber",
            "/api/products?vendorId={vendor}",
            "/api/products?vendorId={vendor}&prefix=a",
        ],
    ),
    ("/api/live", &["/api/live"]),
    ("/api/me", &["/api/me"]),
    ("/api/orders/{id}", &["/api/orders/{order}", "/api/orders/none"]),
    (
        "/api/events",
        &[
            "/api/events",
            "/api/events?limit=1000&to={day}T00:00:00Z",
            "/api/events?type=product.viewed",
            "/api/events?type=order.created&from={day}T00:00:00Z",
            "/api/events?type=metric.adjusted",
            "/api/events?userId={user}",
            "/api/events?userId=nobody",
            "/api/events?productId={product}",
            "/api/events?productId=none",
            "/api/events?vendorId={vendor}",
            "/api/events?vendorId=none&type=rating.updated",
            "/api/events?productId={product}&vendorId={vendor}&userId={user}",
            "/api/events?asOf={asOf}",
            "/api/events?where=metadata.source%3Dsearch&from={day}T00:00:00Z",
            "/api/events?type=rating.updated&format=ndjson",
        ],
    ),
    ("/api/events/{id}", &["/api/events/{event}"]),
    ("/api/freshness", &["/api/freshness"]),
    ("/api/anomalies", &["/api/anomalies"]),
    ("/api/sellers/{vendor}/statements", &["/api/sellers/{vendor}/statements?limit=5"]),
    (
        "/api/sellers/{vendor}/statements/{month}",
        &["/api/sellers/{vendor}/statements/2026-10", "/api/sellers/{vendor}/statements/2026-10?version=1"],
    ),
    ("/api/sellers/{vendor}/statements/{month}/page", &["/api/sellers/{vendor}/statements/2026-10/page"]),
    ("/api/statements/keys", &["/api/statements/keys"]),
    ("/api/months", &["/api/months"]),
    ("/api/proofs", &["/api/proofs"]),
    ("/api/audit", &["/api/audit", "/api/audit?action=metric.adjust", "/api/audit?from=2026-11-01T00:00:00Z"]),
    (
        "/api/dead-letters",
        &[
            "/api/dead-letters",
            "/api/dead-letters?state=open",
            "/api/dead-letters?reason=invalid_amount",
            "/api/dead-letters?reason=too_large",
            "/api/dead-letters?topic=none",
            "/api/dead-letters?topic=order.created",
            "/api/dead-letters?from=2100-01-01T00:00:00Z",
        ],
    ),
    ("/api/dead-letters/{id}", &["/api/dead-letters/{letter}"]),
];

/// A list of two orders, for the one route that reads a list.
const LIST: &str = "orderId,amount,date\n{order},1,{day}\nnone,1,{day}\n";
const RECONCILE: &str = "/api/sellers/{vendor}/reconcile";

/// Routes that are answered from memory.
const WITHOUT_STATEMENT: &[&str] = &["/api/freshness", "/api/live", "/api/me"];

/// The statement that reads the number of the last batch, for every answer.
const WATERMARK: &str = "SELECT number, now() AS time FROM watermark";

/// Creates a service with events of 80 days, whose API has the plan of each statement logged.
fn service(server: &Server) -> Service {
    let service = Service::on(Database::migrated_on(server), 2);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 2);
    let mut ingest = service.ingest();
    let start = Utc::now() - TimeDelta::days(DAYS);
    let step = TimeDelta::milliseconds(DAYS * 86_400_000 / i64::try_from(EVENTS).unwrap());
    let mut generator = Generator::new(1, start, step);
    service.send(&generator.by_ref().take(EVENTS).collect::<Vec<_>>());
    let named: Vec<Message> = names::events(Marketplace::SMALL, start).collect();
    service.send(&named);
    let other = r#"{"orderId":"other","userId":"u","currency":"SEK","items":[{"productId":"p","price":1}]}"#;
    service.send(&[Message::json("order.created", other)]);
    service.wait_consumed(i64::try_from(EVENTS + named.len() + 1).unwrap());
    assert!(ingest.stop().success());
    service.database.execute(
        "INSERT INTO dead_letters (id, topic, partition, \"offset\", headers, reason, detail, state) \
         SELECT gen_random_uuid(), CASE WHEN n % 50 = 0 THEN 'order.created' ELSE 't' || n % 7 END, 0, n, '[]', \
             CASE WHEN n % 40 = 0 THEN 'invalid_amount' ELSE 'not_json' END, 'd', \
             CASE WHEN n % 20 = 0 THEN 'open' ELSE 'discarded' END \
         FROM generate_series(1, 20000) AS n; \
         INSERT INTO directory (kind, id, name, folded, named_at, event_id) \
         SELECT 'product', 'x-' || n, 'X ' || n, 'x ' || n, now(), gen_random_uuid() \
         FROM generate_series(1, 100000) AS n; \
         INSERT INTO product_vendors (product_id, vendor_id, named_at, event_id) \
         SELECT 'x-' || n, 'x-' || n % 5000, now(), gen_random_uuid() FROM generate_series(1, 100000) AS n; \
         INSERT INTO batches (id, number, kind, counted_at) \
         SELECT -n, -n, 'ingest', now() - interval '1 year' FROM generate_series(1, 20000) AS n",
    );
    service.done(&["partitions"]);
    service.done(&["verify"]);
    service.database.execute("VACUUM (ANALYZE)");
    let name = service.database.url.rsplit_once('/').unwrap().1;
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_format = 'json'",
        "auto_explain.log_analyze = on",
        "auto_explain.log_timing = off",
        "auto_explain.log_nested_statements = on",
    ] {
        service.database.execute(&format!("ALTER DATABASE {name} SET {setting}"));
    }
    service.database.execute("ALTER SYSTEM SET log_line_prefix = '%a '");
    service.database.execute("SELECT pg_reload_conf()");
    // The server reloads its settings at some time after the statement.
    wait::until("sessions with the new prefix", WAIT, || {
        let prefix = service.database.lines("SELECT current_setting('log_line_prefix')");
        (prefix == ["%a "]).then_some(())
    });
    service
}

/// Waits until the sessions of the API have ended their transactions. A plan is logged when its
/// statement ends, which may be after the answer.
fn wait_until_idle(database: &Database) {
    let busy = "SELECT count(*) FROM pg_stat_activity \
                WHERE application_name = 'analytics-api' AND state <> 'idle'";
    wait::until("idle sessions", WAIT, || (database.number(busy) == Some(0)).then_some(()));
}

#[test]
fn no_read_goes_through_a_large_table_from_end_to_end() {
    let server = Server::start();
    let service = service(&server);
    let tables = Tables::of(&service.database);
    let api = service.api();
    let client = Client::admin(&api.address);
    let document = client.get("/api/openapi.json").1;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let is_covered = REQUESTS.iter().any(|(route, _)| route == path);
        assert!(methods.get("get").is_none() || is_covered, "{path} needs a request in this test");
    }
    let placeholders = placeholders(&service.database);
    let mut faults = Vec::new();
    for (route, requests) in REQUESTS {
        let mut statements = 0;
        for request in *requests {
            let filled =
                |text: &str| placeholders.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
            let path = filled(request);
            let before = server.log().len();
            let answer = match *route {
                RECONCILE => client.post_csv(&path, filled(LIST).as_bytes()).map(|_| ureq::Body::builder().data("")),
                _ => client.open(&path, &[]),
            };
            assert!(matches!(answer.status().as_u16(), 200 | 404), "{path}: {}", answer.status());
            // A stream of events has no end.
            if answer.headers()["content-type"] != "text/event-stream" {
                answer.into_body().into_with_config().limit(1 << 30).read_to_vec().unwrap();
            }
            wait_until_idle(&service.database);
            let found = plans(&server.log()[before..], "analytics-api");
            statements += found.iter().filter(|plan| plan.query != WATERMARK).count();
            for plan in &found {
                let wrong = tables.faults(plan);
                if !wrong.is_empty() {
                    faults.push(format!("{path}: {}\n{}\n{}", wrong.join("; "), plan.query, brief(&plan.root, 1)));
                }
            }
        }
        assert!(statements > 0 || WITHOUT_STATEMENT.contains(route), "no statement of {route} was logged");
    }
    assert!(faults.is_empty(), "{} plans:\n{}", faults.len(), faults.join("\n\n"));
    the_test_finds_faults(&server, &service.database, &tables);
}

/// Statements that go through a table are found, however they do.
fn the_test_finds_faults(server: &Server, database: &Database, tables: &Tables) {
    for (statement, fault) in [
        ("SELECT count(*) FROM event_logs WHERE metadata ->> 'x' = 'y'", "event_logs"),
        ("SELECT count(*) FROM dead_letters WHERE detail = 'x'", "a sequential scan of dead_letters"),
        ("SELECT number FROM batches WHERE counted_at < '2000-01-01' ORDER BY number LIMIT 1", "batches"),
    ] {
        let before = server.log().len();
        database.execute(statement);
        let found: Vec<String> =
            plans(&server.log()[before..], "test").iter().flat_map(|plan| tables.faults(plan)).collect();
        assert!(found.iter().any(|found| found.contains(fault)), "{statement}: {found:?}");
    }
}

/// What the requests name.
fn placeholders(database: &Database) -> Vec<(&'static str, String)> {
    let one = |query: &str| database.lines(&format!("{query} LIMIT 1")).remove(0);
    let middle = "event_type = 'order.created' ORDER BY id OFFSET 1000";
    vec![
        ("{event}", one(&format!("SELECT id FROM event_logs WHERE {middle}"))),
        ("{order}", one(&format!("SELECT metadata ->> 'orderId' FROM event_logs WHERE {middle}"))),
        ("{user}", one(&format!("SELECT user_id FROM event_logs WHERE {middle}"))),
        ("{letter}", one("SELECT id FROM dead_letters")),
        (
            "{product}",
            one("SELECT substr(type, 16) FROM metrics WHERE type LIKE 'product_rating:%' ORDER BY type DESC"),
        ),
        (
            "{vendor}",
            one("SELECT substr(type, 15) FROM metrics WHERE type LIKE 'seller_rating:%' ORDER BY denominator, type"),
        ),
        ("{currency}", "SEK".into()),
        ("{day}", (Utc::now() - TimeDelta::days(21)).format("%Y-%m-%d").to_string()),
        ("{asOf}", one("SELECT number - 1 FROM watermark")),
    ]
}

//! Every panel of the dashboards shows something, and every metric that a panel or a rule names exists: the
//! queries run on a real Prometheus and PostgreSQL, which have data of real processes.

use std::collections::BTreeSet;
use std::time::Duration;

use analytics_core::business::Business;
use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::database::Database;
use analytics_testkit::prometheus::Prometheus;
use analytics_testkit::roles::Roles;
use analytics_testkit::service::{STATEMENT_KEY, Service};
use analytics_testkit::traffic::demo::Demo;
use analytics_testkit::wait;
use chrono::{Duration as ChronoDuration, Utc};

use crate::dashboard::{Format, Panel, Target, Variable, dashboards, project};
use crate::watched::watch;

/// Ten days of a marketplace.
fn ten_days(service: &Service) {
    let mut demo = Demo::new(7, Business::parse("USD", "UTC").unwrap().base_currency);
    let begin = Utc::now() - ChronoDuration::days(10);
    let events: Vec<Message> = (0..3_000).map(|n| demo.event(begin + ChronoDuration::seconds(n * 280))).collect();
    service.send(&events);
    service.send(&[Message::json("product.viewed", "nonsense"), Message::json("order.created", "{}")]);
    service.wait_all_consumed();
}

/// Puts Grafana's variables in place.
fn filled(query: &str, seller: &str) -> String {
    let quoted = format!("'{}'", seller.replace('\'', "''"));
    let (from, to) = ("'2026-01-01T00:00:00Z'::timestamptz", "'2099-01-01T00:00:00Z'::timestamptz");
    let (from, to) =
        (from.replace("2026-01-01", &(Utc::now() - ChronoDuration::days(30)).date_naive().to_string()), to);
    let mut query = query.replace("${seller:sqlstring}", &quoted).replace("$__rate_interval", "10s");
    while let Some((before, rest)) = query.split_once("$__timeFilter(") {
        let (column, after) = rest.split_once(')').unwrap();
        query = format!("{before}{column} BETWEEN {from} AND {to}{after}");
    }
    let query = query.replace("$__timeFrom()", &from).replace("$__timeTo()", to);
    assert!(!query.contains('$'), "{query}");
    query
}

fn rows(reader: &Database, query: &str) -> i64 {
    reader.number(&format!("SELECT count(*) FROM ({query}) AS q")).unwrap()
}

/// Asserts that every query of every panel returns rows.
fn every_panel_shows_something(prometheus: &Prometheus, reader: &Database, seller: &str) {
    let mut tried = 0;
    for (file, dashboard) in &dashboards() {
        for panel in &dashboard.panels {
            let what = format!("{file}: {}", panel.title());
            for target in panel.queries().into_iter().flat_map(|(_, targets)| targets) {
                tried += 1;
                match target {
                    Target::Prometheus(query) => {
                        let expression = filled(&query.expr, seller);
                        wait::until(&format!("series of {what}: {expression}"), Duration::from_secs(20), || {
                            let series = prometheus.series(&expression).unwrap_or_else(|why| panic!("{what}: {why}"));
                            (series > 0).then_some(())
                        });
                    }
                    Target::Postgres(query) => {
                        let sql = filled(&query.raw_sql, seller);
                        assert!(rows(reader, &sql) > 0, "{what}: no rows: {sql}");
                        // Grafana draws by the column `time`, in order.
                        if query.format == Format::TimeSeries {
                            let timed = format!("SELECT 1 FROM ({sql}) AS q WHERE q.time IS NOT NULL");
                            assert!(rows(reader, &timed) > 0, "{what}");
                        }
                        // What a stat shows is a number.
                        if let Panel::Stat(_) = panel {
                            let values = format!("SELECT 1 FROM ({sql}) AS q WHERE q.value > 0");
                            assert!(rows(reader, &values) > 0, "{what}: no value: {sql}");
                        }
                    }
                }
            }
        }
    }
    assert!(tried > 60, "{tried} queries");
}

/// Returns the names of the service's metrics that a text has.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("analytics_") || word.starts_with("process_")).collect()
}

/// Asserts that Prometheus has every metric of panels and rules.
fn every_metric_exists(prometheus: &Prometheus) {
    let mut texts = Vec::new();
    for folder in ["deploy/prometheus/rules", "deploy/grafana/dashboards"] {
        for file in std::fs::read_dir(project(folder)).unwrap() {
            texts.push(std::fs::read_to_string(file.unwrap().path()).unwrap());
        }
    }
    let named: BTreeSet<&str> = texts.iter().flat_map(|text| metrics(text)).collect();
    assert!(named.len() > 30, "{named:?}");
    let scraped = prometheus.metrics();
    let missing: Vec<_> = named.iter().filter(|name| !scraped.iter().any(|found| found == *name)).collect();
    assert!(missing.is_empty(), "{missing:?} are in no scrape of {scraped:?}");
}

#[test]
fn every_panel_shows_something_and_every_metric_exists() {
    let roles = Roles::new();
    let mut service = Service::new(2);
    service.set("METRICS_BUSINESS", "open");
    service.set("STATEMENT_SIGNING_KEY", STATEMENT_KEY);
    service.done(&["roles", "--apply", "--prefix", roles.prefix()]);
    let mut ingest = service.ingest();
    ten_days(&service);
    assert!(service.audit().0);
    service.done(&["verify"]);
    let earlier = (Utc::now() - ChronoDuration::days(40)).format("%Y-%m").to_string();
    service.done(&["statements", "close", "--month", &earlier, "--accept-gaps"]);
    service.database.execute(
        "INSERT INTO anomalies (type, vendor_id, granularity, verdict, state, from_time, to_time, judged_until, observed,
             expected, lower, upper, confidence)
         VALUES ('total_orders', NULL, 'h', 'drop', 'open', now(), now(), now(), 3, 100.5, 50, 150, 0.99);
         INSERT INTO judgements (type, granularity, from_time, to_time, observed, expected, lower, upper)
         VALUES ('total_orders', 'h', now() - interval '1 hour', now(), 3, 100.5, 50, 150)",
    );
    ingest.wait_ready();
    let api = service.api();
    assert_eq!(Client::admin(&api.address).answer("/api/overview", &[]).status().as_u16(), 200);
    let prometheus = watch(&ingest, &api, "127.0.0.1:9");
    let reader = Database::at(&roles.url(&service.database, "reader"));
    every_panel_shows_something(&prometheus, &reader, &the_first_seller(&reader));
    every_metric_exists(&prometheus);
}

/// Returns the seller that the list of a dashboard begins with.
fn the_first_seller(reader: &Database) -> String {
    let dashboards = dashboards();
    let lists = dashboards.iter().flat_map(|(_, dashboard)| &dashboard.templating.list);
    let query = lists.into_iter().find_map(|variable| match variable {
        Variable::Query { query, .. } => Some(query),
        Variable::Datasource { .. } => None,
    });
    let sellers = format!("SELECT __value FROM ({}) AS q WHERE __text <> ''", query.unwrap());
    reader.lines(&sellers).into_iter().next().expect("a seller")
}

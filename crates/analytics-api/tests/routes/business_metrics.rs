//! `/metrics/business`: who may read it, what it has, and whether Prometheus can read it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::service::{PATIENCE, STATEMENT_KEY, Service};
use analytics_testkit::wait;
use serde_json::json;

fn text(client: &Client, headers: &[(&str, &str)]) -> (u16, String) {
    let answer = client.answer("/metrics/business", headers);
    (answer.status().as_u16(), answer.into_body())
}

/// Checks the names and the format as `promtool check metrics` does, where it is installed; scripts/test
/// installs it.
fn check(metrics: &str) {
    let promtool = std::env::var("TEST_PROMTOOL").unwrap_or_else(|_| "/usr/bin/promtool".into());
    if !Path::new(&promtool).exists() {
        assert!(std::env::var_os("TEST_PROMTOOL").is_none(), "TEST_PROMTOOL: {promtool} does not exist");
        eprintln!("promtool is not installed: the names of metrics are not checked");
        return;
    }
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_numbers_are_those_of_the_marketplace_and_prometheus_reads_them() {
    let mut service = Service::new(1);
    service.set("METRICS_BUSINESS", "open");
    service.set("METRICS_BUSINESS_TOP", "2");
    let _ingest = service.ingest();
    let order = |id: u32, vendor: &str, currency: &str| {
        Message::json(
            "order.created",
            json!({"orderId": id, "vendorId": vendor, "total": "1.50", "currency": currency}),
        )
    };
    let view =
        |vendor: &str| Message::json("product.viewed", json!({"productId": format!("p-{vendor}"), "vendorId": vendor}));
    service.send(&[order(1, "a", "USD"), order(2, "a\"b", "EUR"), view("a"), view("b"), view("b"), view("c")]);
    service.send(&[Message::json("rating.updated", json!({"userId": "u", "productId": "p-a", "rating": 4}))]);
    service.send(&[Message::json("user.registered", json!({"userId": "u"})), Message::json("product.viewed", "{}")]);
    service.wait_all_consumed();
    service.database.execute(
        "INSERT INTO anomalies (type, vendor_id, granularity, verdict, state, from_time, to_time, judged_until, observed,
             expected, lower, upper, confidence)
         VALUES ('total_orders', NULL, 'h', 'drop', 'open', now(), now(), now(), 3, 100.5, 50, 150, 0.99);
         INSERT INTO judgements (type, granularity, from_time, to_time, observed, expected, lower, upper)
         VALUES ('total_orders', 'h', to_timestamp(0), to_timestamp(3600), 99, 100.5, 50, 150),
             ('total_revenue:EUR', 'd', to_timestamp(0), to_timestamp(86400), 9, 8, 7, 10)",
    );
    let api = service.api();
    let (status, metrics) = text(&Client::nobody(&api.address), &[]);
    assert_eq!(status, 200, "{metrics}");
    for line in [
        "analytics_business_views_total 4",
        "analytics_business_orders_total 2",
        "analytics_business_signups_total 1",
        "analytics_business_revenue_minor_units_total{currency=\"USD\"} 150",
        "analytics_business_revenue_minor_units_total{currency=\"EUR\"} 150",
        "analytics_business_conversion_ratio 0.5",
        "analytics_business_ratings 1",
        "analytics_business_rating_stars 4",
        "analytics_business_events_total{type=\"product.viewed\"} 4",
        "analytics_business_top_seller_views{seller=\"b\"} 2",
        "analytics_business_top_seller_orders{seller=\"a\\\"b\"} 1",
        "analytics_business_waiting_batches 0",
        "analytics_business_anomalies{verdict=\"drop\",state=\"open\"} 1",
        "analytics_business_anomaly_observed{metric=\"total_orders\",verdict=\"drop\",state=\"open\"} 3",
        "analytics_business_anomaly_expected{metric=\"total_orders\",verdict=\"drop\",state=\"open\"} 100.5",
        "analytics_business_judged_observed{metric=\"total_orders\",interval=\"hour\"} 99",
        "analytics_business_judged_expected{metric=\"total_orders\",interval=\"hour\"} 100.5",
        "analytics_business_judged_timestamp_seconds{metric=\"total_orders\",interval=\"hour\"} 3600",
        "analytics_business_judged_upper{metric=\"total_revenue:EUR\",interval=\"day\"} 10",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    assert_eq!(metrics.lines().filter(|line| line.starts_with("analytics_business_top_seller_views{")).count(), 2);
    check(&metrics);
}

#[test]
fn the_last_closed_month_is_said_and_how_many_sellers_have_no_statement_of_the_next() {
    let mut service = Service::new(1);
    service.set("METRICS_BUSINESS", "open");
    service.set("STATEMENT_SIGNING_KEY", STATEMENT_KEY);
    let _ingest = service.ingest();
    let order = |id: u32, vendor: &str, month: u32| {
        let at = format!("2026-{month:02}-30T12:00:00Z");
        Message::json("order.created", json!({"orderId": id, "vendorId": vendor, "total": "1.50", "placedAt": at}))
    };
    let said = |service: &Service| {
        let api = service.api();
        let (_, metrics) = text(&Client::nobody(&api.address), &[]);
        check(&metrics);
        let names =
            ["analytics_business_closed_until_timestamp_seconds ", "analytics_business_sellers_without_statement "];
        names.map(|name| metrics.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned))
    };
    service.send(&[order(1, "a", 9), order(2, "a", 10), order(3, "a", 10), order(4, "urn:seller:b", 10)]);
    service.wait_all_consumed();
    assert_eq!(said(&service), [None, None], "no month was closed");
    let close = |month: &str| service.done(&["statements", "close", "--month", month, "--accept-gaps"]);
    close("2026-09");
    wait::until("October to be complete", PATIENCE, || {
        service.done(&["months"]);
        (service.database.lines("SELECT month::text FROM months WHERE complete ORDER BY month")
            == ["2026-09-01", "2026-10-01"])
        .then_some(())
    });
    let (october, november) = ("1790812800", "1793491200");
    assert_eq!(said(&service), [Some(october.into()), Some("2".into())]);
    close("2026-10");
    assert_eq!(said(&service), [Some(november.into()), Some("0".into())]);
}

#[test]
fn nobody_reads_the_numbers_unless_a_setting_says_so() {
    let mut service = Service::new(1);
    let off = service.api();
    assert_eq!(text(&Client::admin(&off.address), &[]).0, 404);
    service.set("METRICS_BUSINESS", "token");
    service.set("METRICS_BUSINESS_TOKEN", "a-token-for-prometheus");
    let api = service.api();
    let nobody = Client::nobody(&api.address);
    assert_eq!(text(&nobody, &[]).0, 401);
    assert_eq!(text(&nobody, &[("authorization", "Bearer a-token-for-prometheuz")]).0, 401);
    assert_eq!(text(&Client::admin(&api.address), &[]).0, 401, "a token of the marketplace is none of Prometheus");
    assert_eq!(text(&nobody, &[("authorization", "Bearer a-token-for-prometheus")]).0, 200);
    service.set("METRICS_BUSINESS_TOKEN", "short");
    let refused = analytics_testkit::process::run("analytics-api", &["--check-settings"], &service.environment);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("METRICS_BUSINESS_TOKEN: must have 16 bytes or more") && !said.contains("short"), "{said}");
}

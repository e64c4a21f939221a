//! Refunds in the answers: net revenue and what it is made of, as of any batch.

use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::{Client, token};
use analytics_testkit::process::Process;
use analytics_testkit::service::Service;
use serde_json::{Value, json};

/// Starts a service with an order of two sellers, and a refund of it that arrived before it.
fn refunded() -> (Service, Process) {
    let service = Service::new(1);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    let ingest = service.ingest();
    let refund = |id: &str, amount: &str, time: &str| {
        let payload = json!({ "refundId": id, "orderId": "o", "amount": amount, "refundedAt": time });
        Message::json("order.refunded", payload)
    };
    service.send(&[refund("r-1", "4.00", "2026-11-03T12:00:00Z")]);
    service.wait_consumed(1);
    let items = json!([
        { "productId": "a", "vendorId": "v", "totalPrice": "10.00", "quantity": 2 },
        { "productId": "b", "vendorId": "w", "totalPrice": "10.00" },
    ]);
    service
        .send(&[Message::json("order.created", json!({ "orderId": "o", "items": items, "placedAt": "2026-11-01" }))]);
    service.wait_consumed(2);
    // This one happened first.
    service.send(&[refund("r-0", "1.00", "2026-11-02T12:00:00Z"), refund("r-2", "90", "2026-11-04T12:00:00Z")]);
    service.wait_consumed(4);
    (service, ingest)
}

/// Returns the sum of the deltas of a list of events, and their types.
fn explained(client: &Client, path: &str) -> (i64, Vec<String>) {
    let (status, answer) = client.get(path);
    assert_eq!(status, 200, "{path}: {answer}");
    let items = answer["items"].as_array().unwrap();
    let types = items.iter().map(|item| item["eventType"].as_str().unwrap().to_owned()).collect();
    (items.iter().map(|item| item["delta"].as_i64().unwrap()).sum(), types)
}

fn value(client: &Client, metric: &str) -> Value {
    client.get(&format!("/api/metrics/{metric}")).1["value"].clone()
}

#[test]
fn net_revenue_is_explained_by_orders_and_what_was_taken_back() {
    let (service, _ingest) = refunded();
    let api = service.api();
    let admin = Client::admin(&api.address);
    let seller = Client::with_token(&api.address, &token("seller", Some("v")));
    for (metric, expected) in [
        ("total_net_revenue", 0),
        ("total_refunds", 2_000),
        ("excess_refunds", 7_500),
        ("seller_net_revenue%3Av", 0),
        ("seller_refunds%3Aw", 1_000),
        ("product_refunds%3Aa", 1_000),
    ] {
        assert_eq!(value(&admin, metric), expected, "{metric}");
        assert_eq!(explained(&admin, &format!("/api/metrics/{metric}/events")).0, expected, "{metric}");
    }
    // What is the seller's own, and nothing of others.
    let path = "/api/metrics/seller_refunds%3Av/events";
    let answer = seller.get(path).1;
    assert!(!answer.to_string().contains("\"w\"") && !answer.to_string().contains("\"b\""), "{answer}");
    let reversal = &answer["items"][0]["reversal"];
    let line = json!({ "line": 1, "productId": "a", "vendorId": "v", "units": 0, "amount": 750, "currency": "USD" });
    assert_eq!(reversal["lines"], json!([line]), "{answer}");
    assert!(reversal["orderEventId"].is_string() && reversal["excess"].is_null(), "{answer}");
    assert_eq!(seller.get("/api/metrics/seller_refunds%3Aw/events").0, 404);

    // As of each batch, and after it: both sums are those of the value then.
    let now = admin.get("/api/freshness").1["asOf"].as_i64().unwrap();
    for as_of in 1..=now {
        let until = explained(&admin, &format!("/api/metrics/seller_net_revenue%3Av/events?asOf={as_of}")).0;
        let after = explained(&admin, &format!("/api/metrics/seller_net_revenue%3Av/events?countedAfter={as_of}")).0;
        assert_eq!(until + after, 0, "{as_of}");
    }
    let excess = admin.get("/api/metrics/excess_refunds/events").1;
    assert_eq!(excess["items"][0]["reversal"]["excess"], json!({ "USD": 7_500 }), "{excess}");
}

#[test]
fn an_order_shows_what_was_taken_back_of_it() {
    let (service, _ingest) = refunded();
    let api = service.api();
    let admin = Client::admin(&api.address);
    let order = admin.get("/api/orders/o").1;
    let reversals: Vec<(String, i64)> = order["reversals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reversal| {
            let amounts = reversal["lines"].as_array().unwrap().iter().map(|line| line["amount"].as_i64().unwrap());
            (reversal["createdAt"].as_str().unwrap().to_owned(), amounts.sum())
        })
        .collect();
    let expected = [("2026-11-02T12:00:00Z", 100), ("2026-11-03T12:00:00Z", 400), ("2026-11-04T12:00:00Z", 1_500)];
    assert_eq!(reversals, expected.map(|(time, amount)| (time.to_owned(), amount)), "{order}");
    assert_eq!(order["reversals"][2]["excess"], json!({ "USD": 7_500 }));
}

#[test]
fn panels_series_and_rankings_have_gross_and_net() {
    let (service, _ingest) = refunded();
    let api = service.api();
    let admin = Client::admin(&api.address);
    let range = "from=2026-11-01&to=2026-11-04";
    let summary = admin.get(&format!("/api/sellers/v/summary?{range}")).1;
    for (number, expected, days) in [
        ("revenue", 1_000, json!([1_000, 0, 0, 0])),
        ("refunds", 1_000, json!([0, 50, 200, 750])),
        ("netRevenue", 0, json!([1_000, -50, -200, -750])),
    ] {
        assert_eq!(summary["metrics"][number]["value"], expected, "{number} in {summary}");
        assert_eq!(summary["metrics"][number]["series"], days, "{number} in {summary}");
    }
    let overview = admin.get(&format!("/api/overview?{range}")).1;
    assert_eq!(overview["metrics"]["netRevenue"]["value"], 0, "{overview}");
    let (status, series) = admin.get(&format!("/api/metrics/total_net_revenue/series?{range}&interval=day"));
    let values: Vec<&Value> = series["buckets"].as_array().unwrap().iter().map(|bucket| &bucket["value"]).collect();
    assert_eq!((status, values), (200, vec![&json!(2_000), &json!(-100), &json!(-400), &json!(-1_500)]), "{series}");
    let of_day = "/api/metrics/total_net_revenue/events?from=2026-11-03&to=2026-11-03";
    assert_eq!(explained(&admin, of_day), (-400, vec!["order.refunded".to_owned()]));
    let ranked = admin.get("/api/rankings/sellers?by=net_revenue&from=2026-11-01&to=2026-11-02").1;
    assert_eq!(ranked["items"].as_array().unwrap().iter().map(|item| &item["value"]).collect::<Vec<_>>(), [950, 950]);
    let rate = admin.get("/api/metrics/refund_rate%3Av").1;
    assert_eq!(
        (&rate["value"], &rate["metadata"]["numerator"], &rate["currency"]),
        (&json!(10_000), &json!(1_000), &json!("USD")),
        "{rate}"
    );
}

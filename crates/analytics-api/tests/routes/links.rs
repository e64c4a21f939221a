//! Tests that the events behind the links of rankings and panels sum to their numbers.

use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::{Client, token};
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;
use chrono::{Duration, Utc};
use serde_json::{Value, json};

/// Adds up what the events behind a link added, page by page: the value, or the numerator and the
/// denominator that it is made of.
fn sums(client: &Client, link: &str) -> [i64; 2] {
    let (mut sums, mut cursor) = ([0, 0], String::new());
    loop {
        let path = format!("{link}&limit=300{cursor}");
        let (status, page) = client.get(&path);
        assert_eq!(status, 200, "{path}: {page}");
        for item in page["items"].as_array().unwrap() {
            let delta = &item["delta"];
            let parts = match delta {
                Value::Number(_) => [delta, &json!(0)].map(Value::as_i64),
                _ if delta["sum"].is_i64() => [&delta["sum"], &delta["count"]].map(Value::as_i64),
                _ => [&delta["numerator"], &delta["denominator"]].map(Value::as_i64),
            };
            sums = [sums[0] + parts[0].unwrap(), sums[1] + parts[1].unwrap()];
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return sums,
        }
    }
}

/// Follows every link beside a value in an answer, and returns how many there were.
fn follow(client: &Client, answer: &Value) -> usize {
    match answer {
        Value::Array(items) => items.iter().map(|item| follow(client, item)).sum(),
        Value::Object(fields) => {
            let inner: usize = fields.values().map(|value| follow(client, value)).sum();
            let (Some(link), Some(value)) = (answer["events"].as_str(), answer["value"].as_i64()) else { return inner };
            let [first, second] = sums(client, link);
            let scale = if link.contains("rating%3A") { 100 } else { 10_000 };
            let is_ratio = second != 0;
            let sum = if is_ratio { (first * scale * 2 + second).div_euclid(second * 2) } else { first };
            assert_eq!(sum, value, "{link}");
            inner + 1
        }
        _ => 0,
    }
}

#[test]
fn the_events_behind_every_number_sum_to_it() {
    let service = Service::new(2);
    let _ingest = service.ingest();
    service.send_traffic(&mut Tally::default(), 7, 3_000);
    service.wait_all_consumed();
    let api = service.api();
    let admin = Client::admin(&api.address);
    let vendor = service
        .database
        .lines(
            "SELECT vendor_id FROM order_lines WHERE vendor_id IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
        )
        .remove(0);
    let seller = Client::seller(&api.address, &vendor);
    let mut followed = 0;
    for (client, path) in [
        (&admin, "/api/overview".to_owned()),
        (&admin, "/api/metrics/total_views/series?period=7d&compare=previous".to_owned()),
        (&admin, "/api/rankings/products?by=views&limit=15".to_owned()),
        (&admin, "/api/rankings/products?by=orders&limit=15".to_owned()),
        (&admin, "/api/rankings/sellers?by=revenue&limit=15".to_owned()),
        (&admin, "/api/rankings/sellers?by=conversion&limit=15".to_owned()),
        (&admin, format!("/api/sellers/{vendor}/summary")),
        (&seller, format!("/api/sellers/{vendor}/summary")),
        (&seller, format!("/api/rankings/products?by=units&vendorId={vendor}")),
    ] {
        let (status, answer) = client.get(&path);
        assert_eq!(status, 200, "{path}: {answer}");
        let links = follow(client, &answer);
        assert!(links >= 5, "{path}: {links} links");
        followed += links;
    }
    assert!(followed >= 100, "{followed}");
    let summary = seller.get(&format!("/api/sellers/{vendor}/summary")).1;
    let products = summary["topProducts"].as_array().unwrap();
    assert!(!products.is_empty() && products.iter().all(|product| product["events"].is_string()), "{summary}");
}

#[test]
fn a_sellers_products_are_what_it_sold_of_them_whoever_else_did() {
    let service = Service::new(1);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    let _ingest = service.ingest();
    let order = |id: &str, lines: Value| Message::json("order.created", json!({ "orderId": id, "items": lines }));
    let line = |product: &str, vendor: &str, price: u32| json!({ "productId": product, "vendorId": vendor, "price": price, "quantity": 2 });
    service.send(&[
        order("1", json!([line("own", "v-1", 5), line("shared", "v-1", 3), line("other", "v-2", 9)])),
        order("2", json!([line("own", "v-1", 7), line("own", "v-1", 1)])),
        order("3", json!([line("shared", "v-2", 20)])),
        Message::json(
            "order.refunded",
            json!({ "refundId": "r", "orderId": "1", "items": [
            { "productId": "shared", "vendorId": "v-1", "quantity": 1, "amount": "2.00" },
            { "productId": "other", "vendorId": "v-2", "quantity": 1, "amount": "4.00" },
        ] }),
        ),
    ]);
    service.wait_consumed(4);
    // The last one that was seen with it is known as the product's vendor.
    let view = json!({ "productId": "shared", "vendorId": "v-1" });
    service.send(&[Message::json("product.viewed", view)]);
    service.wait_consumed(5);
    let api = service.api();
    let (seller, admin) = (Client::seller(&api.address, "v-1"), Client::admin(&api.address));
    let values = |client: &Client, path: &str| -> Vec<(String, i64)> {
        let answer = client.get(path).1;
        let items = answer["topProducts"].as_array().or(answer["items"].as_array()).unwrap().clone();
        let of = |item: &Value| (item["id"].as_str().unwrap().to_owned(), item["value"].as_i64().unwrap());
        for item in items.iter().filter(|item| item["events"].is_string()) {
            assert_eq!(sums(client, item["events"].as_str().unwrap())[0], of(item).1, "{item}");
        }
        if let Some(products) = answer["topProducts"].as_array() {
            for product in products {
                let series = product["series"].as_array().unwrap().iter().map(|value| value.as_i64().unwrap());
                assert_eq!(series.sum::<i64>(), of(product).1, "{product}");
            }
            assert!(products.iter().all(|product| product["events"].is_string()), "{answer}");
        }
        items.iter().map(of).collect()
    };
    let [from, to] = [-1, 1].map(|hours| (Utc::now() + Duration::hours(hours)).format("%Y-%m-%dT%H:00:00Z"));
    let of_hours = format!("/api/sellers/v-1/summary?from={from}&to={to}");
    for (path, expected) in [
        ("/api/sellers/v-1/summary", &[("own", 2_600), ("shared", 600)][..]),
        (&of_hours, &[("own", 2_600), ("shared", 600)]),
        ("/api/sellers/v-1/summary?currency=EUR", &[]),
        ("/api/rankings/products?by=revenue&vendorId=v-1", &[("own", 2_600), ("shared", 600)]),
        ("/api/rankings/products?by=net_revenue&vendorId=v-1", &[("own", 2_600), ("shared", 400)]),
        ("/api/rankings/products?by=units&vendorId=v-1", &[("own", 6), ("shared", 2)]),
        ("/api/rankings/products?by=orders&vendorId=v-1", &[("own", 2), ("shared", 1)]),
    ] {
        let expected: Vec<(String, i64)> = expected.iter().map(|(id, value)| ((*id).to_owned(), *value)).collect();
        assert_eq!(values(&seller, path), expected, "{path}");
        assert_eq!(values(&admin, path), expected, "{path}");
    }
    // Others see how popular its products are, as in the ranking of all, and not what it sold itself.
    for (by, path) in [("units", "by=units&vendorId=v-1"), ("orders", "by=orders&vendorId=v-1")] {
        let all = values(&seller, &format!("/api/rankings/products?by={by}"));
        for other in [Client::seller(&api.address, "v-2"), Client::with_token(&api.address, &token("buyer", None))] {
            let found = values(&other, &format!("/api/rankings/products?{path}"));
            assert!(found.contains(&("shared".to_owned(), if by == "units" { 4 } else { 2 })), "{path}: {found:?}");
            assert!(found.iter().all(|one| all.contains(one)), "{path}: {found:?}");
        }
    }
    // How often others look at a product is no secret, and no sum of its own events.
    let views = seller.get("/api/rankings/products?by=views&vendorId=v-1").1;
    assert_eq!((&views["items"][0]["id"], &views["items"][0]["events"]), (&json!("shared"), &Value::Null), "{views}");
    assert_eq!(seller.get("/api/rankings/products?by=orders&vendorId=v-2").1["items"][0]["events"], Value::Null);
    let summary = seller.get("/api/sellers/v-1/summary").1;
    let (_, events) = seller.get(summary["topProducts"][0]["events"].as_str().unwrap());
    assert_eq!((&events["value"], &events["items"][0]["lines"].as_array().unwrap().len()), (&Value::Null, &2));
    // Another seller's metric stays what it is, whatever product is named.
    let path = |metric: &str| format!("/api/metrics/{metric}/events?productId=own");
    assert_eq!(seller.get(&path("seller_revenue%3Av-2")).0, 404);
    assert_eq!(seller.get(&path("product_revenue%3Aown")).0, 404);
    for metric in ["total_revenue", "conversion_rate%3Av-1", "product_revenue%3Aown"] {
        let (status, answer) = admin.get(&path(metric));
        assert_eq!((status, &answer["parameter"]), (400, &json!("productId")), "{metric}: {answer}");
    }
}

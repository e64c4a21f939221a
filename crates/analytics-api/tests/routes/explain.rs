//! Tests of explanations: over all pages, the deltas sum to the number.

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::recorded;
use analytics_testkit::service::Service;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

fn path(metric: &str) -> String {
    format!("/api/metrics/{}/events", utf8_percent_encode(metric, NON_ALPHANUMERIC))
}

/// Reads all pages. Returns the number as the first page shows it, and the items of all pages.
/// `between` is called before each further page.
fn pages(client: &Client, metric: &str, limit: usize, mut between: impl FnMut()) -> (Value, Vec<Value>) {
    let (mut items, mut cursor, mut first) = (Vec::new(), String::new(), Value::Null);
    loop {
        let (status, mut page) = client.get(&format!("{}?limit={limit}{cursor}", path(metric)));
        assert_eq!(status, 200, "{metric}: {page}");
        items.extend(page["items"].as_array().unwrap().clone());
        let next = page["nextCursor"].as_str().map(str::to_owned);
        page["items"].take();
        page["nextCursor"].take();
        if first.is_null() {
            first = page;
        } else {
            assert_eq!(page, first, "later pages show the number as the first page does");
        }
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (first, items),
        }
        between();
    }
}

/// Checks that the deltas of the items sum to the number or its components, and that the items are
/// in descending order.
fn assert_sums(metric: &str, number: &Value, items: &[Value]) {
    let sum =
        |of: &dyn Fn(&Value) -> Option<i64>| -> i64 { items.iter().map(|item| of(&item["delta"]).unwrap()).sum() };
    match &number["metadata"] {
        Value::Null => assert_eq!(number["value"], sum(&Value::as_i64), "{metric}"),
        components if components["numerator"].is_null() => {
            for part in ["count", "sum"] {
                assert_eq!(components[part], sum(&|delta| delta[part].as_i64()), "{metric} {part}");
            }
            for stars in ["1", "2", "3", "4", "5"] {
                let counted = sum(&|delta| delta["histogram"][stars].as_i64());
                assert_eq!(components["histogram"][stars], counted, "{metric} {stars}");
            }
        }
        components => {
            for part in ["numerator", "denominator"] {
                assert_eq!(components[part], sum(&|delta| delta[part].as_i64()), "{metric} {part}");
            }
        }
    }
    let ids: Vec<&str> = items.iter().map(|item| item["eventId"].as_str().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] > pair[1]), "{metric}: not newest first, or repeated");
}

#[test]
fn every_number_of_the_recorded_stream_is_the_sum_of_its_events() {
    let mut service = Service::new(2);
    service.set("API_MODE", "read-write");
    let _ingest = service.ingest();
    for part in [1, 2] {
        service.send(&recorded::part(part));
        service.wait_all_consumed();
    }
    let api = service.api();
    let client = Client::admin(&api.address);
    for adjusted in
        [json!({"type": "total_signups", "value": 7, "reason": "imported"}), json!({"type": "letters", "value": 3})]
    {
        assert_eq!(client.post("/api/metrics/upsert", &adjusted).0, 200);
    }
    let metrics = service.database.lines("SELECT type FROM metrics ORDER BY 1");
    assert!(metrics.len() > 1_600);
    for metric in &metrics {
        let (number, items) = pages(&client, metric, 1000, || ());
        assert_sums(metric, &number, &items);
        assert_eq!(number["value"], client.metric(metric).1["value"]);
    }
    let (number, items) = pages(&client, "total_views", 37, || ());
    assert_sums("total_views", &number, &items);
    let (_, adjusted) = pages(&client, "total_signups", 1, || ());
    let by_hand = adjusted.iter().find(|item| item["eventType"] == "metric.adjusted").unwrap();
    assert_eq!((&by_hand["actor"], &by_hand["reason"]), (&json!("tester"), &json!("imported")));
}

#[test]
fn pages_are_consistent_while_events_of_any_time_arrive() {
    let service = Service::new(2);
    let _ingest = service.ingest();
    let mut sent = 0;
    let mut more = |count: i64| {
        // Times are spread, so that new events are before, between and after those of a page.
        let at = |number: i64| format!("2026-11-02T{:02}:{:02}:00Z", number * 7 % 24, number * 11 % 60);
        let messages: Vec<Message> = (sent..sent + count)
            .flat_map(|n| {
                [
                    Message::json("product.viewed", json!({"productId":"tea","vendorId":"ann","occurredAt":at(n)})),
                    Message::json(
                        "order.created",
                        json!({"orderId":format!("o-{n}"),"occurredAt":at(n),
                    "items":[{"productId":"tea","vendorId":"ann","price":"1.25"}]}),
                    ),
                    Message::json(
                        "rating.updated",
                        json!({"ratingId":format!("r-{n}"),"userId":format!("u-{}", n % 5),
                    "productId":"tea","vendorId":"ann","stars":n % 5 + 1,"updatedAt":at(n)}),
                    ),
                ]
            })
            .collect();
        sent += count;
        service.send(&messages);
        service.wait_all_consumed();
    };
    more(80);
    let api = service.api();
    let client = Client::admin(&api.address);
    for metric in [
        "total_views",
        "product_views:tea",
        "seller_revenue:ann",
        "total_revenue",
        "conversion_rate:ann",
        "product_rating:tea",
        "seller_rating:ann",
    ] {
        let mut batches = 0;
        let (number, items) = pages(&client, metric, 30, || {
            batches += 1;
            if batches <= 3 {
                more(5);
            }
        });
        assert!(batches >= 2, "{metric} has too few pages");
        assert_sums(metric, &number, &items);
    }
}

#[test]
fn a_seller_sees_its_own_lines_and_no_data_of_others() {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    let _ingest = service.ingest();
    let order = json!({"orderId":"o-1","userId":"secret-buyer","occurredAt":"2026-11-02T11:00:00Z","note":"secret-note","items":[
        {"productId":"tea","vendorId":"ann","price":"2.50","qty":2}, {"productId":"secret-product","vendorId":"secret-vendor","price":"77"}]});
    let rating = |stars: u8, hour: u8| {
        json!({"ratingId":"r-1","userId":"secret-buyer","vendorId":"ann","rating":stars,
        "updatedAt":format!("2026-11-02T{hour}:00:00Z"),"comment":"secret-comment"})
    };
    service.send(&[
        Message::json("order.created", &order),
        Message::json("rating.updated", rating(5, 13)),
        Message::json("rating.updated", rating(2, 12)),
    ]);
    service.wait_all_consumed();
    let api = service.api();
    let (admin, seller) = (Client::admin(&api.address), Client::seller(&api.address, "ann"));
    let adjusted = json!({"type": "seller_revenue:ann", "value": 600, "reason": "a cheque"});
    assert_eq!(admin.post("/api/metrics/upsert", &adjusted).0, 200);
    let (number, items) = pages(&seller, "seller_revenue:ann", 100, || ());
    assert_eq!((&number["value"], &number["currency"]), (&json!(600), &json!("USD")));
    assert_sums("seller_revenue:ann", &number, &items);
    assert_eq!(
        (&items[0]["delta"], &items[0]["reason"], &items[0]["actor"]),
        (&json!(100), &json!("a cheque"), &Value::Null)
    );
    let line =
        json!({"productId":"tea","vendorId":"ann","vendorLearned":false,"quantity":2,"amount":500,"currency":"USD"});
    assert_eq!((&items[1]["delta"], &items[1]["lines"]), (&json!(500), &json!([line])));
    let (number, rated) = pages(&seller, "seller_rating:ann", 100, || ());
    assert_sums("seller_rating:ann", &number, &rated);
    assert_eq!(
        (&rated[0]["delta"]["sum"], &rated[0]["replaced"]["stars"]),
        (&json!(3), &json!(2)),
        "by time, not by arrival"
    );
    for metric in
        ["seller_orders:ann", "seller_units:ann", "conversion_rate:ann", "seller_rating:ann", "seller_revenue:ann"]
    {
        let said = seller.answer(&path(metric), &[]).into_body();
        assert!(!said.contains("secret"), "{metric}: {said}");
    }
    let support = Client::support(&api.address);
    let ((_, full), (_, without)) = (admin.get(&path("seller_revenue:ann")), support.get(&path("seller_revenue:ann")));
    assert_eq!(full["items"][1]["userId"], "secret-buyer");
    assert!(full["items"][0]["actor"].is_string() && without["items"][0]["reason"].is_string());
    for item in without["items"].as_array().unwrap() {
        assert_eq!((&item["userId"], &item["actor"]), (&Value::Null, &Value::Null), "{item}");
    }
    for metric in ["total_revenue", "seller_rating:ann", "product_revenue:tea", "total_orders", "seller_revenue:ann"] {
        let answer = support.answer(&path(metric), &[]);
        assert_eq!(answer.status(), 200, "{metric}");
        let said = answer.into_body();
        assert!(!said.contains("secret-buyer") && !said.contains("secret-note"), "{metric}: {said}");
        assert!(!said.contains("secret-comment") && !said.contains("userId"), "{metric}: {said}");
    }
    for other in ["seller_revenue:secret-vendor", "total_revenue", "product_revenue:tea", "nothing"] {
        assert_eq!(seller.get(&path(other)).0, 404, "{other}");
    }
}

#[test]
fn an_invalid_cursor_is_rejected() {
    use base64::Engine;
    let service = Service::new(1);
    let _ingest = service.ingest();
    service.send(&[Message::json("product.viewed", json!({"productId":"tea"}))]);
    service.wait_all_consumed();
    let api = service.api();
    let client = Client::admin(&api.address);
    let id = "00000000-0000-0000-0000-000000000000";
    for cursor in [
        "x",
        "{}",
        "[]",
        &format!(r#"{{"type":"total_views","before":"{id}","snapshot":"","value":1}}"#),
        &format!(r#"{{"type":"total_orders","before":"{id}","snapshot":"1:2:@0","value":1}}"#),
        r#"{"before":"x","snapshot":"1:2:@0","value":1}"#,
    ] {
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(cursor);
        let (status, problem) = client.get(&format!("{}?cursor={encoded}", path("total_views")));
        assert_eq!((status, &problem["parameter"]), (400, &json!("cursor")), "{cursor}");
    }
    let (number, items) = pages(&client, "total_views", 1, || ());
    assert_sums("total_views", &number, &items);
}

//! Tests of reads: ids in paths, tenancy, invalid parameters, and pages of events.

use analytics_testkit::broker::Message;
use analytics_testkit::client::{Client, token};
use analytics_testkit::service::{PATIENCE, Service};
use serde_json::{Value, json};

#[test]
fn any_id_works_in_the_path() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let ids =
        ["a/b", "urn:seller:7", "50%off", "two words", "žluťoučký ☕", "a+b", "a?b#c", "%2F", "..", "a\\b\"c'd;e"];
    let view = |id: &&str| Message::json("product.viewed", serde_json::json!({ "productId": id, "vendorId": id }));
    service.send(&ids.iter().map(view).collect::<Vec<_>>());
    service.wait_all_consumed();
    let api = service.api();
    let client = Client::admin(&api.address);
    for id in ids {
        let encoded = id.replace('%', "%25").replace(':', "%3A");
        for metric in ["product_views", "seller_views", "conversion_rate"] {
            let (status, body) = client.metric(&format!("{metric}:{encoded}"));
            assert_eq!((status, &body["type"]), (200, &format!("{metric}:{encoded}").into()), "{id}: {body}");
        }
        let seller = Client::seller(&api.address, id);
        assert_eq!(seller.value(&format!("seller_views:{encoded}")), Some(1), "{id}");
    }
}

#[test]
fn a_seller_reads_its_own_numbers_and_those_of_others_look_missing() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let order = r#"{"orderId":"o","userId":"u","items":[
        {"productId":"p","vendorId":"v-1","price":"10.00"},{"vendorId":"v-2","price":"5.00","currency":"EUR"}]}"#;
    service.send(&[Message::json("order.created", order)]);
    service.wait_all_consumed();
    let api = service.api();
    let seller = Client::seller(&api.address, "v-1");
    let (status, body) = seller.metric("seller_revenue:v-1");
    assert_eq!(status, 200);
    assert_eq!(
        (&body["value"], &body["unit"], &body["currency"]),
        (&1000.into(), &"minor_units".into(), &"USD".into())
    );
    let (other, nobody) = (seller.metric("seller_revenue:v-2:EUR"), seller.metric("seller_revenue:v-3"));
    assert_eq!((other.0, &other.1), (404, &nobody.1), "another seller's metric looks like one that does not exist");
    assert_eq!(seller.metric("total_revenue").0, 404);
    assert_eq!(seller.get("/api/events").0, 403);
    let buyer = Client::with_token(&api.address, &token("buyer", None));
    assert_eq!(buyer.metric("seller_revenue:v-1").0, 403);
    let nobody = Client::with_token(&api.address, "nonsense");
    for path in ["/api/metrics/total_revenue", "/api/events"] {
        let (status, body) = nobody.get(path);
        assert_eq!((status, &body["code"]), (401, &"unauthorized".into()));
    }
}

#[test]
fn an_invalid_request_is_a_400_that_names_the_parameter() {
    let service = Service::new(1);
    let api = service.api();
    let client = Client::admin(&api.address);
    for (path, parameter) in [
        ("/api/events?limit=0", "limit"),
        ("/api/events?limit=ten", "limit"),
        ("/api/events?limit=1&limit=2", "limit"),
        ("/api/events?typo=1", "typo"),
        ("/api/events?type=", "type"),
        ("/api/events?type=%FF", "type"),
        ("/api/events?cursor=abc", "cursor"),
        ("/api/metrics/seller_revenue", "type"),
        ("/api/metrics/seller_revenue:v-1:EURO", "type"),
        ("/api/metrics/daily_signups:soon", "type"),
        ("/api/metrics/total_views?x=1", "x"),
        // Ids that PostgreSQL cannot store.
        ("/api/sellers/%00/summary", "path"),
        ("/api/sellers/a%00b/orders/stats", "path"),
        ("/api/sellers/%00/statements", "path"),
        ("/api/orders/%00", "path"),
        ("/api/rankings/products?vendorId=%00", "vendorId"),
        ("/api/metrics?name=seller_views&vendorId=a%00", "vendorId"),
        ("/api/metrics/total_views/events?productId=%00", "productId"),
        ("/api/products?prefix=%00", "prefix"),
        // Dates to which no time can be added.
        ("/api/rankings/products?from=-262143-01-01", "from"),
        ("/api/rankings/products?from=2026-11-01&to=%2B262142-12-31", "to"),
        ("/api/metrics/total_views/series?from=-262143-01-01", "from"),
        ("/api/metrics/total_views/series?from=2026-11-01&to=%2B262142-12-30", "to"),
        ("/api/metrics/total_views/events?from=%2B262142-12-31", "from"),
        ("/api/sellers/v/summary?from=-262143-01-01", "from"),
        ("/api/overview?from=-262143-01-01", "from"),
        ("/api/events/stats?from=-262143-01-01", "from"),
        ("/api/arrivals/stats?from=-262143-01-01", "from"),
        ("/api/events?from=-262143-01-01", "from"),
        ("/api/events?to=%2B262142-12-31", "to"),
        ("/api/events?to=9999-12-31", "to"),
        ("/api/dead-letters?from=%2B262142-12-31", "from"),
        ("/api/audit?to=-262143-01-01", "to"),
    ] {
        let (status, body) = client.get(path);
        let expected = (400, &"invalid_parameter".into(), &parameter.into());
        assert_eq!((status, &body["code"], &body["parameter"]), expected, "{path}: {body}");
    }
    for path in ["/api/metrics/total_views", "/api/metrics/no_such_metric", "/api/nothing"] {
        assert_eq!(client.get(path).0, 404, "{path}");
    }
}

#[test]
fn events_come_newest_first_and_page_by_page() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let view = |minute: i32| {
        let time = format!("2026-11-01T10:{minute:02}:00Z");
        Message::json("product.viewed", serde_json::json!({ "productId": minute.to_string(), "viewedAt": time }))
    };
    service.send(&(0..25).map(view).collect::<Vec<_>>());
    service.send(&[Message::json("user.registered", r#"{"userId":"u"}"#)]);
    service.wait_all_consumed();
    let api = service.api();
    let client = Client::admin(&api.address);
    let (mut seen, mut path) = (Vec::new(), "/api/events?type=product.viewed&limit=10".to_owned());
    loop {
        let (status, page) = client.get(&path);
        assert_eq!(status, 200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|event| event["metadata"]["productId"].to_string()));
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("/api/events?type=product.viewed&limit=10&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..25).rev().map(|minute| format!("\"{minute}\"")).collect::<Vec<_>>());
    let (_, all) = client.get("/api/events");
    assert_eq!(all["items"].as_array().map(Vec::len), Some(26));
}

#[test]
fn a_read_transaction_cannot_write() {
    use analytics_db::DbError;
    use analytics_db::connection::{Plans, Reading, View};
    use diesel::connection::SimpleConnection;
    let service = Service::new(1);
    let reading = Reading { view: View::OneMoment, plans: Plans::ForValues, statement_timeout: PATIENCE };
    let connection = &mut service.database.connect();
    let refused =
        reading.run(connection, |connection| Ok::<_, DbError>(connection.batch_execute("DELETE FROM metrics")?));
    assert!(refused.unwrap_err().to_string().contains("read-only"));
    connection.batch_execute("DELETE FROM metrics").unwrap();
}

#[test]
fn a_sum_past_the_range_is_null_and_stops_nothing() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let order = |id: &str| {
        let item = json!({"productId": "p", "vendorId": "v", "quantity": 1, "price": "1.00"});
        Message::json("order.created", json!({"orderId": id, "total": "1.00", "items": [item]}))
    };
    service.send(&[order("o-1"), order("o-2")]);
    service.wait_all_consumed();
    // It would take nine million of the largest lines.
    service.database.execute("UPDATE metrics SET value = 9223372036854775700 WHERE type LIKE '%revenue%'");
    service.database.execute("UPDATE rollups SET revenue = 9223372036854775700 WHERE revenue IS NOT NULL");
    service.send(&[order("o-3"), order("o-4")]);
    service.wait_all_consumed();
    let api = service.api();
    let get = |path: &str| {
        let (status, answer) = Client::admin(&api.address).get(path);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    for metric_type in ["total_revenue", "seller_revenue:v", "product_revenue:p"] {
        let metric = get(&format!("/api/metrics/{metric_type}"));
        assert_eq!((&metric["value"], &metric["overflow"]), (&Value::Null, &json!(true)), "{metric}");
        let series = get(&format!("/api/metrics/{metric_type}/series?interval=day&period=7d"));
        assert_eq!(series["total"], Value::Null, "{series}");
        assert_eq!(series["buckets"][6]["value"], Value::Null, "{series}");
        assert_eq!(series["buckets"][0]["value"], 0, "{series}");
    }
    assert_eq!(get("/api/metrics/total_orders")["value"], 4);
    let summary = get("/api/sellers/v/summary?period=7d");
    assert_eq!(summary["metrics"]["revenue"]["value"], Value::Null, "{summary}");
    assert_eq!(summary["metrics"]["orders"]["value"], 4, "{summary}");
    for path in ["/api/rankings/products?by=revenue", "/api/rankings/sellers?by=revenue"] {
        let ranking = get(path);
        assert_eq!(ranking["items"][0]["value"], Value::Null, "{ranking}");
    }
    get("/api/overview?period=7d");
    get("/api/sellers");
    get("/api/sellers/v/orders/stats?interval=day&period=7d");
}

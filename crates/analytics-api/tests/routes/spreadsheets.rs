//! Answers as CSV, compared with the same answers as JSON.

use analytics_testkit::client::Client;
use serde_json::Value;

use super::panels::Marketplace;

/// A value of JSON as a cell.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn csv_says_what_json_says() {
    let marketplace = Marketplace::open();
    let admin = Client::admin(&marketplace.api.address);
    for (path, list, columns) in [
        ("/api/metrics?name=seller_orders&limit=5", "items", &["type", "value", "unit"][..]),
        ("/api/metrics/total_views/series?period=7d", "buckets", &["start", "end", "value", "partial", "complete"]),
        ("/api/metrics/series?type=total_views&period=7d", "items", &["type", "total"]),
        ("/api/rankings/products?by=orders&limit=5", "items", &["rank", "id", "value"]),
        ("/api/sellers?limit=3", "items", &["vendorId", "orders", "revenue"]),
        ("/api/sellers/v-1/orders/stats?period=7d", "buckets", &["start", "orders", "averageOrder"]),
        ("/api/events/stats?period=7d", "buckets", &["start", "counts.order.created"]),
        ("/api/events/stats?interval=hour&by=metadata.quantity", "buckets", &["start", "other", "missing"]),
        ("/api/arrivals/stats?period=7d", "buckets", &["start", "end"]),
        ("/api/events?limit=3", "items", &["id", "eventType", "createdAt"]),
        ("/api/metrics/total_orders/events?limit=3", "items", &["eventId", "delta"]),
    ] {
        let json = marketplace.get(path);
        let answer = admin.answer(&format!("{path}&format=csv"), &[]);
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/csv"), "{path}");
        if json["nextCursor"].is_string() {
            assert!(answer.headers()["link"].to_str().unwrap().contains("format=csv"), "{path}");
        }
        let text = answer.into_body();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().unwrap().clone();
        let rows = json[list].as_array().unwrap();
        for (record, row) in reader.records().zip(rows) {
            let record = record.unwrap();
            for column in columns {
                let cell = &record[header.iter().position(|name| name == *column).expect(column)];
                let value = column.split_once('.').map_or(&row[*column], |(object, field)| &row[object][field]);
                assert_eq!(cell, shown(value), "{path} {column}");
            }
        }
        assert_eq!(text.matches("\r\n").count(), rows.len() + 1, "{path}: {text}");
    }
    for (path, accept, status, begins) in [
        ("/api/sellers?limit=3", "text/csv", 200, "vendorId,"),
        ("/api/sellers?limit=3", "text/csv; charset=utf-8", 200, "vendorId,"),
        ("/api/sellers?limit=3", "text/csv, */*;q=0.1", 200, "vendorId,"),
        ("/api/sellers?limit=3", "application/json, text/csv;q=0.9", 200, "{"),
        ("/api/sellers?limit=3&format=json", "text/csv", 200, "{"),
        ("/api/freshness", "text/csv, */*;q=0.1", 200, "{"),
        ("/api/freshness", "text/csv", 400, "{"),
        ("/api/freshness", "application/x-ndjson, application/json;q=0.5", 200, "{"),
    ] {
        let answer = admin.answer(path, &[("accept", accept)]);
        assert_eq!(answer.status(), status, "{path} {accept}");
        assert!(answer.into_body().starts_with(begins), "{path} {accept}");
    }
    for (path, status) in
        [("/api/freshness?format=csv", 400), ("/api/sellers?format=xml", 400), ("/api/sellers?format=json", 200)]
    {
        assert_eq!(admin.get(path).0, status, "{path}");
    }
}

#[test]
fn the_csv_of_a_panel_has_its_numbers_and_products() {
    let marketplace = Marketplace::open();
    let (database, admin) = (&marketplace.service.database, Client::admin(&marketplace.api.address));
    let vendor = database.lines("SELECT max(vendor_id) FROM order_lines").remove(0);
    for path in [format!("/api/sellers/{vendor}/summary?period=7d"), "/api/overview?period=7d".to_owned()] {
        let json = marketplace.get(&path);
        let row = |section: &str, name: &str, number: &Value| {
            [section.to_owned(), name.to_owned(), shown(&number["value"]), shown(&number["change"])]
        };
        let numbers = json["metrics"].as_object().unwrap().iter().map(|(name, number)| row("metrics", name, number));
        let currencies = json["revenueByCurrency"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(code, value)| ["revenueByCurrency".to_owned(), code.clone(), shown(value), String::new()]);
        let products = json["topProducts"].as_array().into_iter().flatten();
        let products = products.map(|product| row("topProducts", &shown(&product["name"]), product));
        let mut expected: Vec<[String; 4]> = numbers.chain(currencies).chain(products).collect();
        let text = admin.answer(&format!("{path}&format=csv"), &[]).into_body();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().unwrap().clone();
        let columns = ["section", "name", "value", "change"];
        let columns = columns.map(|column| header.iter().position(|name| name == column).expect(column));
        let mut found: Vec<[String; 4]> = reader
            .records()
            .map(|record| record.unwrap())
            .map(|record| columns.map(|at| record[at].to_owned()))
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{path}: {text}");
    }
}

//! Statements of sellers, which say the same as JSON, as CSV and as a page; and months of the marketplace.

use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::Client;
use analytics_testkit::service::{STATEMENT_KEY, Service};
use serde_json::{Value, json};

/// The public half of the key that signs.
const PUBLIC: &str = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";

/// A month with two versions of the statement of the seller `<v>`.
fn closed() -> Service {
    let mut service = Service::new(1);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    service.set("STATEMENT_SIGNING_KEY", STATEMENT_KEY);
    let mut ingest = service.ingest();
    let order = |id: &str, vendor: &str, day: u32| {
        let item = |total: &str, currency: &str| json!({ "productId": "tea", "vendorId": vendor, "totalPrice": total, "currency": currency });
        let items = [item("1234.50", "USD"), item("700", "JPY")];
        Message::json(
            "order.created",
            json!({ "orderId": id, "items": items, "placedAt": format!("2026-10-{day:02}T12:00:00Z") }),
        )
    };
    let viewed =
        |day: u32| json!({ "productId": "tea", "vendorId": "<v>", "viewedAt": format!("2026-10-{day:02}T12:00:00Z") });
    let views = [1, 2, 3].map(|day| Message::json("product.viewed", viewed(day)));
    let rating =
        json!({ "ratingId": "s", "userId": "u", "vendorId": "<v>", "rating": 4, "updatedAt": "2026-10-05T12:00:00Z" });
    service.send(&[order("o-1", "<v>", 1), order("o-2", "w", 2), Message::json("rating.updated", rating)]);
    service.send(&views);
    service.wait_all_consumed();
    let close = ["statements", "close", "--month", "2026-10", "--accept-gaps"];
    service.done(&close);
    let refund = json!({ "refundId": "r", "orderId": "o-1", "amount": "34.56", "currency": "USD", "refundedAt": "2026-10-09T12:00:00Z" });
    service.send(&[order("o-3", "<v>", 3), Message::json("order.refunded", refund)]);
    service.wait_consumed(8);
    service.done(&close);
    service.done(&["months"]);
    assert!(ingest.stop().success());
    service
}

const OWN: &str = "/api/sellers/%3Cv%3E/statements";

/// Returns the lines of conversion and ratings of a CSV, as their JSON says them.
fn rates(body: &Value) -> [String; 2] {
    let (conversion, ratings) = (&body["conversion"], &body["ratings"]);
    let text = |value: &Value| if value.is_null() { String::new() } else { value.as_i64().unwrap().to_string() };
    let stars = ["1", "2", "3", "4", "5"].map(|stars| text(&ratings["histogram"][stars])).join(",");
    let of_conversion = ["orders", "views", "value"].map(|name| text(&conversion[name])).join(",");
    let [count, sum, value] = ["count", "sum", "value"].map(|name| text(&ratings[name]));
    [format!("conversion,{of_conversion}"), format!("ratings,{count},{sum},{stars},{value}")]
}

/// Returns the same, as the page says them.
fn rates_on(page: &str) -> [String; 2] {
    let (_, part) = page.split_once("<h2>Conversion and ratings</h2>").unwrap();
    let (part, _) = part.split_once("</dl>").unwrap();
    let values: Vec<&str> = part
        .split("<dd>")
        .skip(1)
        .map(|cell| cell.split_once("value=\"").map_or("", |(_, rest)| rest.split('"').next().unwrap()))
        .collect();
    let [conversion, orders, views, rating, count, sum, five, four, three, two, one] = values[..] else {
        panic!("{part}")
    };
    [
        format!("conversion,{orders},{views},{conversion}"),
        format!("ratings,{count},{sum},{one},{two},{three},{four},{five},{rating}"),
    ]
}

/// Returns the rows of the tables of a page: the amounts in minor units.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cell = |cell: &str| match cell.split_once("<data value=\"") {
        Some((_, rest)) => rest.split('"').next().unwrap().to_owned(),
        None => cell.split('<').next().unwrap().to_owned(),
    };
    page.split("<tr><td>").skip(1).map(|row| row.split("<td>").map(cell).collect()).collect()
}

#[test]
fn json_csv_and_page_say_the_same() {
    let service = closed();
    let api = service.api();
    let client = Client::admin(&api.address);
    for version in ["", "?version=1"] {
        let (status, body) = client.get(&format!("{OWN}/2026-10{version}"));
        assert_eq!(status, 200, "{body}");
        let format = if version.is_empty() { "?format=csv" } else { "&format=csv" };
        let csv = client.answer(&format!("{OWN}/2026-10{version}{format}"), &[]);
        assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8; header=absent");
        assert_eq!(csv.headers()["as-of"].to_str().unwrap(), body["asOf"].to_string());
        let page = client.answer(&format!("{OWN}/2026-10/page{version}"), &[]);
        assert!(page.headers()["content-type"] == "text/html; charset=utf-8" && page.body().contains("&lt;v&gt;"));
        assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));

        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let names = ["orders", "units", "gross", "refunds", "adjustments", "net"];
        let (mut of_json, mut on_page) = (Vec::new(), Vec::new());
        for currency in body["currencies"].as_array().unwrap() {
            let code = currency["currency"].as_str().unwrap();
            for line in currency["lines"].as_array().unwrap() {
                let numbers = names.map(|name| text(&line[name]));
                of_json.push(format!("line,{code},{},{}", text(&line["day"]), numbers.join(",")));
                on_page.push([&[text(&line["day"])], &numbers[..]].concat());
            }
            let sums = names.map(|name| text(&currency[name]));
            of_json.push(format!("sum,{code},,{}", sums.join(",")));
            on_page.push([&["Sum".to_owned()], &sums[..]].concat());
        }
        for late in body["restatement"]["events"].as_array().into_iter().flatten() {
            let [id, kind, at, currency, delta] =
                ["id", "type", "occurredAt", "currency", "delta"].map(|name| text(&late[name]));
            of_json.push(format!("late,{id},{kind},{},{currency},{delta}", at.replace('Z', ".000Z")));
            on_page.push(vec![id, kind, at, delta]);
        }
        let of_csv: Vec<&str> = csv
            .body()
            .lines()
            .filter(|line| line.starts_with("line,") || line.starts_with("sum,") || line.starts_with("late,"))
            .collect();
        assert_eq!(of_csv, of_json);
        let own: Vec<&str> =
            csv.body().lines().filter(|line| line.starts_with("conversion,") || line.starts_with("ratings,")).collect();
        assert_eq!(own, rates(&body));
        assert_eq!(rates_on(page.body()), rates(&body));
        assert_eq!(rows(page.body()), on_page);
        for (name, line) in [
            ("digest", "digest"),
            ("previousDigest", "previousDigest"),
            ("signature", "signature"),
            ("eventsDigest", "eventsDigest"),
            ("key", "key"),
        ] {
            let value = body[name].as_str().unwrap_or_default();
            assert!(csv.body().lines().any(|own| own == format!("{line},{value}")), "{name} {value}");
        }
    }
    assert_eq!(
        rates(&client.get("/api/sellers/w/statements/2026-10").1),
        ["conversion,1,0,", "ratings,0,0,0,0,0,0,0,"]
    );
    let (_, body) = client.get(&format!("{OWN}/2026-10"));
    assert_eq!(body["conversion"], json!({ "orders": 2, "views": 3, "value": 6_667 }));
    let stars = json!({ "1": 0, "2": 0, "3": 0, "4": 1, "5": 0 });
    assert_eq!(body["ratings"], json!({ "count": 1, "sum": 4, "histogram": stars, "value": 400 }));
    let usd = &body["currencies"][1];
    assert_eq!((&usd["gross"], &usd["refunds"], &usd["net"]), (&json!(246_900), &json!(3_456), &json!(243_444)));
    let deltas: i64 = body["restatement"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["currency"] == "USD")
        .map(|event| event["delta"].as_i64().unwrap())
        .sum();
    assert_eq!((deltas, &body["restatement"]["of"], &body["version"]), (243_444 - 123_450, &json!(1), &json!(2)));
    assert_eq!(client.get(&format!("{OWN}/2026-10?version=1")).1["restatement"], Value::Null);
}

#[test]
fn statements_are_listed_and_their_keys_published() {
    let service = closed();
    let api = service.api();
    let client = Client::admin(&api.address);
    let (_, first) = client.get(&format!("{OWN}?limit=1"));
    let (_, second) = client.get(&format!("{OWN}?limit=1&cursor={}", first["nextCursor"].as_str().unwrap()));
    let (newest, oldest) = (&first["items"][0], &second["items"][0]);
    assert_eq!((&newest["version"], &oldest["version"], &second["nextCursor"]), (&json!(2), &json!(1), &Value::Null));
    assert_eq!((&newest["previousDigest"], &oldest["previousDigest"]), (&oldest["digest"], &Value::Null));
    assert_eq!(oldest["currencies"][0]["currency"], "JPY");
    let (_, keys) = client.get("/api/statements/keys");
    assert_eq!((&keys["items"][0]["key"], keys["items"].as_array().unwrap().len()), (&json!(PUBLIC), 1));

    let (_, months) = client.get("/api/months");
    let [month] = months["items"].as_array().unwrap().as_slice() else { panic!("{months}") };
    assert_eq!((&month["month"], &month["state"], &month["orders"]), (&json!("2026-10"), &json!("closed"), &json!(3)));
    let usd = json!({ "currency": "USD", "gross": 370_350, "refunds": 3_456, "net": 366_894 });
    assert_eq!(month["currencies"][1], usd);

    for (path, status, code) in [
        (format!("{OWN}/2026-09"), 404, "statement_not_found"),
        (format!("{OWN}/2026-10?version=3"), 404, "statement_not_found"),
        (format!("{OWN}/2026-13"), 400, "invalid_parameter"),
        (format!("{OWN}/2026-10?version=0"), 400, "invalid_parameter"),
        (format!("{OWN}/2026-10?format=ndjson"), 400, "invalid_parameter"),
        (format!("{OWN}/2026-10/page?format=csv"), 400, "invalid_parameter"),
    ] {
        let (found, body) = client.get(&path);
        assert_eq!((found, &body["code"]), (status, &json!(code)), "{path}");
    }
    // What was damaged is not shown.
    service.database.execute(
        "ALTER TABLE statements DISABLE TRIGGER ALL; UPDATE statements SET csv = replace(csv, ',123450,', ',123451,') WHERE vendor_id = 'w'",
    );
    assert_eq!(client.get("/api/sellers/w/statements/2026-10").0, 500);
    // The list says so, and still has the others.
    let damage = "UPDATE statements SET csv = replace(csv, '-10-01', '-10-02') WHERE vendor_id = '<v>' AND version = 1";
    service.database.execute(damage);
    let (status, list) = client.get(OWN);
    let (newest, oldest) = (&list["items"][0], &list["items"][1]);
    assert_eq!((status, &newest["damaged"], &oldest["damaged"]), (200, &json!(false), &json!(true)), "{list}");
    assert_eq!(
        (&oldest["month"], &oldest["version"], &oldest["currencies"]),
        (&json!("2026-10"), &json!(1), &json!([]))
    );
    assert_eq!((&oldest["signature"], &oldest["digest"]), (&Value::Null, &newest["previousDigest"]));
    service.database.execute(&damage.replace("'-10-01', '-10-02'", "'-10-02', '-10-01'"));
    // Neither is a statement of another seller, whatever the row says.
    service.database.execute(
        "UPDATE statements SET csv = (SELECT csv FROM statements WHERE vendor_id = '<v>' AND version = 1) WHERE vendor_id = 'w'",
    );
    assert_eq!(client.get("/api/sellers/w/statements/2026-10").0, 500);
    let (_, list) = client.get("/api/sellers/w/statements");
    assert_eq!((&list["items"][0]["damaged"], &list["items"][0]["currencies"]), (&json!(true), &json!([])), "{list}");
}

#[test]
fn a_statement_is_for_its_seller_and_admins() {
    let service = closed();
    let api = service.api();
    for path in
        [OWN.to_owned(), format!("{OWN}/2026-10"), format!("{OWN}/2026-10/page"), format!("{OWN}/2026-10?format=csv")]
    {
        for (client, status) in [
            (Client::admin(&api.address), 200),
            (Client::seller(&api.address, "<v>"), 200),
            (Client::seller(&api.address, "w"), 404),
            (Client::support(&api.address), 403),
            (Client::nobody(&api.address), 401),
        ] {
            assert_eq!(client.answer(&path, &[]).status().as_u16(), status, "{path}");
        }
    }
}

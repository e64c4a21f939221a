//! Tests of comparing a list of orders with what was counted.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::{Duration, Instant};

use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::Client;
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use serde_json::{Value, json};

const PATH: &str = "/api/sellers/v-1/reconcile";

fn at(day: u32) -> String {
    format!("2026-11-{day:02}T12:00:00Z")
}

/// An order with lines, each of a seller with an amount.
fn order(id: &str, day: u32, currency: &str, lines: &[(&str, &str)]) -> Message {
    let line = |(vendor, total): &(&str, &str)| match *vendor {
        "" => json!({ "totalPrice": total, "productId": "nobodys" }),
        vendor => json!({ "totalPrice": total, "vendorId": vendor }),
    };
    let items: Vec<Value> = lines.iter().map(line).collect();
    Message::json("order.created", json!({ "orderId": id, "items": items, "placedAt": at(day), "currency": currency }))
}

fn refund(id: &str, order: &str, amount: &str) -> Message {
    let payload = json!({ "refundId": id, "orderId": order, "amount": amount, "refundedAt": at(20) });
    Message::json("order.refunded", payload)
}

/// Starts a service that has counted orders of every kind.
fn counted() -> (Service, Process) {
    let service = Service::new(1);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    let ingest = service.ingest();
    let one = |id: &str, day: u32, amount: &str| order(id, day, "USD", &[("v-1", amount)]);
    let orders = [
        one("as-is", 2, "10.00"),
        order("shared", 2, "USD", &[("v-1", "3.00"), ("v-2", "90.00"), ("v-1", "4.00")]),
        one("amount", 3, "20.00"),
        one("day", 4, "30.00"),
        order("currency", 5, "EUR", &[("v-1", "40.00")]),
        one("refunded", 6, "50.00"),
        one("net", 6, "60.00"),
        one("cancelled", 7, "70.00"),
        order("others", 8, "USD", &[("v-2", "80.00"), ("v-3", "1.00")]),
        order("nobodys", 8, "USD", &[("", "80.00")]),
        one("earlier", 1, "5.00"),
        one("unlisted", 9, "6.00"),
        order("yen", 9, "JPY", &[("v-1", "700")]),
        one("outside", 25, "8.00"),
        Message::json("order.created", json!({ "orderId": "rejected", "placedAt": at(9), "total": "secret" })),
        // No record of its order.
        refund("rejected", "never", "secret"),
    ];
    service.send(&orders);
    service.wait_consumed(16);
    service.send(&[
        refund("r-1", "refunded", "12.00"),
        refund("r-2", "net", "15.00"),
        Message::json("order.cancelled", json!({ "orderId": "cancelled", "cancelledAt": at(20) })),
    ]);
    service.wait_consumed(19);
    (service, ingest)
}

const LIST: &str = "\u{feff}Order ID,note,amount,Currency,date\r\n\
    as-is,,10.00,USD,2026-11-02\r\n\
    shared,,7.00,,2026-11-02T09:00:00Z\r\n\
    amount,,21.50,USD,2026-11-03\r\n\
    day,,30.00,USD,2026-11-05\r\n\
    currency,,40.00,USD,2026-11-05\r\n\
    refunded,,50.00,USD,2026-11-06\r\n\
    net,,45.00,USD,2026-11-06\r\n\
    cancelled,,70.00,USD,2026-11-07\r\n\
    others,,80.00,USD,2026-11-08\r\n\
    nobodys,,80.00,USD,2026-11-08\r\n\
    rejected,,9.00,USD,2026-11-09\r\n\
    as-is,,10.00,usd,2026-11-02\r\n\
    never,\"a, note\",1.00,USD,2026-11-09\r\n\
    earlier,,5.00,USD,2026-11-02\r\n\
    \"=never+\"\"1\"\"\",,2.00,EUR,2026-11-09\r\n";

type Row = BTreeMap<String, String>;

fn rows(csv: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let row = |record: csv::StringRecord| columns.iter().cloned().zip(record.iter().map(str::to_owned)).collect();
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// Returns the answer for a list, in rows.
fn answer(client: &Client, path: &str, list: &str) -> Vec<Row> {
    let answer = client.post_csv(path, list.as_bytes());
    assert_eq!(answer.status(), 200, "{}", answer.body());
    rows(answer.body())
}

/// Returns some columns of the rows of one kind, as text.
fn columns(rows: &[Row], record: &str, names: &[&str]) -> Vec<String> {
    let text = |row: &Row| names.iter().map(|name| row[*name].clone()).collect::<Vec<_>>().join(" ");
    rows.iter().filter(|row| row["record"] == record).map(text).collect()
}

/// Returns an amount in hundredths.
fn hundredths(amount: &str) -> i64 {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "00"));
    format!("{whole}{fraction}").parse().unwrap()
}

/// Asserts that the differences of a currency add up to that of its total.
fn assert_explained(rows: &[Row]) {
    let of = |record: &str, currency: &str, column: &str| -> i64 {
        let chosen = rows.iter().filter(|row| row["record"] == record && row["currency"] == currency);
        chosen.map(|row| hundredths(&row[column])).sum()
    };
    for currency in rows.iter().filter(|row| row["record"] == "total").map(|row| row["currency"].as_str()) {
        let total = of("total", currency, "difference");
        assert_eq!(of("sum", currency, "difference"), total, "{currency}");
        assert_eq!(of("total", currency, "listed") - of("total", currency, "counted"), total, "{currency}");
        assert_eq!(of("line", currency, "listed"), of("total", currency, "listed"), "{currency}");
    }
}

#[test]
fn every_difference_is_told_line_by_line_and_the_sums_explain_the_whole() {
    let (service, _ingest) = counted();
    // Read-only, as by default.
    let api = service.api();
    let (admin, seller) = (Client::admin(&api.address), Client::seller(&api.address, "v-1"));
    let found = answer(&admin, PATH, LIST);
    let told = ["line", "orderId", "verdict", "counted", "difference", "refunded", "cancelled", "countedDay", "detail"];
    assert_eq!(
        columns(&found, "line", &told),
        [
            "2 as-is counted 10.00 0.00 0.00 0.00 2026-11-02 ",
            "3 shared counted 7.00 0.00 0.00 0.00 2026-11-02 ",
            "4 amount other_amount 20.00 1.50 0.00 0.00 2026-11-03 ",
            "5 day other_day 30.00 0.00 0.00 0.00 2026-11-04 ",
            "6 currency other_currency 40.00  0.00 0.00 2026-11-05 ",
            "7 refunded refunded 50.00 0.00 12.00 0.00 2026-11-06 ",
            "8 net refunded 60.00 -15.00 15.00 0.00 2026-11-06 ",
            "9 cancelled cancelled 70.00 0.00 0.00 70.00 2026-11-07 ",
            "10 others other_seller  80.00   2026-11-08 v-2 v-3",
            "11 nobodys unattributed  80.00   2026-11-08 ",
            "12 rejected dead_letter  9.00    invalid_amount: total \"secret\" is not a decimal number",
            "13 as-is duplicate  10.00    of line 2",
            "14 never never_seen  1.00    ",
            "15 earlier other_day 5.00 0.00 0.00 0.00 2026-11-01 ",
            "16 '=never+\"1\" never_seen  2.00    ",
        ]
    );
    let numbered = columns(&found, "line", &["number"]);
    assert!(numbered[0].parse::<i64>().unwrap() > 0, "{numbered:?}");
    assert_eq!(columns(&found, "line", &["countedCurrency"])[4], "EUR");
    assert_eq!(
        columns(&found, "order", &["orderId", "verdict", "currency", "counted", "difference", "countedDay"]),
        ["unlisted not_listed USD 6.00 -6.00 2026-11-09", "yen not_listed JPY 700 -700 2026-11-09"]
    );
    let sum = ["currency", "verdict", "rows", "listed", "counted", "difference", "refunded", "cancelled"];
    assert_eq!(
        columns(&found, "sum", &sum),
        [
            "EUR other_currency 1 0.00 40.00 -40.00 0.00 0.00",
            "EUR never_seen 1 2.00 0.00 2.00 0.00 0.00",
            "JPY not_listed 1 0 700 -700 0 0",
            "USD counted 2 17.00 17.00 0.00 0.00 0.00",
            "USD refunded 2 95.00 110.00 -15.00 27.00 0.00",
            "USD cancelled 1 70.00 70.00 0.00 0.00 70.00",
            "USD other_day 2 35.00 35.00 0.00 0.00 0.00",
            "USD other_amount 1 21.50 20.00 1.50 0.00 0.00",
            "USD other_currency 1 40.00 0.00 40.00 0.00 0.00",
            "USD other_seller 1 80.00 0.00 80.00 0.00 0.00",
            "USD unattributed 1 80.00 0.00 80.00 0.00 0.00",
            "USD dead_letter 1 9.00 0.00 9.00 0.00 0.00",
            "USD duplicate 1 10.00 0.00 10.00 0.00 0.00",
            "USD never_seen 1 1.00 0.00 1.00 0.00 0.00",
            "USD not_listed 1 0.00 6.00 -6.00 0.00 0.00",
            "USD outside_period 1 0.00 -5.00 5.00 0.00 0.00",
        ]
    );
    assert_explained(&found);
    // What is counted in the period is what the seller's panel shows for it.
    for (record, metric) in
        [("EUR", "seller_revenue%3Av-1%3AEUR"), ("JPY", "seller_revenue%3Av-1%3AJPY"), ("USD", "seller_revenue%3Av-1")]
    {
        let (_, series) = admin.get(&format!("/api/metrics/{metric}/series?from=2026-11-02&to=2026-11-09"));
        let revenue: i64 =
            series["buckets"].as_array().unwrap().iter().filter_map(|bucket| bucket["value"].as_i64()).sum();
        let total = found.iter().find(|row| row["record"] == "total" && row["currency"] == record).unwrap();
        let shown = if record == "JPY" { total["counted"].parse().unwrap() } else { hundredths(&total["counted"]) };
        assert_eq!(shown, revenue, "{record}");
    }
    // The seller is told the same, but nothing of others.
    let of_seller = answer(&seller, PATH, LIST);
    let verdicts = columns(&of_seller, "line", &["orderId", "verdict", "countedDay", "number", "eventId", "detail"]);
    assert_eq!(
        verdicts[8..11],
        ["others never_seen    ", "nobodys never_seen    ", "rejected dead_letter    invalid_amount"]
    );
    assert_explained(&of_seller);
    let but = |rows: &[Row]| -> Vec<Row> {
        rows.iter().filter(|row| row["record"] == "order" || row["record"] == "total").cloned().collect()
    };
    assert_eq!(but(&of_seller), but(&found));
}

#[test]
fn the_period_is_that_of_the_request_the_list_or_its_orders() {
    let (service, _ingest) = counted();
    let api = service.api();
    let client = Client::seller(&api.address, "v-1");
    let unlisted = |path: &str, list: &str| columns(&answer(&client, path, list), "order", &["orderId"]);
    // Two orders without dates, counted on the 6th and 9th.
    let list = "order,total\nrefunded,50\nunlisted,6\n";
    assert_eq!(unlisted(PATH, list), ["net", "cancelled", "yen"]);
    assert_eq!(unlisted(PATH, "order,total\nnever,1\n"), Vec::<String>::new());
    assert_eq!(unlisted(PATH, "order,total,date\nnever,1,2026-11-25\n"), ["outside"]);
    assert_eq!(unlisted(&format!("{PATH}?from=2026-11-09&to=2026-11-25"), list), ["yen", "outside"]);
    for (query, code) in [
        ("from=2026-11-09", "to"),
        ("to=2026-11-09", "from"),
        ("from=2026-11-09&to=2026-11-08", "to"),
        ("from=2025-01-01&to=2026-11-08", "to"),
        ("from=yesterday&to=2026-11-08", "from"),
        ("since=2026-11-09", "since"),
    ] {
        let answer = client.post_csv(&format!("{PATH}?{query}"), list.as_bytes());
        let body: Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!((answer.status().as_u16(), &body["parameter"]), (400, &code.into()), "{query}");
    }
}

#[test]
fn what_is_no_list_is_refused_and_nothing_of_it_is_kept() {
    let service = Service::new(1);
    let mut api = service.api();
    let client = Client::seller(&api.address, "v-1");
    let tables = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables";
    let written = service.database.number(tables);
    let long = format!("orderId,amount\n{}", "hush-hush,1\n".repeat(100_001));
    let large = format!("orderId,amount,note\nhush-hush,1,{}", "x".repeat(16 << 20));
    for (list, status, detail) in [
        (b"".as_slice(), 400, "line 1: the header has no column for the order id"),
        (b"orderId,amount\n", 400, "the list has no lines after its header"),
        (b"orderId,amount\nhush-hush,1\nhush-hush,hush\n", 400, "line 3: amount is not a decimal number"),
        (b"orderId,amount\nhush\0-hush,1\n", 400, "line 2: order id contains the character NUL"),
        (b"orderId,amount\nhush\xff-hush,1\n", 400, "line 2 is not UTF-8"),
        (b"orderId,amount\n\"hush-hush,1\n", 400, "line 2 has 1 fields, and the header 2"),
        (
            b"orderId,amount,date\no,1,2020-01-01\no,1,2026-01-01",
            400,
            "the dates of line 2 and line 3 are more than 400 days apart",
        ),
        (long.as_bytes(), 413, "line 100002: a list has at most 100000 lines"),
        (large.as_bytes(), 413, "the list is larger than 16 MiB"),
    ] {
        let answer = client.post_csv(PATH, list);
        let body: Value = serde_json::from_str(answer.body()).unwrap();
        let code = if status == 400 { "invalid_body" } else { "body_too_large" };
        assert_eq!((answer.status().as_u16(), &body["code"]), (status, &code.into()), "{body}");
        assert!(body["detail"].as_str().unwrap().starts_with(detail), "{body}");
        assert!(!answer.body().contains("hush"), "{body}");
    }
    // A field with a formula, quotes and line breaks comes back as one cell, and as text.
    let list = "orderId,amount\n\"@SUM(1)\"\"\n,\",1\n";
    assert_eq!(columns(&answer(&client, PATH, list), "line", &["orderId", "verdict"]), ["'@SUM(1)\"\n, never_seen"]);
    assert_eq!(service.database.number(tables), written);
    assert!(api.stop().success());
    assert!(!api.log().contains("hush") && !api.log().contains("@SUM"), "{}", api.log());
}

#[test]
fn a_database_that_does_not_answer_is_a_503() {
    let mut service = Service::new(1);
    service.set("API_STATEMENT_TIMEOUT_MS", "300");
    let api = service.api();
    service.database.execute(
        "ALTER TABLE order_keys RENAME TO fast_order_keys; CREATE VIEW order_keys AS \
         SELECT * FROM fast_order_keys WHERE (SELECT pg_sleep(60)::text) IS NOT NULL",
    );
    let answer = Client::admin(&api.address).post_csv(PATH, b"orderId,amount\no,1\n");
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "2"));
}

/// How many orders the large list has.
const MANY: usize = 100_000;

#[test]
fn a_list_of_100_000_lines_is_compared_in_time_and_in_bounded_memory() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let id = |number: usize| format!("order-{number:032}");
    let orders = |numbers: std::ops::Range<usize>| -> Vec<Message> {
        let one = |number: usize| {
            order(&id(number), u32::try_from(1 + number % 20).unwrap(), "USD", &[("v-1", "12.34"), ("v-2", "1.00")])
        };
        numbers.map(one).collect()
    };
    service.send(&orders(0..MANY + 500));
    service.wait_all_consumed();
    let api = service.api();
    let client = Client::seller(&api.address, "v-1");
    let line = |number: usize| {
        let amount = if number % 1000 == 7 { "12.35" } else { "12.34" };
        format!("{},{amount},USD,2026-11-{:02}\n", id(number), 1 + number % 20)
    };
    let list = |lines: usize| -> String {
        ["orderId,amount,currency,date\n".to_owned()].into_iter().chain((0..lines).map(line)).collect()
    };
    let warm = list(1_000);
    assert_eq!(client.post_csv(PATH, warm.as_bytes()).status(), 200);
    let before = api.peak_memory();
    let (whole, since) = (list(MANY), Instant::now());
    let answer = client.post_csv(PATH, whole.as_bytes());
    let (took, grown) = (since.elapsed(), api.peak_memory().saturating_sub(before));
    let found = rows(answer.body());
    println!("{MANY} lines took {took:?}; the memory of the process grew by {} MiB", grown >> 20);
    let total = columns(&found, "total", &["rows", "listed", "counted", "difference"]);
    assert_eq!(total, ["100500 1234001.00 1240170.00 -6169.00"]);
    assert_eq!(columns(&found, "sum", &["verdict", "rows"]), ["counted 99900", "other_amount 100", "not_listed 500"]);
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(grown < 96 << 20, "{grown}");

    // A client that takes nothing holds its snapshot for some seconds only, and sees that the answer is cut.
    let stalled = client.open_csv(PATH, whole.as_bytes());
    assert_eq!(stalled.status(), 200);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name = 'analytics-api' AND xact_start < now() - interval '3 seconds'";
    wait::until("the answer to stall", PATIENCE, || (service.database.number(open) == Some(1)).then_some(()));
    wait::until("the snapshot to be given up", PATIENCE, || (service.database.number(open) == Some(0)).then_some(()));
    let mut rest = stalled.into_body().into_with_config().limit(1 << 30).reader();
    assert!(rest.read_to_end(&mut Vec::new()).is_err(), "the answer looks complete");
    assert!(api.log().contains("a stream was cut"), "{}", api.log());
}

//! Orders that count once they are paid, in the answers: as of any batch, one by one, in lists that are reconciled and
//! in statements.

use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::Client;
use analytics_testkit::service::{STATEMENT_KEY, Service};
use serde_json::{Value, json};

/// Starts a service in which orders count when they are paid, with an order of two sellers that is not.
fn unpaid() -> Service {
    let mut service = Service::new(1);
    service.set("ORDER_COUNTS_WHEN", "paid");
    service.set("STATEMENT_SIGNING_KEY", STATEMENT_KEY);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    service
}

fn order(id: &str, status: Option<&str>, day: u32) -> Message {
    let items = json!([
        { "productId": "a", "vendorId": "v", "totalPrice": "10.00", "quantity": 2 },
        { "productId": "b", "vendorId": "w", "totalPrice": "5.00" },
    ]);
    let at = format!("2026-10-{day:02}T12:00:00Z");
    Message::json("order.created", json!({ "orderId": id, "items": items, "placedAt": at, "paymentStatus": status }))
}

fn payment(id: &str) -> Message {
    Message::json("order.paid", json!({ "orderId": id, "paidAt": "2026-11-02T12:00:00Z" }))
}

/// Returns the sum of the deltas of a list of events.
fn explained(client: &Client, path: &str) -> i64 {
    let (status, answer) = client.get(path);
    assert_eq!(status, 200, "{path}: {answer}");
    answer["items"].as_array().unwrap().iter().map(|item| item["delta"].as_i64().unwrap()).sum()
}

#[test]
fn an_order_counts_as_of_the_batch_that_knows_that_it_is_paid() {
    let service = unpaid();
    let _ingest = service.ingest();
    for (sent, message) in (1..).zip([
        order("o-1", None, 1),
        order("o-2", Some("PAID"), 2),
        payment("o-1"),
        payment("o-3"),
        order("o-3", None, 3),
    ]) {
        service.send(&[message]);
        service.wait_consumed(sent);
    }
    let api = service.api();
    let admin = Client::admin(&api.address);
    let now = admin.get("/api/freshness").1["asOf"].as_i64().unwrap();
    for (metric, expected) in [
        ("total_orders", [0, 1, 2, 2, 3]),
        ("total_revenue", [0, 1_500, 3_000, 3_000, 4_500]),
        ("seller_revenue%3Av", [0, 1_000, 2_000, 2_000, 3_000]),
        ("product_units%3Aa", [0, 2, 4, 4, 6]),
        ("seller_orders%3Aw", [0, 1, 2, 2, 3]),
    ] {
        let path = format!("/api/metrics/{metric}/events");
        let values: Vec<i64> = (1..=now).map(|as_of| explained(&admin, &format!("{path}?asOf={as_of}"))).collect();
        assert_eq!(values, expected, "{metric}");
        let total = expected.last().copied().unwrap();
        assert_eq!(admin.get(&format!("/api/metrics/{metric}")).1["value"], total, "{metric}");
        for (as_of, until) in (1..=now).zip(values) {
            let after = explained(&admin, &format!("{path}?countedAfter={as_of}"));
            assert_eq!(until + after, total, "{metric} after {as_of}");
        }
    }
    // In the list of all events an order is where it was logged.
    let listed = admin.get("/api/events?type=order.created").1;
    assert_eq!(listed["items"].as_array().unwrap().len(), 3, "{listed}");
}

#[test]
fn an_order_and_a_list_say_that_it_is_not_paid() {
    let service = unpaid();
    let _ingest = service.ingest();
    service.send(&[order("o-1", None, 1)]);
    service.wait_consumed(1);
    let api = service.api();
    let admin = Client::admin(&api.address);
    let seller = |vendor: &str| Client::seller(&api.address, vendor);
    let found = admin.get("/api/orders/o-1").1;
    assert_eq!(
        [&found["state"], &found["batch"], &found["paymentEventId"], &found["metrics"]],
        [&json!("awaiting_payment"), &Value::Null, &Value::Null, &json!({})],
        "{found}"
    );
    assert_eq!(found["lines"].as_array().unwrap().len(), 2);
    let verdict = |client: &Client, vendor: &str| -> String {
        let list = "orderId,amount,date\no-1,10.00,2026-10-01\n";
        let path = format!("/api/sellers/{vendor}/reconcile?from=2026-10-01&to=2026-10-31");
        let answer = client.post_csv(&path, list.as_bytes());
        assert_eq!(answer.status(), 200, "{}", answer.body());
        let lines: Vec<&str> = answer.body().lines().filter(|line| !line.starts_with("sum")).collect();
        lines.join("\n")
    };
    assert!(verdict(&seller("v"), "v").contains("awaiting_payment"), "{}", verdict(&seller("v"), "v"));
    assert!(!verdict(&seller("v"), "v").contains("not_listed"));
    assert!(verdict(&admin, "x").contains("awaiting_payment"));
    assert!(verdict(&seller("x"), "x").contains("never_seen"), "a seller is not told of orders of others");

    service.send(&[payment("o-1")]);
    service.wait_consumed(2);
    let found = admin.get("/api/orders/o-1").1;
    assert_eq!(found["state"], "counted", "{found}");
    assert!(found["batch"].as_i64() == Some(2) && found["paymentEventId"].is_string(), "{found}");
    assert!(verdict(&seller("v"), "v").contains("o-1,counted,"), "{}", verdict(&seller("v"), "v"));
}

/// It counts in a month that is closed, so it is in the next version of the statement.
#[test]
fn an_order_that_is_paid_after_its_month_was_closed_restates_it() {
    let service = unpaid();
    let _ingest = service.ingest();
    service.send(&[order("o-1", None, 1), order("o-2", Some("PAID"), 2)]);
    service.wait_consumed(2);
    let close = ["statements", "close", "--month", "2026-10", "--accept-gaps"];
    service.done(&close);
    let api = service.api();
    let admin = Client::admin(&api.address);
    let statement = |version: u32| {
        let (status, statement) = admin.get(&format!("/api/sellers/v/statements/2026-10?version={version}"));
        assert_eq!(status, 200, "{statement}");
        statement
    };
    assert_eq!(statement(1)["currencies"][0]["gross"], 1_000);
    service.send(&[payment("o-1")]);
    service.wait_consumed(3);
    service.done(&close);
    let second = statement(2);
    assert_eq!(second["currencies"][0]["gross"], 2_000, "{second}");
    let late = &second["restatement"]["events"];
    assert_eq!(late.as_array().unwrap().len(), 1, "{second}");
    assert_eq!((&late[0]["type"], &late[0]["delta"]), (&json!("order.created"), &json!(1_000)), "{second}");
    service.done(&close);
    assert_eq!(admin.get("/api/sellers/v/statements/2026-10?version=3").0, 404);
}

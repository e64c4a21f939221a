//! Orders that count once they are paid, whatever arrives first.

use analytics_testkit::broker::{self, Message};
use analytics_testkit::service::Service;
use serde_json::{Value, json};

/// Starts a service whose optional topics exist, in which orders count when they are paid.
fn service(partitions: i32) -> Service {
    let mut service = Service::new(partitions);
    service.set("ORDER_COUNTS_WHEN", "paid");
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), partitions);
    service
}

fn order(id: &str, total: &str, status: Option<&str>, day: u32) -> Message {
    let items = json!([{ "productId": "p", "vendorId": "v", "totalPrice": total }]);
    let order = json!({ "orderId": id, "items": items, "placedAt": at(day), "paymentStatus": status });
    Message::json("order.created", order)
}

fn payment(order: &str, day: u32) -> Message {
    Message::json("order.paid", json!({ "orderId": order, "paidAt": at(day) }))
}

fn refund(id: &str, order: &str, amount: &str, day: u32) -> Message {
    let payload = json!({ "refundId": id, "orderId": order, "amount": amount, "refundedAt": at(day) });
    Message::json("order.refunded", payload)
}

fn at(day: u32) -> String {
    format!("2026-11-{day:02}T12:00:00Z")
}

fn send(service: &Service, messages: &[Message]) {
    let before = service.consumed();
    service.send(messages);
    service.wait_consumed(before + messages.len() as i64);
}

/// Returns what the days of the marketplace have: orders, revenue and refunds.
fn days(service: &Service) -> Vec<String> {
    service.database.lines(
        "SELECT to_char(bucket_start, 'DD') || ' ' || concat_ws(' ', orders, revenue, refunds) FROM rollups \
         WHERE scope = 't' AND granularity = 'd' AND num_nonnulls(orders, revenue, refunds) > 0 ORDER BY bucket_start",
    )
}

fn waiting(service: &Service) -> Option<i64> {
    service.database.number("SELECT count(*) FROM unpaid_orders WHERE paid_batch IS NULL")
}

fn assert_proved(service: &Service) {
    let proof = service.done(&["verify", "--full"]);
    assert!(proof.contains("drift 0"), "{proof}");
}

#[test]
fn an_order_counts_once_it_is_paid_on_the_day_on_which_it_was_placed() {
    let service = service(1);
    let _ingest = service.ingest();
    send(
        &service,
        &[
            order("o-1", "10.00", None, 1),
            order("o-2", "20.00", Some("PAID"), 2),
            order("o-3", "40.00", Some("PENDING"), 3),
        ],
    );
    assert_eq!((days(&service), waiting(&service)), (vec!["02 1 2000".to_owned()], Some(2)));
    assert_eq!(
        service.database.number("SELECT sum(events) FROM event_days WHERE event_type = 'order.created'"),
        Some(3)
    );
    assert_proved(&service);
    assert!(service.done(&["maintain"]).contains("2 orders wait for their payments"));

    // Twice, by two topics; one of an order that was paid already, and one of an order that nobody knows.
    let status = json!({ "orderId": "o-1", "status": "PAID", "updatedAt": at(9) });
    send(&service, &[payment("o-1", 5), payment("o-2", 5), payment("o-9", 5)]);
    send(&service, &[payment("o-1", 6), Message::json("order.status.updated", status)]);
    assert_eq!((days(&service), waiting(&service)), (vec!["01 1 1000".to_owned(), "02 1 2000".into()], Some(1)));
    assert_eq!(service.database.number("SELECT sum(duplicates) FROM ingest_offsets"), Some(2));
    assert_proved(&service);

    // The order that nobody knew comes, and counts at once.
    send(&service, &[order("o-9", "80.00", None, 4)]);
    assert_eq!(days(&service), ["01 1 1000", "02 1 2000", "04 1 8000"]);
    assert_proved(&service);
}

/// What is taken back of an order that is not paid is decided when it is.
#[test]
fn a_refund_waits_until_its_order_counts() {
    let service = service(1);
    let _ingest = service.ingest();
    send(&service, &[order("o-1", "10.00", None, 1), order("o-2", "20.00", None, 1), refund("r-1", "o-1", "4.00", 3)]);
    let cancelled = json!({ "orderId": "o-2", "cancelledAt": at(2) });
    send(&service, &[Message::json("order.cancelled", cancelled)]);
    let waits = |service: &Service| service.database.number("SELECT count(*) FROM reversals WHERE order_id IS NULL");
    assert_eq!((days(&service), waits(&service)), (Vec::new(), Some(2)));
    assert_proved(&service);
    assert!(service.done(&["maintain"]).contains("decided reversals of 0 orders; 2 reversals wait for their orders"));
    send(&service, &[payment("o-1", 4)]);
    assert_eq!((days(&service), waits(&service)), (vec!["01 1 1000".to_owned(), "03 400".into()], Some(1)));
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'seller_net_revenue:v'"), Some(600));
    assert_proved(&service);
}

/// Orders, payments and refunds in any order of arrival have the numbers that the paid orders alone have where all
/// orders count.
#[test]
fn the_order_of_arrival_does_not_change_a_number() {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut all, mut of_paid) = (Vec::new(), Vec::new());
    for number in 0..80 {
        let (id, day) = (format!("o-{number}"), random.u32(1..=10));
        let paid = random.u32(0..3);
        let total = format!("{}.{:02}", random.u32(1..50), random.u32(0..100));
        let mut messages = vec![order(&id, &total, (paid == 0).then_some("PAID"), day)];
        let refunds = (0..random.u32(0..=2))
            .map(|refund_number| refund(&format!("r-{number}-{refund_number}"), &id, "9.00", day + random.u32(1..=10)));
        messages.extend(refunds);
        if paid < 2 {
            of_paid.extend(messages.iter().cloned());
        }
        if paid == 1 {
            messages.push(payment(&id, day + random.u32(0..=10)));
        }
        all.extend(messages);
    }
    let numbers = |service: &Service, messages: &[Message]| {
        let _workers = [service.ingest(), service.ingest()];
        for piece in messages.chunks(30) {
            service.send(piece);
        }
        service.wait_consumed(messages.len() as i64);
        assert_proved(service);
        let mut lines =
            service.database.lines("SELECT type || ' ' || coalesce(value, 0) FROM metrics WHERE value <> 0 ORDER BY 1");
        lines.extend(service.database.lines(
            "SELECT metric_type || granularity || bucket_start || ' ' || value FROM metric_rollups WHERE value <> 0 \
             ORDER BY 1",
        ));
        lines
    };
    let mut when_created = service(2);
    when_created.set("ORDER_COUNTS_WHEN", "created");
    let expected = numbers(&when_created, &of_paid);
    assert!(expected.len() > 20, "{expected:?}");
    for arrival in ["as sent", "reversed", "shuffled"] {
        match arrival {
            "reversed" => all.reverse(),
            "shuffled" => random.shuffle(&mut all),
            _ => {}
        }
        assert_eq!(numbers(&service(3), &all), expected, "{arrival}");
    }
}

#[test]
fn what_was_changed_in_the_tables_is_found() {
    let service = service(1);
    let _ingest = service.ingest();
    send(&service, &[order("o-1", "10.00", None, 1), order("o-2", "20.00", None, 1), payment("o-1", 2)]);
    for (change, problem) in [
        ("UPDATE unpaid_orders SET paid_batch = NULL", "a payment, and is not counted"),
        ("DELETE FROM payments", "no payment, and counts nevertheless"),
        ("DELETE FROM unpaid_orders", "total_revenue"),
    ] {
        service.database.execute(
            "DROP TABLE IF EXISTS kept_orders, kept_payments; \
             CREATE TABLE kept_orders AS TABLE unpaid_orders; CREATE TABLE kept_payments AS TABLE payments",
        );
        service.database.execute(change);
        let (holds, report) = service.job(&["verify", "--full"]);
        assert!(!holds && report.contains(problem), "{change}: {report}");
        service.database.execute(
            "DELETE FROM unpaid_orders; DELETE FROM payments; \
             INSERT INTO unpaid_orders TABLE kept_orders; INSERT INTO payments TABLE kept_payments",
        );
        assert_proved(&service);
    }
}

#[test]
fn a_payment_that_was_a_dead_letter_counts_its_order_when_it_is_replayed() {
    let service = service(1);
    let _ingest = service.ingest();
    let bad = json!({ "orderId": "o-1", "paidAt": "soon" });
    send(&service, &[order("o-1", "10.00", None, 1), Message::json("order.paid", bad)]);
    let letter = service.database.lines("SELECT id::text FROM dead_letters").remove(0);
    let file = std::env::temp_dir().join(format!("payment-{letter}.json"));
    std::fs::write(&file, json!({ "orderId": "o-1", "paidAt": at(2) }).to_string()).unwrap();
    service.done(&["dead-letters", "replay", "--id", &letter, "--payload", file.to_str().unwrap()]);
    std::fs::remove_file(file).unwrap();
    assert_eq!((days(&service), waiting(&service)), (vec!["01 1 1000".to_owned()], Some(0)));
    assert_proved(&service);
}

/// A vendor that becomes known while the order waits owns its lines when it counts.
#[test]
fn an_order_that_waits_is_attributed_as_any_other() {
    let service = service(1);
    let _ingest = service.ingest();
    let items: Value = json!([{ "productId": "q", "price": "10.00" }]);
    let unattributed = Message::json("order.created", json!({ "orderId": "o", "items": items, "placedAt": at(1) }));
    let view = Message::json("product.viewed", json!({ "productId": "q", "vendorId": "w" }));
    send(&service, &[unattributed]);
    send(&service, &[view]);
    assert!(service.done(&["rebuild", "--reattribute"]).contains('1'));
    assert_proved(&service);
    send(&service, &[payment("o", 2)]);
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'seller_revenue:w'"), Some(1_000));
    assert_proved(&service);
}

/// As after a program that does not know payments has counted one.
#[test]
fn an_order_that_waits_although_it_is_paid_is_counted_by_maintain() {
    let service = service(1);
    let _ingest = service.ingest();
    send(&service, &[order("o-1", "10.00", None, 1), order("o-2", "20.00", None, 2), refund("r-1", "o-1", "4.00", 3)]);
    service.database.execute(
        "INSERT INTO payments SELECT gen_random_uuid(), order_key, batch_id FROM unpaid_orders \
         WHERE event_id = (SELECT min(event_id::text)::uuid FROM unpaid_orders)",
    );
    let (holds, report) = service.job(&["verify", "--full"]);
    assert!(!holds && report.contains("a payment, and is not counted"), "{report}");
    let said = service.done(&["maintain"]);
    assert!(said.contains("counted 1 paid orders; 1 orders wait for their payments"), "{said}");
    assert!(said.contains("decided reversals of 1 orders; 0 reversals wait for their orders"), "{said}");
    assert_eq!((days(&service), waiting(&service)), (vec!["01 1 1000".to_owned(), "03 400".into()], Some(1)));
    assert_proved(&service);
}

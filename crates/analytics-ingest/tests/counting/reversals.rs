//! Cancellations and refunds: what they take back, whatever the order in which everything arrives.

use analytics_testkit::broker::{self, Message};
use analytics_testkit::service::Service;
use serde_json::{Value, json};

/// Starts a service whose optional topics exist.
fn service(partitions: i32) -> Service {
    let service = Service::new(partitions);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), partitions);
    service
}

fn order(id: &str, lines: &[(&str, &str, &str, u32)], day: u32) -> Message {
    let items: Vec<Value> = lines
        .iter()
        .map(|(product, vendor, total, units)| {
            json!({ "productId": product, "vendorId": vendor, "totalPrice": total, "quantity": units })
        })
        .collect();
    Message::json("order.created", json!({ "orderId": id, "items": items, "placedAt": at(day) }))
}

fn cancellation(order: &str, day: u32) -> Message {
    Message::json("order.cancelled", json!({ "orderId": order, "cancelledAt": at(day), "reason": "changed my mind" }))
}

fn refund(id: &str, order: &str, amount: &str, day: u32) -> Message {
    let payload = json!({ "refundId": id, "orderId": order, "amount": amount, "refundedAt": at(day) });
    Message::json("order.refunded", payload)
}

fn at(day: u32) -> String {
    format!("2026-11-{day:02}T12:00:00Z")
}

/// Returns every metric about money that came back, and what is left.
fn money(service: &Service) -> Vec<String> {
    service.database.lines(
        "SELECT type || ' ' || coalesce(value::text, '-') FROM metrics \
         WHERE type ~ 'refund|net_revenue|cancelled' ORDER BY type COLLATE \"C\"",
    )
}

fn waiting(service: &Service) -> Option<i64> {
    service.database.number("SELECT count(*) FROM reversals WHERE order_id IS NULL")
}

fn send(service: &Service, messages: &[Message]) {
    let before = service.consumed();
    service.send(messages);
    service.wait_consumed(before + messages.len() as i64);
}

#[test]
fn what_comes_back_is_taken_from_net_revenue_on_its_own_day() {
    let service = service(1);
    let _ingest = service.ingest();
    let lines = [("a", "v", "10.00", 2), ("b", "w", "5.00", 1)];
    send(&service, &[order("o-1", &lines, 1), order("o-2", &lines, 1), order("o-3", &lines[..1], 2)]);
    assert_eq!(
        money(&service),
        [
            "refund_rate:v 0",
            "refund_rate:w 0",
            "seller_net_revenue:v 3000",
            "seller_net_revenue:w 1000",
            "total_net_revenue 4000"
        ]
    );
    let status = json!({ "orderId": "o-2", "status": "CANCELLED", "updatedAt": at(9) });
    // Topics are read at once, and the first to tell a cancellation gives its time.
    send(&service, &[refund("r-1", "o-1", "3.00", 3), cancellation("o-2", 4)]);
    send(
        &service,
        &[
            // The same cancellation, told by another topic at another time; and a refund told twice.
            Message::json("order.status.updated", status),
            Message::json("order.status.updated", json!({ "orderId": "o-1", "status": "SHIPPED" })),
            refund("r-1", "o-1", "3.00", 3),
            // More than is left.
            refund("r-2", "o-3", "12.50", 4),
        ],
    );
    let expected = [
        "cancelled_orders 1",
        "excess_refunds 250",
        "product_refunds:a 2200",
        "product_refunds:b 600",
        "refund_rate:v 7333",
        "refund_rate:w 6000",
        "refunded_units 3",
        "seller_net_revenue:v 800",
        "seller_net_revenue:w 400",
        "seller_refunds:v 2200",
        "seller_refunds:w 600",
        "total_net_revenue 1200",
        "total_refunds 2800",
    ];
    assert_eq!(money(&service), expected);
    assert_eq!(
        service.database.lines(
            "SELECT to_char(bucket_start AT TIME ZONE 'UTC', 'DD') || ' ' || concat_ws(' ', revenue, refunds, excess_refunds) \
             FROM rollups WHERE scope = 't' AND granularity = 'd' ORDER BY bucket_start"
        ),
        ["01 3000", "02 1000", "03 300", "04 2500 250"]
    );
    assert_eq!(
        service.database.lines(
            "SELECT metric_type || ' ' || value FROM metric_rollups WHERE metric_type = 'seller_net_revenue:v' \
             AND granularity = 'day' ORDER BY bucket_start"
        ),
        [
            "seller_net_revenue:v 2000",
            "seller_net_revenue:v 1000",
            "seller_net_revenue:v -200",
            "seller_net_revenue:v -2000"
        ]
    );
    assert_eq!(service.database.number("SELECT sum(duplicates) FROM ingest_offsets"), Some(2));
    let proof = service.done(&["verify", "--full"]);
    assert!(proof.contains("drift 0"), "{proof}");
}

#[test]
fn a_reversal_waits_for_its_order_and_one_that_comes_late_changes_later_ones_by_entries() {
    let service = service(1);
    let _ingest = service.ingest();
    send(&service, &[refund("r-1", "o", "4.00", 5), cancellation("o", 7)]);
    assert_eq!((waiting(&service), money(&service).len()), (Some(2), 0));
    assert!(service.done(&["verify", "--full"]).contains("drift 0"));
    assert!(service.done(&["maintain"]).contains("2 reversals wait for their orders"));

    send(&service, &[order("o", &[("a", "v", "10.00", 1), ("b", "v", "10.00", 1)], 1)]);
    assert_eq!(waiting(&service), Some(0));
    let entries = || {
        service.database.lines(
            "SELECT to_char(e.created_at, 'DD') || ' ' || n.line || ': ' || n.amount FROM reversal_entries n \
             JOIN event_logs e ON e.id = n.event_id ORDER BY n.batch_id, e.id, n.line",
        )
    };
    let first = ["05 1: 200", "05 2: 200", "07 0: 0", "07 1: 800", "07 2: 800"];
    assert_eq!(entries(), first);
    let of_days = || {
        service.database.lines(
            "SELECT to_char(bucket_start, 'DD') || ' ' || refunds FROM rollups WHERE scope = 's' AND granularity = 'd' \
             AND refunds IS NOT NULL ORDER BY bucket_start",
        )
    };
    assert_eq!(of_days(), ["05 400", "07 1600"]);

    // It happened first: later ones have less left.
    let items = json!([{ "productId": "a", "amount": "9.00" }]);
    let early = json!({ "refundId": "r-0", "orderId": "o", "items": items, "refundedAt": at(3) });
    send(&service, &[Message::json("order.refunded", early)]);
    let then = ["03 1: 900", "05 1: -164", "05 2: 164", "07 1: -736", "07 2: -164"];
    assert_eq!(entries(), [&first[..], &then[..]].concat());
    assert_eq!(of_days(), ["03 900", "05 400", "07 700"]);
    assert!(service.done(&["verify", "--full"]).contains("drift 0"));
}

/// Orders and what is taken back of them, shuffled and in pieces, for several workers.
#[test]
fn the_order_of_arrival_does_not_change_a_number() {
    let mut random = fastrand::Rng::with_seed(21);
    let mut messages = Vec::new();
    for number in 0..60 {
        let id = format!("o-{number}");
        let day = random.u32(1..=10);
        let lines: Vec<(String, String, String, u32)> = (0..random.u32(1..=3))
            .map(|_| {
                let (product, vendor) = (format!("p-{}", random.u32(0..5)), format!("v-{}", random.u32(0..3)));
                (product, vendor, format!("{}.{:02}", random.u32(0..30), random.u32(0..100)), random.u32(1..=3))
            })
            .collect();
        let lines: Vec<(&str, &str, &str, u32)> =
            lines.iter().map(|(p, v, total, units)| (p.as_str(), v.as_str(), total.as_str(), *units)).collect();
        messages.push(order(&id, &lines, day));
        for reversal in 0..random.u32(0..=3) {
            let name = format!("r-{number}-{reversal}");
            messages.push(match random.u32(0..4) {
                // Of two cancellations of an order the first to arrive counts, as of any record that is repeated.
                0 if reversal == 0 => cancellation(&id, day + random.u32(1..=10)),
                1 => {
                    let items = json!([{ "productId": lines[0].0, "quantity": 1 }]);
                    let at = at(day + random.u32(1..=10));
                    let payload = json!({ "refundId": name, "orderId": id, "items": items, "refundedAt": at });
                    Message::json("order.refunded", payload)
                }
                _ => refund(&name, &id, &format!("{}.50", random.u32(0..20)), day + random.u32(1..=10)),
            });
        }
    }
    let numbers = |messages: &[Message]| {
        let service = service(3);
        let _workers = [service.ingest(), service.ingest()];
        for piece in messages.chunks(40) {
            service.send(piece);
        }
        service.wait_consumed(messages.len() as i64);
        assert!(service.done(&["verify", "--full"]).contains("drift 0"));
        let net = "SELECT (SELECT value FROM metrics WHERE type = 'total_revenue') \
                        - (SELECT value FROM metrics WHERE type = 'total_refunds') \
                        - (SELECT value FROM metrics WHERE type = 'total_net_revenue')";
        assert_eq!(service.database.number(net), Some(0));
        let of_rollups = "SELECT metric_type || granularity || bucket_start || ' ' || value FROM metric_rollups \
                          WHERE value <> 0 ORDER BY 1";
        let mut lines =
            service.database.lines("SELECT type || ' ' || coalesce(value, 0) FROM metrics WHERE value <> 0 ORDER BY 1");
        lines.extend(service.database.lines(of_rollups));
        lines
    };
    let differing = |one: &[String], other: &[String]| -> Vec<String> {
        let missing = |from: &[String], of: &[String]| -> Vec<String> {
            of.iter().filter(|line| !from.contains(line)).cloned().collect()
        };
        [missing(one, other), missing(other, one)].concat()
    };
    let in_order = numbers(&messages);
    messages.reverse();
    assert_eq!(differing(&numbers(&messages), &in_order), Vec::<String>::new(), "reversed");
    random.shuffle(&mut messages);
    assert_eq!(differing(&numbers(&messages), &in_order), Vec::<String>::new(), "shuffled");
}

#[test]
fn entries_that_were_changed_are_found_and_booked_again() {
    let service = service(1);
    let _ingest = service.ingest();
    send(&service, &[order("o", &[("a", "v", "10.00", 1)], 1), refund("r", "o", "4.00", 2)]);
    let before = money(&service);
    service.database.execute("UPDATE reversal_entries SET amount = 300");
    let (holds, report) = service.job(&["verify", "--full"]);
    assert!(
        !holds && report.contains("reversal ") && report.contains("what the reversals of its order come to"),
        "{report}"
    );
    let rebuilt = service.done(&["rebuild"]);
    assert!(service.done(&["verify", "--full"]).contains("drift 0"), "{rebuilt}");
    assert_eq!(money(&service), before);
}

#[test]
fn a_refund_that_was_a_dead_letter_is_counted_when_it_is_replayed() {
    let service = service(1);
    let _ingest = service.ingest();
    let bad = json!({ "refundId": "r", "orderId": "o", "amount": "four", "refundedAt": at(2) });
    send(&service, &[order("o", &[("a", "v", "10.00", 1)], 1), Message::json("order.refunded", bad)]);
    let letter = service.database.lines("SELECT id::text FROM dead_letters").remove(0);
    let corrected = format!(r#"{{"refundId":"r","orderId":"o","amount":4,"refundedAt":"{}"}}"#, at(2));
    let file = std::env::temp_dir().join(format!("refund-{letter}.json"));
    std::fs::write(&file, corrected).unwrap();
    service.done(&["dead-letters", "replay", "--id", &letter, "--payload", file.to_str().unwrap()]);
    std::fs::remove_file(file).unwrap();
    assert!(money(&service).contains(&"seller_net_revenue:v 600".to_owned()), "{:?}", money(&service));
    assert!(service.done(&["verify", "--full"]).contains("drift 0"));
}

/// A vendor that becomes known later owns both the revenue and what was taken back of it.
#[test]
fn what_was_taken_back_moves_with_its_line() {
    let service = service(1);
    let _ingest = service.ingest();
    let items = json!([{ "productId": "p", "price": "10.00" }]);
    let unattributed = Message::json("order.created", json!({ "orderId": "o", "items": items, "placedAt": at(1) }));
    // One names only the vendor, which nobody knows to be the line's.
    let of_vendor = json!({
        "refundId": "s", "orderId": "o", "items": [{ "vendorId": "v", "amount": "1.00" }], "refundedAt": at(3),
    });
    send(&service, &[unattributed, refund("r", "o", "4.00", 2), Message::json("order.refunded", of_vendor)]);
    for expected in ["unattributed_refunds 400", "excess_refunds 100"] {
        assert!(money(&service).contains(&expected.to_owned()), "{:?}", money(&service));
    }
    send(&service, &[Message::json("product.viewed", json!({ "productId": "p", "vendorId": "v" }))]);
    service.done(&["rebuild", "--reattribute"]);
    let moved = money(&service);
    for expected in ["unattributed_refunds 0", "excess_refunds 0", "seller_refunds:v 500", "seller_net_revenue:v 500"] {
        assert!(moved.contains(&expected.to_owned()), "{moved:?}");
    }
    assert!(service.done(&["verify", "--full"]).contains("drift 0"));
}

/// A program that does not know net revenue counts as well: it moves only the number of the watermark.
#[test]
fn net_revenue_is_calculated_again_after_an_older_program_has_counted() {
    let service = service(1);
    let _ingest = service.ingest();
    send(&service, &[order("o-1", &[("a", "v", "10.00", 1)], 1)]);
    service.database.execute(
        "DELETE FROM metrics WHERE type ~ 'net_revenue|refund_rate'; UPDATE watermark SET derived = derived - 1",
    );
    send(&service, &[order("o-2", &[("a", "w", "5.00", 1)], 1)]);
    assert!(money(&service).contains(&"seller_net_revenue:v 1000".to_owned()), "{:?}", money(&service));
    assert!(service.done(&["verify", "--full"]).contains("drift 0"));
}

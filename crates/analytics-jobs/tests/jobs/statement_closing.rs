//! Which sellers a closing compares, how often it reads the month, and when it stops.

use std::cell::Cell;

use analytics_core::business::Business;
use analytics_core::statement::SigningKey;
use analytics_db::closing::{self, CloseError, Closed, Order, Terms};
use analytics_testkit::broker::Message;
use analytics_testkit::service::{STATEMENT_KEY as KEY, Service};

use crate::proofs::listed;
use crate::statements::{csv, order, send, service};

const CLOSE: [&str; 5] = ["statements", "close", "--month", "2026-10", "--accept-gaps"];

#[test]
fn a_seller_whose_numbers_have_no_events_is_not_closed() {
    let (service, _ingest) = service();
    send(&service, &[order("o-1", &[("v", "10.00", "USD")], 1)]);
    service.database.execute(
        "INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, orders, revenue) VALUES \
         ('2026-10-07', 'd', 's', 'made%3Aup', '', 1, 500), ('2026-10-07', 'd', 's', 'nothing', '', 0, 0)",
    );
    let (well, said) = service.job(&CLOSE);
    let expected = "the numbers of 1 sellers are not what their events come to, the first is \"made:up\"";
    assert!(!well && said.contains(expected), "{said}");
    assert_eq!(service.database.lines("SELECT vendor_id FROM statements"), ["v"]);
    assert_eq!(service.database.number("SELECT count(finished_at) FROM statement_closings"), Some(0));
    // Verify finds it too.
    assert!(!service.job(&["verify"]).0);
    assert!(listed(&service).contains(&"rollup seller_revenue:made%3Aup day 2026-10-07T00:00:00Z".to_owned()));
    service.done(&["rebuild"]);
    assert!(service.done(&CLOSE).contains("0 statements closed, 0 restated, 1 unchanged"));
}

/// Orders of more sellers than are stored at once.
fn orders_of_many(name: &str) -> Vec<Message> {
    let order = |seller: usize| order(&format!("{name}-{seller}"), &[(&format!("v-{seller:03}"), "2.00", "USD")], 3);
    (0..501).map(order).collect()
}

#[test]
fn all_sellers_are_restated_by_reading_the_month_once() {
    let (service, _ingest) = service();
    let readings = || service.database.number("SELECT count(*) FROM statement_closings");
    send(&service, &orders_of_many("early"));
    assert!(service.done(&CLOSE).contains("501 statements closed"));
    assert_eq!(readings(), Some(1));
    send(&service, &orders_of_many("late"));
    assert!(service.done(&CLOSE).contains("0 statements closed, 501 restated"));
    // One for all sellers, and one for those that are restated.
    assert_eq!(readings(), Some(3));
}

/// Closes October with this many late events at once.
fn close(service: &Service, late_at_once: usize, wanted: &dyn Fn() -> bool) -> Result<Closed, CloseError> {
    let key = SigningKey::parse(&KEY.replace("\\n", "\n")).unwrap();
    let business = Business::parse("USD", "UTC").unwrap();
    let (month, terms) = ("2026-10".parse().unwrap(), Terms::default());
    let order = Order { business, month, vendor: None, terms, key: &key, late_at_once };
    closing::close(&mut service.database.connect(), &order, wanted)
}

#[test]
fn sellers_with_too_many_late_events_are_restated_in_parts() {
    let (service, _ingest) = service();
    let of = |name: &str, seller: &str, count: u32| {
        let order = |number| order(&format!("{name}-{seller}-{number}"), &[(seller, "2.00", "USD")], 3);
        (1..=count).map(order).collect::<Vec<_>>()
    };
    let sellers = ["a", "b", "c", "d", "e"];
    send(&service, &sellers.map(|seller| of("early", seller, 1)).concat());
    assert_eq!(close(&service, 10, &|| true).unwrap(), Closed { closed: 5, ..Closed::default() });
    // One of them has more than are held at once by itself.
    let late = [("a", 4), ("b", 30), ("c", 4), ("d", 4), ("e", 4)];
    send(&service, &late.map(|(seller, count)| of("late", seller, count)).concat());
    let readings = || service.database.number("SELECT count(*) FROM statement_closings").unwrap();
    let before = readings();
    assert_eq!(close(&service, 10, &|| true).unwrap(), Closed { restated: 5, ..Closed::default() });
    // One for all, then a; b; c; and d with e.
    assert_eq!(readings() - before, 1 + 4);
    for (seller, count) in late {
        let lines = csv(&service, seller, 2).lines().filter(|line| line.starts_with("late,")).count();
        assert_eq!(lines, count as usize, "{seller}");
    }
}

#[test]
fn a_run_stops_whatever_it_reads() {
    let (service, _ingest) = service();
    send(&service, &[order("o-1", &[("v", "10.00", "USD")], 1)]);
    // Views, then the ratings and the orders of each day of the month.
    for steps in [0_u32, 1, 5, 31, 40, 62, 63] {
        let left = Cell::new(steps);
        let wanted = || left.replace(left.get().saturating_sub(1)) > 0;
        let stopped = close(&service, 10, &wanted);
        assert!(matches!(stopped, Err(CloseError::Stopped)), "{steps}: {stopped:?}");
        assert_eq!(service.database.number("SELECT count(*) FROM statements"), Some(0), "{steps}");
    }
    assert!(service.done(&CLOSE).contains("1 statements closed"));
}

//! Which sellers a closing compares, how often it reads the month, and when it stops.

use analytics_core::business::Business;
use analytics_core::statement::SigningKey;
use analytics_db::closing::{self, CloseError, Order, Terms};
use analytics_testkit::broker::Message;
use analytics_testkit::service::STATEMENT_KEY as KEY;

use crate::proofs::listed;
use crate::statements::{order, send, service};

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

#[test]
fn a_run_stops_also_while_it_reads_views_and_ratings() {
    let (service, _ingest) = service();
    send(&service, &[order("o-1", &[("v", "10.00", "USD")], 1)]);
    let key = SigningKey::parse(&KEY.replace("\\n", "\n")).unwrap();
    let business = Business::parse("USD", "UTC").unwrap();
    let order = Order { business, month: "2026-10".parse().unwrap(), vendor: None, terms: Terms::default(), key: &key };
    let stopped = closing::close(&mut service.database.connect(), &order, &|| false);
    assert!(matches!(stopped, Err(CloseError::Stopped)), "{stopped:?}");
    // These are read in the transaction that begins a run.
    assert_eq!(service.database.number("SELECT count(*) FROM statement_closings"), Some(0));
    assert!(service.done(&CLOSE).contains("1 statements closed"));
}

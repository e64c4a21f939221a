//! `verify` finds what was changed by hand, and `rebuild` corrects it.

use std::sync::atomic::{AtomicBool, Ordering};

use analytics_db::locks::{Guard, Lock};
use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::recorded;
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;
use serde_json::json;

/// Returns the differences of the last proof, as `kind key`.
pub(crate) fn listed(service: &Service) -> Vec<String> {
    service.database.lines(
        "SELECT (d->>'kind') || ' ' || (d->>'key') FROM proofs p, jsonb_array_elements(p.differences) d \
         WHERE p.id = (SELECT max(id) FROM proofs) ORDER BY 1",
    )
}

/// Returns a column of the last proof.
fn last(service: &Service, column: &str) -> i64 {
    service.database.number(&format!("SELECT {column} FROM proofs ORDER BY id DESC LIMIT 1")).unwrap()
}

/// Starts a service that counts generated traffic, and stops its ingest.
pub(crate) fn counted() -> (Service, Tally) {
    let service = Service::new(2);
    let mut tally = Tally::default();
    let mut ingest = service.ingest();
    service.send_traffic(&mut tally, 1, 2_000);
    service.wait_all_consumed();
    assert!(ingest.stop().success());
    (service, tally)
}

/// One event of each family.
fn named() -> [Message; 4] {
    [
        Message::json(
            "product.viewed",
            json!({"productId":"tea","vendorId":"ann","occurredAt":"2026-11-02T10:00:00Z"}),
        ),
        Message::json(
            "order.created",
            json!({"orderId":"o-1","occurredAt":"2026-11-02T11:00:00Z",
                   "items":[{"productId":"tea","vendorId":"ann","price":"2.50","qty":2}]}),
        ),
        Message::json(
            "rating.updated",
            json!({"ratingId":"r-1","userId":"u","productId":"tea","rating":4,"updatedAt":"2026-11-02T12:00:00Z"}),
        ),
        Message::json("user.registered", json!({"userId":"newcomer","occurredAt":"2026-11-02T13:00:00Z"})),
    ]
}

#[test]
fn verify_names_exactly_what_was_changed_by_hand() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    service.send(&named());
    service.wait_all_consumed();
    service.done(&["verify", "--full"]);
    assert_eq!(listed(&service), Vec::<String>::new());
    let view = service.database.lines("SELECT id::text FROM event_logs WHERE event_type = 'product.viewed'").remove(0);
    let order = service.database.lines("SELECT id::text FROM event_logs WHERE event_type = 'order.created'").remove(0);
    let viewed = |vendor: &str| {
        [
            format!("metric conversion_rate:{vendor}"),
            format!("metric seller_views:{vendor}"),
            format!("rollup seller_views:{vendor} day 2026-11-02T00:00:00Z"),
            format!("rollup seller_views:{vendor} hour 2026-11-02T10:00:00Z"),
        ]
    };
    let mut moved: Vec<String> =
        [format!("event {view}")].into_iter().chain(viewed("ann")).chain(viewed("bob")).collect();
    moved.sort();
    let text = |keys: &[&str]| -> Vec<String> { keys.iter().map(|key| (*key).to_owned()).collect() };
    for (change, undo, expected) in [
        (
            "UPDATE metrics SET value = 7 WHERE type = 'seller_revenue:ann'",
            "UPDATE metrics SET value = 500 WHERE type = 'seller_revenue:ann'",
            text(&["metric seller_revenue:ann"]),
        ),
        (
            "UPDATE metrics SET metadata = '{}' WHERE type = 'conversion_rate:ann'",
            "UPDATE metrics SET metadata = '{\"numerator\":1,\"denominator\":1}' WHERE type = 'conversion_rate:ann'",
            text(&["metric conversion_rate:ann"]),
        ),
        (
            "UPDATE metrics SET type = 'total_signed' WHERE type = 'total_signups'",
            "UPDATE metrics SET type = 'total_signups' WHERE type = 'total_signed'",
            text(&["metric total_signed", "metric total_signups"]),
        ),
        (
            "UPDATE rollups SET units = 3 WHERE scope = 'p' AND units = 2",
            "UPDATE rollups SET units = 2 WHERE scope = 'p' AND units = 3",
            text(&["rollup product_units:tea day 2026-11-02T00:00:00Z"]),
        ),
        (
            "UPDATE rollups SET revenue = 0 WHERE scope = 's' AND granularity = 'h' AND revenue = 500",
            "UPDATE rollups SET revenue = 500 WHERE scope = 's' AND granularity = 'h' AND revenue = 0",
            text(&["rollup seller_revenue:ann hour 2026-11-02T11:00:00Z"]),
        ),
        ("UPDATE ratings SET stars = 1", "UPDATE ratings SET stars = 4", text(&["rating product_rating:tea by u"])),
        (
            "CREATE TABLE kept AS SELECT * FROM ratings; DELETE FROM ratings",
            "INSERT INTO ratings SELECT * FROM kept; DROP TABLE kept",
            text(&["rating product_rating:tea by u"]),
        ),
        (
            "INSERT INTO ratings SELECT metric_type, 'ghost', 5, rated_at, event_id FROM ratings",
            "DELETE FROM ratings WHERE user_id = 'ghost'",
            text(&["rating product_rating:tea by ghost"]),
        ),
        (
            "UPDATE event_logs SET vendor_id = 'bob' WHERE event_type = 'product.viewed'",
            "UPDATE event_logs SET vendor_id = 'ann' WHERE event_type = 'product.viewed'",
            moved.clone(),
        ),
        (
            "UPDATE event_logs SET user_id = 'other' WHERE event_type = 'product.viewed'",
            "UPDATE event_logs SET user_id = NULL WHERE event_type = 'product.viewed'",
            text(&[&format!("event {view}")]),
        ),
        (
            "UPDATE event_logs SET created_at = created_at + interval '1 day' WHERE event_type = 'product.viewed'",
            "UPDATE event_logs SET created_at = created_at - interval '1 day' WHERE event_type = 'product.viewed'",
            text(&[&format!("event {view}")]),
        ),
        (
            "UPDATE order_lines SET product_id = NULL",
            "UPDATE order_lines SET product_id = 'tea'",
            text(&[
                &format!("event {order}"),
                "metric product_orders:tea",
                "metric product_revenue:tea",
                "metric product_units:tea",
                "rollup product_orders:tea day 2026-11-02T00:00:00Z",
                "rollup product_revenue:tea day 2026-11-02T00:00:00Z",
                "rollup product_units:tea day 2026-11-02T00:00:00Z",
            ]),
        ),
        (
            "UPDATE event_days SET events = 2 WHERE event_type = 'user.registered'",
            "UPDATE event_days SET events = 1 WHERE event_type = 'user.registered'",
            text(&["events user.registered 2026-11-02"]),
        ),
    ] {
        service.database.execute(change);
        let (well, said) = service.job(&["verify", "--full"]);
        assert!(!well, "{change}: {said}");
        assert_eq!(listed(&service), expected, "{change}");
        assert!(expected.iter().all(|key| said.contains(key.as_str())), "{said}");
        service.database.execute(undo);
        service.done(&["verify", "--full"]);
    }
    // A deleted event is found by its identity, which is still stored.
    let gone = service.database.lines("SELECT id::text FROM event_logs WHERE event_type = 'user.registered'");
    service.database.execute("DELETE FROM event_logs WHERE event_type = 'user.registered'");
    assert!(!service.job(&["verify", "--full"]).0);
    let listed = listed(&service);
    assert!(listed.contains(&format!("event {}", gone[0])), "{listed:?}");
    assert!(listed.contains(&"events user.registered 2026-11-02".to_owned()), "{listed:?}");
}

#[test]
fn the_recorded_stream_is_proved() {
    let service = Service::new(2);
    let _ingest = service.ingest();
    for part in [1, 2] {
        service.send(&recorded::part(part));
        service.wait_all_consumed();
    }
    let said = service.done(&["verify", "--full"]);
    assert!(said.contains("drift 0"), "{said}");
    assert_eq!(service.database.number("SELECT count(*) FROM event_logs"), Some(last(&service, "events_read")));
}

#[test]
fn verify_holds_while_events_are_counted() {
    let service = Service::new(2);
    let mut tally = Tally::default();
    let _ingest = service.ingest();
    for round in 0..6 {
        service.send_traffic(&mut tally, round, 4_000);
        service.done(&["verify", if round % 2 == 0 { "--full" } else { "--since=2026-01-01" }]);
    }
    service.wait_all_consumed();
    service.done(&["verify"]);
    tally.assert_counted(&service);
}

#[test]
fn a_proved_day_is_not_read_again_until_an_event_comes_late() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    service.send(&named());
    let later = json!({"productId":"tea","vendorId":"ann","occurredAt":"2026-11-05T10:00:00Z"});
    service.send(&[Message::json("product.viewed", &later)]);
    service.wait_all_consumed();
    service.done(&["verify"]);
    assert_eq!((last(&service, "days"), last(&service, "days_read")), (2, 2));
    let digest = service.database.lines("SELECT digest::text FROM proofs");
    service.done(&["verify"]);
    assert_eq!((last(&service, "days"), last(&service, "days_read")), (2, 0));
    assert_eq!(
        service.database.lines("SELECT DISTINCT digest::text FROM proofs"),
        digest,
        "equal numbers, equal digests"
    );
    let late = json!({"userId":"latecomer","occurredAt":"2026-11-02T23:59:59Z"});
    service.send(&[Message::json("user.registered", &late)]);
    service.wait_all_consumed();
    service.done(&["verify"]);
    assert_eq!((last(&service, "days_read"), last(&service, "events_read")), (1, 5));
    // A number that was changed on a proved day is found, and only that day is read.
    service.database.execute(
        "UPDATE rollups SET views = 9 WHERE scope = 't' AND granularity = 'd' AND bucket_start >= '2026-11-05'",
    );
    assert!(!service.job(&["verify"]).0);
    assert_eq!(listed(&service), ["rollup total_views day 2026-11-05T00:00:00Z"]);
    assert_eq!(last(&service, "days_read"), 1);
    service.database.execute("UPDATE rollups SET views = 1 WHERE views = 9");
    service.done(&["verify", "--since", "2026-11-05"]);
    assert_eq!(last(&service, "days_read"), 1);
    service.done(&["verify", "--since", "2026-11-02"]);
    assert_eq!(last(&service, "days_read"), 2);
}

#[test]
fn an_event_of_an_unknown_rules_version_fails_verify() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    service.send(&named());
    service.wait_all_consumed();
    service.database.execute("UPDATE event_logs SET rules_version = 99 WHERE event_type = 'product.viewed'");
    let (well, said) = service.job(&["verify", "--full"]);
    assert!(!well && said.contains("rules version 99") && said.lines().count() == 1, "{said}");
}

/// SQL that makes a change of every kind that rebuild corrects.
const DAMAGE: &str = "UPDATE metrics SET value = value + 1000000 WHERE type = 'total_views'; \
    UPDATE metrics SET value = 0, numerator = 0, denominator = 0, metadata = NULL WHERE type LIKE 'conversion_rate:%'; \
    DELETE FROM metrics WHERE type LIKE 'seller_revenue:v-1%'; \
    UPDATE metrics SET histogram = '{0,0,0,0,9}' WHERE type LIKE 'seller_rating:v-1%'; \
    UPDATE ratings SET stars = 6 - stars WHERE stars <> 3; \
    DELETE FROM ratings WHERE user_id LIKE 'u-1%'; \
    DELETE FROM rollups WHERE scope = 's' AND subject LIKE 'v-1%'; \
    UPDATE rollups SET units = units + 1 WHERE scope = 't'; \
    UPDATE event_days SET events = events - 1;";

#[test]
fn rebuild_corrects_everything_and_then_finds_nothing() {
    let (service, tally) = counted();
    let numbers = |service: &Service| {
        let mut numbers = service.numbers();
        numbers.retain(|line| !line.starts_with("letter"));
        numbers
    };
    let before = numbers(&service);
    service.database.execute(DAMAGE);
    let damaged = numbers(&service);
    let said = service.done(&["rebuild", "--dry-run"]);
    assert!(said.contains("metric total_views: found") && said.contains("nothing was changed"), "{said}");
    assert_eq!(numbers(&service), damaged);
    let said = service.done(&["rebuild", "--metrics", "total_v*"]);
    assert!(said.contains("1 numbers were corrected"), "{said}");
    service.done(&["rebuild"]);
    assert_eq!(numbers(&service), before);
    let said = service.done(&["rebuild"]);
    assert!(said.contains("nothing to rebuild"), "{said}");
    service.done(&["verify", "--full"]);
    tally.assert_counted(&service);
}

#[test]
fn rebuild_commutes_with_counting_and_shows_readers_no_other_number() {
    let (service, mut tally) = counted();
    let truth = service.database.number("SELECT value FROM metrics WHERE type = 'total_views'").unwrap();
    service.database.execute(DAMAGE);
    let mut ingest = service.ingest();
    ingest.wait_ready();
    let api = service.api();
    let over = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let client = Client::admin(&api.address);
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                seen.push(client.value("total_views").unwrap());
            }
            seen
        });
        for round in 2..6 {
            service.send_traffic(&mut tally, round, 3_000);
            service.done(&["rebuild"]);
        }
        service.wait_all_consumed();
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    let all = service.database.number("SELECT value FROM metrics WHERE type = 'total_views'").unwrap();
    let possible = |value: &i64| (truth..=all).contains(value) || (truth + 1_000_000..=all + 1_000_000).contains(value);
    assert!(seen.iter().all(possible), "{:?}", seen.iter().find(|value| !possible(value)));
    service.done(&["verify", "--full"]);
    tally.assert_counted(&service);
}

#[test]
fn rebuild_corrects_nothing_from_a_changed_log_without_accept_log() {
    let (service, _) = counted();
    let value = || service.database.number("SELECT value FROM metrics WHERE type = 'total_views'").unwrap();
    let truth = value();
    service.database.execute("UPDATE metrics SET value = value + 5 WHERE type = 'total_views'");
    service.database.execute(
        "DELETE FROM event_logs WHERE id = (SELECT id FROM event_logs WHERE event_type = 'product.viewed' ORDER BY id LIMIT 1)",
    );
    let (well, said) = service.job(&["rebuild"]);
    assert!(!well && said.contains("restore it") && said.contains("events product.viewed"), "{said}");
    assert_eq!(value(), truth + 5, "nothing was changed");
    assert!(!service.job(&["rebuild", "--metrics", "total_views"]).0);
    service.done(&["rebuild", "--dry-run"]);
    service.done(&["rebuild", "--accept-log"]);
    assert_eq!(value(), truth - 1);
    service.done(&["verify", "--full"]);
}

#[test]
fn an_event_that_was_changed_keeps_its_broken_seal() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let order = json!({"orderId":"o-1","occurredAt":"2026-11-02T11:00:00Z","items":[{"productId":"tea","price":"2"}]});
    service.send(&[Message::json("order.created", &order)]);
    service.wait_all_consumed();
    let named = json!({"productId":"tea","vendorId":"ann","occurredAt":"2026-11-01T10:00:00Z"});
    service.send(&[Message::json("product.viewed", &named)]);
    service.wait_all_consumed();
    service.database.execute("UPDATE order_lines SET amount = 900");
    let (well, said) = service.job(&["rebuild", "--reattribute"]);
    assert!(!well && said.contains("0 events got a vendor") && said.contains("a broken seal"), "{said}");
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'total_revenue'"), Some(200));
}

#[test]
fn an_incremental_run_reports_a_wrong_rating_that_a_full_run_found() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    service.send(&named());
    service.wait_all_consumed();
    service.database.execute("UPDATE ratings SET rated_at = rated_at - interval '1 hour'");
    assert!(!service.job(&["verify", "--full"]).0);
    assert!(!service.job(&["verify"]).0, "a rating that is wrong keeps the days unproved");
    assert_eq!(listed(&service), ["rating product_rating:tea by u"]);
    service.done(&["rebuild"]);
    service.done(&["verify", "--full"]);
}

#[test]
fn a_made_up_rollup_is_one_difference_and_leaves_nothing_behind() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    service.send(&named());
    service.wait_all_consumed();
    service.database.execute(
        "INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, views) \
         VALUES ('2026-11-02', 'd', 's', 'ghost', '', 5)",
    );
    assert!(!service.job(&["verify", "--full"]).0);
    assert_eq!(listed(&service), ["rollup seller_views:ghost day 2026-11-02T00:00:00Z"]);
    service.done(&["rebuild"]);
    service.done(&["verify", "--full"]);
    assert_eq!(service.database.number("SELECT count(*) FROM metrics WHERE type LIKE '%ghost'"), Some(0));
}

#[test]
fn only_one_rebuild_runs_at_a_time() {
    let service = Service::new(1);
    let other = Guard::at_once(&service.database.address(), Lock::Repair).unwrap();
    assert!(other.is_some());
    let (well, said) = service.job(&["rebuild"]);
    assert!(!well && said.contains("another rebuild"), "{said}");
    drop(other);
    service.done(&["rebuild"]);
}

#[test]
fn two_rebuilds_at_once_add_nothing_twice() {
    let (service, tally) = counted();
    service.database.execute(DAMAGE);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| service.job(&["rebuild"]));
        }
    });
    service.done(&["rebuild"]);
    service.done(&["verify", "--full"]);
    tally.assert_counted(&service);
}

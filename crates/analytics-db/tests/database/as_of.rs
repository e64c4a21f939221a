//! The order in which batches are counted, and reads as of one of them.

use std::sync::Barrier;
use std::thread;

use analytics_core::business::Business;
use analytics_core::catalogue::Metric;
use analytics_core::identity::order_key;
use analytics_core::ids::OrderId;
use analytics_core::metric_type::{MetricType, Subject};
use analytics_db::batch::Reread;
use analytics_db::connection::{Plans, Reading, View};
use analytics_db::read::explain::{Selection, explain};
use analytics_db::read::{AsOf, NotAsOf, Tenant};
use analytics_db::tables::event_keys;
use analytics_db::transactions::adjust::{Adjustment, adjust};
use analytics_db::transactions::{count, fold};
use analytics_db::usable;
use analytics_testkit::database::Database;
use analytics_testkit::service::PATIENCE;

use crate::batches::{batch, business, start, write};

const VIEW: &str = r#"{"productId":"p","vendorId":"v","viewedAt":"2026-11-20T10:00:00Z"}"#;

/// Reads in one transaction with one snapshot.
fn read<T>(database: &Database, work: impl FnOnce(&mut analytics_db::Connection) -> T) -> T {
    let reading = Reading { view: View::OneMoment, plans: Plans::ForValues, statement_timeout: PATIENCE };
    reading.run(&mut database.connect(), |connection| Ok::<_, analytics_db::DbError>(work(connection))).unwrap()
}

/// Counts the events of `total_views` as of a number.
fn views(database: &Database, number: i64) -> Result<usize, NotAsOf> {
    let metric = Tenant::Marketplace.metric(&MetricType::new(Metric::TotalViews, Subject::Marketplace)).unwrap();
    read(database, |connection| {
        let as_of = AsOf::at(connection, number).unwrap()?;
        let selection = Selection { as_of: &as_of, span: None, product: None, before: None, limit: 100 };
        Ok(explain(connection, &metric, business(), &selection).unwrap().contributions.len())
    })
}

#[test]
fn numbers_have_no_gaps_and_the_watermark_is_the_last() {
    let database = Database::migrated();
    let begin = Barrier::new(3);
    thread::scope(|scope| {
        for topic in ["product.viewed", "user.registered", "order.created"] {
            let (database, begin) = (&database, &begin);
            scope.spawn(move || {
                begin.wait();
                for offset in 0..20 {
                    let payload = match topic {
                        "user.registered" => format!(r#"{{"userId":"u-{offset}"}}"#),
                        "order.created" => format!(r#"{{"orderId":"o-{offset}","total":1}}"#),
                        _ => VIEW.to_owned(),
                    };
                    write(database, &mut batch(&[(topic, offset, &payload)]), Reread::Unlikely).unwrap();
                }
            });
        }
    });
    assert_eq!(database.number("SELECT number FROM watermark"), Some(60));
    assert_eq!(database.number("SELECT max(number) - min(number) + 1 FROM batches"), Some(60));
    assert_eq!(database.number("SELECT count(DISTINCT number) FROM batches WHERE kind = 'ingest'"), Some(60));
    let unnumbered =
        "SELECT count(*) FROM event_logs e LEFT JOIN batches b ON b.id = e.batch_id WHERE b.number IS NULL";
    assert_eq!(database.number(unnumbered), Some(0));
}

#[test]
fn a_read_sees_the_batches_up_to_its_number_and_nothing_after_it() {
    let database = Database::migrated();
    for offset in 0..4 {
        // Later batches have older events, so the order of events does not tell which batch they
        // are in.
        let view = VIEW.replace("10:00", &format!("{:02}:00", 10 - offset));
        write(&database, &mut batch(&[("product.viewed", offset, &view)]), Reread::Unlikely).unwrap();
    }
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(|number| views(&database, number)),
        [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4), Err(NotAsOf::Ahead)]
    );
    // The events of a batch that is logged and has no number yet are not seen.
    database.execute("INSERT INTO batches (id, kind) VALUES (1000, 'ingest')");
    database.execute("UPDATE event_logs SET batch_id = 1000 WHERE created_at = '2026-11-20T07:00:00Z'");
    assert_eq!([3, 4].map(|number| views(&database, number)), [Ok(3), Ok(3)]);
    // Events that were attributed again since cannot be shown as they were.
    database.execute("INSERT INTO batches (id, number, kind) VALUES (1001, 5, 'reattribution')");
    database.execute("UPDATE watermark SET number = 5");
    assert_eq!([4, 5].map(|number| views(&database, number)), [Err(NotAsOf::Changed), Ok(3)]);
}

#[test]
fn the_events_of_a_batch_are_found_without_reading_the_log() {
    let database = Database::migrated();
    let columns = "id, created_at, batch_id, seal, rules_version, event_type, metadata";
    database.execute(&format!(
        "INSERT INTO event_logs ({columns}) \
         SELECT ('0019a9' || lpad(to_hex(n), 6, '0') || '00008000' || '800000000000')::uuid, now(), n / 100, 0, 1, \
             'product.viewed', '{{}}' FROM generate_series(1, 20000) n"
    ));
    database.execute("ANALYZE event_logs");
    database.execute(
        "CREATE FUNCTION plan() RETURNS SETOF text LANGUAGE plpgsql AS \
         'BEGIN RETURN QUERY EXECUTE ''EXPLAIN SELECT id FROM event_logs WHERE batch_id BETWEEN 70 AND 71''; END'",
    );
    let plan = database.lines("SELECT plan()").join("\n");
    assert!(plan.contains("Bitmap Index Scan"), "{plan}");
}

#[test]
fn an_order_is_found_by_its_id() {
    let database = Database::migrated();
    let order = r#"{"orderId":"o-1","eventId":"e-1","total":1}"#;
    write(&database, &mut batch(&[("order.created", 0, order)]), Reread::Unlikely).unwrap();
    let find = |id: &str| {
        let key = order_key(&OrderId::parse(id).unwrap(), None);
        event_keys::order(&mut database.connect(), key).unwrap().map(|event| event.event_id.to_string())
    };
    assert_eq!(find("o-1"), Some(database.lines("SELECT id::text FROM event_logs").remove(0)));
    assert_eq!(find("o-2"), None);
    assert_eq!(database.number("SELECT count(*) FROM order_keys"), Some(1));
    assert_eq!(database.number("SELECT count(*) FROM event_keys"), Some(1), "the event's own id");
}

fn adjustment(metric_type: &str, value: i64) -> Adjustment {
    let (metadata, reason, actor) = (None, None, "admin".to_owned());
    Adjustment { metric_type: metric_type.to_owned(), value: Some(value), metadata, reason, actor }
}

#[test]
fn adjustments_belong_to_the_day_on_which_they_are_made() {
    let database = Database::migrated();
    let order = r#"{"orderId":"o","vendorId":"v","total":1,"createdAt":"2026-11-20T10:00:00Z"}"#;
    write(
        &database,
        &mut batch(&[
            ("product.viewed", 0, VIEW),
            ("order.created", 0, order),
            ("user.registered", 0, r#"{"userId":"u","registeredAt":"2026-11-20T10:00:00Z"}"#),
        ]),
        Reread::Unlikely,
    )
    .unwrap();
    for (metric_type, value) in [
        ("total_views", 11),
        ("seller_orders:v", 3),
        ("total_signups", 5),
        ("daily_signups:2026-11-20", 9),
        ("total_revenue:EUR", -7),
        ("newsletters", 2),
    ] {
        adjust(&mut database.connect(), &adjustment(metric_type, value), business()).unwrap();
    }
    let of_days = |metric_type: &str| {
        database.number(&format!(
            "SELECT sum(value)::bigint FROM metric_rollups WHERE granularity = 'day' AND metric_type = '{metric_type}'"
        ))
    };
    let value = |metric_type: &str| database.number(&format!("SELECT value FROM metrics WHERE type = '{metric_type}'"));
    for metric_type in ["total_views", "seller_orders:v", "total_signups", "total_revenue:EUR"] {
        assert_eq!(of_days(metric_type), value(metric_type), "{metric_type}");
    }
    assert_eq!(value("conversion_rate:v"), Some(30_000), "3 orders of 1 view: a ratio follows its counters");
    let today = database.lines("SELECT 'daily_signups:' || (now() AT TIME ZONE 'UTC')::date").remove(0);
    assert_eq!((value(&today), of_days(&today)), (Some(4), Some(4)));
    assert_eq!((value("daily_signups:2026-11-20"), value("newsletters")), (Some(9), Some(2)));
    // A value that makes a rate too large for its column leaves the rate without a value.
    adjust(&mut database.connect(), &adjustment("seller_orders:v", i64::MAX), business()).unwrap();
    assert_eq!(value("conversion_rate:v"), None);
}

#[test]
fn the_rules_of_the_timezone_that_the_database_stores_decide() {
    let database = Database::migrated();
    // The stored rules say that UTC has been an hour ahead since November, as a newer or older tz
    // database than the program's might.
    database.execute("INSERT INTO business_clock VALUES ('2026-11-01T00:00:00Z', 3600)");
    let business = Business::parse("USD", "UTC").unwrap();
    usable::check(&mut database.connect(), business).unwrap();
    let signup = r#"{"userId":"u","registeredAt":"2026-11-20T23:30:00Z"}"#;
    let mut batch = batch(&[("user.registered", 0, signup)]);
    start(&database, &batch);
    count::count(&mut database.connect(), &mut batch, business, Reread::Unlikely).unwrap();
    fold::catch_up(&mut database.connect(), business).unwrap();
    let days = database.lines("SELECT day::text || ' ' || events FROM event_days");
    assert_eq!(days, ["2026-11-21 1"]);
    let shown = database.lines(
        "SELECT metric_type || ' ' || (bucket_start AT TIME ZONE 'UTC') FROM metric_rollups \
         WHERE metric_type LIKE 'daily%' OR granularity = 'hour' ORDER BY 1",
    );
    assert_eq!(shown, ["daily_signups:2026-11-21 2026-11-20 23:00:00", "total_signups 2026-11-20 23:00:00"]);
}

#[test]
fn what_was_counted_since_is_not_told_if_earlier_events_count_elsewhere_since() {
    let database = Database::migrated();
    for offset in 0..3 {
        write(&database, &mut batch(&[("product.viewed", offset, VIEW)]), Reread::Unlikely).unwrap();
        fold::catch_up(&mut database.connect(), business()).unwrap();
    }
    let since = |number| {
        read(&database, |connection| AsOf::latest(connection).unwrap().since(connection, number).unwrap().map(drop))
    };
    assert_eq!((since(1), since(2)), (Ok(()), Ok(())));
    for kind in ["reattribution", "repair"] {
        database.execute(&format!("UPDATE batches SET kind = '{kind}' WHERE number = 2"));
        assert_eq!((since(1), since(2)), (Err(NotAsOf::Changed), Ok(())), "{kind}");
    }
}

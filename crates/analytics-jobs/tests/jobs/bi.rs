//! The schema `bi`: the columns that SQL clients rely on, and that they say what the API says.

use analytics_testkit::broker::Message;
use analytics_testkit::database::Database;
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;
use serde_json::json;

/// The columns of each view with their types, in order. A later version may add columns at the end, and views;
/// it must not change these.
const COLUMNS: &str = "
days_v1: day date, starts_at timestamp with time zone, scope text, subject text, currency text, views bigint, signups bigint, orders bigint, units bigint, revenue bigint, refunds bigint
dead_letters_v1: id uuid, topic character varying, partition integer, offset bigint, reason character varying, detail text, state character varying, rejected_at timestamp with time zone
events_v1: id uuid, event_type character varying, happened_at timestamp with time zone, logged_at timestamp with time zone, user_id character varying, product_id character varying, vendor_id character varying, stars smallint, payload jsonb
freshness_v1: consumer_group character varying, topic character varying, partition integer, counted_offset bigint, end_offset bigint, lag bigint, last_event_at timestamp with time zone, reported_at timestamp with time zone
hours_v1: starts_at timestamp with time zone, scope text, subject text, currency text, views bigint, signups bigint, orders bigint, units bigint, revenue bigint, refunds bigint
metrics_v1: type character varying, name text, subject text, currency text, value bigint, numerator bigint, denominator bigint, updated_at timestamp with time zone
names_v1: scope text, subject character varying, name character varying, vendor_id character varying, named_at timestamp with time zone
order_lines_v1: event_id uuid, ordered_at timestamp with time zone, user_id character varying, line integer, product_id character varying, vendor_id character varying, quantity integer, amount bigint, currency character varying, is_counted boolean
proofs_v1: id bigint, proved_at timestamp with time zone, complete boolean, drift bigint, keys_checked bigint, events_read bigint, took_ms bigint
ratings_v1: scope text, subject text, user_id character varying, stars smallint, rated_at timestamp with time zone, event_id uuid
reversals_v1: event_id uuid, happened_at timestamp with time zone, order_id uuid, line integer, product_id character varying, vendor_id character varying, currency text, units bigint, amount bigint, excess bigint, cancelled bigint
";

#[test]
fn views_keep_their_columns_and_each_is_documented() {
    let database = Database::migrated();
    let columns = database.lines(
        "SELECT table_name || ': ' || string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) \
         FROM information_schema.columns WHERE table_schema = 'bi' GROUP BY table_name ORDER BY table_name",
    );
    assert_eq!(columns, COLUMNS.trim().lines().collect::<Vec<_>>());
    let without_comment = database.lines(
        "SELECT c.relname || '.' || coalesce(a.attname, '') FROM pg_class c \
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
         WHERE c.relnamespace = 'bi'::regnamespace \
             AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL) \
         UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'bi'::regnamespace AND obj_description(oid) IS NULL",
    );
    assert_eq!(without_comment, Vec::<String>::new());
}

#[test]
fn views_show_the_numbers_of_the_metrics() {
    let service = Service::new(2);
    let _ingest = service.ingest();
    let mut tally = Tally::default();
    service.send_traffic(&mut tally, 7, 3_000);
    let odd = json!({"productId":"50%:off","vendorId":"a:b","userId":"u"});
    let krones =
        json!({"orderId":"odd","currency":"NOK","items":[{"productId":"50%:off","vendorId":"a:b","price":"1.25"}]});
    let rating = json!({"ratingId":"r","userId":"u","productId":"50%:off","rating":4});
    service.send(&[
        Message::json("product.viewed", &odd),
        Message::json("order.created", &krones),
        Message::json("rating.updated", &rating),
        Message::json("product.viewed", "nonsense"),
    ]);
    service.wait_all_consumed();
    service.done(&["verify"]);
    let number = |query: &str| service.database.number(query);
    for (column, metric) in [("views", "total_views"), ("orders", "total_orders"), ("signups", "total_signups")] {
        let value = number(&format!("SELECT value FROM metrics WHERE type = '{metric}'"));
        assert!(value > Some(0), "{metric}");
        for view in ["days_v1", "hours_v1"] {
            let sum = format!("SELECT sum({column}) FROM bi.{view} WHERE scope = 'marketplace'");
            assert_eq!(number(&sum), value, "{view}.{column}");
        }
        let of_view = format!("SELECT value FROM bi.metrics_v1 WHERE name = '{metric}' AND subject IS NULL");
        assert_eq!(number(&of_view), value);
    }
    for (query, expected) in [
        ("SELECT value FROM bi.metrics_v1 WHERE name = 'seller_revenue' AND subject = 'a:b' AND currency = 'NOK'", 125),
        ("SELECT value FROM bi.metrics_v1 WHERE name = 'total_revenue' AND currency = 'NOK'", 125),
        ("SELECT sum(revenue) FROM bi.days_v1 WHERE scope = 'seller' AND subject = 'a:b' AND currency = 'NOK'", 125),
        (
            "SELECT numerator * 10 + denominator FROM bi.metrics_v1 WHERE name = 'product_rating' AND subject = '50%:off'",
            41,
        ),
        ("SELECT amount FROM bi.order_lines_v1 WHERE vendor_id = 'a:b'", 125),
        ("SELECT stars FROM bi.ratings_v1 WHERE scope = 'product' AND subject = '50%:off'", 4),
        ("SELECT count(*) FROM bi.dead_letters_v1 WHERE state = 'open'", 1),
        ("SELECT sum(drift) FROM bi.proofs_v1", 0),
        ("SELECT sum(lag) FROM bi.freshness_v1", 0),
        ("SELECT count(*) FROM bi.metrics_v1 WHERE name LIKE '%revenue' AND currency IS NULL", 0),
    ] {
        assert_eq!(number(query), Some(expected), "{query}");
    }
    let revenue = number("SELECT sum(amount) FROM bi.order_lines_v1 WHERE currency = 'USD'");
    assert_eq!(revenue, number("SELECT value FROM metrics WHERE type = 'total_revenue'"));
    // A range of ids is a range of times.
    let ranged = "FROM bi.events_v1 WHERE id >= bi.first_id(now() - interval '4 hours') AND id < bi.first_id(now())";
    let timed = "FROM bi.events_v1 WHERE happened_at >= now() - interval '4 hours' AND happened_at < now()";
    let (by_id, by_time) = (number(&format!("SELECT count(*) {ranged}")), number(&format!("SELECT count(*) {timed}")));
    assert!(by_id > Some(1_000) && by_id == by_time, "{by_id:?} {by_time:?}");
}

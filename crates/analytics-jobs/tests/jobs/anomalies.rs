//! `anomalies` on a database: drops open, go on and end, and an outage of ingest is none.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use analytics_testkit::database::Database;
use analytics_testkit::{process, wait};

/// 120 days of the marketplace by hour and by day, 20 sellers and 5 products by day, and workers that have
/// counted everything. The noise depends on how long ago something is, so that it is the same on every day that
/// the test runs.
const USUAL: &str = "
    CREATE FUNCTION days_ago(bucket timestamptz) RETURNS float8 LANGUAGE sql
        RETURN extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') - bucket AT TIME ZONE 'UTC')::float8 / 86400;
    CREATE FUNCTION noise(seed float8) RETURNS float8 LANGUAGE sql
        RETURN 1 + 0.05 * (2 * (sin(seed * 12.9898) * 43758.5453 - floor(sin(seed * 12.9898) * 43758.5453)) - 1);
    INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, views, signups, orders, units, revenue)
    SELECT b, 'h', 't', '', '', round(1000 * f), round(60 * f), round(200 * f), round(300 * f), round(200 * f) * 2500
    FROM generate_series(date_trunc('day', now()) - interval '120 days', date_trunc('hour', now()) + interval '1 hour',
        interval '1 hour') b,
        LATERAL (SELECT (1 + 0.5 * sin(extract(hour FROM b AT TIME ZONE 'UTC') / 24 * 6.2832))
            * noise(round(days_ago(b) * 24))) AS s (f);
    INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, views, signups, orders, units, revenue)
    SELECT date_trunc('day', bucket_start AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', 'd', 't', '', '', sum(views),
        sum(signups), sum(orders), sum(units), sum(revenue)
    FROM rollups GROUP BY 1;
    INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, views, orders, units, revenue)
    SELECT d.bucket_start, 'd', s.scope, s.subject, '', round(300 * f), round(60 * f), round(90 * f), round(60 * f) * 2500
    FROM rollups d,
        LATERAL (SELECT 's', 's-' || n, n FROM generate_series(1, 20) n
            UNION ALL SELECT 'p', 'p-' || n, 100 + n FROM generate_series(1, 5) n) AS s (scope, subject, n),
        LATERAL (SELECT noise(days_ago(d.bucket_start) + s.n * 977)) AS v (f)
    WHERE d.granularity = 'd';
    INSERT INTO product_vendors (product_id, vendor_id, named_at, event_id)
    SELECT 'p-' || n, 's-1', now(), gen_random_uuid() FROM generate_series(1, 5) n;
    INSERT INTO ingest_topics (consumer_group, topic, partitions_at_first, partitions)
    SELECT 'g', t, 1, 1 FROM unnest(ARRAY['product.viewed', 'order.created', 'user.registered', 'rating.updated']) t;
    INSERT INTO ingest_offsets (consumer_group, topic, partition, next_offset) SELECT 'g', topic, 0, 9 FROM ingest_topics";

/// Everything was counted just now.
const ALIVE: &str = "UPDATE ingest_offsets SET updated_at = now() + interval '10 minutes',
    ends_known_at = now() + interval '10 minutes', caught_up_at = now() + interval '10 minutes', counted_timestamp = NULL";

/// The worker died four hours ago.
pub(crate) const DEAD: &str = "UPDATE ingest_offsets SET (updated_at, ends_known_at, caught_up_at) =
    (SELECT t, t, t FROM (SELECT now() - interval '4 hours') AS d (t)),
    counted_timestamp = extract(epoch FROM date_trunc('hour', now()) - interval '3 hours')::bigint * 1000";

/// A marketplace in which everything is as usual.
pub(crate) struct Watched(pub(crate) Database);

impl Watched {
    pub(crate) fn new() -> Self {
        wait::past_the_end_of_an_hour(Duration::from_secs(120));
        let database = Database::migrated();
        database.execute(USUAL);
        database.execute(ALIVE);
        Self(database)
    }

    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        [("DATABASE_URL".to_owned(), self.0.url.clone())].into()
    }

    /// Runs the job, and returns what it said.
    fn run(&self, arguments: &[&str]) -> String {
        self.run_with(&[], arguments)
    }

    /// Runs the job with some settings, and returns what it said.
    fn run_with(&self, settings: &[(&str, &str)], arguments: &[&str]) -> String {
        let arguments = [&["anomalies"], arguments].concat();
        let mut environment = self.environment();
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let output = process::run("analytics-jobs", &arguments, &environment);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }

    /// Returns every stored anomaly: type, verdict, state.
    pub(crate) fn stored(&self) -> Vec<String> {
        self.0.lines("SELECT concat_ws(' ', type, verdict, state) FROM anomalies ORDER BY type, from_time")
    }

    /// Multiplies the views of the marketplace in some of the last hours.
    pub(crate) fn change_hours(&self, hours: &str, factor: f64) {
        self.0.execute(&format!(
            "UPDATE rollups SET views = round(views * {factor}) WHERE granularity = 'h' AND scope = 't'
             AND bucket_start IN (SELECT date_trunc('hour', now()) - make_interval(hours => n) FROM unnest(ARRAY[{hours}]) n)"
        ));
    }

    /// Multiplies everything of yesterday in a scope.
    fn change_yesterday(&self, which: &str, factor: f64) {
        self.0.execute(&format!(
            "UPDATE rollups SET views = round(views * {factor}), orders = round(orders * {factor}),
                 units = round(units * {factor}), revenue = round(revenue * {factor})
             WHERE granularity = 'd' AND {which}
             AND bucket_start = (date_trunc('day', now() AT TIME ZONE 'UTC') - interval '1 day') AT TIME ZONE 'UTC'"
        ));
    }
}

#[test]
fn what_is_usual_opens_nothing() {
    let watched = Watched::new();
    let said = watched.run(&["--since", "2020-01-01"]);
    assert_eq!(watched.stored(), Vec::<String>::new(), "{said}");
    assert!(said.contains(" 0 new anomalies"), "{said}");
    // What was observed and expected of the last hour and day of the marketplace is stored for Prometheus.
    let judged = "SELECT concat_ws(' ', type, granularity) FROM judgements WHERE observed BETWEEN lower AND upper
        AND expected BETWEEN lower AND upper AND to_time > now() - CASE granularity WHEN 'h' THEN interval '1 hour'
        ELSE interval '1 day' END ORDER BY 1";
    let types = ["conversion", "orders", "revenue", "signups", "views"];
    let expected: Vec<String> =
        types.iter().flat_map(|name| ["d", "h"].map(|of| format!("total_{name} {of}"))).collect();
    assert_eq!(watched.0.lines(judged), expected);
}

#[test]
fn a_drop_opens_once_goes_on_ends_and_opens_again() {
    let watched = Watched::new();
    watched.change_hours("2, 3", 0.2);
    assert!(watched.run(&["--backtest"]).contains("total_views"));
    assert_eq!(watched.stored(), Vec::<String>::new(), "a backtest stores nothing");
    watched.change_hours("1", 0.2);
    // At once, and again.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| watched.run(&[]));
        }
    });
    watched.run(&[]);
    assert_eq!(watched.stored(), ["total_views drop open"]);
    let last = "SELECT count(*) FROM judgements WHERE type = 'total_views' AND granularity = 'h' AND observed < lower";
    assert_eq!(watched.0.number(last), Some(1));
    let numbers = "SELECT count(*) FROM anomalies WHERE observed < lower AND lower < expected AND expected < upper
        AND from_time = date_trunc('hour', now()) - interval '3 hours' AND to_time = date_trunc('hour', now())
        AND confidence > 0.9 AND vendor_id IS NULL";
    assert_eq!(watched.0.number(numbers), Some(1));
    watched.0.execute("UPDATE anomalies SET state = 'acknowledged', acknowledged_at = now(), comment = 'seen'");
    watched.run(&[]);
    assert_eq!(watched.stored(), ["total_views drop acknowledged"]);
    // The last hour is as usual again.
    watched.change_hours("1", 5.0);
    assert!(watched.run(&[]).contains("1 resolved"));
    assert_eq!(watched.stored(), ["total_views drop resolved"]);
    watched.change_hours("1", 0.1);
    watched.run(&[]);
    assert_eq!(watched.stored(), ["total_views drop acknowledged"]);
}

#[test]
fn stalled_ingest_gives_delayed_only_until_it_has_caught_up() {
    let watched = Watched::new();
    watched.change_hours("1, 2, 3", 0.0);
    watched.0.execute(DEAD);
    for _ in 0..2 {
        watched.run(&[]);
        assert_eq!(watched.stored(), ["freshness delayed open"]);
    }
    // The hours are counted late, in full.
    watched.0.execute(
        "UPDATE rollups r SET views = o.views FROM rollups o WHERE r.granularity = 'h' AND r.scope = 't' AND r.views = 0
         AND o.granularity = 'h' AND o.scope = 't' AND o.bucket_start = r.bucket_start - interval '7 days'",
    );
    watched.0.execute(ALIVE);
    watched.run(&[]);
    assert_eq!(watched.stored(), ["freshness delayed resolved"]);
}

#[test]
fn a_run_that_sees_less_does_not_end_what_another_one_found() {
    let watched = Watched::new();
    watched.change_hours("1, 2, 3", 0.1);
    watched.run(&[]);
    watched.0.execute(DEAD);
    watched.run(&[]);
    assert_eq!(watched.stored(), ["freshness delayed open", "total_views drop open"]);
}

#[test]
fn a_drop_of_the_marketplace_is_not_one_of_each_seller() {
    let watched = Watched::new();
    watched.change_yesterday("true", 0.3);
    watched.run(&[]);
    let marketplace = ["total_orders drop open", "total_views drop open"];
    assert_eq!(watched.stored(), marketplace, "no hour is unusual, the day is");
    watched.change_yesterday("scope = 's' AND subject = 's-1'", 0.3);
    watched.run(&[]);
    let stored = watched.stored();
    assert_eq!(stored[1..], marketplace);
    assert_eq!(stored[0], "seller_views:s-1 drop open", "neither its revenue nor its products, which follow");
    assert_eq!(watched.0.lines("SELECT DISTINCT vendor_id FROM anomalies WHERE vendor_id IS NOT NULL"), ["s-1"]);
}

#[test]
fn what_hours_show_is_not_found_again_in_their_day() {
    let watched = Watched::new();
    watched.change_yesterday("scope = 't'", 0.3);
    watched.0.execute(
        "UPDATE rollups SET views = round(views * 0.1) WHERE granularity = 'h' AND scope = 't'
         AND (bucket_start AT TIME ZONE 'UTC')::date = (now() AT TIME ZONE 'UTC')::date - 1
         AND extract(hour FROM bucket_start AT TIME ZONE 'UTC') BETWEEN 9 AND 14",
    );
    for since in ["2020-01-01", "2020-01-02"] {
        watched.run(&["--since", since]);
        let stored = "SELECT concat_ws(' ', type, verdict, granularity) FROM anomalies ORDER BY type";
        assert_eq!(watched.0.lines(stored), ["total_orders drop d", "total_views drop h"]);
    }
}

#[test]
fn a_drop_of_days_is_found_although_one_of_them_is_shown_by_hours() {
    let watched = Watched::new();
    let ago = |days: u32| {
        format!("(date_trunc('day', now() AT TIME ZONE 'UTC') - interval '{days} days') AT TIME ZONE 'UTC'")
    };
    watched.0.execute(&format!(
        "UPDATE rollups SET views = round(views * 0.3) WHERE granularity = 'd' AND scope = 't'
         AND bucket_start >= {} AND bucket_start < {}",
        ago(3),
        ago(0)
    ));
    let change = |days: u32, factor: f64| {
        watched.0.execute(&format!(
            "UPDATE rollups SET views = round(views * {factor}) WHERE granularity = 'h' AND scope = 't'
             AND bucket_start >= {} + interval '9 hours' AND bucket_start < {0} + interval '15 hours'",
            ago(days)
        ));
    };
    let stored =
        "SELECT concat_ws(' ', type, verdict, granularity, state) FROM anomalies ORDER BY granularity, from_time";
    change(2, 0.1);
    // Again, for each of the two is found again as itself.
    for _ in 0..3 {
        watched.run(&[]);
        assert_eq!(watched.0.lines(stored), ["total_views drop d open", "total_views drop h resolved"]);
    }
    // Late events: the hours of all days show it.
    for days in [1, 3] {
        change(days, 0.1);
    }
    watched.run(&[]);
    let is_open = "SELECT count(*) FROM anomalies WHERE granularity = 'd' AND state = 'open'";
    assert_eq!(watched.0.number(is_open), Some(0), "{:?}", watched.0.lines(stored));
}

#[test]
fn products_follow_their_seller_also_where_its_hours_are_judged() {
    let watched = Watched::new();
    watched.0.execute(
        "INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, views)
         SELECT bucket_start, granularity, 's', 'big', '', round(views * 0.9) FROM rollups WHERE scope = 't'
         UNION ALL
         SELECT bucket_start, granularity, 'p', 'p-big', '', round(views * 0.5) FROM rollups
         WHERE scope = 't' AND granularity = 'd';
         INSERT INTO product_vendors (product_id, vendor_id, named_at, event_id)
         VALUES ('p-big', 'big', now(), gen_random_uuid())",
    );
    watched.run(&[]);
    assert_eq!(watched.stored(), Vec::<String>::new());
    watched.change_yesterday("subject IN ('big', 'p-big')", 0.4);
    watched.run(&[]);
    assert_eq!(watched.stored(), ["seller_views:big drop open"]);
}

#[test]
fn a_drop_of_one_product_is_its_sellers() {
    let watched = Watched::new();
    watched.change_yesterday("scope = 'p' AND subject = 'p-2'", 0.1);
    watched.run(&[]);
    assert_eq!(watched.stored(), ["product_orders:p-2 drop open", "product_views:p-2 drop open"]);
    assert_eq!(watched.0.lines("SELECT DISTINCT vendor_id FROM anomalies"), ["s-1"]);
}

#[test]
fn one_order_is_no_surge_of_revenue_and_a_drop_of_many_orders_amounts_is_found() {
    let watched = Watched::new();
    watched.0.execute(
        "INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, views, orders, units, revenue)
         SELECT bucket_start, 'd', 's', 'few', '', round(300 * noise(days_ago(bucket_start) + 99)), n, n, n * 2500
         FROM rollups, LATERAL (SELECT (days_ago(bucket_start) IN (1, 20))::int) AS o (n)
         WHERE scope = 't' AND granularity = 'd';
         INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, revenue)
         SELECT bucket_start, 'd', 't', '', 'JPY', revenue FROM rollups WHERE subject = 'few'",
    );
    watched.run(&[]);
    assert_eq!(watched.stored(), Vec::<String>::new());
    watched.0.execute(
        "UPDATE rollups SET revenue = round(revenue * 0.2) WHERE subject = 's-2' AND days_ago(bucket_start) = 1",
    );
    watched.run(&[]);
    assert_eq!(watched.stored(), ["seller_revenue:s-2 drop open"]);
}

#[test]
fn orders_that_can_still_be_paid_are_not_judged() {
    let watched = Watched::new();
    watched.0.execute(
        "UPDATE rollups SET orders = round(orders * 0.1), revenue = round(revenue * 0.1)
         WHERE granularity = 'h' AND bucket_start BETWEEN now() - interval '5 hours' AND now()",
    );
    let paid = ("ORDER_COUNTS_WHEN", "paid");
    watched.run_with(&[paid], &[]);
    assert_eq!(watched.stored(), Vec::<String>::new());
    // What does not depend on payments is judged at once.
    watched.change_hours("1, 2, 3", 0.1);
    watched.run_with(&[paid], &[]);
    assert_eq!(watched.stored(), ["total_views drop open"]);
    watched.change_hours("1, 2, 3", 10.0);
    watched.run_with(&[paid, ("ANOMALY_PAYMENT_HOURS", "0")], &[]);
    assert_eq!(watched.stored(), ["total_orders drop open", "total_views drop resolved"]);
}

#[test]
fn quiet_times_are_not_judged() {
    let watched = Watched::new();
    watched.change_hours("1, 2, 3", 0.0);
    let file = std::env::temp_dir().join(format!("{}.quiet", analytics_testkit::database::unique_name()));
    let line = watched
        .0
        .lines("SELECT (now() - interval '2 days')::date || ',' || (now() + interval '1 day')::date")
        .remove(0);
    std::fs::write(&file, format!("# the sale\n{line},sale\n")).unwrap();
    let mut environment = watched.environment();
    environment.insert("ANOMALY_CALENDAR".into(), file.to_str().unwrap().into());
    let output = process::run("analytics-jobs", &["anomalies"], &environment);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(watched.stored(), Vec::<String>::new());
    std::fs::write(&file, "christmas\n").unwrap();
    let output = process::run("analytics-jobs", &["anomalies"], &environment);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("line 1: must be FROM[,TO[,NAME]]"), "{said}");
    std::fs::remove_file(file).unwrap();
}

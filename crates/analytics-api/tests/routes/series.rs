//! Numbers over time, compared with a recomputation from the event log in SQL that shares no code
//! with the service, in timezones and weeks that contain changes of the clock.

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::database::Database;
use analytics_testkit::process::Process;
use analytics_testkit::service::Service;
use serde_json::{Value, json};

/// A deterministic sequence of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

struct Marketplace {
    service: Service,
    _ingest: Process,
    api: Process,
    zone: &'static str,
}

impl Marketplace {
    /// A marketplace whose events happened in the days from `first` on.
    fn open(zone: &'static str, first: &str, days: u64) -> Self {
        let mut service = Service::on(Database::empty(), 1);
        service.set("BUSINESS_TIMEZONE", zone);
        service.set("API_MODE", "read-write");
        service.done(&["migrate"]);
        let ingest = service.ingest();
        let first = first.parse::<chrono::NaiveDate>().unwrap().and_time(chrono::NaiveTime::MIN).and_utc();
        let mut random = Random(days);
        let events: Vec<Message> = (0..400)
            .map(|n| {
                let time = first + chrono::Duration::seconds(i64::try_from(random.below(days * 86_400)).unwrap());
                event(n, &time.to_rfc3339(), &mut random)
            })
            .collect();
        service.send(&events);
        service.wait_all_consumed();
        let api = service.api();
        Self { service, _ingest: ingest, api, zone }
    }

    fn admin(&self) -> Client {
        Client::admin(&self.api.address)
    }

    fn get(&self, path: &str) -> Value {
        let (status, answer) = self.admin().get(path);
        assert_eq!(status, 200, "{} {path}: {answer}", self.zone);
        answer
    }
}

impl Marketplace {
    /// The numbers of buckets, by SQL for one number.
    fn expected(&self, sql: &str, buckets: &[Value]) -> Vec<i64> {
        let end = |bucket: &Value, name: &str| format!("'{}'", bucket[name].as_str().unwrap());
        let column = |name: &str| buckets.iter().map(|bucket| end(bucket, name)).collect::<Vec<_>>().join(", ");
        let sql = sql.replace("$in", "created_at >= b.first AND created_at < b.last");
        let lines = self.service.database.lines(&format!(
            "SELECT ({sql})::text FROM unnest(ARRAY[{}]::timestamptz[], ARRAY[{}]::timestamptz[]) WITH ORDINALITY \
             AS b (first, last, n) ORDER BY n",
            column("start"),
            column("end")
        ));
        lines.iter().map(|line| line.parse().unwrap()).collect()
    }
}

fn event(n: u64, time: &str, random: &mut Random) -> Message {
    let (product, vendor) = (random.below(6), random.below(3));
    match random.below(10) {
        0..5 => Message::json(
            "product.viewed",
            json!({ "productId": format!("p-{product}"), "vendorId": format!("v-{vendor}"), "viewedAt": time }),
        ),
        5..7 => Message::json(
            "order.created",
            json!({ "orderId": format!("o-{n}"), "createdAt": time, "items": [
                { "productId": format!("p-{product}"), "vendorId": format!("v-{vendor}"),
                  "price": format!("{}.50", random.below(90)), "qty": 1 + random.below(3),
                  "currency": if random.below(4) == 0 { "EUR" } else { "USD" } },
                { "productId": "p-0", "vendorId": "v-0", "price": "1.00", "qty": 1 } ] }),
        ),
        7..8 => Message::json("user.registered", json!({ "userId": format!("u-{n}"), "registeredAt": time })),
        _ => Message::json(
            "rating.updated",
            json!({ "userId": format!("u-{}", random.below(20)), "productId": format!("p-{product}"),
                    "vendorId": format!("v-{vendor}"), "stars": 1 + random.below(5), "updatedAt": time }),
        ),
    }
}

/// The weeks that are tried: a timezone, the first day, the number of days.
const WEEKS: [(&str, &str, u64); 7] = [
    ("Europe/Berlin", "2025-03-25", 9),
    ("Europe/Berlin", "2025-10-22", 9),
    ("America/Sao_Paulo", "2018-11-01", 8),
    ("Australia/Lord_Howe", "2026-04-02", 7),
    ("Pacific/Apia", "2011-12-27", 8),
    ("Asia/Kolkata", "2025-12-28", 8),
    ("UTC", "2024-02-26", 7),
];

/// For metrics: SQL for the number in a bucket, of which `$f` and `$t` are the ends.
const METRICS: [(&str, &str); 6] = [
    ("total_views", "SELECT count(*) FROM event_logs WHERE event_type = 'product.viewed' AND $in"),
    (
        "seller_orders:v-1",
        "SELECT count(DISTINCT e.id) FROM event_logs e JOIN order_lines l ON l.event_id = e.id WHERE l.vendor_id = 'v-1' AND $in",
    ),
    (
        "seller_revenue:v-0",
        "SELECT coalesce(sum(l.amount), 0)::bigint FROM event_logs e JOIN order_lines l ON l.event_id = e.id WHERE l.vendor_id = 'v-0' AND l.currency = 'USD' AND $in",
    ),
    (
        "total_revenue:EUR",
        "SELECT coalesce(sum(l.amount), 0)::bigint FROM event_logs e JOIN order_lines l ON l.event_id = e.id WHERE l.currency = 'EUR' AND $in",
    ),
    ("daily_signups", "SELECT count(*) FROM event_logs WHERE event_type = 'user.registered' AND $in"),
    (
        "product_orders:p-0",
        "SELECT count(DISTINCT e.id) FROM event_logs e JOIN order_lines l ON l.event_id = e.id WHERE l.product_id = 'p-0' AND $in",
    ),
];

#[test]
fn every_bucket_is_what_the_log_says_whatever_the_clock_does() {
    for (zone, first, days) in WEEKS {
        let marketplace = Marketplace::open(zone, first, days);
        let from = first.parse::<chrono::NaiveDate>().unwrap() - chrono::Days::new(1);
        let to = from + chrono::Days::new(days + 2);
        let mut followed = 0;
        for (metric, sql) in METRICS {
            for interval in ["hour", "day", "week", "month"] {
                if interval == "hour" && metric.starts_with("product") {
                    continue;
                }
                let path = format!("/api/metrics/{metric}/series?interval={interval}&from={from}&to={to}");
                let series = marketplace.get(&path);
                let buckets = series["buckets"].as_array().unwrap();
                assert!(buckets.windows(2).all(|pair| pair[0]["end"] == pair[1]["start"]), "{zone} {path}");
                assert_eq!(series["type"], metric);
                let mut sum = 0;
                for (bucket, expected) in buckets.iter().zip(marketplace.expected(sql, buckets)) {
                    assert_eq!(bucket["value"], expected, "{zone} {path} {bucket}");
                    sum += expected;
                    if expected > 0 && followed < 100 {
                        followed += 1;
                        let link = bucket["events"].as_str().unwrap();
                        assert_eq!(deltas(&marketplace, link), expected, "{zone} {link}");
                    }
                }
                assert_eq!(series["total"], sum, "{zone} {path}");
                if interval == "day" {
                    days_are_those_of_postgresql(&marketplace, buckets);
                }
            }
        }
        assert!(followed > 50, "{zone}: {followed} buckets with events");
        marketplace.service.done(&["verify", "--full"]);
    }
}

/// The sum of the deltas of all events behind a link.
fn deltas(marketplace: &Marketplace, link: &str) -> i64 {
    let (mut sum, mut cursor) = (0, String::new());
    loop {
        let page = marketplace.get(&format!("{link}&limit=7{cursor}"));
        sum += page["items"].as_array().unwrap().iter().map(|item| item["delta"].as_i64().unwrap()).sum::<i64>();
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return sum,
        }
    }
}

/// The starts of the days are local midnights by PostgreSQL's own tz database, or the instants of
/// changes that skip midnight.
fn days_are_those_of_postgresql(marketplace: &Marketplace, buckets: &[Value]) {
    let days = format!(
        "SELECT count(DISTINCT (t AT TIME ZONE '{}')::date) \
         FROM generate_series(b.first, b.last - interval '1 second', interval '10 minutes') AS t",
        marketplace.zone
    );
    assert!(marketplace.expected(&days, buckets).iter().all(|days| *days == 1), "{}: {buckets:?}", marketplace.zone);
}

#[test]
fn earlier_ranges_are_whole_days_also_where_days_begin_at_one_or_are_skipped() {
    for (zone, first, ranges) in [
        (
            // Its clock goes on from midnight to one on 2018-11-04.
            "America/Sao_Paulo",
            "2018-11-01",
            &[
                ("2018-11-04", "2018-11-04", "2018-11-03", "2018-11-03"),
                ("2018-11-04", "2018-11-06", "2018-11-01", "2018-11-03"),
                ("2018-11-05", "2018-11-07", "2018-11-02", "2018-11-04"),
            ][..],
        ),
        // 2011-12-30 never was.
        ("Pacific/Apia", "2011-12-27", &[("2011-12-31", "2011-12-31", "2011-12-29", "2011-12-29")]),
    ] {
        let marketplace = Marketplace::open(zone, first, 8);
        for (from, to, earlier_from, earlier_to) in ranges {
            let views = |condition: &str| {
                marketplace.service.database.number(&format!(
                    "SELECT count(*) FROM event_logs WHERE event_type = 'product.viewed' AND {condition} \
                     AND (created_at AT TIME ZONE '{zone}')::date BETWEEN '{earlier_from}' AND '{earlier_to}'"
                ))
            };
            let range = format!("from={from}&to={to}&compare=previous");
            for (metric, condition) in [("total_views", "true"), ("product_views:p-0", "product_id = 'p-0'")] {
                let series = marketplace.get(&format!("/api/metrics/{metric}/series?{range}"));
                let previous = series["comparison"]["previous"].as_i64();
                assert_eq!(previous, views(condition), "{zone} {metric} {range}");
                assert!(previous > Some(0), "{zone} {metric} {range}");
            }
            let ranking = marketplace.get(&format!("/api/rankings/products?by=views&from={from}&to={to}"));
            let product = ranking["items"].as_array().unwrap().iter().find(|item| item["id"] == "p-0").unwrap();
            assert_eq!(product["previousValue"].as_i64(), views("product_id = 'p-0'"), "{zone} {from} {to}");
        }
        if zone == "Pacific/Apia" {
            let skipped = marketplace.admin().get("/api/metrics/total_views/series?from=2011-12-30&to=2011-12-30").1;
            assert_eq!(skipped["detail"], "from: must not be a day that the timezone skipped");
        }
    }
}

#[test]
fn rates_and_ratings_have_their_components_in_every_bucket() {
    let marketplace = Marketplace::open("Europe/Berlin", "2025-03-25", 9);
    let database = &marketplace.service.database;
    let range = "interval=day&from=2025-03-25&to=2025-04-03";
    let within = |bucket: &Value| {
        format!(
            "created_at >= '{}' AND created_at < '{}'",
            bucket["start"].as_str().unwrap(),
            bucket["end"].as_str().unwrap()
        )
    };
    let rates = marketplace.get(&format!("/api/metrics/conversion_rate:v-1/series?{range}"));
    for bucket in rates["buckets"].as_array().unwrap() {
        let within = within(bucket);
        let orders = database.number(&METRICS[1].1.replace("$in", &within)).unwrap();
        let views = database
            .number(&format!(
                "SELECT count(*) FROM event_logs WHERE event_type = 'product.viewed' AND vendor_id = 'v-1' AND {within}"
            ))
            .unwrap();
        assert_eq!((&bucket["numerator"], &bucket["denominator"]), (&json!(orders), &json!(views)));
        let value = if views == 0 { Value::Null } else { json!((orders * 20_000 + views) / (views * 2)) };
        assert_eq!(bucket["value"], value);
    }
    let histograms_are_right = |buckets: &Value, column: &str, id: &str| {
        let mut all = 0;
        for bucket in buckets.as_array().unwrap() {
            let within = within(bucket);
            for stars in 1..=5 {
                let sql = "SELECT count(*) FROM event_logs WHERE event_type = 'rating.updated'";
                let expected =
                    database.number(&format!("{sql} AND {column} = '{id}' AND stars = {stars} AND {within}")).unwrap();
                assert_eq!(bucket["histogram"][stars.to_string()], expected);
                all += expected;
            }
        }
        all
    };
    let ratings = marketplace.get(&format!("/api/metrics/product_rating:p-2/series?{range}"));
    assert_eq!(ratings["count"], histograms_are_right(&ratings["buckets"], "product_id", "p-2"));
    // There are days between the two ranges.
    let apart = "interval=day&from=2025-04-01&to=2025-04-03&compare=previous_week";
    let ratings = marketplace.get(&format!("/api/metrics/seller_rating:v-1/series?{apart}"));
    assert_eq!(ratings["count"], histograms_are_right(&ratings["buckets"], "vendor_id", "v-1"));
    assert_eq!(ratings["comparison"]["buckets"][0]["start"], "2025-03-25T00:00:00+01:00");
    assert!(histograms_are_right(&ratings["comparison"]["buckets"], "vendor_id", "v-1") > 0);
    let types = ["total_views", "seller_orders:v-1", "daily_signups", "total_signups", "daily_signups:2025-03-26"];
    let several = marketplace.get(&format!("/api/metrics/series?type={}&{range}", types.join("&type=")));
    let items = several["items"].as_array().unwrap();
    assert_eq!(items.iter().map(|item| &item["type"]).collect::<Vec<_>>(), types);
    assert_eq!(items[0]["buckets"].as_array().unwrap().len(), 10);
    assert_eq!((&items[2]["buckets"], &items[2]["total"]), (&items[3]["buckets"], &items[3]["total"]));
}

#[test]
fn ranges_that_cannot_be_answered_are_400_with_the_parameter() {
    let marketplace = Marketplace::open("Asia/Kolkata", "2025-12-28", 2);
    for (path, parameter) in [
        ("total_views/series?interval=minute", "interval"),
        ("total_views/series?period=1d", "period"),
        ("total_views/series?period=7d&from=2025-12-01", "from"),
        ("total_views/series?to=2025-12-01", "from"),
        ("total_views/series?from=2025-12-02&to=2025-12-01", "from"),
        ("total_views/series?from=soon", "from"),
        ("total_views/series?from=0001-01-01", "from"),
        ("total_views/series?from=2025-12-01T00:00:00Z&to=2025-12-02", "from"),
        ("total_views/series?from=2000-01-01&to=2025-12-31", "from"),
        ("total_views/series?from=2025-01-01&to=2025-12-31&interval=hour", "interval"),
        ("total_views/series?compare=yesterday", "compare"),
        ("product_views:p-1/series?interval=hour&period=today", "interval"),
        ("product_views:p-1/series?from=2025-12-01T05:00:00%2B05:30&to=2025-12-02", "from"),
        ("total_views/events?asOf=-1", "asOf"),
        ("total_views/events?countedAfter=yesterday", "countedAfter"),
    ] {
        let (status, answer) = marketplace.admin().get(&format!("/api/metrics/{path}"));
        assert_eq!((status, &answer["parameter"]), (400, &json!(parameter)), "{path}: {answer}");
    }
    let half =
        "/api/metrics/total_views/series?from=2025-12-28T00:00:00+05:30&to=2025-12-28T06:00:00%2B05:30&interval=hour";
    let series = marketplace.get(half);
    assert_eq!(series["buckets"].as_array().unwrap().len(), 6);
    assert_eq!(series["buckets"][1]["start"], "2025-12-28T01:00:00+05:30");
}

#[test]
fn a_number_on_an_old_page_still_sums_and_what_came_after_it_is_listed() {
    let marketplace = Marketplace::open("UTC", "2024-02-26", 2);
    let series = "/api/metrics/total_views/series?interval=day&from=2024-02-26&to=2024-02-27";
    let before = marketplace.get(series);
    let late = |n: u32| {
        let view = json!({ "productId": "p-1", "eventId": format!("late-{n}"), "viewedAt": "2024-02-26T10:00:00Z" });
        Message::json("product.viewed", view)
    };
    marketplace.service.send(&[late(1), late(2)]);
    marketplace.service.wait_all_consumed();
    let after = marketplace.get(series);
    let (old, new) = (before["total"].as_i64().unwrap(), after["total"].as_i64().unwrap());
    assert_eq!(new, old + 2);
    let link = |answer: &Value| answer["buckets"][0]["events"].as_str().unwrap().to_owned();
    assert_eq!(deltas(&marketplace, &link(&before)), before["buckets"][0]["value"].as_i64().unwrap());
    assert_eq!(deltas(&marketplace, &link(&after)), after["buckets"][0]["value"].as_i64().unwrap());
    let as_of = before["asOf"].as_i64().unwrap();
    let since = format!("/api/metrics/total_views/events?countedAfter={as_of}");
    assert_eq!(deltas(&marketplace, &since), new - old);
    assert_eq!(marketplace.get(&since)["items"][0]["createdAt"], "2024-02-26T10:00:00Z");
}

#[test]
fn today_is_compared_with_the_same_hours_of_yesterday() {
    let marketplace = Marketplace::open("UTC", "2024-02-26", 1);
    let now = chrono::Utc::now();
    let view = |hours: i64| {
        let time = (now - chrono::Duration::hours(hours)).to_rfc3339();
        Message::json("product.viewed", json!({ "productId": "p", "viewedAt": time }))
    };
    // 24 hours ago is within the compared hours only if this hour is over, which it is not.
    marketplace.service.send(&[view(0), view(24), view(25), view(25)]);
    marketplace.service.wait_all_consumed();
    let series = marketplace.get("/api/metrics/total_views/series?period=today&interval=hour&compare=previous");
    let comparison = &series["comparison"];
    let hour = now.format("%H").to_string().parse::<i64>().unwrap();
    let sql = |from: i64, to: i64| {
        marketplace.service.database.number(&format!(
            "SELECT count(*) FROM event_logs WHERE event_type = 'product.viewed' \
             AND created_at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '{from} hours' \
             AND created_at < date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '{to} hours'"
        ))
    };
    assert_eq!(comparison["current"].as_i64(), sql(0, hour));
    assert_eq!(comparison["previous"].as_i64(), sql(-24, hour - 24));
    assert_eq!(comparison["buckets"].as_array().unwrap().len(), usize::try_from(hour).unwrap());
    assert_eq!(series["buckets"].as_array().unwrap().len(), 24);
    assert_eq!(series["buckets"][23]["partial"], true);
    let nothing = marketplace.get("/api/metrics/total_signups/series?period=today&compare=previous");
    assert_eq!((&nothing["change"], &nothing["reason"]), (&Value::Null, &json!("no_base")));
}

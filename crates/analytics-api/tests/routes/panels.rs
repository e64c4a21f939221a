//! Rankings, panels of sellers, the overview and the counts of events, compared with SQL over the
//! event log.

use std::collections::BTreeMap;

use analytics_db::read::rankings::By;
use analytics_testkit::broker::Message;
use analytics_testkit::client::{Client, token};
use analytics_testkit::process::Process;
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;
use serde_json::{Value, json};

pub(super) struct Marketplace {
    pub(super) service: Service,
    _ingest: Process,
    pub(super) api: Process,
}

impl Marketplace {
    pub(super) fn open() -> Self {
        let service = Service::new(2);
        let ingest = service.ingest();
        let mut tally = Tally::default();
        service.send_traffic(&mut tally, 7, 3_000);
        service.wait_all_consumed();
        let api = service.api();
        Self { service, _ingest: ingest, api }
    }

    pub(super) fn get(&self, path: &str) -> Value {
        let (status, answer) = Client::admin(&self.api.address).get(path);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

/// The days of the last 30 days in UTC, as SQL.
const LAST_30_DAYS: &str =
    "e.created_at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '29 days'";

#[test]
fn rankings_are_those_of_the_log() {
    let marketplace = Marketplace::open();
    for (kind, column, by, value) in [
        (
            "products",
            "product_id",
            "views",
            "SELECT product_id AS id, count(*) AS value FROM event_logs e WHERE event_type = 'product.viewed' AND $in GROUP BY 1",
        ),
        (
            "products",
            "product_id",
            "orders",
            "SELECT l.product_id AS id, count(DISTINCT e.id) AS value FROM event_logs e JOIN order_lines l ON l.event_id = e.id WHERE $in GROUP BY 1",
        ),
        (
            "products",
            "product_id",
            "revenue",
            "SELECT l.product_id AS id, sum(l.amount)::bigint AS value FROM event_logs e JOIN order_lines l ON l.event_id = e.id WHERE l.currency = 'USD' AND $in GROUP BY 1",
        ),
        (
            "sellers",
            "vendor_id",
            "units",
            "SELECT l.vendor_id AS id, sum(l.quantity)::bigint AS value FROM event_logs e JOIN order_lines l ON l.event_id = e.id WHERE $in GROUP BY 1",
        ),
        (
            "sellers",
            "vendor_id",
            "orders",
            "SELECT l.vendor_id AS id, count(DISTINCT e.id) AS value FROM event_logs e JOIN order_lines l ON l.event_id = e.id WHERE $in GROUP BY 1",
        ),
    ] {
        let value = value.replace("$in", LAST_30_DAYS);
        let expected = marketplace.service.database.lines(&format!(
            "SELECT q.id || ' ' || q.value FROM ({value}) AS q WHERE q.id IS NOT NULL AND q.value <> 0 \
             ORDER BY q.value DESC, q.id COLLATE \"C\""
        ));
        let (mut got, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = marketplace.get(&format!("/api/rankings/{kind}?by={by}&period=30d&limit=7{cursor}"));
            for item in page["items"].as_array().unwrap() {
                assert_eq!(item["rank"], got.len() + 1);
                got.push(format!("{} {}", item["id"].as_str().unwrap(), item["value"]));
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(got, expected, "{kind} by {by} ({column})");
    }
}

#[test]
fn one_rating_of_five_stars_does_not_lead() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let rate = |product: &str, user: u32, stars: u32| {
        Message::json("rating.updated", json!({ "userId": format!("u-{user}"), "productId": product, "stars": stars }))
    };
    let mut ratings: Vec<Message> = (0..40).map(|user| rate("good", user, if user % 4 == 0 { 4 } else { 5 })).collect();
    ratings.extend((0..40).map(|user| rate("poor", user, 2)));
    ratings.push(rate("new", 1, 5));
    ratings.push(Message::json("product.viewed", json!({ "productId": "new", "vendorId": "v" })));
    service.send(&ratings);
    service.wait_all_consumed();
    let api = service.api();
    let ranked = |path: &str| {
        let (_, ranking) = Client::admin(&api.address).get(path);
        let items = ranking["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ranked("/api/rankings/products?by=rating"), ["good", "new", "poor"]);
    assert_eq!(ranked("/api/rankings/products?by=rating&vendorId=v"), ["new"]);
}

#[test]
fn everything_that_ranks_is_named_where_it_is_explained() {
    let service = Service::new(1);
    let api = service.api();
    let admin = Client::admin(&api.address);
    let document = admin.get("/api/openapi.json").1;
    for kind in ["products", "sellers"] {
        let path = format!("/api/rankings/{kind}");
        let parameters = document["paths"][&path]["get"]["parameters"].as_array().unwrap();
        let description =
            |name: &str| parameters.iter().find(|one| one["name"] == name).unwrap()["description"].to_string();
        let detail = |query: &str| {
            let (status, answer) = admin.get(&format!("{path}?{query}"));
            assert_eq!(status, 400, "{answer}");
            answer["detail"].as_str().unwrap().to_owned()
        };
        for (by, _) in By::ALL {
            assert_eq!(admin.get(&format!("{path}?by={by}")).0, 200, "{kind} {by}");
            assert!(description("by").contains(&format!("`{by}`")), "{kind} {by}");
        }
        assert_eq!(detail("by=x"), "by: must be views, orders, units, revenue, net_revenue, rating or conversion");
        assert_eq!(detail("by=units&currency=EUR"), "currency: must not be given unless by is revenue or net_revenue");
    }
}

#[test]
fn a_sellers_panel_is_what_the_log_says_and_nobody_elses() {
    let marketplace = Marketplace::open();
    let database = &marketplace.service.database;
    let vendor =
        database.lines("SELECT vendor_id FROM order_lines WHERE vendor_id IS NOT NULL ORDER BY 1 LIMIT 1").remove(0);
    let seller = Client::seller(&marketplace.api.address, &vendor);
    let (status, summary) = seller.get(&format!("/api/sellers/{vendor}/summary?period=30d"));
    assert_eq!(status, 200, "{summary}");
    let number = |sql: &str| database.number(&sql.replace("$in", LAST_30_DAYS).replace("$v", &vendor)).unwrap();
    let lines = "FROM event_logs e JOIN order_lines l ON l.event_id = e.id WHERE l.vendor_id = '$v' AND $in";
    let orders = number(&format!("SELECT count(DISTINCT e.id) {lines}"));
    let revenue = number(&format!("SELECT coalesce(sum(l.amount), 0)::bigint {lines} AND l.currency = 'USD'"));
    let views =
        number("SELECT count(*) FROM event_logs e WHERE event_type = 'product.viewed' AND vendor_id = '$v' AND $in");
    let metrics = &summary["metrics"];
    assert_eq!((&metrics["orders"]["value"], &metrics["views"]["value"]), (&json!(orders), &json!(views)));
    assert_eq!(metrics["revenue"]["value"], revenue);
    assert_eq!(summary["revenueByCurrency"]["USD"], revenue);
    assert_eq!(metrics["conversion"]["value"], (orders * 20_000 + views) / (views * 2));
    assert_eq!(metrics["averageOrder"]["value"], (revenue * 2 + orders) / (orders * 2));
    let series = metrics["orders"]["series"].as_array().unwrap();
    assert_eq!(series.len(), 30);
    assert_eq!(series.iter().map(|value| value.as_i64().unwrap()).sum::<i64>(), orders);
    let (status, events) = seller.get(metrics["orders"]["events"].as_str().unwrap());
    assert_eq!((status, events["value"].as_i64()), (200, Some(orders)));
    let products = summary["topProducts"].as_array().unwrap();
    assert!(!products.is_empty() && products.len() <= 5, "{summary}");
    for product in products {
        let series = product["series"].as_array().unwrap();
        assert_eq!(series.len(), 30);
        assert_eq!(series.iter().map(|value| value.as_i64().unwrap()).sum::<i64>(), product["value"]);
    }
    let (status, stats) = seller.get(&format!("/api/sellers/{vendor}/orders/stats?interval=week&period=30d"));
    assert_eq!(status, 200, "{stats}");
    let counted: i64 =
        stats["buckets"].as_array().unwrap().iter().map(|bucket| bucket["orders"].as_i64().unwrap()).sum();
    assert_eq!(counted, orders);
    for path in ["/api/sellers/somebody-else/summary", "/api/sellers/somebody-else/orders/stats"] {
        let (status, answer) = seller.get(path);
        assert_eq!((status, &answer["code"]), (404, &json!("seller_not_found")), "{path}");
    }
    // Money of products is for those who own them.
    for (client, query, expected) in [
        (&seller, format!("by=revenue&vendorId={vendor}"), 200),
        (&seller, "by=revenue".to_owned(), 403),
        (&seller, "by=revenue&vendorId=somebody-else".to_owned(), 403),
        (&Client::with_token(&marketplace.api.address, &token("buyer", None)), "by=views".to_owned(), 200),
        (&Client::with_token(&marketplace.api.address, &token("buyer", None)), "by=revenue".to_owned(), 403),
    ] {
        assert_eq!(client.get(&format!("/api/rankings/products?{query}")).0, expected, "{query}");
    }
    let own = seller.get(&format!("/api/rankings/products?by=revenue&vendorId={vendor}&limit=5")).1;
    assert_eq!(
        own["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect::<Vec<_>>(),
        products.iter().map(|product| &product["id"]).collect::<Vec<_>>()
    );
}

#[test]
fn the_overview_and_the_counts_of_events_are_those_of_the_log() {
    let marketplace = Marketplace::open();
    let database = &marketplace.service.database;
    let overview = marketplace.get("/api/overview?period=30d");
    for (name, sql) in [
        ("views", "SELECT count(*) FROM event_logs e WHERE event_type = 'product.viewed' AND $in"),
        ("orders", "SELECT count(*) FROM event_logs e WHERE event_type = 'order.created' AND $in"),
        ("signups", "SELECT count(*) FROM event_logs e WHERE event_type = 'user.registered' AND $in"),
        (
            "revenue",
            "SELECT sum(l.amount)::bigint FROM event_logs e JOIN order_lines l ON l.event_id = e.id WHERE l.currency = 'USD' AND $in",
        ),
    ] {
        let expected = database.number(&sql.replace("$in", LAST_30_DAYS));
        assert_eq!(overview["metrics"][name]["value"].as_i64(), expected, "{name}");
    }
    let stats = marketplace.get("/api/events/stats?interval=day&period=30d");
    let mut counted: BTreeMap<String, i64> = BTreeMap::new();
    for bucket in stats["buckets"].as_array().unwrap() {
        for (event_type, events) in bucket["counts"].as_object().unwrap() {
            *counted.entry(event_type.clone()).or_default() += events.as_i64().unwrap();
        }
    }
    counted.retain(|_, events| *events > 0);
    let lines: Vec<String> = counted.iter().map(|(event_type, events)| format!("{event_type} {events}")).collect();
    let sql = format!(
        "SELECT event_type || ' ' || count(*) FROM event_logs e WHERE {LAST_30_DAYS} GROUP BY event_type ORDER BY event_type COLLATE \"C\""
    );
    assert_eq!(lines, database.lines(&sql));
    let sellers = marketplace.get("/api/sellers?limit=1000");
    let ids: Vec<&str> =
        sellers["items"].as_array().unwrap().iter().map(|item| item["vendorId"].as_str().unwrap()).collect();
    let expected = database.lines(
        "SELECT DISTINCT vendor_id COLLATE \"C\" FROM (SELECT vendor_id FROM event_logs WHERE event_type IN ('product.viewed', 'rating.updated') \
         UNION SELECT vendor_id FROM order_lines) v WHERE vendor_id IS NOT NULL ORDER BY 1",
    );
    assert_eq!(ids, expected);
}

#[test]
fn metrics_of_a_name_are_in_the_order_of_their_values_or_types() {
    let marketplace = Marketplace::open();
    for (order, sql) in [
        ("sort=value", "value DESC, type"),
        ("sort=value&order=desc", "value DESC, type"),
        ("sort=value&order=asc", "value ASC, type"),
        ("sort=type", "type"),
        ("sort=type&order=desc", "type DESC"),
        ("order=desc", "type DESC"),
    ] {
        let expected = marketplace.service.database.lines(&format!(
            "SELECT type || ' ' || value FROM metrics WHERE type LIKE 'seller\\_orders:%' ORDER BY {sql}"
        ));
        let (mut got, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = marketplace.get(&format!("/api/metrics?name=seller_orders&{order}&limit=7{cursor}"));
            for item in page["items"].as_array().unwrap() {
                got.push(format!("{} {}", item["type"].as_str().unwrap(), item["value"]));
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(got, expected, "{order}");
    }
    let admin = Client::admin(&marketplace.api.address);
    assert_eq!(admin.get("/api/metrics?name=seller_orders&sort=price").1["parameter"], "sort");
    assert_eq!(admin.get("/api/metrics?name=seller_orders&order=down").1["parameter"], "order");
}

#[test]
fn all_begins_with_the_first_day_that_has_events() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let api = service.api();
    let admin = Client::admin(&api.address);
    let get = |path: &str| {
        let (status, answer) = admin.get(path);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    let today = chrono::Utc::now().format("%Y-%m-%dT00:00:00Z").to_string();
    let starts = |answer: &Value, at: &str| {
        let time = |text: &Value| chrono::DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap();
        assert_eq!(time(&answer["from"]), chrono::DateTime::parse_from_rfc3339(at).unwrap(), "{answer}");
    };
    let nothing = get("/api/overview?period=all");
    starts(&nothing, &today);
    assert_eq!(nothing["metrics"]["views"]["value"], 0);
    let counts = |query: &str| get(&format!("/api/events/stats?{query}"))["buckets"][0]["counts"].clone();
    for query in ["period=today", "period=today&interval=hour"] {
        let types = counts(query);
        let names: Vec<&str> = types.as_object().unwrap().keys().map(String::as_str).collect();
        for name in ["order.created", "product.viewed", "rating.updated", "user.registered", "vendor.created"] {
            assert!(names.contains(&name), "{query}: {types}");
        }
        assert!(types.as_object().unwrap().values().all(|events| *events == 0), "{query}: {types}");
    }
    assert_eq!(counts("period=today&type=order.created"), json!({ "order.created": 0 }));
    assert_eq!(counts("period=today&type=cart.abandoned&interval=hour"), json!({ "cart.abandoned": 0 }));
    let view = |time: &str| json!({ "productId": "p", "vendorId": "v", "viewedAt": time });
    let order = json!({ "orderId": "o", "createdAt": "2003-05-06T10:00:00Z",
        "items": [{ "productId": "p", "vendorId": "v", "price": "2.50", "qty": 2 }] });
    service.send(&[
        Message::json("product.viewed", view("2026-01-02T03:00:00Z")),
        Message::json("product.viewed", view("2003-05-06T07:00:00Z")),
        Message::json("order.created", order),
    ]);
    service.wait_all_consumed();
    for path in ["/api/overview?period=all", "/api/sellers/v/summary?period=all&compare=previous_year"] {
        let panel = get(path);
        starts(&panel, "2003-05-06T00:00:00Z");
        assert_eq!((&panel["period"], &panel["interval"]), (&json!("all"), &json!("month")), "{path}");
        for (name, value) in [("views", 2), ("orders", 1), ("revenue", 500), ("conversion", 5000)] {
            let number = &panel["metrics"][name];
            assert_eq!(number["value"], value, "{path} {name}: {number}");
            let compared = (&number["previous"], &number["change"], &number["reason"]);
            assert_eq!(compared, (&Value::Null, &Value::Null, &json!("no_earlier_range")), "{path} {name}");
        }
        // More than ten years, also for its events.
        let events = get(panel["metrics"]["views"]["events"].as_str().unwrap());
        assert_eq!((&events["value"], events["items"].as_array().unwrap().len()), (&json!(2), 2));
    }
    for path in ["/api/overview?period=today&compare=none", "/api/sellers/v/summary?period=7d&compare=none"] {
        for (name, number) in get(path)["metrics"].as_object().unwrap().iter().filter(|(name, _)| *name != "ratings") {
            let compared = [&number["current"], &number["previous"], &number["change"], &number["reason"]];
            assert_eq!(compared, [&Value::Null; 4], "{path} {name}: {number}");
        }
    }
    let series = get("/api/metrics/seller_views:v/series?period=all&compare=previous");
    assert_eq!((&series["interval"], &series["total"]), (&json!("month"), &json!(2)));
    assert_eq!((&series["comparison"], &series["reason"]), (&Value::Null, &json!("no_earlier_range")));
    assert!(get("/api/metrics/seller_views:v/series?period=all")["reason"].is_null());
    assert_eq!(get("/api/metrics/series?period=all&type=total_views&type=product_views:p")["items"][1]["total"], 2);
    let ranking = get("/api/rankings/products?by=views&period=all");
    starts(&ranking, "2003-05-06T00:00:00Z");
    assert_eq!((&ranking["items"][0]["value"], &ranking["items"][0]["previousRank"]), (&json!(2), &Value::Null));
    assert_eq!(get("/api/events/stats?period=all")["buckets"][0]["counts"]["product.viewed"], 1);
    let stats = get("/api/sellers/v/orders/stats?period=all&interval=year");
    assert_eq!((&stats["buckets"][0]["orders"], &stats["interval"]), (&json!(1), &json!("year")));
    let (status, answer) = admin.get("/api/metrics/total_views/series?period=all&interval=day");
    assert_eq!((status, &answer["parameter"]), (400, &json!("interval")), "{answer}");
    let (status, answer) = admin.get("/api/metrics/total_views/series?from=2003-05-06&interval=year");
    assert_eq!((status, &answer["parameter"]), (400, &json!("from")), "{answer}");
    let short = admin.get("/api/overview?period=ever").1;
    assert!(short["detail"].as_str().unwrap().ends_with("this_year, all"), "{short}");
}

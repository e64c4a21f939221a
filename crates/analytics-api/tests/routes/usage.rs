//! Counts of events by the values of their payloads, by hour and by arrival, compared with SQL over
//! the event log that shares no code with the service; and what became of orders.

use std::collections::BTreeMap;

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::database::Database;
use analytics_testkit::process::Process;
use analytics_testkit::service::Service;
use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

struct Marketplace {
    service: Service,
    ingest: Process,
    api: Process,
}

impl Marketplace {
    fn open(zone: &str, settings: &[(&str, &str)]) -> Self {
        let mut service = Service::on(Database::empty(), 2);
        service.set("BUSINESS_TIMEZONE", zone);
        for (name, value) in settings {
            service.set(name, value);
        }
        service.done(&["migrate"]);
        let (ingest, api) = (service.ingest(), service.api());
        Self { service, ingest, api }
    }

    fn send(&self, messages: &[Message]) {
        self.service.send(messages);
        self.service.wait_all_consumed();
    }

    fn admin(&self) -> Client {
        Client::admin(&self.api.address)
    }

    fn get(&self, path: &str) -> Value {
        let (status, answer) = self.admin().get(path);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    fn refused(&self, path: &str) -> (u16, String, String) {
        let (status, answer) = self.admin().get(path);
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (status, text("parameter"), text("detail"))
    }

    /// Numbers by name, of one bucket, by SQL for names and numbers.
    fn expected(&self, bucket: &Value, sql: &str) -> BTreeMap<String, i64> {
        let end = |name: &str| bucket[name].as_str().unwrap();
        let range = format!("created_at >= '{}' AND created_at < '{}'", end("start"), end("end"));
        let sql = sql.replace("$in", &range);
        let lines =
            self.service.database.lines(&format!("SELECT q.name || '=' || q.number FROM ({sql}) AS q (name, number)"));
        let pair = |line: &String| {
            let (name, number) = line.rsplit_once('=').unwrap();
            (name.to_owned(), number.parse().unwrap())
        };
        lines.iter().map(pair).collect()
    }
}

fn numbers(object: &Value) -> BTreeMap<String, i64> {
    let numbers = object.as_object().unwrap().iter().map(|(name, number)| (name.clone(), number.as_i64().unwrap()));
    numbers.filter(|(_, number)| *number > 0).collect()
}

fn sum(counts: &BTreeMap<String, i64>) -> i64 {
    counts.values().sum()
}

/// Views and signups of some days, with a source: one of 60, of which the first are more frequent,
/// an object, null, or none.
fn visits(first: &str, days: i64) -> Vec<Message> {
    let first: chrono::DateTime<chrono::Utc> = format!("{first}T00:00:00Z").parse().unwrap();
    let visit = |n: i64| {
        let time = (first + chrono::Duration::seconds(n * 7919 % (days * 86_400))).to_rfc3339();
        let mut payload =
            json!({ "viewedAt": time, "productId": "p", "utm": { "depth": n % 3 }, "userId": format!("u-{n}") });
        match n % 9 {
            0 => {}
            1 => payload["source"] = Value::Null,
            2 => payload["source"] = json!({ "name": "x" }),
            3 => payload["source"] = json!("y".repeat(101)),
            _ => payload["source"] = json!(format!("s-{}", (n * n) % 60 * (n % 2))),
        }
        Message::json(if n % 4 == 0 { "user.registered" } else { "product.viewed" }, payload)
    };
    (0..900).map(visit).collect()
}

#[test]
fn counts_by_hour_and_by_value_are_those_of_the_log() {
    for (zone, first, last, hours) in [
        ("Europe/Berlin", "2025-03-25", "2025-03-31", 7 * 24 - 1),
        ("Europe/Berlin", "2025-10-22", "2025-10-28", 7 * 24 + 1),
        ("Australia/Lord_Howe", "2026-04-01", "2026-04-07", 7 * 24 + 1),
    ] {
        let marketplace = Marketplace::open(zone, &[]);
        marketplace.send(&visits(first, 7));
        let range = format!("from={first}&to={last}");
        let by_type = "SELECT event_type, count(*) FROM event_logs WHERE $in AND $where GROUP BY 1";
        for (query, condition) in [
            ("", "true"),
            ("&type=product.viewed", "event_type = 'product.viewed'"),
            ("&where=metadata.utm.depth=1", "metadata -> 'utm' ->> 'depth' = '1'"),
            (
                "&where=metadata.utm.depth=2&where=metadata.source.name=x&type=product.viewed",
                "metadata -> 'utm' ->> 'depth' = '2' AND metadata -> 'source' ->> 'name' = 'x' AND event_type = 'product.viewed'",
            ),
            ("&where=metadata.source=null", "metadata ->> 'source' IS NULL"),
        ] {
            for interval in ["hour", "day", "week"] {
                let stats = marketplace.get(&format!("/api/events/stats?interval={interval}&{range}{query}"));
                let buckets = stats["buckets"].as_array().unwrap();
                if interval == "hour" {
                    assert_eq!(buckets.len(), hours, "{zone}");
                    assert!(
                        buckets.windows(2).all(|pair| pair[0]["end"].as_str() == pair[1]["start"].as_str()),
                        "{zone}"
                    );
                }
                let sql = by_type.replace("$where", condition);
                let mut total = 0;
                for bucket in buckets.iter().step_by(if interval == "hour" { 5 } else { 1 }) {
                    let expected = marketplace.expected(bucket, &sql);
                    total += sum(&expected);
                    assert_eq!(numbers(&bucket["counts"]), expected, "{zone} {interval} {query} {bucket}");
                }
                assert!(total > 0, "{zone} {query}");
            }
        }
        let stats = marketplace.get(&format!("/api/events/stats?by=metadata.source&{range}"));
        let buckets = stats["buckets"].as_array().unwrap();
        assert_eq!(buckets.len(), 7);
        let whole = json!({ "start": buckets[0]["start"], "end": buckets[6]["end"] });
        let top = "SELECT metadata ->> 'source', count(*) FROM event_logs WHERE $in AND length(metadata ->> 'source') <= 100 \
                   GROUP BY 1 ORDER BY 2 DESC, (metadata ->> 'source') COLLATE \"C\" LIMIT 50";
        let (most, all) = (marketplace.expected(&whole, top), "SELECT 'all', count(*) FROM event_logs WHERE $in AND ");
        let values = stats["by"]["values"].as_array().unwrap();
        let listed =
            values.iter().map(|value| (value["value"].as_str().unwrap().to_owned(), value["events"].as_i64().unwrap()));
        assert_eq!(listed.collect::<BTreeMap<_, _>>(), most, "{zone}");
        assert!(values.is_sorted_by_key(|value| -value["events"].as_i64().unwrap()));
        let missing = marketplace.expected(&whole, &format!("{all} metadata ->> 'source' IS NULL"))["all"];
        let valued = marketplace.expected(&whole, &format!("{all} metadata ->> 'source' IS NOT NULL"))["all"];
        assert_eq!(stats["by"]["missing"], missing);
        assert_eq!(stats["by"]["other"], valued - sum(&most));
        for bucket in buckets {
            let of_bucket = marketplace.expected(bucket, &top.replace("LIMIT 50", ""));
            let kept: BTreeMap<String, i64> =
                of_bucket.into_iter().filter(|(name, _)| most.contains_key(name)).collect();
            assert_eq!(numbers(&bucket["values"]), kept, "{zone} {bucket}");
            let all = sum(&kept) + bucket["other"].as_i64().unwrap() + bucket["missing"].as_i64().unwrap();
            assert_eq!(all, sum(&numbers(&bucket["counts"])));
        }
        let filtered =
            format!("/api/events?where=metadata.utm.depth=2&from={first}T00:00:00Z&to={last}T00:00:00Z&limit=1000");
        let listed = marketplace.get(&filtered);
        let ids: Vec<&str> =
            listed["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
        let expected = marketplace.service.database.lines(&format!(
            "SELECT id FROM event_logs WHERE metadata -> 'utm' ->> 'depth' = '2' \
             AND created_at >= '{first}T00:00:00Z' AND created_at < '{last}T00:00:00Z' ORDER BY id DESC"
        ));
        assert_eq!(ids, expected);
    }
}

#[test]
fn long_ranges_need_an_index_and_slow_reads_are_given_up() {
    let marketplace = Marketplace::open("UTC", &[("API_STATEMENT_TIMEOUT_MS", "700")]);
    marketplace.send(&visits("2026-10-01", 7));
    let refused = |path: &str| {
        let (status, parameter, detail) = marketplace.refused(path);
        assert_eq!(status, 400, "{path}");
        format!("{parameter}: {}", detail.strip_prefix(&format!("{parameter}: ")).unwrap())
    };
    let needs = "from: must be at most 31 days before to, because no condition of where has an index \
                 (analytics-jobs metadata-index)";
    let (year, times) = ("from=2026-01-01&to=2026-12-31", "from=2026-01-01T00:00:00Z&to=2026-12-31T00:00:00Z");
    let stats = format!("/api/events/stats?{year}&where=metadata.source=s-0");
    let list = format!("/api/events?{times}&where=metadata.source=s-0&limit=1000");
    for path in [
        &stats,
        &list,
        "/api/events?where=metadata.source=s-0",
        &format!("/api/events/stats?{year}&by=metadata.source"),
    ] {
        assert_eq!(refused(path), needs, "{path}");
    }
    for (path, why) in [
        (
            "/api/events/stats?interval=hour&from=2026-11-01&to=2026-11-08",
            "from: must be at most 7 days before to if interval is hour",
        ),
        ("/api/events/stats?where=source=x", "where: must begin with metadata. and a path, as in metadata.source"),
        ("/api/events/stats?where=metadata.source", "where: must be a path and a value, as in metadata.source=search"),
        ("/api/events/stats?by=metadata.a.b.c.d.e.f.g.h.i", "by: must be a path of at most 8 names"),
        ("/api/events/stats?by=metadata.a&by=metadata.b", "by: must be given only once"),
        ("/api/events?where=metadata.a%00=1", "where: must not contain the character U+0000"),
        (
            "/api/events?where=metadata.a%01=1",
            "where: must be a path of names separated by dots, each of letters, digits, and the characters _ - $ @ and :, as in utm.campaign",
        ),
        (&format!("/api/events?{}", ["where=metadata.a=1"; 6].join("&")), "where: must be given at most 5 times"),
        ("/api/arrivals/stats?interval=hour&period=90d", "from: must be at most 31 days before to if interval is hour"),
        ("/api/arrivals/stats?from=2020-01-01", "from: must be at most 366 days before to"),
    ] {
        assert_eq!(refused(path), why, "{path}");
    }
    assert_eq!(marketplace.get("/api/events/stats?interval=hour")["buckets"].as_array().unwrap().len(), 168);
    assert!(marketplace.get("/api/events/stats?by=metadata.source")["by"]["path"] == "metadata.source");

    let job = |arguments: &[&str]| marketplace.service.job(&[&["metadata-index"], arguments].concat());
    let (done, said) = job(&["--path", "source", "--type", "product.viewed"]);
    assert!(done && said.contains("reads rely on them now"), "{said}");
    assert_eq!(refused(&stats), needs, "the index has only views");
    for path in [&stats, &list] {
        marketplace.get(&format!("{path}&type=product.viewed"));
    }
    assert!(job(&["--path", "source"]).0);
    let expected =
        marketplace.service.database.number("SELECT count(*) FROM event_logs WHERE metadata ->> 'source' = 's-0'");
    let counted: i64 =
        marketplace.get(&stats)["buckets"].as_array().unwrap().iter().map(|b| sum(&numbers(&b["counts"]))).sum();
    assert_eq!(Some(counted), expected);
    assert_eq!(Some(marketplace.get(&list)["items"].as_array().unwrap().len() as i64), expected);
    assert_eq!(refused(&stats.replace("2026-01-01", "2025-01-01")), "from: must be at most 366 days before to",);
    assert!(job(&["--list"]).1.lines().filter(|line| line.contains("source") && line.contains("ready")).count() == 2);
    for (arguments, why) in [
        (&["--path", "a'b"][..], "must be a path of names"),
        (&["--path", "a", "--type", "x'); DROP TABLE event_logs; --"], "must be the type of an event"),
        (&["--path", "never", "--drop"], "there is no such index"),
        (&[], "--path"),
    ] {
        let (done, said) = job(arguments);
        assert!(!done && said.contains(why), "{arguments:?} {said}");
    }
    assert!(job(&["--path", "source", "--drop"]).0);
    assert_eq!(refused(&stats), needs);

    let mut holder = marketplace.service.database.connect();
    holder.batch_execute("BEGIN; LOCK TABLE event_logs IN ACCESS EXCLUSIVE MODE").unwrap();
    let answer = marketplace.admin().answer("/api/events/stats?by=metadata.source", &[]);
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "2"));
}

#[test]
fn arrivals_are_what_became_of_each_record() {
    // An hour of this zone never begins at a full hour of UTC.
    let mut marketplace = Marketplace::open("Asia/Kathmandu", &[]);
    let view =
        |n: u32| Message::json("product.viewed", json!({ "productId": "p", "eventId": format!("e-{}", n % 70) }));
    let mut messages: Vec<Message> = (0..100).map(view).collect();
    messages.extend((0..7).map(|_| Message::json("product.viewed", json!({}))));
    messages.extend((0..5).map(|_| Message::json("product.viewed", "{")));
    messages.extend((0..3).map(|n| Message::json("user.registered", json!({ "userId": format!("u-{n}") }))));
    marketplace.send(&messages);
    let prefix = marketplace.service.prefix.clone();
    let topics = |stats: &Value| {
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for bucket in stats["buckets"].as_array().unwrap() {
            for (topic, arrived) in bucket["topics"].as_object().unwrap() {
                let topic = topic.strip_prefix(&prefix).unwrap();
                let rejected = numbers(&arrived["deadLetters"]);
                for (outcome, records) in rejected.iter().map(|(reason, records)| (reason.as_str(), *records)).chain([
                    ("events", arrived["events"].as_i64().unwrap()),
                    ("duplicates", arrived["duplicates"].as_i64().unwrap()),
                ]) {
                    *sums.entry(format!("{topic} {outcome}")).or_default() += records;
                }
            }
        }
        sums.retain(|_, records| *records > 0);
        sums
    };
    let stats = marketplace.get("/api/arrivals/stats?interval=hour&period=today");
    // Counted before midnight or after it.
    let hours = marketplace.get("/api/arrivals/stats?interval=hour");
    let expected = |times: i64| -> BTreeMap<String, i64> {
        [
            ("product.viewed duplicates", 30 + (times - 1) * 100),
            ("product.viewed events", 70),
            ("product.viewed missing_field", 7 * times),
            ("product.viewed not_json", 5 * times),
            ("user.registered duplicates", 3 * (times - 1)),
            ("user.registered events", 3),
        ]
        .into_iter()
        .filter(|(_, records)| *records > 0)
        .map(|(name, records)| (name.to_owned(), records))
        .collect()
    };
    assert_eq!(topics(&hours), expected(1));
    assert_eq!(topics(&marketplace.get("/api/arrivals/stats")), expected(1));
    assert!(stats["buckets"][0]["start"].as_str().unwrap().ends_with("T00:00:00+05:45"), "{}", stats["buckets"][0]);
    let one = topics(&marketplace.get(&format!("/api/arrivals/stats?topic={prefix}user.registered")));
    assert_eq!(one, BTreeMap::from([("user.registered events".to_owned(), 3)]));
    assert_eq!(
        marketplace
            .service
            .database
            .number("SELECT count(*) FROM arrivals WHERE extract(minute FROM hour AT TIME ZONE 'Asia/Kathmandu') <> 0"),
        Some(0)
    );
    // The records arrive again.
    assert!(marketplace.ingest.stop().success());
    for topic in ["product.viewed", "user.registered"] {
        let topic = format!("{prefix}{topic}");
        marketplace.service.done(&["offsets", "set", "--topic", &topic, "--offset", "0"]);
    }
    marketplace.ingest = marketplace.service.ingest();
    marketplace.service.wait_consumed(marketplace.service.held() * 2);
    let again = topics(&marketplace.get("/api/arrivals/stats"));
    assert_eq!(again, expected(2));
    let offsets = marketplace
        .service
        .database
        .lines("SELECT sum(events) || ' ' || sum(duplicates) || ' ' || sum(rejected) FROM ingest_offsets");
    assert_eq!(offsets, [format!("73 {} 24", 30 + 103)]);
}

#[test]
fn an_order_is_counted_rejected_repeated_or_never_seen() {
    let mut marketplace = Marketplace::open("UTC", &[("API_MODE", "read-write")]);
    let order = |id: &str, more: Value| {
        let mut order = json!({ "orderId": id, "createdAt": "2026-11-20T10:00:00Z" });
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Message::json("order.created", order)
    };
    let lines = json!({ "sellerId": "of-order", "items": [
        { "productId": "p", "vendorId": "v", "price": "2.50", "qty": 2 },
        { "productId": "q", "price": "1.00" },
    ] });
    let no_vendor = json!({ "items": [{ "productId": "p", "price": "1.00" }, { "price": "1.00" }] });
    marketplace.send(&[order("o/1", lines.clone())]);
    marketplace.send(&[order("o/1", lines.clone()), order("o/1", lines.clone()), order("o-2", no_vendor)]);
    marketplace.send(&[order("o/1", json!({ "total": "9.00" })), order("bad", json!({ "total": "12,50" }))]);
    marketplace.send(&[Message::json("order.created", json!({ "total": "1.00" }))]);

    let found = marketplace.get("/api/orders/o%2F1");
    assert_eq!(
        (&found["state"], &found["batch"], &found["repeats"]),
        (&json!("counted"), &json!(1), &json!(2)),
        "{found}"
    );
    assert!(found["repeatedAt"].is_string());
    assert_eq!(
        (&found["metrics"]["seller_revenue:v"], &found["metrics"]["product_orders:p"]),
        (&json!(500), &json!(1))
    );
    let line = &found["lines"][0];
    assert_eq!((&line["amount"], &line["vendorId"], &line["attribution"]), (&json!(500), &json!("v"), &json!("line")));
    assert_eq!(
        (&found["lines"][1]["vendorId"], &found["lines"][1]["attribution"]),
        (&json!("of-order"), &json!("order"))
    );
    let conflict = &found["deadLetters"][0];
    assert_eq!((&conflict["reason"], &conflict["state"]), (&json!("identity_conflict"), &json!("open")));
    assert_eq!(found["deadLetters"].as_array().unwrap().len(), 1);

    let second = marketplace.get("/api/orders/o-2");
    assert_eq!(
        (&second["repeats"], &second["repeatedAt"], &second["deadLetters"]),
        (&json!(0), &Value::Null, &json!([]))
    );
    assert_eq!((&second["lines"][0]["vendorId"], &second["lines"][0]["attribution"]), (&json!("v"), &json!("learned")));
    assert_eq!(
        (&second["lines"][1]["vendorId"], &second["lines"][1]["attribution"]),
        (&Value::Null, &json!("unattributed"))
    );

    let bad = marketplace.get("/api/orders/bad");
    assert_eq!((&bad["state"], &bad["lines"], &bad["eventId"]), (&json!("rejected"), &json!([]), &Value::Null));
    let letter = &bad["deadLetters"][0];
    assert_eq!(letter["reason"], "invalid_amount");
    assert!(letter["detail"].as_str().unwrap().starts_with("total"), "{letter}");
    let never = marketplace.get("/api/orders/o-3");
    assert_eq!((&never["state"], &never["deadLetters"]), (&json!("never_seen"), &json!([])));

    // Replayed with a correction, it is counted; discarded, it is still known.
    let id = letter["id"].as_str().unwrap();
    let corrected = json!({ "payload": { "orderId": "bad", "total": "12.50", "createdAt": "2026-11-20T10:00:00Z" } });
    let (status, said) = marketplace.admin().post(&format!("/api/dead-letters/{id}/replay"), &corrected);
    assert_eq!(status, 200, "{said}");
    let now = marketplace.get("/api/orders/bad");
    assert_eq!((&now["state"], &now["deadLetters"][0]["state"]), (&json!("counted"), &json!("replayed")));
    assert_eq!(now["deadLetters"][0]["eventId"], now["eventId"]);
    marketplace.send(&[order("gone", json!({ "total": "x" }))]);
    let id = marketplace.get("/api/orders/gone")["deadLetters"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(marketplace.admin().delete(&format!("/api/dead-letters/{id}")).0, 200);
    let gone = marketplace.get("/api/orders/gone");
    assert_eq!((&gone["state"], &gone["deadLetters"][0]["state"]), (&json!("rejected"), &json!("discarded")));
    assert!(marketplace.ingest.stop().success());
}

//! Tests of NDJSON: complete, consistent, resumable, in bounded memory, and cut where it fails.

use std::io::{BufRead, BufReader, Read};
use std::thread;
use std::time::{Duration, Instant};

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::tally::Tally;
use analytics_testkit::traffic::Generator;
use analytics_testkit::wait;
use chrono::{Duration as ChronoDuration, Utc};
use serde_json::Value;

const EVENTS: usize = 200_000;

/// A stream that is being read.
struct Stream {
    as_of: String,
    lines: BufReader<Box<dyn Read>>,
}

impl Stream {
    fn open(client: &Client, path: &str) -> Self {
        let answer = client.open(path, &[("Accept", "application/x-ndjson")]);
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        let as_of = answer.headers()["as-of"].to_str().unwrap().to_owned();
        let body = answer.into_body().into_with_config().limit(1 << 30).reader();
        Self { as_of, lines: BufReader::with_capacity(512, Box::new(body)) }
    }

    /// Reads whole lines, at most so many. An error means that the stream was cut.
    fn take(&mut self, most: usize) -> Result<Vec<Value>, std::io::Error> {
        let mut items = Vec::new();
        let mut line = String::new();
        while items.len() < most && self.lines.read_line(&mut line)? > 0 {
            items.push(serde_json::from_str(&line).unwrap());
            line.clear();
        }
        Ok(items)
    }
}

fn ids<'a>(items: &'a [Value], name: &str) -> Vec<&'a str> {
    items.iter().map(|item| item[name].as_str().unwrap()).collect()
}

fn counted(events: usize) -> (Service, Process) {
    let service = Service::new(2);
    let ingest = service.ingest();
    // From three hours ago until now at most.
    let start = Utc::now() - ChronoDuration::hours(3);
    let messages: Vec<Message> = Generator::new(1, start, ChronoDuration::milliseconds(50)).take(events).collect();
    service.send(&messages);
    service.wait_all_consumed();
    (service, ingest)
}

/// Sessions of the API that are in a transaction.
const IN_TRANSACTION: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                              AND application_name = 'analytics-api' AND xact_start IS NOT NULL";

#[test]
fn a_stream_has_every_event_once_in_bounded_memory_while_others_arrive() {
    let (service, _ingest) = counted(EVENTS);
    let api = service.api();
    let client = Client::admin(&api.address);
    let expected = service.database.lines("SELECT id::text FROM event_logs ORDER BY id DESC");
    assert_eq!(expected.len(), EVENTS);
    // Warm up: what a page of the list needs anyway.
    assert_eq!(client.get("/api/events?limit=1000").0, 200);
    let before = api.peak_memory();

    // The client reads a little and then nothing. Nothing is held for it meanwhile.
    let mut stream = Stream::open(&client, "/api/events");
    let mut items = stream.take(100).unwrap();
    wait::until("no transaction to be open", PATIENCE, || {
        (service.database.number(IN_TRANSACTION) == Some(0)).then_some(())
    });
    service.send_traffic(&mut Tally::default(), 2, 5_000);
    service.wait_all_consumed();
    let first = items.len();
    items.extend(stream.take(20_000).unwrap());
    assert_eq!(items.len(), first + 20_000);

    // The connection is lost, and the client continues on another one. New events are sorted between
    // the old ones, which they are as old as.
    let (last, as_of) = (items.last().unwrap()["id"].as_str().unwrap().to_owned(), stream.as_of.clone());
    drop(stream);
    let path = format!("/api/events?cursor={last}&asOf={as_of}");
    thread::scope(|scope| {
        scope.spawn(|| service.send_traffic(&mut Tally::default(), 3, 5_000));
        let mut stream = Stream::open(&client, &path);
        assert_eq!(stream.as_of, as_of);
        items.extend(stream.take(usize::MAX).unwrap());
    });
    assert_eq!(ids(&items, "id"), expected);
    let grown = api.peak_memory().saturating_sub(before);
    let bytes: usize = items.iter().map(|item| item.to_string().len()).sum();
    println!("{bytes} bytes were streamed; the memory of the process grew by {grown} bytes");
    assert!(bytes > 40 << 20 && grown < 24 << 20, "{grown} of {bytes}");

    let (_, page) = client.get("/api/events?limit=5");
    let newest = Stream::open(&client, "/api/events?format=ndjson").take(5).unwrap();
    assert_eq!(page["items"], Value::Array(newest), "the same items as on a page");
}

#[test]
fn a_stream_of_a_metric_sums_to_it_also_when_it_is_continued() {
    let (service, _ingest) = counted(20_000);
    let api = service.api();
    let client = Client::admin(&api.address);
    let (_, page) = client.get("/api/metrics/total_revenue/events?limit=1000");
    let (value, as_of) = (page["value"].as_i64().unwrap(), page["asOf"].as_i64().unwrap());
    let path = "/api/metrics/total_revenue/events";
    let mut stream = Stream::open(&client, &format!("{path}?format=ndjson&asOf={as_of}"));
    let mut items = stream.take(500).unwrap();
    service.send_traffic(&mut Tally::default(), 2, 2_000);
    service.wait_all_consumed();
    assert_ne!(client.value("total_revenue"), Some(value));
    let last = items.last().unwrap()["eventId"].as_str().unwrap().to_owned();
    assert_eq!(stream.as_of, as_of.to_string());
    drop(stream);
    let rest = Stream::open(&client, &format!("{path}?cursor={last}&asOf={as_of}")).take(usize::MAX).unwrap();
    items.extend(rest);
    assert_eq!(items.iter().map(|item| item["delta"].as_i64().unwrap()).sum::<i64>(), value);
    assert_eq!(page["items"].as_array().unwrap()[..], items[..1000], "the same items as on a page");
    // An average is explained as it is, and continues as of where it began.
    let rated = service.database.lines("SELECT type FROM metrics WHERE type LIKE 'product_rating:%' LIMIT 1");
    let path = format!("/api/metrics/{}/events", rated[0].replace(':', "%3A"));
    let mut stream = Stream::open(&client, &path);
    let all = Stream::open(&client, &path).take(usize::MAX).unwrap();
    let mut parts = stream.take(1).unwrap();
    let last = parts[0]["eventId"].as_str().unwrap().to_owned();
    let rest = Stream::open(&client, &format!("{path}?cursor={last}&asOf={}", stream.as_of));
    parts.extend({ rest }.take(usize::MAX).unwrap());
    assert_eq!(parts, all);
}

#[test]
fn only_admins_stream_and_a_request_that_cannot_be_streamed_is_a_problem() {
    let (service, _ingest) = counted(1_000);
    let api = service.api();
    let lines = [("Accept", "application/x-ndjson")];
    let status = |client: &Client, path: &str| client.answer(path, &lines).status().as_u16();
    let vendor =
        service.database.lines("SELECT substr(type, 14) FROM metrics WHERE type LIKE 'seller_views:%' LIMIT 1");
    let own = format!("/api/metrics/seller_views%3A{}/events", vendor[0]);
    let (seller, support) = (Client::seller(&api.address, &vendor[0]), Client::support(&api.address));
    assert_eq!((status(&seller, &own), status(&support, &own)), (403, 403));
    assert_eq!((status(&seller, "/api/events"), status(&support, "/api/events")), (403, 403));
    assert_eq!(seller.get(&own).0, 200);
    let client = Client::admin(&api.address);
    assert_eq!(status(&client, &own), 200);
    for (path, parameter) in [
        ("/api/events?limit=10", "limit"),
        ("/api/events?cursor=abc&asOf=1", "cursor"),
        ("/api/events?cursor=00000000-0000-0000-0000-000000000000", "asOf"),
        ("/api/events?asOf=-1", "asOf"),
        ("/api/metrics/daily_signups/events", "type"),
        ("/api/metrics", "type"),
        ("/api/freshness", "format"),
        ("/api/sellers", "format"),
    ] {
        let answer = client.answer(path, &lines);
        let body: Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!((answer.status().as_u16(), &body["parameter"]), (400, &parameter.into()), "{path}: {body}");
    }
    assert_eq!(status(&client, "/api/metrics/product_views%3Anone/events"), 404);
    for path in ["/api/events?asOf=999999999", "/api/metrics/total_views/events?asOf=999999999"] {
        assert_eq!(status(&client, path), 409, "{path}");
    }
    assert_eq!(client.get("/api/events?asOf=0").1["items"], serde_json::json!([]));
    // A HEAD does not read the log.
    let head = ureq::head(format!("http://{}/api/events", api.address))
        .header("Accept", "application/x-ndjson")
        .header("Authorization", format!("Bearer {}", analytics_testkit::client::token("admin", None)));
    assert_eq!(head.call().unwrap().headers()["content-type"], "application/x-ndjson");
}

#[test]
fn a_stream_that_fails_is_cut_and_not_ended() {
    let (service, _ingest) = counted(50_000);
    let mut api = service.api();
    let client = Client::admin(&api.address);
    let mut stream = Stream::open(&client, "/api/events");
    assert_eq!(stream.take(10).unwrap().len(), 10);
    service.database.execute("ALTER TABLE event_logs RENAME TO event_logs_elsewhere");
    assert!(stream.take(usize::MAX).is_err(), "a cut stream looks complete");
    assert_eq!(client.answer("/api/events?format=ndjson", &[]).headers()["content-type"], "application/problem+json");
    service.database.execute("ALTER TABLE event_logs_elsewhere RENAME TO event_logs");
    // SIGTERM does not wait for a client, whether it reads or not.
    let mut stream = Stream::open(&client, "/api/events");
    let _not_read = Stream::open(&client, "/api/events");
    assert_eq!(stream.take(10).unwrap().len(), 10);
    let since = Instant::now();
    api.signal("-TERM");
    assert!(stream.take(usize::MAX).is_err(), "a cut stream looks complete");
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    assert!(api.wait_ended(Duration::from_secs(10)).success());
    assert!(api.log().contains("a stream was cut"), "{}", api.log());
}

#[test]
fn streams_are_bounded_in_number_and_free_their_place() {
    let (service, _ingest) = counted(20_000);
    let api = service.api();
    let client = Client::admin(&api.address);
    let open: Vec<Stream> = (0..16).map(|_| Stream::open(&client, "/api/events")).collect();
    let answer = client.answer("/api/events?format=ndjson", &[]);
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"2".parse().unwrap()));
    assert_eq!(client.get("/api/events").0, 200);
    drop(open);
    wait::until("a place for a stream", PATIENCE, || {
        (client.open("/api/events?format=ndjson", &[]).status() == 200).then_some(())
    });
}

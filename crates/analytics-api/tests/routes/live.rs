//! Tests of `/api/live`: what a stream sends and when, its places, and its end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use analytics_testkit::client::{Client, SECRET, token};
use analytics_testkit::database::{Database, Server};
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use serde_json::{Value, json};
use shared_auth::{Claims, mint};

/// A client of the stream.
struct Listener {
    head: String,
    reader: BufReader<TcpStream>,
}

/// What a client received.
#[derive(Debug, PartialEq)]
enum Received {
    Event {
        id: Option<String>,
        data: Value,
    },
    End(Value),
    /// The connection was closed after the whole response.
    Closed,
}

impl Listener {
    fn of(api: &Process, token: &str) -> Self {
        let mut stream = TcpStream::connect(&api.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET /api/live HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nAccept-Encoding: gzip\r\nLast-Event-ID: 7\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let (mut reader, mut head) = (BufReader::new(stream), String::new());
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
        }
        Self { head: head.to_lowercase(), reader }
    }

    fn status(&self) -> &str {
        &self.head["http/1.1 ".len()..][..3]
    }

    /// Reads until the next event or the end. Lines with the sizes of chunks, and comments, are skipped.
    fn next(&mut self) -> Received {
        let (mut id, mut is_end, mut last_size) = (None, false, String::new());
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).unwrap() == 0 {
                assert_eq!(last_size, "0", "the response is not whole");
                return Received::Closed;
            }
            let line = line.trim_end();
            match line.split_once(": ") {
                Some(("id", number)) => id = Some(number.to_owned()),
                Some(("event", kind)) => is_end = kind == "end",
                Some(("data", data)) => {
                    let data = serde_json::from_str(data).unwrap();
                    return if is_end { Received::End(data) } else { Received::Event { id, data } };
                }
                _ if !line.is_empty() => last_size = line.to_owned(),
                _ => {}
            }
        }
    }

    fn event(&mut self) -> Value {
        match self.next() {
            Received::Event { id, data } => {
                assert_eq!(id, data["asOf"].as_i64().map(|number| number.to_string()));
                data
            }
            other => panic!("{other:?}"),
        }
    }

    /// Reads events until one of this state.
    fn event_of(&mut self, state: &str) -> Value {
        loop {
            let event = self.event();
            if event["state"] == state {
                return event;
            }
        }
    }
}

/// An API in which an adjustment counts a batch, without a worker.
fn service() -> Service {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    service
}

/// Counts a batch, and returns its number.
fn count(client: &Client, value: i64) -> i64 {
    let (status, body) = client.post("/api/metrics/upsert", &json!({ "type": "newsletters", "value": value }));
    assert_eq!(status, 200, "{body}");
    body["asOf"].as_i64().unwrap()
}

#[test]
fn each_number_is_sent_once_and_is_readable_when_it_is_sent() {
    let service = service();
    let api = service.api();
    let client = Client::admin(&api.address);
    let before = count(&client, 1);
    let began = Instant::now();
    let mut listener = Listener::of(&api, &token("buyer", None));
    assert_eq!(listener.status(), "200");
    for header in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-store\r\n",
        "x-accel-buffering: no\r\n",
        "connection: close\r\n",
    ] {
        assert!(listener.head.contains(header), "{header}: {}", listener.head);
    }
    assert!(!listener.head.contains("gzip") && !listener.head.contains("etag"), "{}", listener.head);
    let mut seen = listener.event()["asOf"].as_i64().unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "the first event is sent at once");
    assert!(seen == before || seen == before - 1, "it is at most two seconds old");
    while seen < before {
        seen = listener.event()["asOf"].as_i64().unwrap();
    }
    let began = Instant::now();
    for value in 2..5 {
        let number = count(&client, value);
        while seen < number {
            let event = listener.event();
            let later = event["asOf"].as_i64().unwrap();
            assert!(later > seen, "{event}");
            seen = later;
            let read = client.answer("/api/metrics/newsletters", &[]);
            assert!(read.headers()["as-of"].to_str().unwrap().parse::<i64>().unwrap() >= seen);
        }
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "events come at most every second");
    assert!(api.metric("analytics_api_live_streams") >= 1.0);
}

#[test]
fn nothing_is_sent_while_nothing_changes() {
    let service = service();
    let api = service.api();
    let mut listener = Listener::of(&api, &token("admin", None));
    let first = listener.event();
    // The next thing after 15 silent seconds is a comment.
    let (began, mut line) = (Instant::now(), String::new());
    while !line.starts_with(':') {
        line.clear();
        listener.reader.read_line(&mut line).unwrap();
        assert!(!line.starts_with("data"), "{first} {line}");
    }
    assert!((Duration::from_secs(12)..Duration::from_secs(25)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn a_client_that_disappears_leaves_its_place_to_another() {
    let mut service = service();
    service.set("API_LIVE_CONNECTIONS", "1");
    let api = service.api();
    let client = Client::admin(&api.address);
    let admin = token("admin", None);
    let mut first = Listener::of(&api, &admin);
    first.event();
    let refused = client.answer("/api/live", &[]);
    let problem: Value = serde_json::from_str(refused.body()).unwrap();
    assert_eq!((refused.status().as_u16(), &problem["code"]), (503, &"too_many_streams".into()));
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u32>().is_ok());
    assert_eq!(api.metric("analytics_api_live_streams"), 1.0);
    for path in ["/api/live?x=1", "/api/live?format=csv"] {
        assert_ne!(client.answer(path, &[]).status(), 200, "{path}");
    }

    drop(first);
    let mut value = 0;
    let mut second = wait::until("the place to be free", PATIENCE, || {
        value += 1;
        count(&client, value);
        let second = Listener::of(&api, &admin);
        (second.status() == "200").then_some(second)
    });
    second.event();
}

#[test]
fn a_stream_ends_at_sigterm_and_does_not_delay_it() {
    let service = service();
    let mut api = service.api();
    let admin = token("admin", None);
    let mut listeners = [(); 3].map(|()| Listener::of(&api, &admin));
    for listener in &mut listeners {
        listener.event();
    }
    api.signal("-TERM");
    for listener in &mut listeners {
        assert_eq!(listener.next(), Received::End(json!({ "reason": "shutdown" })));
        assert_eq!(listener.next(), Received::Closed);
    }
    assert!(api.wait_ended(Duration::from_secs(5)).success());
}

#[test]
fn a_stream_ends_when_its_token_expires() {
    let service = service();
    let api = service.api();
    let exp = (chrono::Utc::now().timestamp() + 3).unsigned_abs();
    let claims = Claims { role: vec!["seller".into()], vendor_id: Some("v-1".into()), exp, ..Claims::default() };
    let mut listener = Listener::of(&api, &mint(SECRET.as_bytes(), &claims).unwrap());
    let began = Instant::now();
    listener.event();
    assert_eq!(listener.next(), Received::End(json!({ "reason": "token_expired" })));
    assert_eq!(listener.next(), Received::Closed);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_stream_says_that_the_database_is_away_and_goes_on() {
    let mut server = Server::start();
    let service = Service::on(Database::migrated_on(&server), 1);
    let (_ingest, api) = (service.ingest(), service.api());
    let mut listener = Listener::of(&api, &token("admin", None));
    let before = listener.event_of("live");
    server.crash();
    let away = listener.event_of("unavailable");
    assert_eq!(away["asOf"], before["asOf"]);
    server.run();
    let after = listener.event_of("live");
    assert!(after["asOf"].as_i64() >= before["asOf"].as_i64());
}

#[test]
fn head_takes_no_place() {
    let mut service = service();
    service.set("API_LIVE_CONNECTIONS", "0");
    let api = service.api();
    let mut stream = TcpStream::connect(&api.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("HEAD /api/live HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", token("admin", None));
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("text/event-stream"), "{answer}");
    assert_eq!(Client::admin(&api.address).open("/api/live", &[]).status(), 503);
}

//! Tests of the HTTP features that proxies, load balancers and browsers use: HEAD, conditional
//! requests, keep-alive, and redirects to the documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use analytics_testkit::broker::Message;
use analytics_testkit::client::token;
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;

/// A response as it was received.
pub(crate) struct Answer {
    pub(crate) status: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// Sends a request as an admin, on a connection that the server closes afterwards.
pub(crate) fn ask(address: &str, method: &str, path: &str, headers: &str) -> Answer {
    send(address, method, path, &format!("Authorization: Bearer {}\r\n{headers}", token("admin", None)), "")
}

/// Sends a request with these headers only.
pub(crate) fn send(address: &str, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{length}{headers}\r\n{body}").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let (status, lines) = head.split_once("\r\n").unwrap();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    Answer {
        status: status.trim_start_matches("HTTP/1.1 ").to_owned(),
        headers: lines.lines().map(|line| header(line).unwrap()).collect(),
        body: answer[end + 4..].to_vec(),
    }
}

fn counted() -> (Service, Process) {
    let service = Service::new(1);
    let ingest = service.ingest();
    service.send(&[
        Message::json("product.viewed", r#"{"productId":"p","vendorId":"v"}"#),
        Message::json("product.viewed", "nonsense"),
    ]);
    service.wait_all_consumed();
    service.done(&["verify"]);
    (service, ingest)
}

#[test]
fn head_is_get_without_the_body_on_every_route() {
    let (service, ingest) = counted();
    let api = service.api();
    let event = service.database.lines("SELECT id FROM event_logs").remove(0);
    let letter = service.database.lines("SELECT id FROM dead_letters").remove(0);
    let (event, letter) = (format!("/api/events/{event}"), format!("/api/dead-letters/{letter}"));
    let probes = ["/health/live", "/health/ready", "/metrics"];
    let paths = [
        "/api/metrics?type=total_views",
        "/api/metrics/total_views",
        "/api/metrics/total_views/events",
        "/api/events",
        &event,
        "/api/dead-letters",
        &letter,
        "/api/proofs",
        "/api/audit",
        "/api/freshness",
        "/api/me",
        "/",
        "/sellers/v",
        "/embed/seller",
        "/api/openapi.json",
        "/api/docs/",
    ];
    let of_api = probes.iter().chain(&paths).map(|path| (&api, *path));
    let mut wrong = Vec::new();
    for (process, path) in of_api.chain(probes.iter().map(|path| (&ingest, *path))) {
        for accepted in ["", "Accept-Encoding: gzip\r\n"] {
            let [get, head] = ["GET", "HEAD"].map(|method| ask(&process.address, method, path, accepted));
            assert!(get.status == "200 OK" && !get.body.is_empty(), "{path}: {}", get.status);
            let names = |answer: &Answer| answer.headers.keys().cloned().collect::<BTreeSet<_>>();
            let same =
                (names(&get), get.headers.get("content-type")) == (names(&head), head.headers.get("content-type"));
            if !same || head.status != "200 OK" || !head.body.is_empty() {
                wrong.push(format!("{path} {accepted}: {} {:?}, GET {:?}", head.status, head.headers, get.headers));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    // Where GET fails, HEAD fails with the same status.
    for (path, status) in [("/api/metrics/none", "404 Not Found"), ("/api/metrics/upsert", "405 Method Not Allowed")] {
        let head = ask(&api.address, "HEAD", path, "");
        assert_eq!((head.status.as_str(), head.body.len()), (status, 0), "{path}");
    }
}

#[test]
fn a_304_has_the_headers_of_the_full_response() {
    let (service, _ingest) = counted();
    let api = service.api();
    let asked = |method: &str, headers: &str| {
        ask(&api.address, method, "/api/metrics/total_views", &format!("Accept-Encoding: gzip\r\n{headers}"))
    };
    wait::until("freshness to be known", PATIENCE, || {
        asked("GET", "").headers.contains_key("data-as-of").then_some(())
    });
    let first = asked("GET", "");
    let known = format!("If-None-Match: {}\r\n", first.headers["etag"]);
    for method in ["GET", "HEAD"] {
        let again = asked(method, &known);
        assert_eq!((again.status.as_str(), again.body.len()), ("304 Not Modified", 0), "{method}");
        for name in ["etag", "vary", "cache-control"] {
            assert_eq!(again.headers.get(name), first.headers.get(name), "{method}: {name}");
        }
        assert!(again.headers["data-as-of"] >= first.headers["data-as-of"], "{method}: {:?}", again.headers);
        assert!(again.headers["data-lag-seconds"].parse::<u32>().is_ok(), "{method}: {:?}", again.headers);
        assert!(again.headers.contains_key("x-request-id"));
    }
    assert!(first.headers["vary"].eq_ignore_ascii_case("accept-encoding"));
}

/// Sends a request on a connection that is kept open, and reads the whole response.
fn live(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"live\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && !answer.to_lowercase().contains("connection: close"), "{answer}");
}

#[test]
fn an_idle_connection_is_kept_open_by_default() {
    let service = Service::new(1);
    let api = service.api();
    let mut stream = TcpStream::connect(&api.address).unwrap();
    live(&mut stream);
    stream.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
    let silence = stream.read(&mut [0]).map_err(|error| error.kind());
    assert!(
        matches!(silence, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "the connection was closed: {silence:?}"
    );
    live(&mut stream);
}

#[test]
fn an_idle_connection_is_closed_after_the_configured_time() {
    let mut service = Service::new(1);
    service.set("API_KEEP_ALIVE_SECONDS", "1");
    let api = service.api();
    let mut stream = TcpStream::connect(&api.address).unwrap();
    live(&mut stream);
    live(&mut stream);
    let since = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(stream.read(&mut [0]).map_err(|error| error.kind()), Ok(0));
    assert!(since.elapsed() > Duration::from_millis(500), "{:?}", since.elapsed());
}

#[test]
fn without_a_dashboard_the_root_redirects_to_the_documentation() {
    for base in ["", "/analytics"] {
        let mut service = Service::new(1);
        service.set("API_BASE_PATH", base);
        service.set("DASHBOARD", "off");
        let api = service.api();
        let docs = format!("{base}/api/docs/");
        for from in ["/".to_owned(), format!("{base}/"), format!("{base}/api/docs"), base.to_owned()] {
            if from.is_empty() {
                continue;
            }
            let answer = ask(&api.address, "GET", &from, "");
            assert!(answer.status.starts_with("307"), "{from}: {}", answer.status);
            assert_eq!(answer.headers["location"], docs, "{from}");
        }
        for page in ["/events", "/proofs", "/sellers/v-1", "/embed/seller"] {
            let answer = ask(&api.address, "GET", &format!("{base}{page}"), "");
            assert_eq!(answer.status, "404 Not Found", "{base}{page}");
        }
        let page = ask(&api.address, "GET", &docs, "");
        assert_eq!(page.status, "200 OK");
        assert!(String::from_utf8_lossy(&page.body).contains("swagger-ui"));
    }
}

//! Tests of an API on a hot standby: metrics and their explanations, while the primary continues to
//! count.

use std::io::{BufRead as _, BufReader};

use analytics_db::locks::Lock;
use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::database::{Database, Server};
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

struct Standby {
    primary: Service,
    replica: Server,
    api: Process,
    _ingest: Process,
    _server: Server,
}

impl Standby {
    fn start() -> Self {
        let server = Server::start();
        let primary = Service::on(Database::migrated_on(&server), 1);
        let replica = server.replica();
        let mut environment = primary.environment.clone();
        environment.insert("DATABASE_URL".into(), primary.database.url.replace(&server.address(), &replica.address()));
        let mut api = Process::start("analytics-api", "API_BIND", &environment);
        api.wait_ready();
        let ingest = primary.ingest();
        Self { primary, replica, api, _ingest: ingest, _server: server }
    }

    fn views(&self, count: usize) {
        self.primary.send(&vec![Message::json("product.viewed", r#"{"productId":"p"}"#); count]);
    }

    fn wait_for(&self, client: &Client, metric: &str, value: i64) {
        wait::until("the replica to follow", PATIENCE, || {
            let (status, metric) = client.metric(metric);
            (status == 200 && metric["value"] == value).then_some(())
        });
    }
}

/// Returns the sum over all pages of one event each, or the status of a page that is not 200.
/// `between` is called after the first page.
fn sum(client: &Client, path: &str, of: impl Fn(&Value) -> i64, between: impl FnOnce()) -> Result<i64, u16> {
    let (mut sum, mut cursor, mut between) = (0, String::new(), Some(between));
    loop {
        let (status, page) = client.get(&format!("{path}?limit=1{cursor}"));
        if status != 200 {
            assert_eq!(page["code"], "number_changed", "{page}");
            return Err(status);
        }
        sum += page["items"].as_array().unwrap().iter().map(|item| of(&item["delta"])).sum::<i64>();
        between.take().into_iter().for_each(|between| between());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(sum),
        }
    }
}

fn plain(delta: &Value) -> i64 {
    delta.as_i64().unwrap()
}

#[test]
fn pages_sum_to_the_number_of_the_first_one() {
    let standby = Standby::start();
    let client = Client::admin(&standby.api.address);
    standby.views(5);
    standby.wait_for(&client, "total_views", 5);
    let path = "/api/metrics/total_views/events";
    assert_eq!(sum(&client, path, plain, || ()), Ok(5), "without further events");

    // A batch is logged and cannot be counted. It is counted between two pages.
    let mut holder = standby.primary.database.connect();
    holder.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({})", Lock::Counting as i64)).unwrap();
    standby.views(3);
    let waiting = "SELECT count(*) FROM batches WHERE number IS NULL";
    wait::until("the batch", PATIENCE, || (standby.primary.database.number(waiting) > Some(0)).then_some(()));
    let summed = sum(&client, path, plain, || {
        holder.batch_execute("ROLLBACK").unwrap();
        standby.wait_for(&client, "total_views", 8);
    });
    assert_eq!(summed, Ok(5), "later pages show the same batches as the first one");
    assert_eq!(sum(&client, path, plain, || ()), Ok(8), "started again");

    // A change of another metric does not affect the pages.
    let other = sum(&client, path, plain, || {
        standby.primary.send(&[Message::json("user.registered", r#"{"userId":"u"}"#)]);
        standby.wait_for(&client, "total_signups", 1);
    });
    assert_eq!(other, Ok(8));
}

#[test]
fn a_late_rating_between_two_pages_does_not_change_them() {
    let standby = Standby::start();
    let client = Client::admin(&standby.api.address);
    let rate = |stars: i64, time: &str| {
        let rating = json!({ "userId": "u", "productId": "p", "stars": stars, "updatedAt": time });
        standby.primary.send(&[Message::json("rating.updated", rating)]);
    };
    rate(3, "2026-11-20T10:00:00Z");
    rate(5, "2026-11-20T12:00:00Z");
    standby.wait_for(&client, "product_rating:p", 500);
    let path = "/api/metrics/product_rating%3Ap/events";
    let stars = |delta: &Value| delta["sum"].as_i64().unwrap();
    assert_eq!(sum(&client, path, stars, || ()), Ok(5));
    let summed = sum(&client, path, stars, || {
        rate(1, "2026-11-20T11:00:00Z");
        wait::until("the late rating to be counted", PATIENCE, || {
            let (_, page) = client.get(path);
            (page["items"].as_array().map(Vec::len) == Some(3)).then_some(())
        });
    });
    assert_eq!(summed, Ok(5));
    assert_eq!(sum(&client, path, stars, || ()), Ok(5));
}

#[test]
fn a_cursor_from_the_primary_works_on_a_replica_that_has_caught_up() {
    let standby = Standby::start();
    let replica = Client::admin(&standby.api.address);
    let api = standby.primary.api();
    let primary = Client::admin(&api.address);
    standby.views(5);
    standby.wait_for(&replica, "total_views", 5);
    let path = "/api/metrics/total_views/events?limit=2";
    let (_, first) = primary.get(path);
    standby.views(4);
    standby.wait_for(&replica, "total_views", 9);
    let (mut items, mut cursor) = (first["items"].as_array().unwrap().len(), first["nextCursor"].clone());
    while let Some(next) = cursor.as_str() {
        // The primary and the replica take turns.
        let client = if items % 4 == 0 { &primary } else { &replica };
        let page = wait::until("the replica to catch up", PATIENCE, || {
            let (status, page) = client.get(&format!("{path}&cursor={next}"));
            (status == 200).then_some(page)
        });
        items += page["items"].as_array().unwrap().len();
        cursor = page["nextCursor"].clone();
    }
    assert_eq!(items, 5);
    drop(standby.replica);
}

#[test]
fn a_live_stream_follows_the_replica() {
    let standby = Standby::start();
    let client = Client::admin(&standby.api.address);
    let body = client.open("/api/live", &[]).into_body();
    let mut lines = BufReader::new(body.into_reader()).lines().map(Result::unwrap);
    let mut next = || -> Value {
        let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).unwrap();
        serde_json::from_str(&data).unwrap()
    };
    let before = next();
    standby.views(5);
    let after = std::iter::repeat_with(next).find(|event| event["asOf"].as_i64() > before["asOf"].as_i64()).unwrap();
    let answer = client.answer("/api/metrics/total_views", &[]);
    let number: i64 = answer.headers()["as-of"].to_str().unwrap().parse().unwrap();
    assert!(Some(number) >= after["asOf"].as_i64(), "{number} {after}");
}

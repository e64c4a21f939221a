//! Months that are closed for sellers: each statement once, checked anywhere, and restated where something came late.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::thread;

use analytics_testkit::broker::{self, Message};
use analytics_testkit::database::unique_name;
use analytics_testkit::process::{self, Job, Process};
use analytics_testkit::service::{PATIENCE, STATEMENT_KEY as KEY, Service};
use analytics_testkit::wait;
use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};

/// The public half of the key that signs.
pub(crate) const PUBLIC: &str = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";

pub(crate) fn service() -> (Service, Process) {
    let mut service = Service::new(1);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    service.set("STATEMENT_SIGNING_KEY", KEY);
    let ingest = service.ingest();
    (service, ingest)
}

pub(crate) fn order(id: &str, lines: &[(&str, &str, &str)], day: u32) -> Message {
    let item = |(vendor, amount, currency): &(&str, &str, &str)| json!({ "productId": "tea", "vendorId": vendor, "totalPrice": amount, "currency": currency, "quantity": 2 });
    let items: Vec<Value> = lines.iter().map(item).collect();
    Message::json(
        "order.created",
        json!({ "orderId": id, "items": items, "placedAt": format!("2026-10-{day:02}T12:00:00Z") }),
    )
}

pub(crate) fn refund(id: &str, order: &str, amount: &str, day: u32) -> Message {
    let payload = json!({ "refundId": id, "orderId": order, "amount": amount, "currency": "USD", "refundedAt": format!("2026-10-{day:02}T12:00:00Z") });
    Message::json("order.refunded", payload)
}

pub(crate) fn send(service: &Service, messages: &[Message]) {
    let before = service.consumed();
    service.send(messages);
    service.wait_consumed(before + messages.len() as i64);
}

/// Compares everything with Kafka and with the log.
fn prove(service: &Service) {
    let (well, said) = service.audit();
    assert!(well, "{said}");
    service.done(&["verify", "--full"]);
}

/// Tries to close October, as soon as ingest has said that it is counted.
fn attempt(service: &Service) -> (bool, String) {
    wait::until("the month to be complete", PATIENCE, || {
        let (well, said) = service.job(&["statements", "close", "--month", "2026-10"]);
        (!said.contains("not all topics are counted")).then_some((well, said))
    })
}

pub(crate) fn close(service: &Service) -> String {
    let (well, said) = attempt(service);
    assert!(well, "{said}");
    said
}

pub(crate) fn csv(service: &Service, vendor: &str, version: u32) -> String {
    let query = format!("SELECT csv FROM statements WHERE vendor_id = '{vendor}' AND version = {version}");
    service.database.lines(&query).join("\n")
}

/// A folder of files, which is removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(std::env::temp_dir().join(unique_name()));
        std::fs::create_dir(&folder.0).unwrap();
        folder
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _is_removed = std::fs::remove_dir_all(&self.0);
    }
}

/// Checks files as somebody does who has nothing but the program.
pub(crate) fn check(arguments: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["statements", "check"], arguments].concat();
    let Output { status, stdout, stderr } = process::run("analytics-jobs", &arguments, &BTreeMap::new());
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// Asserts that the last versions of all statements say what the metrics say.
fn assert_sums_are_the_metrics(service: &Service) {
    let sums = "SELECT DISTINCT ON (vendor_id) vendor_id || ' ' || split_part(l, ',', 2) || ' ' || split_part(l, ',', 9) \
         FROM statements s, regexp_split_to_table(csv, E'\\n') l \
         WHERE l LIKE 'sum,USD,%' ORDER BY vendor_id, version DESC";
    let metrics = "SELECT subject || ' USD ' || sum(coalesce(revenue, 0) - coalesce(refunds, 0)) FROM rollups \
         WHERE scope = 's' AND granularity = 'd' AND currency = '' AND bucket_start >= '2026-10-01' \
         AND bucket_start < '2026-11-01' GROUP BY subject ORDER BY subject";
    let (sums, metrics) = (service.database.lines(sums), service.database.lines(metrics));
    assert!(!sums.is_empty() && sums == metrics, "{:?}", sums.iter().zip(&metrics).find(|(sum, metric)| sum != metric));
}

#[test]
fn a_month_is_closed_once_and_a_late_refund_restates_it() {
    let (service, _ingest) = service();
    send(
        &service,
        &[
            order("o-1", &[("v", "10.00", "USD"), ("w", "5.00", "USD"), ("v", "3.00", "EUR")], 1),
            order("o-2", &[("v", "7.00", "USD")], 31),
            refund("r-1", "o-1", "3.00", 5),
            Message::json("order.created", "{}"),
        ],
    );
    let (well, said) = service.job(&["statements", "close", "--month", "2099-10"]);
    assert!(!well && said.contains("2099-10 can be closed from 2099-11-04T00:00:00Z on"), "{said}");
    let (well, said) = attempt(&service);
    assert!(!well && said.contains("2026-10 is not proved") && said.contains("there is no complete proof"), "{said}");
    // As if everything had been logged when it happened. What is logged later does not keep a month open.
    service.database.execute("UPDATE offset_ranges SET first_logged_at = '2026-10-31'");
    service.done(&["verify", "--full"]);
    let (well, said) = attempt(&service);
    assert!(!well && said.contains("records are not compared with Kafka: run `analytics-ingest audit`"), "{said}");
    prove(&service);
    let said = close(&service);
    assert!(said.contains("2026-10: 2 statements closed, 0 restated, 0 unchanged") && said.contains(PUBLIC), "{said}");

    let first = csv(&service, "v", 1);
    let lines: Vec<&str> = first.lines().filter(|line| line.starts_with("line") || line.starts_with("sum")).collect();
    assert_eq!(
        lines,
        [
            "line,EUR,2026-10-01,1,2,300,0,0,300",
            "sum,EUR,,1,2,300,0,0,300",
            "line,USD,2026-10-01,1,2,1000,0,0,1000",
            "line,USD,2026-10-05,0,0,0,200,0,-200",
            "line,USD,2026-10-31,1,2,700,0,0,700",
            "sum,USD,,2,4,1700,200,0,1500",
        ]
    );
    assert_sums_are_the_metrics(&service);
    // Again: nothing has changed.
    assert!(close(&service).contains("0 statements closed, 0 restated, 2 unchanged"));

    // A refund of October comes late, for one seller.
    send(&service, &[refund("r-2", "o-2", "1.50", 31)]);
    let said = close(&service);
    assert!(said.contains("0 statements closed, 1 restated, 1 unchanged"), "{said}");
    let second = csv(&service, "v", 2);
    assert!(second.contains("\nversion,2\n") && second.contains("\nsum,USD,,2,4,1700,350,0,1350\n"), "{second}");
    let refund = service.database.lines("SELECT id::text FROM event_logs ORDER BY batch_id DESC LIMIT 1").remove(0);
    let late = format!(
        "\nrestates,1\ncolumns,id,type,occurredAt,currency,delta\nlate,{refund},order.refunded,2026-10-31T12:00:00.000Z,USD,-150\ndigest,"
    );
    assert!(second.contains(&late), "{second}");
    assert_sums_are_the_metrics(&service);
    assert!(close(&service).contains("0 statements closed, 0 restated, 2 unchanged"));
    assert!(service.done(&["statements", "list", "--vendor", "v"]).contains("1350 USD"));

    // Anybody can check both, and that the second follows the first.
    let folder = Folder::new();
    let (one, two) = (folder.file("1.csv", &first), folder.file("2.csv", &second));
    let (code, said) = check(&[&one, &two, "--public-key", PUBLIC]);
    assert!(code == Some(0) && said.contains("v, 2026-10, version 2") && said.lines().count() == 2, "{said}");
    let (code, said) = check(&[&two, &one]);
    assert!(code == Some(1) && said.contains("1.csv: line 12: the statement before has the digest"), "{said}");
    let other = folder.file("other.pub", &KEY.replace("\\n", "\n"));
    assert_eq!(check(&[&one, "--public-key", &other]).0, Some(1));
    // After a change of the key, both are given.
    let old = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let (code, said) = check(&[&one, "--public-key", old]);
    assert!(code == Some(1) && said.contains(&format!("not by {old}")), "{said}");
    assert_eq!(check(&[&one, &two, "--public-key", old, "--public-key", PUBLIC]).0, Some(0));
    for (from, to, line) in [
        ("2026-10-31,1,2,700", "2026-10-31,1,2,701", "line 19: the net is 700, but it must be 701"),
        ("sum,USD,,2,4,1700", "sum,USD,,2,4,1600", "line 20: the sum of gross is 1600, but it must be 1700"),
        ("openDeadLetters,", "openDeadLetters,1", "line 25: the digest"),
    ] {
        let changed = first.replacen(from, to, 1);
        assert_ne!(changed, first, "{from}");
        let (code, said) = check(&[&folder.file("changed.csv", &changed)]);
        assert!(code == Some(1) && said.contains(line), "{from}: {said}");
    }

    // The database changes no statement either.
    for change in ["UPDATE statements SET csv = ''", "DELETE FROM statements", "TRUNCATE statements"] {
        let refused = service.database.connect().batch_execute(change).unwrap_err().to_string();
        assert!(refused.contains("statements are never changed"), "{change}: {refused}");
    }
}

#[test]
fn gaps_are_named_by_the_statements_if_they_are_accepted() {
    let (service, _ingest) = service();
    let old = chrono::DateTime::parse_from_rfc3339("2026-10-02T00:00:00Z").unwrap().timestamp_millis();
    let damaged = Message { timestamp: Some(old), ..Message::json("order.created", "{}") };
    send(&service, &[order("o-1", &[("v", "10.00", "USD")], 1), damaged]);
    let arguments = ["statements", "close", "--month", "2026-10", "--accept-gaps"];
    let said = service.done(&arguments);
    assert!(said.contains("gap: there is no complete proof") && said.contains("1 statements closed"), "{said}");
    let csv = csv(&service, "v", 1);
    assert!(
        csv.contains("\nprovedAsOf,\nopenDeadLetters,1\n") && csv.contains("\ngap,there is no complete proof"),
        "{csv}"
    );
    // What is changed by hand is a line of its own, also of a month that is closed.
    let mut other = service.environment.clone();
    other.remove("STATEMENT_SIGNING_KEY");
    let refused = process::run("analytics-jobs", &arguments, &other);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("STATEMENT_SIGNING_KEY: must be set"), "{said}");
}

#[test]
fn drift_is_not_accepted_as_missing_records() {
    let (service, _ingest) = service();
    send(&service, &[order("o-1", &[("v", "10.00", "USD")], 1)]);
    prove(&service);
    service.database.execute("UPDATE metrics SET value = value + 1 WHERE type = 'total_orders'");
    assert!(!service.job(&["verify", "--full"]).0);
    wait::until("the month to be complete", PATIENCE, || {
        let (well, said) = service.job(&["statements", "close", "--month", "2026-10", "--accept-missing"]);
        assert!(!well && said.contains("numbers differ from the event log"), "{said}");
        (!said.contains("not all topics are counted")).then_some(())
    });
    service.done(&["statements", "close", "--month", "2026-10", "--accept-gaps"]);
    assert!(csv(&service, "v", 1).contains(" numbers differ from the event log"));
}

#[test]
fn without_a_month_the_last_three_are_closed_and_restated() {
    let (service, _ingest) = service();
    let over = chrono::Utc::now().date_naive() - chrono::Days::new(3);
    // At noon UTC of the 15th, which is in the same month everywhere.
    let month = |ago: u32| (over - chrono::Months::new(ago)).format("%Y-%m").to_string();
    let ordered = |id: &str, ago: u32| {
        let item =
            json!({ "productId": "tea", "vendorId": "v", "totalPrice": "1.00", "currency": "USD", "quantity": 1 });
        let at = format!("{}-15T12:00:00Z", month(ago));
        Message::json("order.created", json!({ "orderId": id, "items": [item], "placedAt": at }))
    };
    let orders: Vec<Message> = (1..=4).map(|ago| ordered(&format!("o-{ago}"), ago)).collect();
    send(&service, &orders);
    let statements = || {
        service.database.lines("SELECT to_char(month, 'YYYY-MM') || ' ' || version FROM statements ORDER BY position")
    };
    let arguments = ["statements", "close", "--accept-gaps"];
    service.done(&arguments);
    let first = [3, 2, 1].map(|ago| month(ago) + " 1");
    assert_eq!(statements(), first);
    send(&service, &[ordered("o-5", 3)]);
    service.done(&arguments);
    assert_eq!(statements(), [&first[..], &[month(3) + " 2"]].concat());
    // What keeps each of them open is said of each.
    let (well, said) = service.job(&["statements", "close"]);
    assert!(!well && [1, 2, 3].iter().all(|ago| said.contains(&(month(*ago) + " is not proved"))), "{said}");
}

#[test]
fn numbers_that_differ_from_the_log_are_not_closed() {
    let (service, _ingest) = service();
    send(&service, &[order("o-1", &[("v", "10.00", "USD")], 1), order("o-2", &[("w", "10.00", "USD")], 1)]);
    service
        .database
        .execute("UPDATE rollups SET revenue = 900 WHERE scope = 's' AND subject = 'v' AND granularity = 'd'");
    let arguments = ["statements", "close", "--month", "2026-10", "--accept-gaps"];
    let (well, said) = service.job(&arguments);
    assert!(
        !well && said.contains("the numbers of 1 sellers are not what their events come to, the first is \"v\""),
        "{said}"
    );
    assert_eq!(service.database.lines("SELECT vendor_id FROM statements"), ["w"]);
    assert_eq!(service.database.number("SELECT count(finished_at) FROM statement_closings"), Some(0));
    service.database.execute("UPDATE rollups SET revenue = 1000 WHERE revenue = 900");
    assert!(service.done(&arguments).contains("1 statements closed, 0 restated, 1 unchanged"));
    assert_eq!(service.database.number("SELECT count(finished_at) FROM statement_closings"), Some(1));
}

/// Orders of 250 sellers.
fn many(service: &Service) {
    let orders: Vec<Message> = (0..250)
        .map(|seller| order(&format!("o-{seller}"), &[(&format!("v-{seller:03}"), "2.00", "USD")], 3))
        .collect();
    send(service, &orders);
}

/// Asserts that every seller has one statement of the month.
fn assert_each_once(service: &Service) {
    let count = |what: &str| service.database.number(&format!("SELECT count({what}) FROM statements"));
    assert_eq!((count("*"), count("DISTINCT vendor_id")), (Some(250), Some(250)));
    assert_eq!(service.database.number("SELECT max(version) + max(position) FROM statements"), Some(2));
    assert_sums_are_the_metrics(service);
}

#[test]
fn a_run_that_is_killed_in_the_middle_is_continued() {
    let (service, _ingest) = service();
    many(&service);
    // Another transaction is about to store a statement of the second hundred: the run waits for it there.
    let mut other = service.database.connect();
    other
        .batch_execute(
            "BEGIN; INSERT INTO statement_closings (month, as_of, last_batch, unseen_batches) VALUES ('2026-10-01', 1, 1, '{}'); \
             INSERT INTO statements SELECT 'v-150', '2026-10-01', 1, 1, max(id), now(), decode(repeat('00', 32), 'hex'), \
             decode(repeat('00', 32), 'hex'), '' FROM statement_closings",
        )
        .unwrap();
    let arguments = ["statements", "close", "--month", "2026-10", "--accept-gaps"];
    let killed = Job::start("analytics-jobs", &arguments, &service.environment);
    let stored = || service.database.number("SELECT count(*) FROM statements").unwrap();
    wait::until("the first hundred", PATIENCE, || (stored() > 0).then_some(()));
    drop(killed);
    assert_eq!(stored(), 100);
    other.batch_execute("ROLLBACK").unwrap();
    let said = service.done(&arguments);
    assert!(said.contains("150 statements closed, 0 restated, 100 unchanged"), "{said}");
    assert_each_once(&service);
}

#[test]
fn runs_at_once_close_each_statement_once() {
    let (service, _ingest) = service();
    many(&service);
    let arguments = ["statements", "close", "--month", "2026-10", "--accept-gaps"];
    let said: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| service.done(&arguments))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let number = |said: &String| -> i64 {
        let (_, rest) = said.split_once("2026-10: ").unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(said.iter().map(number).sum::<i64>(), 250, "{said:?}");
    assert_each_once(&service);
}

#[test]
fn a_statement_that_another_run_stores_meanwhile_is_read_again() {
    let (service, _ingest) = service();
    send(&service, &[order("o-1", &[("v", "10.00", "USD")], 1)]);
    let arguments = ["statements", "close", "--month", "2026-10", "--accept-gaps"];
    service.done(&arguments);
    // Two orders come late: two runs make one version of them.
    send(&service, &[order("o-2", &[("v", "1.00", "USD")], 2), order("o-3", &[("v", "2.00", "USD")], 2)]);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| service.done(&arguments));
        }
    });
    let second = csv(&service, "v", 2);
    assert_eq!(second.lines().filter(|line| line.starts_with("late,")).count(), 2, "{second}");
    assert_eq!(service.database.number("SELECT count(*) FROM statements"), Some(2));
}

#[test]
fn months_are_calculated_for_the_marketplace() {
    let (service, ingest) = service();
    send(&service, &[order("o-1", &[("v", "10.00", "USD"), ("w", "1.00", "EUR")], 1), refund("r-1", "o-1", "4.00", 9)]);
    let numbers = || {
        service.database.lines("SELECT month || ' ' || complete || ' ' || (numbers->'currencies')::text FROM months")
    };
    let is_complete = |complete: bool| {
        let said = service.done(&["months"]);
        said.contains(&format!("1 months calculated, {} of them complete", u8::from(complete))).then_some(())
    };
    wait::until("a complete month", PATIENCE, || is_complete(true));
    let of_october =
        r#"{"EUR": {"net": 100, "gross": 100, "refunds": 0}, "USD": {"net": 600, "gross": 1000, "refunds": 400}}"#;
    assert_eq!(numbers(), [format!("2026-10-01 true {of_october}")]);
    drop(ingest);
    // As if ingest had not reported for an hour, since before the month was over.
    service.database.execute(
        "UPDATE ingest_offsets SET updated_at = updated_at - interval '1 hour', caught_up_at = '2026-10-30', \
         counted_timestamp = NULL",
    );
    is_complete(true).expect("what was complete once stays so");
    service.database.execute("UPDATE months SET complete = false");
    is_complete(false).expect("ingest has not counted the month's end");
    assert_eq!(numbers(), [format!("2026-10-01 false {of_october}")]);
}

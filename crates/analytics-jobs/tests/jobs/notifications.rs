//! Notifications: everything is told once, however the receiver and the jobs fail.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use analytics_testkit::database::Database;
use analytics_testkit::process::{self, Job};
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;

use crate::anomalies::Watched;
use crate::receiver::{Answer, Received, Receiver, SECRET};

/// Runs `anomalies` on a database with the receiver. Returns whether it succeeded, and what it said.
fn find(watched: &Watched, receiver: &Receiver) -> (bool, String) {
    run(&["anomalies"], &environment(&watched.0, receiver))
}

fn run(arguments: &[&str], environment: &BTreeMap<String, String>) -> (bool, String) {
    let output = process::run("analytics-jobs", arguments, environment);
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

pub(crate) fn environment(database: &Database, receiver: &Receiver) -> BTreeMap<String, String> {
    [
        ("DATABASE_URL", database.url.as_str()),
        ("NOTIFY_WEBHOOK_URL", &receiver.url),
        ("NOTIFY_WEBHOOK_SECRET", &format!("whsec_{SECRET}")),
        ("PUBLIC_URL", "https://analytics.example.com/numbers/"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// The types of what was received, each with its `id`, in order.
fn types(received: &[Received]) -> Vec<String> {
    received.iter().map(|request| request.body()["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_anomaly_is_told_when_it_opens_and_when_it_ends_and_not_in_between() {
    let watched = Watched::new();
    let receiver = Receiver::start();
    assert!(find(&watched, &receiver).0);
    assert!(receiver.received().is_empty(), "nothing is unusual");
    watched.change_hours("1, 2, 3", 0.2);
    for _ in 0..2 {
        let (succeeded, said) = find(&watched, &receiver);
        assert!(succeeded, "{said}");
        assert_eq!(types(&receiver.received()), ["anomalies.opened"], "{said}");
    }
    let opened = receiver.received().remove(0);
    assert!(opened.is_signed(), "{opened:?}");
    assert_eq!(opened.headers["content-type"], "application/json");
    let body = opened.body();
    let item = &body["data"]["items"][0];
    let id = watched.0.lines("SELECT id::text FROM anomalies").remove(0);
    assert_eq!((&item["id"], &item["type"], &item["verdict"]), (&id.into(), &"total_views".into(), &"drop".into()));
    assert_eq!(item["link"], "https://analytics.example.com/numbers/");
    let text = body["text"].as_str().unwrap();
    assert!(text.starts_with("drop of total_views: ") && text.contains(" instead of "), "{text}");
    watched.change_hours("1, 2, 3", 5.0);
    find(&watched, &receiver);
    find(&watched, &receiver);
    assert_eq!(types(&receiver.received()), ["anomalies.opened", "anomalies.resolved"]);
}

#[test]
fn an_anomaly_at_the_edge_of_its_band_is_told_once() {
    let watched = Watched::new();
    let receiver = Receiver::start();
    watched.change_hours("1, 2, 3", 0.2);
    find(&watched, &receiver);
    assert_eq!(types(&receiver.received()), ["anomalies.opened"]);
    // The last hour is counted late. Its value is this far from what is expected: 1 is the edge of the band.
    let becomes = |distance: f64| {
        watched.0.execute(&format!(
            "UPDATE rollups r SET views = round(j.expected - {distance} * (j.expected - j.lower)) FROM judgements j
             WHERE j.type = 'total_views' AND j.granularity = 'h' AND r.granularity = 'h' AND r.scope = 't'
             AND r.bucket_start = j.from_time"
        ));
        let (succeeded, said) = find(&watched, &receiver);
        assert!(succeeded, "{said}");
    };
    for distance in [0.9, 1.1, 0.7, 1.3, 0.95] {
        becomes(distance);
        assert_eq!(watched.stored(), ["total_views drop open"], "{distance}");
    }
    assert_eq!(types(&receiver.received()), ["anomalies.opened"]);
    becomes(0.2);
    assert_eq!(types(&receiver.received()), ["anomalies.opened", "anomalies.resolved"]);
}

#[test]
fn a_receiver_that_fails_is_asked_again_and_the_next_run_delivers_what_is_left() {
    let watched = Watched::new();
    let receiver = Receiver::start();
    watched.change_hours("1, 2, 3", 0.2);
    // Two failures, then success, in one run.
    receiver.answers(&[Answer::Status(503, "Retry-After: 1\r\n"), Answer::Nothing]);
    let (succeeded, said) = find(&watched, &receiver);
    assert!(succeeded && said.contains("1 notifications delivered"), "{said}");
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|request| request.id() == received[0].id() && request.text == received[0].text));
    assert!(received.iter().all(Received::is_signed));

    // A receiver that is away does not keep the job from recording, and is reported.
    watched.change_hours("1, 2, 3", 5.0);
    receiver.answers(&vec![Answer::Status(500, ""); 4]);
    let (succeeded, said) = find(&watched, &receiver);
    let problem = "1 notifications could not be delivered, the next run tries them again: the receiver answered 500";
    assert!(!succeeded && said.contains(problem), "{said}");
    assert!(said.contains("1 resolved"), "{said}");
    assert!(!said.contains(&receiver.url) && !said.contains(SECRET), "{said}");
    assert_eq!(watched.stored(), ["total_views drop resolved"]);
    assert_eq!(receiver.received().len(), 7);
    assert!(find(&watched, &receiver).0);
    assert_eq!(receiver.received().len(), 8);
    let left = watched.0.number("SELECT count(*) FROM notifications WHERE delivered_at IS NULL");
    assert_eq!(left, Some(0));
}

/// Leaves two notifications that are not delivered.
fn two_waiting(watched: &Watched, receiver: &Receiver) {
    for factor in [0.2, 5.0] {
        watched.change_hours("1, 2, 3", factor);
        receiver.answers(&[Answer::Status(403, "")]);
        assert!(!find(watched, receiver).0);
    }
    assert_eq!(watched.0.number("SELECT count(*) FROM notifications WHERE delivered_at IS NULL"), Some(2));
}

#[test]
fn a_receiver_that_takes_nothing_is_asked_once_in_a_run_and_gets_all_later() {
    let watched = Watched::new();
    let receiver = Receiver::start();
    two_waiting(&watched, &receiver);
    for (status, headers) in [(302, "Location: /elsewhere\r\n"), (401, ""), (403, ""), (404, ""), (410, "")] {
        let before = receiver.received().len();
        receiver.answers(&[Answer::Status(status, headers)]);
        let (succeeded, said) = find(&watched, &receiver);
        let problem = format!(
            "2 notifications could not be delivered, the next run tries them again: the receiver answered {status}"
        );
        assert!(!succeeded && said.contains(&problem) && !said.contains("was not delivered"), "{said}");
        assert_eq!(receiver.received().len(), before + 1, "{status}");
    }
    let before = receiver.received().len();
    assert!(find(&watched, &receiver).0);
    assert_eq!(types(&receiver.received()[before..]), ["anomalies.opened", "anomalies.resolved"]);
}

#[test]
fn a_notification_that_is_refused_does_not_keep_the_next_one() {
    let watched = Watched::new();
    let receiver = Receiver::start();
    two_waiting(&watched, &receiver);
    let before = receiver.received().len();
    receiver.answers(&[Answer::Status(400, "")]);
    let (succeeded, said) = find(&watched, &receiver);
    assert!(!succeeded && said.contains("1 notifications could not be delivered"), "{said}");
    assert_eq!(types(&receiver.received()[before..]), ["anomalies.opened", "anomalies.resolved"]);
    assert!(find(&watched, &receiver).0);
    assert_eq!(types(&receiver.received()[before + 2..]), ["anomalies.opened"]);
}

#[test]
fn after_a_crash_the_same_id_is_sent_again() {
    let watched = Watched::new();
    let receiver = Receiver::start();
    watched.change_hours("1, 2, 3", 0.2);
    receiver.answers(&[Answer::Silence]);
    let job = Job::start("analytics-jobs", &["anomalies"], &environment(&watched.0, &receiver));
    wait::until("a request", PATIENCE, || (receiver.received().len() == 1).then_some(()));
    drop(job);
    let (succeeded, said) = find(&watched, &receiver);
    assert!(succeeded, "{said}");
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].id(), received[1].id());
    assert_eq!(received[0].text, received[1].text);
    find(&watched, &receiver);
    assert_eq!(receiver.received().len(), 2);
}

#[test]
fn a_job_that_waits_for_its_receiver_stops_in_time() {
    let watched = Watched::new();
    let receiver = Receiver::start();
    watched.change_hours("1, 2, 3", 0.2);
    receiver.answers(&[Answer::Silence]);
    let mut job = Job::start("analytics-jobs", &["anomalies"], &environment(&watched.0, &receiver));
    wait::until("a request", PATIENCE, || (receiver.received().len() == 1).then_some(()));
    assert!(!job.stop(Duration::from_secs(10)).success());
    assert_eq!(watched.stored(), ["total_views drop open"]);
}

#[test]
fn certificates_are_checked_by_the_roots_of_the_system() {
    let watched = Watched::new();
    let (receiver, certificate) = Receiver::with_tls();
    watched.change_hours("1, 2, 3", 0.2);
    let (succeeded, said) = find(&watched, &receiver);
    assert!(!succeeded && said.contains("could not be delivered"), "{said}");
    assert!(receiver.received().is_empty(), "nothing is sent to a receiver that nobody vouches for");
    let file = std::env::temp_dir().join(format!("{}.pem", analytics_testkit::database::unique_name()));
    fs::write(&file, certificate).unwrap();
    let mut environment = environment(&watched.0, &receiver);
    environment.insert("SSL_CERT_FILE".into(), file.to_str().unwrap().into());
    let (succeeded, said) = run(&["anomalies"], &environment);
    assert!(succeeded, "{said}");
    assert!(receiver.received().remove(0).is_signed());
    fs::remove_file(file).unwrap();
}

#[test]
fn the_secret_may_be_in_a_file_or_missing() {
    let watched = Watched::new();
    let receiver = Receiver::start();
    watched.change_hours("1, 2, 3", 0.2);
    let file = std::env::temp_dir().join(format!("{}.secret", analytics_testkit::database::unique_name()));
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let mut environment = environment(&watched.0, &receiver);
    environment.remove("NOTIFY_WEBHOOK_SECRET");
    environment.insert("NOTIFY_WEBHOOK_SECRET_FILE".into(), file.to_str().unwrap().into());
    assert!(run(&["anomalies"], &environment).0);
    assert!(receiver.received()[0].is_signed());
    fs::remove_file(file).unwrap();
    environment.remove("NOTIFY_WEBHOOK_SECRET_FILE");
    watched.change_hours("1, 2, 3", 5.0);
    assert!(run(&["anomalies"], &environment).0);
    assert!(!receiver.received()[1].headers.contains_key("webhook-signature"));
}

#[test]
fn drift_is_told_once_and_that_it_is_gone() {
    let (mut service, _) = crate::proofs::counted();
    let receiver = Receiver::start();
    for (name, value) in environment(&service.database, &receiver) {
        service.set(&name, &value);
    }
    assert!(service.job(&["verify"]).0);
    assert!(receiver.received().is_empty());
    let change = |service: &Service, by: &str| {
        service.database.execute(&format!("UPDATE metrics SET value = value {by} WHERE type = 'total_views'"));
    };
    change(&service, "+ 7");
    for _ in 0..2 {
        let (succeeded, said) = service.job(&["verify", "--full"]);
        assert!(!succeeded && said.contains("numbers differ"), "{said}");
        assert_eq!(types(&receiver.received()), ["verify.failed"]);
    }
    let body = receiver.received()[0].body();
    assert_eq!(body["data"]["drift"], 1, "{body}");
    assert!(body["text"].as_str().unwrap().contains("total_views: found "), "{body}");
    // What could not be delivered in time is told again while it is the case.
    service.database.execute(
        "UPDATE notifications SET delivered_at = NULL, queued_at = now() - interval '15 days' WHERE topic = 'verify'",
    );
    for _ in 0..2 {
        assert!(!service.job(&["verify"]).0);
        assert_eq!(types(&receiver.received()), ["verify.failed", "verify.failed"]);
    }
    // With a receiver that is away, the drift is still what the job says first.
    change(&service, "- 7");
    service.database.execute("UPDATE metrics SET value = value + 1 WHERE type = 'total_orders'");
    receiver.answers(&vec![Answer::Status(502, ""); 4]);
    let (succeeded, said) = service.job(&["verify", "--full"]);
    assert!(
        !succeeded && said.contains("1 of ") && said.contains("; 1 notifications could not be delivered"),
        "{said}"
    );
    service.database.execute("UPDATE metrics SET value = value - 1 WHERE type = 'total_orders'");
    assert!(service.job(&["verify", "--full"]).0);
    let told = |receiver: &Receiver| {
        let mut told = types(&receiver.received());
        told.dedup();
        told
    };
    assert_eq!(told(&receiver), ["verify.failed", "verify.recovered"]);

    // What only a run of all days looks for is not gone because another one does not see it.
    service.database.execute(
        "INSERT INTO event_keys (key, digest, event_id, generation)
         SELECT gen_random_uuid(), gen_random_uuid(), '01234567-0000-8000-8000-000000000000', generation FROM event_keys LIMIT 1",
    );
    assert!(!service.job(&["verify", "--full"]).0);
    assert_eq!(told(&receiver), ["verify.failed", "verify.recovered", "verify.failed"]);
    assert!(service.job(&["verify"]).0, "it finds nothing");
    assert_eq!(told(&receiver).len(), 3);
    service.database.execute("DELETE FROM event_keys WHERE event_id = '01234567-0000-8000-8000-000000000000'");
    assert!(service.job(&["verify", "--full"]).0);
    assert_eq!(told(&receiver).last().unwrap(), "verify.recovered");
}

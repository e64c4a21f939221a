//! Sends the recorded stream through the real service: every answer must be the one that other
//! programs computed.

use analytics_testkit::client::Client;
use analytics_testkit::recorded;
use analytics_testkit::service::Service;
use serde_json::Value;

#[test]
fn every_answer_is_right_and_a_second_reading_changes_none() {
    let service = Service::new(4);
    let ingest = service.ingest();
    for part in [1, 2] {
        service.send(&recorded::part(part));
        service.wait_all_consumed();
    }
    let api = service.api();
    let client = Client::admin(&api.address);
    let expected = recorded::expected();
    let wrong = wrong_answers(&service, &client, &expected);
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let counted = |name: &str| ingest.metric(&format!("analytics_ingest_{name}"));
    assert_eq!(counted("duplicates_total"), expected["duplicates"].as_f64().unwrap());
    assert_eq!(counted("events_total"), sum(&expected["eventCounts"]));
    assert_eq!(counted("rejected_total"), sum(&expected["deadLetters"]));

    // Send the same files again: records with an identity of their own change nothing; those
    // without one (views without an event id, bad records) are there twice.
    let with_identity =
        |service: &Service| service.numbers().into_iter().filter(|line| has_identity(line)).collect::<Vec<_>>();
    let before = with_identity(&service);
    for part in [1, 2] {
        service.send(&recorded::part(part));
    }
    service.wait_all_consumed();
    assert_eq!(before, with_identity(&service));
}

/// Returns whether a line is about orders, signups, identities, or numbers of orders and signups.
fn has_identity(line: &str) -> bool {
    let of_orders = ["_orders", "_units", "_revenue", "_signups"];
    line.starts_with("line ")
        || line.starts_with("key ")
        || (line.starts_with("event ") && (line.contains("order.created") || line.contains("user.registered")))
        || ((line.starts_with("metric ") || line.starts_with("rollup "))
            && of_orders.iter().any(|name| line.contains(name)))
}

fn sum(counts: &Value) -> f64 {
    counts.as_object().unwrap().values().filter_map(Value::as_f64).sum()
}

fn wrong_answers(service: &Service, client: &Client, expected: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut compare = |what: &str, is: &Value, should: &Value| {
        if is != should {
            wrong.push(format!("{what}: is {is}, should be {should}"));
        }
    };
    for (metric, should) in expected["metrics"].as_object().unwrap() {
        let (status, body) = client.metric(metric);
        compare(metric, &body["value"], should);
        assert_eq!((status, body["type"].as_str()), (200, Some(metric.as_str())));
    }
    for (metric, should) in expected["ratings"].as_object().unwrap() {
        compare(metric, &client.metric(metric).1["metadata"], should);
    }
    let count = |query: String| Value::from(service.database.number(&query));
    for (event_type, should) in expected["eventCounts"].as_object().unwrap() {
        let is = count(format!("SELECT count(*) FROM event_logs WHERE event_type = '{event_type}'"));
        compare(event_type, &is, should);
    }
    for (reason, should) in expected["deadLetters"].as_object().unwrap() {
        compare(reason, &count(format!("SELECT count(*) FROM dead_letters WHERE reason = '{reason}'")), should);
    }
    let others = "SELECT count(*) FROM dead_letters".to_owned();
    compare("all dead letters", &count(others), &Value::from(sum(&expected["deadLetters"]) as i64));
    compare("duplicates", &count("SELECT sum(duplicates) FROM ingest_offsets".to_owned()), &expected["duplicates"]);
    wrong
}

//! From traffic to a message, with the shipped rules and the example for Alertmanager: a drop is told as a drop,
//! and an outage of ingest as an outage.

use std::collections::BTreeSet;

use analytics_testkit::broker::Message;
use analytics_testkit::prometheus::Webhook;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use chrono::{DateTime, Duration, DurationRound as _, SecondsFormat, Timelike as _, Utc};
use serde_json::json;

use crate::watched::{deliver, watch};

/// How many hours of history there are.
const HOURS: i32 = 8 * 7 * 24;
/// How many hours ago the producer stopped.
const SILENT: i32 = 3;

fn this_hour() -> DateTime<Utc> {
    Utc::now().duration_trunc(Duration::hours(1)).unwrap()
}

/// Produces the views of some hours: more of them in the evening, and not the same number each day.
fn produce(service: &Service, mut hour: DateTime<Utc>, until: DateTime<Utc>) {
    while hour < until {
        let views = 20 + hour.hour() + u32::try_from(hour.timestamp() / 3_600 % 5).unwrap();
        let view = |n: u32| {
            let time = (hour + Duration::seconds(i64::from(n) * 60)).to_rfc3339_opts(SecondsFormat::Secs, true);
            let view = json!({"productId": "p-1", "vendorId": "v-1", "userId": format!("u-{n}"), "viewedAt": time});
            Message::json("product.viewed", view)
        };
        (0..views).for_each(|n| service.sender().queue(&view(n)));
        hour += Duration::hours(1);
    }
    service.sender().flush();
}

/// A service with a history that ended three hours ago.
fn silent() -> Service {
    wait::past_the_end_of_an_hour(std::time::Duration::from_secs(240));
    let mut service = Service::new(1);
    service.set("METRICS_BUSINESS", "open");
    // Only the totals.
    service.set("ANOMALY_FLOOR", "1000000");
    produce(&service, this_hour() - Duration::hours(1) * HOURS, this_hour() - Duration::hours(1) * SILENT);
    service
}

/// Waits until the worker has counted everything, and has reported so of each topic since the last hour ended.
fn caught_up(service: &Service) {
    service.wait_all_consumed();
    wait::until("the reports of ingest", PATIENCE, || {
        let reported = "SELECT count(*) FROM ingest_offsets WHERE caught_up_at > date_trunc('hour', now())";
        (service.database.number(reported) == Some(4)).then_some(())
    });
}

fn anomalies(service: &Service) -> Vec<String> {
    service.done(&["anomalies"]);
    service.database.lines("SELECT concat_ws(' ', type, verdict, state) FROM anomalies ORDER BY type, from_time")
}

/// Waits until Alertmanager has delivered an alert, and returns its summary.
fn delivered(webhook: &Webhook, status: &str, name: &str) -> String {
    wait::until(&format!("{name} to be {status}"), PATIENCE, || {
        let alerts = webhook.alerts();
        alerts.into_iter().find(|alert| alert.0 == status && alert.1 == name).map(|(_, _, summary)| summary)
    })
}

fn names(webhook: &Webhook) -> BTreeSet<String> {
    webhook.alerts().into_iter().map(|(_, name, _)| name).collect()
}

#[test]
fn a_producer_that_stops_is_told_as_a_drop_until_it_returns_and_drift_is_told() {
    let service = silent();
    let mut ingest = service.ingest();
    caught_up(&service);
    ingest.wait_ready();
    let (api, webhook) = (service.api(), Webhook::listen());
    let alertmanager = deliver(&webhook);
    let _prometheus = watch(&ingest, &api, alertmanager.address());
    assert_eq!(anomalies(&service), ["total_views drop open"]);
    let summary = delivered(&webhook, "firing", "AnalyticsDrop");
    let expected = summary.strip_prefix("total_views fell to 0, ").and_then(|rest| rest.strip_suffix(" was expected."));
    assert!(expected.is_some_and(|views| views.parse::<f64>().is_ok_and(|views| views > 15.0)), "{summary}");
    assert_eq!(names(&webhook), BTreeSet::from(["AnalyticsDrop".to_owned()]));

    let mut from = this_hour() - Duration::hours(1) * SILENT;
    wait::until("the end of the drop", PATIENCE, || {
        // An hour may end during the test.
        let until = this_hour();
        produce(&service, from, until);
        from = until;
        caught_up(&service);
        (anomalies(&service) == ["total_views drop resolved"]).then_some(())
    });
    delivered(&webhook, "resolved", "AnalyticsDrop");

    service.database.execute("UPDATE metrics SET value = value + 1 WHERE type = 'total_views'");
    assert!(!service.job(&["verify"]).0);
    assert_eq!(delivered(&webhook, "firing", "AnalyticsDrift"), "1 numbers differ from the event log.");
}

#[test]
fn a_worker_that_stops_is_told_as_numbers_that_are_late_and_nothing_else() {
    let service = silent();
    let mut ingest = service.ingest();
    caught_up(&service);
    ingest.wait_ready();
    let (api, webhook) = (service.api(), Webhook::listen());
    let alertmanager = deliver(&webhook);
    let _prometheus = watch(&ingest, &api, alertmanager.address());
    assert!(ingest.stop().success());
    // As if it had stopped four hours ago, since hours cannot be waited for.
    service.database.execute(
        "UPDATE ingest_offsets SET updated_at = updated_at - interval '4 hours',
             ends_known_at = ends_known_at - interval '4 hours', caught_up_at = caught_up_at - interval '4 hours',
             counted_timestamp = counted_timestamp - 4 * 3600 * 1000",
    );
    produce(&service, this_hour() - Duration::hours(1) * SILENT, this_hour());
    assert_eq!(anomalies(&service), ["freshness delayed open"]);
    let summary = delivered(&webhook, "firing", "AnalyticsDelayed");
    assert!(summary.starts_with("The numbers are ") && summary.ends_with(" late; they did not fall."), "{summary}");
    assert_eq!(anomalies(&service), ["freshness delayed open"]);

    // It counts what it missed.
    let _ingest = service.ingest();
    caught_up(&service);
    assert_eq!(anomalies(&service), ["freshness delayed resolved"]);
    delivered(&webhook, "resolved", "AnalyticsDelayed");
    assert_eq!(names(&webhook), BTreeSet::from(["AnalyticsDelayed".to_owned()]));
}

#[test]
fn an_alert_that_has_a_cause_is_not_delivered_beside_it() {
    for (cause, effects) in [
        ("AnalyticsDelayed", &["AnalyticsDrop"][..]),
        ("AnalyticsUnknown", &["AnalyticsDrop"]),
        ("AnalyticsNobodyCounts", &["AnalyticsDelayed", "AnalyticsDrop", "AnalyticsIngestBehind"]),
        ("AnalyticsDatabaseAway", &["AnalyticsDatabaseFailing", "AnalyticsApiErrors", "AnalyticsFoldBehind"]),
    ] {
        let webhook = Webhook::listen();
        let alertmanager = deliver(&webhook);
        alertmanager.fire(&[&[cause], effects].concat());
        delivered(&webhook, "firing", cause);
        for effect in effects {
            wait::until(&format!("{effect} to be suppressed"), PATIENCE, || {
                (alertmanager.state(effect)? == "suppressed").then_some(())
            });
        }
        assert_eq!(names(&webhook), BTreeSet::from([cause.to_owned()]));
    }
}

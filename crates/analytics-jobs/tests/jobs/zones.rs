//! Business days that consist of two ranges of time: in St. John's, for example, clocks were set
//! back from 00:01 to 23:01 of the day before.

use std::time::{Duration, Instant};

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::database::Database;
use analytics_testkit::process::{self, Process};
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use diesel::connection::SimpleConnection;
use serde_json::json;

/// Starts a service with this timezone whose ingest has counted signups at these times.
fn service(zone: &str, times: &[&str]) -> (Service, Process) {
    let mut service = Service::on(Database::empty(), 1);
    service.set("BUSINESS_TIMEZONE", zone);
    service.done(&["migrate"]);
    let ingest = service.ingest();
    let signup = |(n, time): (usize, &&str)| {
        Message::json("user.registered", json!({ "userId": format!("u-{n}"), "registeredAt": time }))
    };
    service.send(&times.iter().enumerate().map(signup).collect::<Vec<_>>());
    service.wait_all_consumed();
    (service, ingest)
}

#[test]
fn proofs_rebuilds_and_explanations_agree_with_counting() {
    for (zone, times, days) in [
        // Before the first midnight, after it, after the clock was set back (twice), after the
        // second midnight, and before the third.
        (
            "America/St_Johns",
            &[
                "2010-11-07T02:20:00Z",
                "2010-11-07T02:30:30Z",
                "2010-11-07T02:31:30Z",
                "2010-11-07T03:29:00Z",
                "2010-11-07T03:31:00Z",
                "2010-11-08T03:29:00Z",
            ][..],
            &[("2010-11-06", 3), ("2010-11-07", 3)][..],
        ),
        ("America/Goose_Bay", &["2006-10-29T02:30:30Z", "2006-10-29T03:30:00Z", "2006-10-29T05:00:00Z"], &[]),
        ("America/Moncton", &["2006-10-29T02:30:30Z", "2006-10-29T03:30:00Z", "2006-10-29T05:00:00Z"], &[]),
        ("Antarctica/Casey", &["2010-03-04T14:30:00Z", "2010-03-04T15:30:00Z", "2010-03-04T17:30:00Z"], &[]),
    ] {
        let (service, _ingest) = service(zone, times);
        let counted = service
            .database
            .lines("SELECT type || ' ' || value FROM metrics WHERE type LIKE 'daily_signups:%' ORDER BY 1");
        for (day, signups) in days {
            assert!(counted.contains(&format!("daily_signups:{day} {signups}")), "{zone}: {counted:?}");
        }
        service.done(&["verify", "--full"]);
        let before = service.numbers();
        assert!(service.done(&["rebuild", "--accept-log"]).contains("nothing to rebuild"));
        assert_eq!(service.numbers(), before, "{zone}");
        let api = service.api();
        let client = Client::admin(&api.address);
        for line in &counted {
            let (metric, value) = line.split_once(' ').unwrap();
            let (status, page) = client.get(&format!("/api/metrics/{}/events", metric.replace(':', "%3A")));
            let items = page["items"].as_array().unwrap();
            assert_eq!((status, items.len().to_string().as_str()), (200, value), "{zone} {metric}: {page}");
        }
    }
}

#[test]
fn verify_and_rebuild_stop_on_sigterm() {
    let (service, _ingest) = service("UTC", &["2026-11-20T10:00:00Z"]);
    let mut holder = service.database.connect();
    holder.batch_execute("BEGIN; LOCK TABLE event_logs IN ACCESS EXCLUSIVE MODE").unwrap();
    for job in [&["verify", "--full"][..], &["rebuild"]] {
        let mut running = process::Job::start("analytics-jobs", job, &service.environment);
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'event_logs'::regclass";
        let mut observer = service.database.connect();
        wait::until("the job to read the log", PATIENCE, || {
            (analytics_testkit::database::number(&mut observer, waiting) > Some(0)).then_some(())
        });
        let asked = Instant::now();
        assert!(!running.stop(Duration::from_secs(10)).success());
        assert!(asked.elapsed() < Duration::from_secs(10));
        wait::until("its transaction to end", PATIENCE, || {
            holder.batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'analytics-jobs' AND datname = current_database()").unwrap();
            (analytics_testkit::database::number(&mut observer, waiting) == Some(0)).then_some(())
        });
    }
}

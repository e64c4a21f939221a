//! `bench jobs`: measures jobs that read a whole month of a large marketplace, and ingest beside them.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{Datelike as _, Months, Utc};
use serde_json::{Map, Value, json};

use super::backlog::Backlog;
use super::ingest::{self, Run, mib};
use super::report::{Bar, object, rounded};
use analytics_testkit::database::Database;
use analytics_testkit::process::Job;
use analytics_testkit::service::STATEMENT_KEY;
use analytics_testkit::traffic::Marketplace;

/// Maximum duration of a job.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Parameters of the benchmark.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The size of the marketplace.
    pub marketplace: Marketplace,
    /// Number of events of the month.
    pub events: u64,
    /// Number of events that are ingested alone and beside each job.
    pub arriving: u64,
}

/// A job, measured while ingest counted a backlog.
struct Measured {
    name: &'static str,
    seconds: f64,
    peak_mib: f64,
    /// Seconds in which ingest counted a backlog alone, immediately before.
    alone: f64,
    /// Seconds in which ingest counted as large a backlog beside the job.
    beside: f64,
    /// Whether the job was still running when ingest had counted everything.
    outlasted: bool,
}

/// Fills a database with the events of the last month, and measures each job and ingest beside it. Reports progress to
/// `tell`. Returns the measurements as JSON, and the bars.
///
/// # Panics
/// If a process fails.
#[must_use]
pub fn run(plan: &Plan, tell: impl Fn(&str)) -> (Value, Vec<Bar>) {
    let today = Utc::now().date_naive();
    let end = today.with_day(1).expect("the first of this month");
    let start = end.checked_sub_months(Months::new(1)).expect("the first of the last month");
    let month = start.format("%Y-%m").to_string();
    let end = end.and_time(chrono::NaiveTime::MIN).and_utc();
    let held = ingest::held(plan.marketplace, plan.events, (end.date_naive() - start).num_days(), end, &tell);

    let mut settings = held.backlog.settings(&held.database.url);
    settings.insert("STATEMENT_SIGNING_KEY".into(), STATEMENT_KEY.into());
    settings.insert("STATEMENT_GRACE".into(), "0d".into());
    let mut seed = 10;
    let mut arriving = || {
        seed += 1;
        Backlog::of(plan.marketplace, plan.arriving, seed, Utc::now(), chrono::Duration::hours(1))
    };
    let close = ["statements", "close", "--month", &month, "--accept-gaps"];
    let mut jobs = Vec::new();
    for (name, arguments) in [("verify --full", &["verify", "--full"][..]), ("statements close", &close)] {
        let (first, second) = (arriving(), arriving());
        let alone = ingest::count(&first, &held.database, 1, Duration::ZERO).seconds;
        let job = beside(name, arguments, &settings, alone, &held.database, &second);
        tell(&format!(
            "{name}: {:.1} s, {:.0} MiB; ingest alone {alone:.1} s, beside it {:.1} s",
            job.seconds, job.peak_mib, job.beside
        ));
        jobs.push(job);
    }
    let statements = held.database.number("SELECT count(*) FROM statements").unwrap_or(0);
    tell(&format!("{statements} statements of {month}"));
    report(plan, &jobs, statements)
}

/// Measures a job while ingest counts a backlog.
fn beside(
    name: &'static str,
    arguments: &[&str],
    settings: &BTreeMap<String, String>,
    alone: f64,
    database: &Database,
    backlog: &Backlog,
) -> Measured {
    thread::scope(|scope| {
        let began = Instant::now();
        let job = scope.spawn(move || {
            let (status, peak) = Job::start("analytics-jobs", arguments, settings).wait_measured(PATIENCE);
            assert!(status.success(), "{name}: {status}");
            (began.elapsed().as_secs_f64(), mib(peak))
        });
        let Run { seconds: beside, .. } = ingest::count(backlog, database, 1, Duration::ZERO);
        let outlasted = !job.is_finished();
        let (seconds, peak_mib) = job.join().expect("the job");
        Measured { name, seconds, peak_mib, alone, beside, outlasted }
    })
}

fn report(plan: &Plan, jobs: &[Measured], statements: i64) -> (Value, Vec<Bar>) {
    let mut bars = Vec::new();
    let mut measured = Map::new();
    for Measured { name, seconds, peak_mib, alone, beside, outlasted } in jobs {
        let (ratio, least) = (alone / beside, if *name == "statements close" { 0.9 } else { 0.8 });
        bars.push(Bar::at_least(least, &format!("ingest beside {name}, compared with alone"), ratio));
        bars.push(Bar::at_most(200.0, &format!("peak memory of {name}, MiB"), *peak_mib));
        if *name == "statements close" {
            bars.push(Bar::at_most(120.0, "closing a month beside ingest, seconds", *seconds));
        }
        let figures = json!({
            "seconds": rounded(*seconds),
            "peakMiB": rounded(*peak_mib),
            "ingestAloneSeconds": rounded(*alone),
            "ingestBesideSeconds": rounded(*beside),
            "ranLongerThanIngest": outlasted,
            "ratio": rounded(ratio),
        });
        measured.insert((*name).to_owned(), figures);
    }
    let described = json!({
        "bench": "jobs",
        "marketplace": Value::from(plan.marketplace),
        "events": plan.events,
        "arriving": plan.arriving,
        "statements": statements,
        "jobs": measured,
    });
    let Value::Object(described) = described else { unreachable!("it is an object") };
    (object(described, &bars), bars)
}

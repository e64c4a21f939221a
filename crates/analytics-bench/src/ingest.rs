//! `bench ingest`: measures ingest from the first fetch to the last commit, with all features
//! enabled, compared with COPY.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::backlog::{Backlog, partitions};
use super::copy::Rows;
use super::report::{Bar, median, object, rounded};
use super::watched::{idle_percent, settle, wal_position};
use analytics_db::Connection;
use analytics_db::tables::partitions;
use chrono::{DateTime, Utc};

use analytics_testkit::database::{Database, number};
use analytics_testkit::process::Process;
use analytics_testkit::service::CONSUMED;
use analytics_testkit::traffic::Marketplace;
use analytics_testkit::wait;

/// How many days the events of a database that holds some already are spread over.
const MONTH: i64 = 30;
/// Maximum duration of a run.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Parameters of the benchmark.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The size of the marketplace.
    pub marketplace: Marketplace,
    /// Number of events of each run.
    pub events: u64,
    /// Number of rounds; each measures everything once.
    pub rounds: usize,
    /// How many processes share the backlog, in each of the runs; first one.
    pub workers: &'static [usize],
    /// If given, one process is also measured on a database that already holds this many events.
    pub onto: Option<u64>,
    /// How long an idle process is measured; zero to skip it.
    pub idle: Duration,
}

impl Plan {
    /// Returns the bar of one process, compared with COPY into the seed's table.
    fn least(&self) -> f64 {
        if self.marketplace.products >= Marketplace::LARGE.products { 0.8 } else { 1.0 }
    }
}

/// The measurements of one run of workers.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// From the first fetch until everything was counted.
    pub seconds: f64,
    cpu_seconds: f64,
    peak_mib: f64,
    wal_bytes: f64,
    commit_seconds: f64,
    retries: f64,
    deadlocks: i64,
    idle_percent: f64,
    /// A hash of the types and values of all metrics.
    numbers: String,
}

/// Measures everything in each round, and reports progress to `tell`. Returns the measurements as
/// JSON, and the bars.
///
/// # Panics
/// If a process fails, or a run results in other metrics than the first one.
#[must_use]
pub fn run(plan: &Plan, tell: impl Fn(&str)) -> (Value, Vec<Bar>) {
    let Marketplace { products, sellers, users } = plan.marketplace;
    tell(&format!(
        "filling Kafka with {} events of {products} products, {sellers} sellers and {users} users",
        plan.events
    ));
    let backlog = Backlog::of(plan.marketplace, plan.events, 1, Utc::now(), chrono::Duration::hours(1));
    let held = plan.onto.map(|events| held(plan.marketplace, events, MONTH, Utc::now(), &tell));
    tell("one run in advance, for the rows to copy");
    let source = Database::migrated();
    let numbers = count(&backlog, &source, 1, Duration::ZERO).numbers;
    let (seeds, ours) = (Rows::for_the_seed(&source), Rows::for_our_own(&source));
    drop(source);

    let mut copied = (Vec::new(), Vec::new());
    let mut runs: Vec<(usize, Vec<Run>)> = plan.workers.iter().map(|workers| (*workers, Vec::new())).collect();
    let mut onto = Vec::new();
    for round in 1..=plan.rounds {
        let a = seeds.into_the_seeds_table().as_secs_f64();
        let b = ours.into_our_table().as_secs_f64();
        copied.0.push(a);
        copied.1.push(b);
        tell(&format!("round {round}: COPY into the seed's table {a:.1} s, into ours {b:.1} s"));
        for (workers, of_workers) in &mut runs {
            let run = count(&backlog, &Database::migrated(), *workers, plan.idle);
            assert_eq!(run.numbers, numbers, "{workers} processes counted other metrics than one did");
            tell(&format!("round {round}: {workers} processes of ingest {:.1} s", run.seconds));
            of_workers.push(run);
        }
        if let Some(held) = &held {
            let run = count(&backlog, &Database::like(&held.database), 1, Duration::ZERO);
            tell(&format!(
                "round {round}: into a database with {} events {:.1} s",
                plan.onto.unwrap_or(0),
                run.seconds
            ));
            onto.push(run);
        }
    }
    report(plan, &copied, &runs, &onto, held.map(|held| held.peak_mib))
}

/// A database filled with events.
pub struct Held {
    /// The database.
    pub database: Database,
    /// Peak memory of ingest while it counted the backlog, in MiB.
    pub peak_mib: f64,
    /// The backlog that ingest counted.
    pub backlog: Backlog,
}

/// Creates a database with `events` events of the `days` before `end`, in the state of a service
/// that has been running for a while: quiet partitions are indexed, and all hint bits are set.
///
/// # Panics
/// If a process fails.
#[must_use]
pub fn held(marketplace: Marketplace, events: u64, days: i64, end: DateTime<Utc>, tell: &impl Fn(&str)) -> Held {
    tell(&format!("filling a database with {events} events of {days} days"));
    let database = Database::migrated();
    let backlog = Backlog::of(marketplace, events, 2, end, chrono::Duration::days(days));
    let run = count(&backlog, &database, 1, Duration::ZERO);
    tell(&format!("filled in {:.0} s with {:.0} MiB; indexing the quiet partitions", run.seconds, run.peak_mib));
    let began = Instant::now();
    let connection = &mut database.connect();
    partitions::ensure(connection, Utc::now()).expect("partitions");
    partitions::index_quiet(connection, &database.address(), end, |_| {}).expect("indexes");
    database.execute("VACUUM ANALYZE");
    tell(&format!("indexed in {:.0} s", began.elapsed().as_secs_f64()));
    Held { database, peak_mib: run.peak_mib, backlog }
}

/// Measures how `workers` processes count the backlog into a database. Measures an idle process for
/// `idle` afterwards, unless that is zero.
///
/// # Panics
/// If a process fails.
#[must_use]
pub fn count(backlog: &Backlog, database: &Database, workers: usize, idle: Duration) -> Run {
    let (held_before, others) = (counted(&mut database.connect()), assigned(&mut database.connect()));
    settle(database);
    let wal_before = wal_position(database);
    let settings = backlog.settings(&database.url);
    let workers: Vec<Process> =
        (0..workers).map(|_| Process::start("analytics-ingest", "INGEST_BIND", &settings)).collect();
    // One connection for all polls: opening one per poll would cost the server more than the poll.
    let connection = &mut database.connect();
    // The rows of ingest_offsets are inserted immediately before the first fetch.
    wait::until("an assignment", PATIENCE, || (assigned(connection) - others == partitions()).then_some(()));
    let began = Instant::now();
    let wanted = held_before + i64::try_from(backlog.events).expect("a number of events");
    wait::until("the backlog to be counted", PATIENCE, || (counted(connection) >= wanted).then_some(()));
    let seconds = began.elapsed().as_secs_f64();
    let wal_bytes = wal_position(database) - wal_before;
    let sum = |of: &dyn Fn(&Process) -> f64| workers.iter().map(of).sum::<f64>();
    let run = Run {
        seconds,
        cpu_seconds: sum(&Process::cpu_seconds),
        peak_mib: workers.iter().map(|worker| mib(worker.peak_memory())).fold(0.0, f64::max),
        wal_bytes: to_f64(wal_bytes),
        commit_seconds: sum(&|worker| worker.metric("analytics_ingest_commit_seconds_sum"))
            / sum(&|worker| worker.metric("analytics_ingest_commit_seconds_count")).max(1.0),
        retries: sum(&|worker| worker.metric("analytics_ingest_retries_total")),
        deadlocks: database
            .number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            .unwrap_or(0),
        idle_percent: if idle.is_zero() {
            0.0
        } else {
            workers.first().map_or(0.0, |worker| idle_percent(worker, idle))
        },
        numbers: database
            .lines("SELECT md5(string_agg(type || ' ' || coalesce(value::text, '-'), ',' ORDER BY type)) FROM metrics")
            .concat(),
    };
    assert_eq!(counted(connection), wanted, "more records were counted than the backlog holds");
    run
}

fn assigned(connection: &mut Connection) -> i64 {
    number(connection, "SELECT count(*) FROM ingest_offsets").unwrap_or(0)
}

fn counted(connection: &mut Connection) -> i64 {
    number(connection, CONSUMED).unwrap_or(0)
}

fn report(
    plan: &Plan,
    copied: &(Vec<f64>, Vec<f64>),
    runs: &[(usize, Vec<Run>)],
    onto: &[Run],
    held_peak: Option<f64>,
) -> (Value, Vec<Bar>) {
    let figures = |runs: &[Run], of: fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<_>>();
    let of_runs = |runs: &[Run], of: fn(&Run) -> f64| median(&figures(runs, of));
    let events = to_f64(i64::try_from(plan.events).unwrap_or(i64::MAX));
    let rate = |seconds: f64| events / seconds;
    let one = runs.first().map_or(&[][..], |(_, runs)| runs);
    let (a, b, c) = (median(&copied.0), median(&copied.1), of_runs(one, |r| r.seconds));
    let all = || runs.iter().flat_map(|(_, runs)| runs).chain(onto);
    let peak = all().map(|run| run.peak_mib).chain(held_peak).fold(0.0, f64::max);
    let (retries, deadlocks) = (all().map(|run| run.retries).sum::<f64>(), all().map(|run| run.deadlocks).sum::<i64>());
    let millions = events / 1e6;

    let mut measured = Map::new();
    let mut note = |name: &str, value: Value| measured.insert(name.to_owned(), value);
    note("bench", json!("ingest"));
    note("marketplace", plan.marketplace.into());
    note("events", json!(plan.events));
    note("rounds", json!(plan.rounds));
    let mut rates = json!({
        "a_copyIntoTheSeedsTable": rounded(rate(a)),
        "b_copyIntoOurTable": rounded(rate(b)),
        "c_oneProcess": rounded(rate(c)),
    });
    let mut ratios = json!({ "c/a": rounded(a / c), "c/b": rounded(b / c) });
    let mut seconds = json!({ "a": copied.0, "b": copied.1, "c": figures(one, |r| r.seconds) });
    let mut bars = vec![
        Bar::at_least(plan.least(), "c/a: one process, compared with COPY into the seed's table", a / c),
        Bar::at_most(0.0, "deadlocks", to_f64(deadlocks)),
        Bar::at_most(0.0, "retries", retries),
        Bar::at_most(200.0, "peak memory of one process, MiB", peak),
    ];
    for (workers, runs) in runs.iter().skip(1) {
        let d = of_runs(runs, |r| r.seconds);
        rates[format!("d_{workers}Processes")] = json!(rounded(rate(d)));
        ratios[format!("d{workers}/c")] = json!(rounded(c / d));
        seconds[format!("d{workers}")] = json!(figures(runs, |r| r.seconds));
        let bar = if *workers == 2 { 1.1 } else { 0.8 };
        bars.push(Bar::at_least(bar, &format!("d{workers}/c: {workers} processes compared with one"), c / d));
    }
    if let Some(held) = plan.onto {
        let e = of_runs(onto, |r| r.seconds);
        seconds["e"] = json!(figures(onto, |r| r.seconds));
        rates["e_ontoHeldEvents"] = json!(rounded(rate(e)));
        ratios["e/c"] = json!(rounded(c / e));
        bars.push(Bar::at_least(
            0.9,
            &format!("e/c: into a database with {held} events compared with an empty one"),
            c / e,
        ));
    }
    note("eventsPerSecond", rates);
    note("ratios", ratios);
    note("seconds", seconds);
    note("cpuSecondsPerMillionEvents", json!(rounded(of_runs(one, |r| r.cpu_seconds) / millions)));
    note("peakMiB", json!(rounded(peak)));
    if let Some(held_peak) = held_peak {
        note("peakMiBOfThirtyDays", json!(rounded(held_peak)));
    }
    note("walBytesPerEvent", json!(rounded(of_runs(one, |r| r.wal_bytes) / events)));
    note("commitMilliseconds", json!(rounded(of_runs(one, |r| r.commit_seconds) * 1e3)));
    note("retries", json!(retries));
    note("deadlocks", json!(deadlocks));
    if !plan.idle.is_zero() {
        let idle = of_runs(one, |r| r.idle_percent);
        note("idlePercentOfACore", json!(rounded(idle)));
        bars.push(Bar::at_most(1.0, "idle ingest, percent of a core", idle));
    }
    (object(measured, &bars), bars)
}

/// Returns a number of bytes in MiB.
#[must_use]
pub fn mib(bytes: u64) -> f64 {
    to_f64(i64::try_from(bytes).unwrap_or(i64::MAX)) / f64::from(1 << 20)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn to_f64(number: i64) -> f64 {
    number as f64
}

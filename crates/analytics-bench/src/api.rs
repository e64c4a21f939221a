//! `bench api`: measures requests to the API, compared with prepared SELECTs by pgbench.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chrono::Utc;
use serde_json::{Map, Value, json};

use super::backlog::Backlog;
use super::ingest;
use super::report::{Bar, median, object, rounded};
use super::requests;
use super::watched::idle_percent;
use analytics_testkit::client::{Client, token};
use analytics_testkit::database::{Database, unique_name};
use analytics_testkit::process::Process;
use analytics_testkit::traffic::Marketplace;

/// Numbers of concurrent connections of wrk and of pgbench, each with the bar of its ratio.
const CONNECTIONS: [(u16, f64); 2] = [(16, 0.6), (64, 1.0)];

/// Parameters of the benchmark.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The size of the marketplace.
    pub marketplace: Marketplace,
    /// Number of events in the event log.
    pub events: u64,
    /// The number of days that the events are spread over.
    pub days: i64,
    /// Number of events per second that arrive while the list routes are measured.
    pub arriving: u32,
    /// Number of metrics that are requested.
    pub metrics: u64,
    /// Number of rounds; each measures the API and pgbench once.
    pub rounds: usize,
    /// Seconds of each measurement.
    pub seconds: u64,
    /// Number of requests of each kind to the list routes.
    pub requests: usize,
    /// How long the idle API is measured.
    pub idle: Duration,
    /// URL of a filled database, instead of a new one.
    pub filled: Option<String>,
}

/// Measures the API and pgbench in each round, then the list routes, and reports progress to
/// `tell`. Returns the measurements as JSON, and the bars.
///
/// # Panics
/// If a process fails or a request is refused.
#[must_use]
pub fn run(plan: &Plan, tell: impl Fn(&str) + Sync) -> (Value, Vec<Bar>) {
    let (database, backlog) = match &plan.filled {
        Some(url) => {
            (Database::at(url), Backlog::of(plan.marketplace, 0, 2, Utc::now(), chrono::Duration::days(plan.days)))
        }
        None => {
            let held = ingest::held(plan.marketplace, plan.events, plan.days, Utc::now(), &tell);
            (held.database, held.backlog)
        }
    };
    // Metrics of products without views, so that all requested metrics exist.
    database.execute(&format!(
        "INSERT INTO metrics (type, value) SELECT 'product_views:p-' || n, 0 FROM generate_series(1, {}) AS n \
         ON CONFLICT (type) DO NOTHING",
        plan.metrics
    ));
    database.execute("VACUUM ANALYZE metrics");

    let settings = [
        ("DATABASE_URL", database.url.as_str()),
        ("JWT_SECRET", analytics_testkit::client::SECRET),
        ("RUST_LOG", "warn"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut api = Process::start("analytics-api", "API_BIND", &settings);
    api.wait_ready();
    let load = Load::new(&database, &api, plan);
    let mut single = CONNECTIONS.map(|(connections, bar)| Single { connections, bar, ..Single::default() });
    for round in 1..=plan.rounds {
        for Single { connections, requests, selects, .. } in &mut single {
            let cpu_before = api.cpu_seconds();
            let answered = load.wrk(*connections);
            let cpu = (api.cpu_seconds() - cpu_before) / answered.requests * 1e6;
            let selected = load.pgbench(*connections);
            tell(&format!(
                "round {round}, {connections} connections: {:.0} requests/s (p99 {:.1} ms, {cpu:.0} µs of processor time each), {selected:.0} selects/s",
                answered.per_second, answered.p99
            ));
            requests.push((answered, cpu));
            selects.push(selected);
        }
    }
    tell(&format!("every other route, one request at a time, while {} events per second arrive", plan.arriving));
    let mut ingest = Process::start("analytics-ingest", "INGEST_BIND", &backlog.settings(&database.url));
    ingest.wait_ready();
    let stop = AtomicBool::new(false);
    let lists = thread::scope(|scope| {
        scope.spawn(|| backlog.extend(plan.arriving, &stop));
        let lists = requests::measure(&Client::admin(&api.address), &database, plan, &tell);
        stop.store(true, Ordering::Relaxed);
        lists
    });
    drop(ingest);
    let idle = idle_percent(&api, plan.idle);
    report(plan, &single, &lists, idle, api.peak_memory())
}

fn report(plan: &Plan, single: &[Single], lists: &[requests::Latency], idle: f64, peak: u64) -> (Value, Vec<Bar>) {
    let mut bars: Vec<Bar> = single.iter().map(Single::bar).collect();
    bars.extend(
        lists.iter().filter_map(|list| Some(Bar::at_most(list.bar?, &format!("{}, p99 ms", list.name), list.p99))),
    );
    bars.push(Bar::at_most(1.0, "idle API, percent of a core", idle));
    let lists: Map<String, Value> = lists
        .iter()
        .map(|l| (l.name.clone(), json!({ "p50Milliseconds": rounded(l.p50), "p99Milliseconds": rounded(l.p99) })))
        .collect();
    let measured = json!({
        "bench": "api",
        "marketplace": Value::from(plan.marketplace),
        "events": plan.events,
        "days": plan.days,
        "metrics": plan.metrics,
        "rounds": plan.rounds,
        "oneMetric": single.iter().map(Single::json).collect::<Vec<_>>(),
        "lists": lists,
        "idlePercentOfACore": rounded(idle),
        "peakMiB": rounded(ingest::mib(peak)),
    });
    let Value::Object(measured) = measured else { unreachable!("it is an object") };
    (object(measured, &bars), bars)
}

/// Requests for single metrics over a number of connections, and the same SELECTs by pgbench.
#[derive(Debug, Default)]
struct Single {
    connections: u16,
    /// What the ratio must be at least.
    bar: f64,
    /// Of each round, with the API's processor time for one request in microseconds.
    requests: Vec<(Answered, f64)>,
    /// SELECTs a second, of each round.
    selects: Vec<f64>,
}

impl Single {
    fn median(&self, of: fn(&Answered) -> f64) -> f64 {
        median(&self.requests.iter().map(|(answered, _)| of(answered)).collect::<Vec<_>>())
    }

    fn ratio(&self) -> f64 {
        self.median(|a| a.per_second) / median(&self.selects)
    }

    fn bar(&self) -> Bar {
        let what = format!("one metric over {} connections, compared with pgbench's SELECTs", self.connections);
        Bar::at_least(self.bar, &what, self.ratio())
    }

    fn json(&self) -> Value {
        json!({
            "connections": self.connections,
            "requestsPerSecond": self.requests.iter().map(|(a, _)| rounded(a.per_second)).collect::<Vec<_>>(),
            "selectsPerSecond": self.selects.iter().copied().map(rounded).collect::<Vec<_>>(),
            "ratio": rounded(self.ratio()),
            "p50Milliseconds": rounded(self.median(|a| a.p50)),
            "p99Milliseconds": rounded(self.median(|a| a.p99)),
            "cpuMicrosecondsPerRequest": rounded(median(&self.requests.iter().map(|(_, cpu)| *cpu).collect::<Vec<_>>())),
        })
    }
}

/// The results of one run of wrk: counts, and latencies in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Answered {
    requests: f64,
    per_second: f64,
    p50: f64,
    p99: f64,
}

/// Reads the same rows through the API with wrk, and from PostgreSQL with pgbench.
struct Load {
    directory: PathBuf,
    database_url: String,
    api: String,
    seconds: String,
}

impl Load {
    fn new(database: &Database, api: &Process, plan: &Plan) -> Self {
        let directory = std::env::temp_dir().join(format!("analytics-load-{}", unique_name()));
        fs::create_dir(&directory).expect("a directory");
        let last = plan.metrics;
        let script = format!(
            "wrk.headers[\"Authorization\"] = \"Bearer {token}\"\n\
             function request() return wrk.format(\"GET\", \"/api/metrics/product_views%3Ap-\" .. math.random({last})) end\n\
             function done(summary, latency)\n\
               local e = summary.errors\n\
               io.write(string.format(\"RESULT %d %d %d %d %d\\n\", summary.requests, summary.duration,\n\
                 latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))\n\
             end\n",
            token = token("admin", None),
        );
        fs::write(directory.join("wrk.lua"), script).expect("a script");
        let mut selects = format!("\\set n random(1, {last})\n");
        selects.push_str("SELECT id, type, value, metadata, created_at, updated_at FROM metrics ");
        // pgbench replaces variables after a colon even in a string literal.
        selects.push_str("WHERE type = 'product_views' || chr(58) || 'p-' || :n::text;\n");
        fs::write(directory.join("selects.sql"), selects).expect("a script");
        Self {
            directory,
            database_url: database.url.clone(),
            api: format!("http://{}", api.address),
            seconds: plan.seconds.to_string(),
        }
    }

    fn wrk(&self, connections: u16) -> Answered {
        let said = said(
            Command::new("wrk")
                .args(["-t1", "-c", &connections.to_string(), "-d", &self.seconds, "-s"])
                .args([self.path("wrk.lua").as_os_str(), self.api.as_ref()]),
        );
        let result =
            said.lines().find_map(|line| line.strip_prefix("RESULT ")).unwrap_or_else(|| panic!("wrk: {said}"));
        let numbers: Vec<f64> = result.split(' ').map(|number| number.parse().expect("a number")).collect();
        let [requests, microseconds, p50, p99, errors] = numbers[..] else { panic!("wrk: {said}") };
        assert_eq!(errors, 0.0, "wrk: {said}");
        Answered { requests, per_second: requests / microseconds * 1e6, p50: p50 / 1e3, p99: p99 / 1e3 }
    }

    fn pgbench(&self, connections: u16) -> f64 {
        let said = said(
            Command::new("pgbench")
                .args(["-n", "-M", "prepared", "-j2", "-c", &connections.to_string(), "-T", &self.seconds, "-f"])
                .arg(self.path("selects.sql"))
                .arg(&self.database_url),
        );
        let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        tps.unwrap_or_else(|| panic!("pgbench: {said}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(&self.directory, name)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.directory);
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

//! The servers into which faults are injected, and one run on them: a new database, new topics, the
//! workers, and the stream of records that they count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::stream::{MAX_RECORD_BYTES, Stream};
use super::traits::Traits;
use analytics_testkit::broker::{self, Message, Sender};
use analytics_testkit::database::{Database, Server, unique_name};
use analytics_testkit::kafka::Kafka;
use analytics_testkit::pooler::Pooler;
use analytics_testkit::process::{self, Job, Process};
use analytics_testkit::proxy::Proxy;
use analytics_testkit::service::CONSUMED;
use analytics_testkit::wait;

/// Number of partitions of each of the four topics.
pub const PARTITIONS: i32 = 4;
/// Number of workers at the start of a run.
pub const WORKERS: usize = 3;
/// A time longer than the workers' session timeout, so that the group continues without a frozen
/// one.
pub const LONGER_THAN_A_SESSION: Duration = Duration::from_secs(8);

/// Options of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Seed of the random numbers: the same seed gives the same stream and the same storm.
    pub seed: u64,
    /// Number of records for each fault.
    pub records: u64,
    /// Name of a deliberate defect of the workers, and the path of the binary that contains it.
    pub mutant: Option<(String, PathBuf)>,
    /// Folder in which the logs of workers are kept after a failure.
    pub logs: PathBuf,
}

/// The servers and the proxies in front of them.
pub struct Arena {
    /// The PostgreSQL server.
    pub postgres: Server,
    /// The Kafka broker.
    pub kafka: Kafka,
    /// Proxy in front of PostgreSQL.
    pub to_postgres: Proxy,
    /// Proxy in front of Kafka.
    pub to_kafka: Proxy,
    /// Whether a fault has changed the servers permanently, so that the next run needs new ones.
    pub spoiled: bool,
}

impl Arena {
    /// Starts the servers and the proxies.
    #[must_use]
    pub fn open() -> Self {
        let (postgres, kafka) = (Server::start(), Kafka::start());
        let to_postgres = Proxy::start(0, &postgres.address());
        let to_kafka = Proxy::start(kafka.proxy_port, &kafka.behind_proxy);
        Self { postgres, kafka, to_postgres, to_kafka, spoiled: false }
    }
}

/// What the counters of consumed records are expected to be, where it is not one per offset.
#[derive(Debug, Default)]
pub struct Consumption {
    /// By partition, how many more records than its end offset are consumed: positive for records
    /// read twice or deleted with their topic, negative for records deleted before they were read.
    pub by_partition: BTreeMap<(String, i32), i64>,
    /// Whether some offsets are not records, such as transaction markers, so that only the total is
    /// known.
    pub only_sum: bool,
    /// Whether records may be read more than once.
    pub may_repeat: bool,
    /// Gaps that must be recorded: topic, partition, first offset, end offset, and a part of the
    /// reason.
    pub gaps: BTreeSet<(String, i32, i64, i64, &'static str)>,
}

/// One run of a fault.
pub struct Run<'a> {
    /// The servers of the run.
    pub arena: &'a mut Arena,
    /// The database of this run.
    pub database: Database,
    /// Prefix of the names of its topics.
    pub prefix: String,
    /// The stream of records, which keeps their expected effects.
    pub stream: Stream,
    /// How often the topics held each record that was deleted after it was counted, by number.
    pub deleted: BTreeMap<u64, u32>,
    /// The expected counters of consumed records.
    pub consumption: Consumption,
    /// Topics in addition to those of the event families.
    pub more_topics: Vec<String>,
    /// Connection pooler in front of PostgreSQL, if the fault uses one.
    pub pooler: Option<Pooler>,
    /// Second broker, if the fault uses one.
    pub second: Option<Kafka>,
    /// The running workers.
    pub workers: Vec<Worker>,
    /// Workers that were killed or stopped, kept for their logs.
    pub gone: Vec<Worker>,
    /// When the fault ended.
    pub over: Option<Instant>,
    /// The options of the run.
    pub options: Options,
    environment: BTreeMap<String, String>,
    started: usize,
}

/// A worker and the name of its connections in PostgreSQL.
pub struct Worker {
    /// The process.
    pub process: Process,
    /// Its `application_name`.
    pub name: String,
}

/// The topics of payments, cancellations and refunds.
pub(crate) const OF_ORDERS: [&str; 4] = ["order.paid", "order.cancelled", "order.refunded", "order.status.updated"];

/// Returns the names of the topics that records are sent to, with this prefix.
fn topics(prefix: &str) -> Vec<String> {
    [broker::family_topics(prefix), OF_ORDERS.map(|topic| format!("{prefix}{topic}")).to_vec()].concat()
}

/// A thread that produces records.
pub struct Feeding(Option<JoinHandle<()>>);

impl<'a> Run<'a> {
    /// Creates the database, the topics and the stream. Does not start workers.
    #[must_use]
    pub fn new(arena: &'a mut Arena, options: &Options, traits: Traits, proxied: bool) -> Self {
        let database = Database::migrated_on(&arena.postgres);
        let prefix = format!("{}.", unique_name());
        broker::create_topics(&arena.kafka.address, &topics(&prefix), PARTITIONS);
        let mapping: Vec<String> = topics("").iter().map(|t| format!("{t}={prefix}{t}")).collect();
        let (mut url, mut address) = (database.url.clone(), arena.kafka.address.clone());
        if proxied {
            url = url.replace(&arena.postgres.address(), &format!("127.0.0.1:{}", arena.to_postgres.port()));
            address = format!("127.0.0.1:{}", arena.to_kafka.port());
        }
        let mut environment: BTreeMap<String, String> = [
            ("DATABASE_URL", url.as_str()),
            ("KAFKA_BROKER", &address),
            ("KAFKA_TOPICS", &mapping.join(",")),
            ("KAFKA_GROUP_ID", &format!("{prefix}group")),
            ("KAFKA_PROPERTIES", "session.timeout.ms=6000,reconnect.backoff.max.ms=1000"),
            ("MAX_RECORD_BYTES", &MAX_RECORD_BYTES.to_string()),
            ("RUST_LOG", "info"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if traits.unpaid_orders {
            environment.insert("ORDER_COUNTS_WHEN".into(), "paid".into());
        }
        if let Some((mutant, _)) = &options.mutant {
            environment.insert("ANALYTICS_MUTANT".into(), mutant.clone());
        }
        if traits.refused_records {
            database.execute("ALTER TABLE event_logs ADD CHECK (metadata->>'refuse' IS NULL)");
        }
        for proxy in [&arena.to_postgres, &arena.to_kafka] {
            proxy.behave();
        }
        let stream = Stream::new(options.seed, options.records, traits, false);
        let (consumption, options) = (Consumption::default(), options.clone());
        let (workers, gone) = (Vec::new(), Vec::new());
        Self {
            arena,
            database,
            prefix,
            stream,
            deleted: BTreeMap::new(),
            consumption,
            more_topics: Vec::new(),
            pooler: None,
            second: None,
            workers,
            gone,
            over: None,
            options,
            environment,
            started: 0,
        }
    }

    /// Sets a setting of workers that start later.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Returns a setting of the workers.
    #[must_use]
    pub fn setting(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// Starts one more worker.
    pub fn start_worker(&mut self) {
        self.started += 1;
        let mut environment = self.environment.clone();
        // The name shows in pg_stat_activity which worker waits for a lock.
        let name = format!("worker-{}", self.started);
        let url = format!("{}?application_name={name}", environment["DATABASE_URL"]);
        environment.insert("DATABASE_URL".into(), url);
        let binary = match &self.options.mutant {
            Some((_, binary)) => binary.clone(),
            None => process::binary("analytics-ingest"),
        };
        let process = Process::start_at(&binary, "analytics-ingest", "INGEST_BIND", &environment);
        self.workers.push(Worker { process, name });
    }

    /// Starts the first workers and waits until they are ready.
    pub fn start_workers(&mut self) {
        for _ in 0..WORKERS {
            self.start_worker();
        }
        for worker in &mut self.workers {
            worker.process.wait_ready();
        }
    }

    /// Kills a worker by SIGKILL.
    pub fn kill_worker(&mut self, index: usize) {
        let mut worker = self.workers.remove(index);
        worker.process.kill();
        self.gone.push(worker);
    }

    /// Stops a worker by SIGTERM and waits until it ends.
    ///
    /// # Panics
    /// If it does not end in time or fails.
    pub fn stop_worker(&mut self, index: usize) {
        let mut worker = self.workers.remove(index);
        // The service promises to stop within 10 s; one more second for a machine with few cores.
        worker.process.signal("-TERM");
        assert!(worker.process.wait_ended(Duration::from_secs(11)).success(), "a worker did not stop gracefully");
        self.gone.push(worker);
    }

    /// Starts to produce the next `hundredths` percent of the stream, spread evenly over this time.
    pub fn feed(&mut self, hundredths: u64, over: Duration) -> Feeding {
        let messages = self.stream.take(self.options.records * hundredths / 100);
        let (broker, prefix) = (self.arena.kafka.address.clone(), self.prefix.clone());
        Feeding(Some(thread::spawn(move || send_evenly(&Sender::new(&broker, &prefix), &messages, over))))
    }

    /// Produces the next `hundredths` percent of the stream at once, and waits until the broker has
    /// it.
    pub fn feed_now(&mut self, hundredths: u64) {
        self.feed(hundredths, Duration::ZERO).wait();
    }

    /// Marks the end of the fault. The time of recovery is measured from here.
    pub fn fault_is_over(&mut self) {
        self.over = Some(Instant::now());
    }

    /// Returns the full names of the topics.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        [topics(&self.prefix), self.more_topics.clone()].concat()
    }

    /// Returns the oldest offset and the end offset of each partition.
    #[must_use]
    pub fn held(&self) -> BTreeMap<(String, i32), (i64, i64)> {
        self.arena.kafka.held(&self.topics())
    }

    /// Lists the partitions that are not counted up to the end offset in `held`, with the offset up to
    /// which they are.
    #[must_use]
    pub fn behind(&self, held: &BTreeMap<(String, i32), (i64, i64)>) -> Vec<String> {
        let stored: BTreeMap<(String, i32), i64> = self
            .database
            .lines("SELECT concat_ws(' ', topic, partition, least(counted_offset, next_offset)) FROM ingest_offsets")
            .iter()
            .map(|line| {
                let mut words = line.split(' ');
                let mut word = || words.next().expect("three words");
                let topic = word().to_owned();
                ((topic, word().parse().expect("a partition")), word().parse().expect("an offset"))
            })
            .collect();
        let not_at_end = held.iter().filter(|(partition, (_, end))| stored.get(partition) != Some(end));
        let line = |((topic, partition), (_, end)): (&(String, i32), &(i64, i64))| {
            let at = stored.get(&(topic.clone(), *partition)).map_or("none".to_owned(), ToString::to_string);
            format!("{topic}/{partition}: counted up to {at}, end offset {end}")
        };
        not_at_end.map(line).collect()
    }

    /// Waits until everything that the broker holds is counted. Returns whether that happened; it gives up when nothing
    /// was counted for `at_most`.
    pub fn settle(&self, at_most: Duration) -> bool {
        let held = self.held();
        let (mut last, mut deadline) = (Vec::new(), Instant::now() + at_most);
        loop {
            let behind = self.behind(&held);
            if behind.is_empty() || Instant::now() > deadline {
                return behind.is_empty();
            }
            if behind != last {
                (last, deadline) = (behind, Instant::now() + at_most);
            }
            thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// The same for a fault that can only continue afterwards.
    ///
    /// # Panics
    /// If nothing is counted for 90 s.
    pub fn settled(&self) {
        assert!(
            self.settle(Duration::from_secs(90)),
            "not counted to the end before the fault continues: {:?}",
            self.behind(&self.held())
        );
    }

    /// Returns the number of records that were counted, ignored as duplicates or rejected.
    #[must_use]
    pub fn consumed(&self) -> i64 {
        self.database.number(CONSUMED).unwrap_or(0)
    }

    /// Waits until another record is counted, or everything is counted.
    pub fn wait_for_progress(&self) {
        let before = self.consumed();
        wait::until("another record to be counted", Duration::from_secs(60), || {
            (self.consumed() > before || self.behind(&self.held()).is_empty()).then_some(())
        });
    }

    /// Runs a job of `analytics-jobs` to its end.
    ///
    /// # Panics
    /// If it fails.
    pub fn job(&self, arguments: &[&str]) {
        let output = process::run("analytics-jobs", arguments, &self.environment);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts a job of `analytics-jobs` without waiting for its end.
    #[must_use]
    pub fn start_job(&self, arguments: &[&str]) -> Job {
        Job::start("analytics-jobs", arguments, &self.environment)
    }

    /// Writes the logs of all workers into a folder.
    pub fn keep_logs(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder for the logs");
        for worker in self.gone.iter().chain(&self.workers) {
            std::fs::write(folder.join(format!("{}.log", worker.name)), worker.process.log()).expect("a log");
        }
    }
}

impl Feeding {
    /// Waits until the broker has all records.
    ///
    /// # Panics
    /// If it did not accept them.
    pub fn wait(mut self) {
        self.join();
    }

    /// Whether records are still being produced.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.0.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn join(&mut self) {
        if let Some(thread) = self.0.take() {
            let sent = thread.join();
            assert!(sent.is_ok() || thread::panicking(), "the broker did not accept the stream");
        }
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.join();
    }
}

fn send_evenly(sender: &Sender, messages: &[Message], over: Duration) {
    let began = Instant::now();
    // In 100 portions, so that pauses are short.
    let portions = 100;
    let size = messages.len().div_ceil(portions).max(1);
    for (number, portion) in (1_u32..).zip(messages.chunks(size)) {
        for message in portion {
            sender.queue(message);
        }
        let due = began + over * number / 100;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    sender.flush();
}

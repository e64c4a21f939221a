//! The servers that are hurt, and one run on them: a fresh database, fresh topics, workers, and
//! the stream that they count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::stream::{MAX_RECORD_BYTES, Stream, Traits};
use analytics_testkit::broker::{self, Message, Sender};
use analytics_testkit::database::{Database, Server, unique_name};
use analytics_testkit::kafka::Kafka;
use analytics_testkit::pooler::Pooler;
use analytics_testkit::process::{self, Job, Process};
use analytics_testkit::proxy::Proxy;
use analytics_testkit::wait;

/// Partitions of each of the four topics.
pub const PARTITIONS: i32 = 4;
/// How many workers share them at first.
pub const WORKERS: usize = 3;
/// Longer than the session timeout of the workers: the group goes on without a frozen one.
pub const LONGER_THAN_A_SESSION: Duration = Duration::from_secs(8);

/// How the runs are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// The same seed makes the same stream and the same storm.
    pub seed: u64,
    /// How many records each fault gets.
    pub records: u64,
    /// A deliberate fault of the workers, and their binary that has it.
    pub mutant: Option<(String, PathBuf)>,
    /// Where the logs of workers are kept after a failure.
    pub logs: PathBuf,
}

/// The servers.
pub struct Arena {
    /// PostgreSQL.
    pub postgres: Server,
    /// Kafka.
    pub kafka: Kafka,
    /// In front of PostgreSQL.
    pub to_postgres: Proxy,
    /// In front of Kafka.
    pub to_kafka: Proxy,
    /// Whether the servers are not as they were, so that the next run needs others.
    pub spoiled: bool,
}

impl Arena {
    /// Starts them.
    #[must_use]
    pub fn open() -> Self {
        let (postgres, kafka) = (Server::start(), Kafka::start());
        let to_postgres = Proxy::start(0, &postgres.address());
        let to_kafka = Proxy::start(kafka.proxy_port, &kafka.behind_proxy);
        Self { postgres, kafka, to_postgres, to_kafka, spoiled: false }
    }
}

/// What the counters of consumption must come to.
#[derive(Debug, Default)]
pub struct Consumption {
    /// Changes to what a partition holds: read twice, forgotten before it was read, gone.
    pub by_partition: BTreeMap<(String, i32), i64>,
    /// Offsets that are no records, as in transactions: only the sum is known.
    pub only_sum: bool,
    /// Some records may be read more than once.
    pub may_repeat: bool,
    /// Gaps that must be recorded: topic, partition, from, to, and a word of the reason.
    pub gaps: BTreeSet<(String, i32, i64, i64, &'static str)>,
}

/// One run.
pub struct Run<'a> {
    /// The servers.
    pub arena: &'a mut Arena,
    /// A database of its own.
    pub database: Database,
    /// What its topics begin with.
    pub prefix: String,
    /// The stream, which knows what it comes to.
    pub stream: Stream,
    /// Records that were counted and are gone with their topic: their numbers, and how often each
    /// was there.
    pub deleted: BTreeMap<u64, u32>,
    /// What consumption must come to.
    pub consumption: Consumption,
    /// Topics besides those of the families.
    pub more_topics: Vec<String>,
    /// In front of PostgreSQL, if the fault wants one.
    pub pooler: Option<Pooler>,
    /// Another broker, if the fault wants one.
    pub second: Option<Kafka>,
    /// The workers that run.
    pub workers: Vec<Worker>,
    /// Those that do not any more; their logs may be wanted.
    pub gone: Vec<Worker>,
    /// When the fault was over.
    pub over: Option<Instant>,
    /// How the run was asked for.
    pub options: Options,
    environment: BTreeMap<String, String>,
    started: usize,
}

/// A worker, and the name under which the database knows it.
pub struct Worker {
    /// The process.
    pub process: Process,
    /// Its `application_name`.
    pub name: String,
}

/// Records on their way to the broker.
pub struct Feeding(Option<JoinHandle<()>>);

impl<'a> Run<'a> {
    /// Makes the database, the topics and the stream; no workers yet.
    #[must_use]
    pub fn new(arena: &'a mut Arena, options: &Options, traits: Traits, proxied: bool) -> Self {
        let database = Database::migrated_on(&arena.postgres);
        let prefix = format!("{}.", unique_name());
        broker::create_topics(&arena.kafka.address, &broker::family_topics(&prefix), PARTITIONS);
        let mapping: Vec<String> = broker::family_topics("").iter().map(|t| format!("{t}={prefix}{t}")).collect();
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

    /// Changes a setting of the workers that start from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// A setting of the workers.
    #[must_use]
    pub fn setting(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// Starts one more worker.
    pub fn start_worker(&mut self) {
        self.started += 1;
        let mut environment = self.environment.clone();
        // The name tells in the database which of them waits for a lock.
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

    /// Starts the first workers and waits until they share the partitions.
    pub fn start_workers(&mut self) {
        for _ in 0..WORKERS {
            self.start_worker();
        }
        for worker in &mut self.workers {
            worker.process.wait_ready();
        }
    }

    /// Kills a worker where it stands.
    pub fn kill_worker(&mut self, index: usize) {
        let mut worker = self.workers.remove(index);
        worker.process.kill();
        self.gone.push(worker);
    }

    /// Asks a worker to stop, and waits for its end in good order.
    pub fn stop_worker(&mut self, index: usize) {
        let mut worker = self.workers.remove(index);
        // Ten seconds is the service's promise; one more for a machine with too few cores.
        worker.process.signal("-TERM");
        assert!(worker.process.wait_ended(Duration::from_secs(11)).success(), "a worker did not stop in good order");
        self.gone.push(worker);
    }

    /// The next so many hundredths of the stream, sent evenly over this time.
    pub fn feed(&mut self, hundredths: u64, over: Duration) -> Feeding {
        let messages = self.stream.take(self.options.records * hundredths / 100);
        let (broker, prefix) = (self.arena.kafka.address.clone(), self.prefix.clone());
        Feeding(Some(thread::spawn(move || send_evenly(&Sender::new(&broker, &prefix), &messages, over))))
    }

    /// The same at once, until the broker has it all.
    pub fn feed_now(&mut self, hundredths: u64) {
        self.feed(hundredths, Duration::ZERO).wait();
    }

    /// Marks the end of the fault: from now on the service recovers.
    pub fn fault_is_over(&mut self) {
        self.over = Some(Instant::now());
    }

    /// The full names of the topics.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        [broker::family_topics(&self.prefix), self.more_topics.clone()].concat()
    }

    /// What each partition holds.
    #[must_use]
    pub fn held(&self) -> BTreeMap<(String, i32), (i64, i64)> {
        self.arena.kafka.held(&self.topics())
    }

    /// The partitions whose stored offset is not at this end, with both offsets.
    #[must_use]
    pub fn behind(&self, held: &BTreeMap<(String, i32), (i64, i64)>) -> Vec<String> {
        let stored: BTreeMap<(String, i32), i64> = self
            .database
            .lines("SELECT concat_ws(' ', topic, partition, next_offset) FROM ingest_offsets")
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
            let at = stored.get(&(topic.clone(), *partition)).map_or("nothing".to_owned(), ToString::to_string);
            format!("{topic}/{partition} stands at {at} of {end}")
        };
        not_at_end.map(line).collect()
    }

    /// Waits until everything that the broker holds is counted. Tells whether that happened.
    pub fn settle(&self, at_most: Duration) -> bool {
        let held = self.held();
        let deadline = Instant::now() + at_most;
        while !self.behind(&held).is_empty() {
            if Instant::now() > deadline {
                return false;
            }
            thread::park_timeout(Duration::from_millis(100));
        }
        true
    }

    /// The same, where the fault cannot go on without it.
    ///
    /// # Panics
    /// If it does not happen.
    pub fn settled(&self) {
        assert!(self.settle(Duration::from_secs(90)), "stands still before the fault: {:?}", self.behind(&self.held()));
    }

    /// How many records were counted, ignored or refused so far.
    #[must_use]
    pub fn consumed(&self) -> i64 {
        self.database.number("SELECT sum(events + duplicates + rejected) FROM ingest_offsets").unwrap_or(0)
    }

    /// Waits until something more is counted, or there is nothing more to count.
    pub fn wait_for_progress(&self) {
        let before = self.consumed();
        wait::until("something to be counted", Duration::from_secs(60), || {
            (self.consumed() > before || self.behind(&self.held()).is_empty()).then_some(())
        });
    }

    /// Runs one of the operator's jobs.
    ///
    /// # Panics
    /// If it fails.
    pub fn job(&self, arguments: &[&str]) {
        let output = process::run("analytics-jobs", arguments, &self.environment);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts one of the operator's jobs, which runs beside what follows.
    #[must_use]
    pub fn start_job(&self, arguments: &[&str]) -> Job {
        Job::start("analytics-jobs", arguments, &self.environment)
    }

    /// Keeps what the workers said.
    pub fn keep_logs(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder for the logs");
        for worker in self.gone.iter().chain(&self.workers) {
            std::fs::write(folder.join(format!("{}.log", worker.name)), worker.process.log()).expect("a log");
        }
    }
}

impl Feeding {
    /// Waits until the broker has everything.
    ///
    /// # Panics
    /// If it did not take it.
    pub fn wait(mut self) {
        self.join();
    }

    /// Whether there is more to come.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.0.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn join(&mut self) {
        if let Some(thread) = self.0.take() {
            let sent = thread.join();
            assert!(sent.is_ok() || thread::panicking(), "the broker did not take the stream");
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
    // A hundred portions, so that pauses are short.
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

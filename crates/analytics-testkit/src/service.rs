//! The whole service around one test: a database, topics, and the processes between them.

use std::collections::BTreeMap;
use std::time::Duration;

use analytics_core::family::Family;
use chrono::{Duration as ChronoDuration, Utc};

use crate::broker::{self, Message, Sender};
use crate::client::SECRET;
use crate::database::{Database, unique_name};
use crate::process::{self, Process};
use crate::tally::Tally;
use crate::traffic::Generator;
use crate::wait;

/// How long tests wait for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A database and topics of one's own.
pub struct Service {
    /// The database.
    pub database: Database,
    /// The broker.
    pub broker: String,
    /// What the names of the topics begin with.
    pub prefix: String,
    /// Settings of the processes.
    pub environment: BTreeMap<String, String>,
    partitions: i32,
    sender: Sender,
}

impl Service {
    /// A service with topics of so many partitions each.
    #[must_use]
    pub fn new(partitions: i32) -> Self {
        Self::on(Database::migrated(), partitions)
    }

    /// A service on this database.
    ///
    /// # Panics
    /// Without a broker; `scripts/test` starts one.
    #[must_use]
    pub fn on(database: Database, partitions: i32) -> Self {
        let broker =
            std::env::var("TEST_KAFKA_BROKER").expect("TEST_KAFKA_BROKER; scripts/test starts one and sets it");
        let prefix = format!("{}.", unique_name());
        broker::create_topics(&broker, &broker::family_topics(&prefix), partitions);
        let mapping: Vec<String> =
            Family::ALL.iter().map(|family| format!("{}={prefix}{}", family.name(), family.name())).collect();
        let environment = [
            ("DATABASE_URL", database.url.as_str()),
            ("KAFKA_BROKER", &broker),
            ("KAFKA_TOPICS", &mapping.join(",")),
            ("KAFKA_GROUP_ID", &format!("{prefix}group")),
            ("JWT_SECRET", SECRET),
            ("RUST_LOG", "info"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sender = Sender::new(&broker, &prefix);
        Self { database, broker, prefix, environment: environment.into(), partitions, sender }
    }

    /// Changes a setting for the processes that are started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.into(), value.into());
    }

    /// Starts a worker.
    #[must_use]
    pub fn ingest(&self) -> Process {
        Process::start("analytics-ingest", "INGEST_BIND", &self.environment)
    }

    /// Starts the API and waits until it is ready.
    #[must_use]
    pub fn api(&self) -> Process {
        let mut api = Process::start("analytics-api", "API_BIND", &self.environment);
        api.wait_ready();
        api
    }

    /// Runs a job to its end: whether it ended well, and what it said.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn job(&self, arguments: &[&str]) -> (bool, String) {
        let output = process::run("analytics-jobs", arguments, &self.environment);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        (output.status.success(), said)
    }

    /// Runs a job that ends well, and returns what it said.
    ///
    /// # Panics
    /// Where it does not.
    pub fn done(&self, arguments: &[&str]) -> String {
        let (well, said) = self.job(arguments);
        assert!(well, "{arguments:?}: {said}");
        said
    }

    /// Produces messages to the families' topics.
    pub fn send<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        self.sender.send(messages);
    }

    /// Deletes a family's topic and makes it again, with so many partitions.
    pub fn remake_topic(&mut self, family: &str, partitions: i32) {
        broker::remake_topic(&self.broker, &format!("{}{family}", self.prefix), partitions);
        // A producer goes on with the partitions and sequence numbers of the topic that is gone.
        self.sender = Sender::new(&self.broker, &self.prefix);
    }

    /// Produces so many events of a seed, and adds them to the tally.
    ///
    /// # Panics
    /// Where the broker does not take them.
    pub fn send_traffic(&self, tally: &mut Tally, seed: u64, events: usize) {
        // Seeds lie a moment apart, so that no two ratings have the same time.
        let apart = ChronoDuration::milliseconds(i64::try_from(seed).expect("a small seed"));
        let start = Utc::now() - ChronoDuration::hours(3) + apart;
        let generator = Generator::new(seed, start, ChronoDuration::milliseconds(100));
        let messages: Vec<Message> = generator.take(events).collect();
        messages.iter().for_each(|message| tally.add(message));
        self.send(&messages);
    }

    /// Who produces to the families' topics.
    #[must_use]
    pub const fn sender(&self) -> &Sender {
        &self.sender
    }

    /// How many records the families' topics hold.
    #[must_use]
    pub fn held(&self) -> i64 {
        broker::held(&self.broker, &broker::family_topics(&self.prefix), self.partitions)
    }

    /// How many records were counted, ignored or refused, by the stored offsets.
    #[must_use]
    pub fn consumed(&self) -> i64 {
        self.database.number("SELECT sum(events + duplicates + rejected) FROM ingest_offsets").unwrap_or(0)
    }

    /// Waits until so many records were counted, ignored or refused.
    pub fn wait_consumed(&self, records: i64) {
        wait::until("the records to be consumed", PATIENCE, || (self.consumed() >= records).then_some(()));
        assert_eq!(self.consumed(), records, "more was consumed than was there");
    }

    /// Waits until everything in the topics was counted, ignored or refused, each record once.
    pub fn wait_all_consumed(&self) {
        self.wait_consumed(self.held());
    }

    /// Everything that must stay the same when nothing new arrives, as lines: events, lines,
    /// metrics, rollups, ratings, keys, product vendors and dead letters.
    #[must_use]
    pub fn numbers(&self) -> Vec<String> {
        [
            "SELECT 'event ' || id || (to_jsonb(e) - 'ingested_at')::text FROM event_logs e",
            "SELECT 'line ' || to_jsonb(l)::text FROM order_lines l",
            "SELECT 'metric ' || (to_jsonb(m) - 'id' - 'created_at' - 'updated_at')::text FROM metrics m",
            "SELECT 'rollup ' || to_jsonb(r)::text FROM metric_rollups r",
            "SELECT 'rating ' || to_jsonb(r)::text FROM ratings r",
            "SELECT 'key ' || key || event_id FROM event_keys",
            "SELECT 'vendor ' || to_jsonb(v)::text FROM product_vendors v",
            "SELECT 'letter ' || id || reason FROM dead_letters",
        ]
        .iter()
        .flat_map(|query| self.database.lines(&format!("{query} ORDER BY 1")))
        .collect()
    }
}

//! A complete service for one test: a database, topics, and the settings to start its processes.

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

/// How long tests wait for an expected condition.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The key that signs statements in tests.
pub const STATEMENT_KEY: &str = "-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\\n-----END PRIVATE KEY-----";

/// A query for the number of records that were counted, ignored as duplicates or rejected: according
/// to the stored offsets, without those that are logged and wait to be counted.
pub const CONSUMED: &str = "SELECT (SELECT sum(events + duplicates + rejected) FROM ingest_offsets) \
     - (SELECT coalesce(sum(records), 0) FROM batches WHERE number IS NULL)";

/// The service of one test, with a database and topics of its own.
pub struct Service {
    /// The database.
    pub database: Database,
    /// Address of the Kafka broker.
    pub broker: String,
    /// Prefix of the names of the topics.
    pub prefix: String,
    /// Environment variables of the processes.
    pub environment: BTreeMap<String, String>,
    partitions: i32,
    sender: Sender,
}

impl Service {
    /// Creates a migrated database, and topics with `partitions` partitions each.
    #[must_use]
    pub fn new(partitions: i32) -> Self {
        Self::on(Database::migrated(), partitions)
    }

    /// Creates topics with `partitions` partitions each, for a service on the given database.
    ///
    /// # Panics
    /// If there is no broker; `scripts/test` starts one.
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

    /// Sets a setting of processes that are started later.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.into(), value.into());
    }

    /// Starts a worker, without waiting until it is ready.
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

    /// Runs a job of `analytics-jobs` to its end. Returns whether it succeeded, and its output.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn job(&self, arguments: &[&str]) -> (bool, String) {
        let output = process::run("analytics-jobs", arguments, &self.environment);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        (output.status.success(), said)
    }

    /// Runs `analytics-ingest audit` to its end. Returns whether it succeeded, and its output.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn audit(&self) -> (bool, String) {
        let output = process::run("analytics-ingest", &["audit"], &self.environment);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        (output.status.success(), said)
    }

    /// Runs a job of `analytics-jobs` to its end and returns its output.
    ///
    /// # Panics
    /// If the job fails.
    pub fn done(&self, arguments: &[&str]) -> String {
        let (well, said) = self.job(arguments);
        assert!(well, "{arguments:?}: {said}");
        said
    }

    /// Produces messages to the topics of the event families.
    pub fn send<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        self.sender.send(messages);
    }

    /// Deletes a family's topic and creates it again with `partitions` partitions.
    pub fn remake_topic(&mut self, family: &str, partitions: i32) {
        broker::remake_topic(&self.broker, &format!("{}{family}", self.prefix), partitions);
        // The old producer would continue with the partitions and sequence numbers of the old
        // topic.
        self.sender = Sender::new(&self.broker, &self.prefix);
    }

    /// Produces the first `events` events of a seed and adds them to the tally.
    ///
    /// # Panics
    /// If the broker does not accept them.
    pub fn send_traffic(&self, tally: &mut Tally, seed: u64, events: usize) {
        // Each seed is shifted by as many milliseconds, so that no two ratings have the same time.
        let apart = ChronoDuration::milliseconds(i64::try_from(seed).expect("a small seed"));
        let start = Utc::now() - ChronoDuration::hours(3) + apart;
        let generator = Generator::new(seed, start, ChronoDuration::milliseconds(100));
        let messages: Vec<Message> = generator.take(events).collect();
        messages.iter().for_each(|message| tally.add(message));
        self.send(&messages);
    }

    /// Returns the producer of the topics of the event families.
    #[must_use]
    pub const fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Returns the number of records in the topics of the event families.
    #[must_use]
    pub fn held(&self) -> i64 {
        broker::held(&self.broker, &broker::family_topics(&self.prefix), self.partitions)
    }

    /// Returns the number of records that were counted, ignored as duplicates or rejected: see
    /// [`CONSUMED`].
    #[must_use]
    pub fn consumed(&self) -> i64 {
        self.database.number(CONSUMED).unwrap_or(0)
    }

    /// Waits until `records` records were consumed, and asserts that there were no more.
    pub fn wait_consumed(&self, records: i64) {
        wait::until("the records to be consumed", PATIENCE, || (self.consumed() >= records).then_some(()));
        assert_eq!(self.consumed(), records, "more records were consumed than expected");
    }

    /// Waits until every record in the topics was consumed, and asserts that each was consumed
    /// once.
    pub fn wait_all_consumed(&self) {
        self.wait_consumed(self.held());
    }

    /// Returns all rows that must not change while no new record arrives, as text: events, lines of
    /// orders, what was taken back, metrics, rollups, ratings, identities, names, product vendors and dead letters.
    #[must_use]
    pub fn numbers(&self) -> Vec<String> {
        [
            "SELECT 'event ' || id || (to_jsonb(e) - 'ingested_at')::text FROM event_logs e",
            "SELECT 'line ' || to_jsonb(l)::text FROM order_lines l",
            "SELECT 'reversed ' || (to_jsonb(n) - 'batch_id')::text FROM reversal_entries n",
            "SELECT 'metric ' || (to_jsonb(m) - 'id' - 'created_at' - 'updated_at')::text FROM metrics m",
            "SELECT 'rollup ' || to_jsonb(r)::text FROM metric_rollups r",
            "SELECT 'rating ' || to_jsonb(r)::text FROM ratings r",
            "SELECT 'key ' || key || event_id FROM event_keys",
            "SELECT 'order ' || key || event_id FROM order_keys",
            "SELECT 'name ' || to_jsonb(d)::text FROM directory d",
            "SELECT 'vendor ' || to_jsonb(v)::text FROM product_vendors v",
            "SELECT 'letter ' || id || reason FROM dead_letters",
        ]
        .iter()
        .flat_map(|query| self.database.lines(&format!("{query} ORDER BY 1")))
        .collect()
    }
}

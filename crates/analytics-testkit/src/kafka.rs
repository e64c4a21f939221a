//! A Kafka server of a single test, which the test can kill, freeze and start again on the same
//! data. Also deletes records, recreates topics, and corrupts records on its disk.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::broker;
use crate::database::unique_name;
use crate::oidc::Oidc;
use crate::process::{self, free_port};
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(60);

/// A broker with two listeners: a direct one, and one that advertises a proxy's port, or is for clients with tokens.
pub struct Kafka {
    directory: PathBuf,
    classpath: String,
    /// An option of Java.
    option: Option<String>,
    logging: String,
    child: Option<Child>,
    /// Address of the direct listener.
    pub address: String,
    /// Address of the other listener, to which the proxy connects. Its clients are directed to the
    /// proxy.
    pub behind_proxy: String,
    /// Port that the other listener advertises; the proxy must listen on it.
    pub proxy_port: u16,
    controller: u16,
}

impl Kafka {
    /// Creates and starts a broker that is also the controller. `KAFKA_CLASSPATH` has its jars and
    /// `KAFKA_LOGGING` its log configuration; `scripts/test` and `scripts/torture` set both.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_as(1, free_port(), None)
    }

    /// The same, but clients of the second listener need TLS and a token of this provider.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_for_tokens(oidc: &Oidc) -> Self {
        Self::start_as(1, free_port(), Some(oidc))
    }

    /// Returns the address of the listener for clients with tokens, by the name in its certificate.
    #[must_use]
    pub fn for_tokens(&self) -> String {
        self.behind_proxy.replace("127.0.0.1", "localhost")
    }

    /// Starts a second broker in the cluster of this one, which remains the controller.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn second(&self) -> Self {
        Self::start_as(2, self.controller, None)
    }

    fn start_as(node: u8, controller: u16, oidc: Option<&Oidc>) -> Self {
        let directory = std::env::temp_dir().join(format!("analytics-test-kafka-{}", unique_name()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (port, other, proxy_port) = (free_port(), free_port(), free_port());
        let variable = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; scripts/test and scripts/torture set it"))
        };
        let mut kafka = Self {
            directory,
            classpath: variable("KAFKA_CLASSPATH"),
            // Kafka fetches nothing from addresses that are not listed.
            option: oidc.map(|oidc| format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={}", oidc.jwks())),
            logging: variable("KAFKA_LOGGING"),
            child: None,
            address: format!("127.0.0.1:{port}"),
            behind_proxy: format!("127.0.0.1:{other}"),
            proxy_port,
            controller,
        };
        let (roles, listener) = match node {
            1 => ("broker,controller", format!(",CONTROLLER://127.0.0.1:{controller}")),
            _ => ("broker", String::new()),
        };
        let (security, advertised, tokens) = match oidc {
            Some(oidc) => ("SASL_SSL", format!("localhost:{other}"), oidc.broker_settings("OTHER")),
            None => ("PLAINTEXT", format!("127.0.0.1:{proxy_port}"), String::new()),
        };
        let properties = format!(
            "process.roles={roles}\nnode.id={node}\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAIN\n\
             listeners=PLAIN://127.0.0.1:{port},OTHER://127.0.0.1:{other}{listener}\n\
             advertised.listeners=PLAIN://127.0.0.1:{port},OTHER://{advertised}\n\
             listener.security.protocol.map=PLAIN:PLAINTEXT,OTHER:{security},CONTROLLER:PLAINTEXT\n\
             log.dirs={data}\nauto.create.topics.enable=false\nlog.retention.ms=-1\nmessage.max.bytes=4194304\n\
             group.initial.rebalance.delay.ms=0\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=4\nshare.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n{tokens}",
            data = kafka.directory.join("data").display(),
        );
        std::fs::write(kafka.directory.join("server.properties"), properties).expect("the settings");
        let format = ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c"];
        let formatted = kafka.java(&format).arg(kafka.directory.join("server.properties")).status();
        assert!(formatted.expect("java").success(), "Kafka's storage could not be formatted");
        kafka.run();
        kafka
    }

    fn java(&self, arguments: &[&str]) -> Command {
        let log = std::fs::File::options().create(true).append(true).open(self.directory.join("log")).expect("a log");
        let mut command = process::tied("java");
        command
            .args(["-Xms128m", "-Xmx768m", "-XX:+UseG1GC"])
            .arg(format!("-Dlog4j2.configurationFile={}", self.logging))
            .args(&self.option)
            .args(["-cp", &self.classpath])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        command
    }

    /// Starts the broker on its existing data and waits until it answers.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn run(&mut self) {
        let child = self.java(&["kafka.Kafka"]).arg(self.directory.join("server.properties")).spawn();
        self.child = Some(child.expect("java"));
        let consumer = self.client();
        wait::until("Kafka to answer", PATIENCE, || consumer.fetch_metadata(None, Duration::from_secs(1)).ok());
    }

    fn client(&self) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set("reconnect.backoff.max.ms", "250");
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        config.create().expect("a client")
    }

    /// Kills it by SIGKILL.
    ///
    /// # Panics
    /// If it is not running.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a running broker");
        child.kill().expect("kill -9");
        child.wait().expect("the exit status");
    }

    /// Sends it a signal, such as `-STOP` or `-CONT`.
    ///
    /// # Panics
    /// If it is not running.
    pub fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("a running broker").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill").success());
    }

    /// Returns, for each topic and partition, its oldest offset and the offset after its newest
    /// record.
    ///
    /// # Panics
    /// If the broker does not answer.
    #[must_use]
    pub fn held(&self, topics: &[String]) -> BTreeMap<(String, i32), (i64, i64)> {
        let consumer = self.client();
        let ends = |topic: &String, partition: i32| {
            let ends = wait::until("the offsets of the partition", PATIENCE, || {
                consumer.fetch_watermarks(topic, partition, Duration::from_secs(5)).ok()
            });
            ((topic.clone(), partition), ends)
        };
        let partitions = |topic: &String| {
            wait::until("the broker to know the topic", PATIENCE, || {
                let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
                let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
                i32::try_from(count).ok().filter(|count| *count > 0)
            })
        };
        let of = |topic| (0..partitions(topic)).map(move |partition| (topic, partition));
        topics.iter().flat_map(of).map(|(topic, partition)| ends(topic, partition)).collect()
    }

    /// Deletes the records of one partition below an offset, like retention.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn forget_below(&self, topic: &str, partition: i32, offset: i64) {
        broker::forget_below(&self.address, topic, partition, offset);
    }

    /// Returns the numbers that records of these topics carry in a header, and how often each
    /// occurs. Reads them with Kafka's own console consumer, which shares no code with the service.
    /// Records of aborted transactions are left out.
    ///
    /// # Panics
    /// If the console consumer cannot be started.
    #[must_use]
    pub fn numbers(&self, topics: &[String], header: &str) -> BTreeMap<u64, u32> {
        // The consumer ends after as many records, or by its timeout if some of the offsets are
        // transaction markers.
        let records: i64 = self.held(topics).values().map(|(low, high)| high - low).sum();
        if records == 0 {
            return BTreeMap::new();
        }
        let names: Vec<String> = topics.iter().map(|topic| topic.replace('.', "[.]")).collect();
        let output = self
            .java(&["org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", &self.address])
            .args(["--include", &names.join("|"), "--from-beginning", "--isolation-level", "read_committed"])
            .args(["--timeout-ms", "20000", "--max-messages", &records.to_string()])
            .args(["--property", "print.headers=true", "--property", "print.value=false"])
            .stdout(Stdio::piped())
            .output()
            .expect("java");
        let mut numbers = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let found = line.split(',').find_map(|entry| entry.trim().strip_prefix(header)?.strip_prefix(':'));
            if let Some(number) = found.and_then(|number| number.parse().ok()) {
                *numbers.entry(number).or_default() += 1;
            }
        }
        numbers
    }

    /// Flips a bit in the middle of each occurrence of a text in a partition's log, like a faulty
    /// disk.
    ///
    /// # Panics
    /// If the log does not contain the text.
    pub fn rot(&self, topic: &str, partition: i32, text: &[u8]) {
        let folder = self.directory.join("data").join(format!("{topic}-{partition}"));
        let mut found = 0;
        for entry in std::fs::read_dir(&folder).expect("the partition's folder").filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            let bytes = std::fs::read(&path).expect("a segment");
            let segment = std::fs::File::options().write(true).open(&path).expect("a segment");
            for (place, _) in bytes.windows(text.len()).enumerate().filter(|(_, window)| *window == text) {
                let rotten = place + text.len() / 2;
                segment.write_at(&[bytes[rotten] ^ 1], rotten as u64).expect("a byte");
                found += 1;
            }
        }
        assert!(found > 0, "{topic}/{partition} does not hold the text");
    }

    /// Deletes a topic and creates it again under the same name, empty.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn remake(&self, topic: &str, partitions: i32) {
        broker::remake_topic(&self.address, topic, partitions);
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended = child.kill();
            let _ended = child.wait();
        }
        let _gone = std::fs::remove_dir_all(&self.directory);
    }
}

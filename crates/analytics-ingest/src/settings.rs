//! The settings of ingest, validated.

use std::net::SocketAddr;

use analytics_core::decode::Decoder;
use analytics_process::settings::{Settings, SettingsError};
use chrono::{DateTime, Utc};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

/// Everything that ingest can be told.
#[derive(Clone)]
pub struct IngestSettings {
    /// PostgreSQL.
    pub database_url: String,
    /// The consumer group.
    pub group_id: String,
    /// Where a partition starts that was never read.
    pub start: Start,
    /// The client's configuration, with the operator's own properties.
    pub kafka: ClientConfig,
    /// How records become events.
    pub decoder: Decoder,
    /// How much of a payload a dead letter keeps, in bytes.
    pub dead_letter_bytes: usize,
    /// Where the probes are served.
    pub bind: SocketAddr,
}

/// Where a partition starts that was never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At its oldest record.
    Earliest,
    /// At its end.
    Latest,
    /// At the first record of this time or later.
    At(DateTime<Utc>),
}

/// Properties that exactness depends on, or that have a setting of their own.
const OURS: [&str; 10] = [
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "group.id",
    "group.protocol",
    "isolation.level",
    "metadata.broker.list",
    "partition.assignment.strategy",
];

impl IngestSettings {
    /// Validates what ingest needs of the settings.
    ///
    /// # Errors
    /// The first setting that is missing or cannot be used, in a sentence.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        settings.parse("DEDUPE_DAYS", |days| match days.parse::<u32>() {
            Ok(1..=36_500) => Ok(()),
            _ => Err("it is a number of days from 1 to 36500"),
        })?;
        let group_id = settings.parse("KAFKA_GROUP_ID", |id| match id.len() {
            1..=249 => Ok(id.to_owned()),
            _ => Err("it has 1 to 249 characters"),
        })?;
        Ok(Self {
            database_url: settings.required("DATABASE_URL")?.to_owned(),
            start: settings.parse("KAFKA_START", start)?,
            kafka: kafka(settings, &group_id)?,
            group_id,
            decoder: settings.decoder()?,
            dead_letter_bytes: settings.bytes("DEAD_LETTER_MAX_BYTES")?,
            bind: settings.parse("INGEST_BIND", |bind| {
                bind.parse().map_err(|_| "it is an address and a port, such as 0.0.0.0:9090")
            })?,
        })
    }
}

fn start(text: &str) -> Result<Start, &'static str> {
    match text {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        time => DateTime::parse_from_rfc3339(time)
            .map(|time| Start::At(time.to_utc()))
            .map_err(|_| "it is earliest, latest, or an RFC 3339 time such as 2026-11-01T00:00:00Z"),
    }
}

/// The client's configuration: what exactness and bounded memory need, the operator's own
/// properties over it.
fn kafka(settings: &Settings, group_id: &str) -> Result<ClientConfig, SettingsError> {
    let brokers = settings.required("KAFKA_BROKER")?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "analytics-ingest")
        .set("group.id", group_id)
        .set("group.protocol", "classic")
        // The database owns the offsets; Kafka's are told afterwards, for lag tools.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // An offset that is gone is a gap to record, never a silent jump.
        .set("auto.offset.reset", "error")
        // What a producer took back was never said.
        .set("isolation.level", "read_committed")
        // Range would give the first partition of every topic to the same worker.
        .set("partition.assignment.strategy", "roundrobin")
        .set("session.timeout.ms", "15000")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("socket.keepalive.enable", "true")
        .set("statistics.interval.ms", "5000")
        .set("fetch.wait.max.ms", "100")
        // A full queue is looked at again after so long. The client's own second would let writers
        // wait for records that the broker has: the queue below lasts for a fraction of it.
        .set("fetch.queue.backoff.ms", "10")
        // Memory stays bounded whatever the backlog. What is fetched is compressed and grows
        // several times; a record larger than these limits still comes, alone.
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.message.max.bytes", "262144")
        .set("fetch.max.bytes", "2097152")
        .set("message.max.bytes", "1048576");
    for (key, value) in properties(settings.get("KAFKA_PROPERTIES").unwrap_or_default())? {
        config.set(key, value);
    }
    // Only its debug log says that a topic was deleted and made again under the same name: see
    // kafka/membership.rs. A few lines with every refresh; they reach our log only if it wants
    // them.
    let debug = config.get("debug").map_or("metadata".to_owned(), |theirs| format!("{theirs},metadata"));
    config.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
    Ok(config)
}

/// Reads `key=value` pairs, separated by commas or lines, or the lines of the file after `@`.
fn properties(text: &str) -> Result<Vec<(String, String)>, SettingsError> {
    let invalid = |problem: String| SettingsError::invalid("KAFKA_PROPERTIES", problem);
    let from_file;
    let text = match text.strip_prefix('@') {
        Some(path) => {
            from_file =
                std::fs::read_to_string(path).map_err(|error| invalid(format!("names the file {path}: {error}")))?;
            &from_file
        }
        None => text,
    };
    // A comma may be part of a value; only one that a new key follows ends it.
    let mut entries: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        for (index, part) in line.split(',').enumerate() {
            let begins_entry = index == 0 || part.split_once('=').is_some_and(|(key, _)| is_property_name(key.trim()));
            match entries.last_mut() {
                Some(last) if !begins_entry => {
                    last.push(',');
                    last.push_str(part);
                }
                _ => entries.push(part.to_owned()),
            }
        }
    }
    entries
        .iter()
        .filter(|entry| !entry.trim().is_empty())
        .map(|entry| {
            let (key, value) =
                entry.split_once('=').ok_or_else(|| invalid("has an entry that is no key=value".into()))?;
            let key = key.trim();
            if OURS.contains(&key) {
                return Err(invalid(format!("cannot change {key}, which ingest sets itself")));
            }
            Ok((key.to_owned(), value.trim().to_owned()))
        })
        .collect()
}

fn is_property_name(name: &str) -> bool {
    name.contains('.') && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_separated_by_commas_or_lines_and_may_hold_commas() {
        let text = "security.protocol=SASL_SSL, sasl.mechanisms=PLAIN\nsasl.password=a=b,c\n# a comment\n\nssl.cipher.suites=A,B,C,client.rack=r1";
        let read = properties(text).unwrap();
        let expected = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.password", "a=b,c"),
            ("ssl.cipher.suites", "A,B,C"),
            ("client.rack", "r1"),
        ];
        assert_eq!(read, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_exactness_depends_on_cannot_be_changed() {
        let error = properties("auto.offset.reset=latest").unwrap_err().to_string();
        assert_eq!(error, "KAFKA_PROPERTIES cannot change auto.offset.reset, which ingest sets itself");
        assert!(properties("nonsense").is_err());
        assert!(properties("@/no/such/file").is_err());
    }

    #[test]
    fn each_bad_setting_stops_the_start_with_one_sentence() {
        let good = [("DATABASE_URL", "postgres://h/d"), ("KAFKA_BROKER", "k:9092")];
        let with = |name: &str, value: &str| {
            let own = good.iter().filter(|(known, _)| *known != name).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            let all = own.chain([(name.to_owned(), value.to_owned())]);
            let settings = Settings::from_sources(std::collections::BTreeMap::new(), all).unwrap();
            IngestSettings::from_settings(&settings).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(with("KAFKA_GROUP_ID", "g"), Ok(()));
        for (name, value, says) in [
            ("DATABASE_URL", "", "DATABASE_URL is not set"),
            ("KAFKA_BROKER", "", "KAFKA_BROKER is not set"),
            ("BASE_CURRENCY", "DOLLARS", "ISO 4217"),
            ("BUSINESS_TIMEZONE", "Mars/Olympus", "IANA"),
            ("KAFKA_TOPICS", "orders=x", "no event family"),
            ("KAFKA_EXTRA_TOPICS", "order.created", "named twice"),
            ("KAFKA_START", "yesterday", "earliest, latest"),
            ("MAX_RECORD_BYTES", "0", "number of bytes"),
            ("DEDUPE_DAYS", "0", "number of days"),
            ("INGEST_BIND", "9090", "address and a port"),
            ("KAFKA_PROPERTIES", "group.id=x", "group.id"),
        ] {
            let sentence = with(name, value).unwrap_err();
            assert!(sentence.contains(says) && !sentence.contains('\n'), "{name}={value}: {sentence}");
        }
    }
}

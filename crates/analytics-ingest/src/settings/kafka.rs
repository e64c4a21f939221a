//! The configuration of the Kafka clients: the properties that exact counting and bounded memory
//! require, overridden by the operator's own properties where that is safe.
//!
//! No message repeats a value from the operator, nor a property name that librdkafka does not know:
//! either may be a secret, or part of one.

use analytics_process::settings::{Settings, SettingsError};
use rdkafka::ClientConfig;
use rdkafka::config::{NativeClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use crate::oauth;

/// Properties that exact counting depends on, or that have a setting of their own.
const OURS: [&str; 11] = [
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "group.id",
    "group.protocol",
    "isolation.level",
    "metadata.broker.list",
    "partition.assignment.strategy",
];

/// Frequently used properties, to suggest one of them for a misspelled name.
const COMMON: [&str; 14] = [
    "client.rack",
    "enable.ssl.certificate.verification",
    "sasl.kerberos.service.name",
    "sasl.mechanisms",
    "sasl.oauthbearer.config",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.keystore.location",
];

/// Returns the configuration of the consumer, and that of clients which only query the broker.
///
/// # Errors
/// [`SettingsError`] if a setting is invalid or librdkafka does not accept the properties.
pub(super) fn configurations(
    settings: &Settings,
    group_id: &str,
) -> Result<(ClientConfig, ClientConfig), SettingsError> {
    let mut queries = ClientConfig::new();
    queries
        .set("bootstrap.servers", settings.parse("KAFKA_BROKER", brokers)?)
        .set("client.id", "analytics-ingest")
        .set("socket.keepalive.enable", "true")
        .set("topic.metadata.refresh.interval.ms", "10000");
    let mut consumer = queries.clone();
    // The end of a partition includes records of transactions that are still open.
    queries.set("isolation.level", "read_uncommitted").set("client.id", "analytics-ingest-queries");
    consumer
        .set("group.id", group_id)
        .set("group.protocol", "classic")
        // The database owns the offsets; they are committed to Kafka afterwards, for lag tools.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // An offset that no longer exists is a gap to record, and never skipped silently.
        .set("auto.offset.reset", "error")
        // Records of aborted transactions are not delivered.
        .set("isolation.level", "read_committed")
        // Transaction markers are not records: only this event shows that they were passed.
        .set("enable.partition.eof", "true")
        // A damaged record is a gap to record, even if it can still be parsed.
        .set("check.crcs", "true")
        // The range strategy would give the first partition of every topic to the same worker.
        .set("partition.assignment.strategy", "roundrobin")
        .set("session.timeout.ms", "15000")
        .set("fetch.wait.max.ms", "100")
        // How long fetching pauses once the client's queue is full. With the default of one second,
        // writers would run out of records although the broker has more: the queue, limited below,
        // lasts for a fraction of a second.
        .set("fetch.queue.backoff.ms", "10")
        // Memory stays bounded whatever the backlog. Fetched data is compressed and expands
        // several times; a record larger than these limits is still delivered, on its own.
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.message.max.bytes", "262144")
        .set("fetch.max.bytes", "2097152")
        .set("message.max.bytes", "1048576");
    let mut properties = properties(settings.get("KAFKA_PROPERTIES").unwrap_or_default())?;
    let has_tokens = settings.get(oauth::URL).is_some_and(|url| !url.is_empty());
    properties.extend(of_tokens(&properties, has_tokens)?);
    for config in [&mut queries, &mut consumer] {
        for (key, value) in &properties {
            config.set(key, value);
        }
        check(config, &properties)?;
    }
    // Only librdkafka's debug log reports that a topic was deleted and recreated under the same
    // name: see kafka/membership.rs. It writes a few lines at every metadata refresh; they reach
    // our log only at level debug.
    let debug = consumer.get("debug").map_or("metadata".to_owned(), |theirs| format!("{theirs},metadata"));
    consumer.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
    Ok((consumer, queries))
}

/// Returns the properties that tokens need, in addition to these of the operator.
fn of_tokens(properties: &[(String, String)], has_tokens: bool) -> Result<Vec<(String, String)>, SettingsError> {
    let set = |names: &[&str]| properties.iter().rev().find(|(key, _)| names.contains(&key.as_str()));
    let mechanism = set(&["sasl.mechanisms", "sasl.mechanism"]).map(|(_, value)| value.as_str());
    let protocol = set(&["security.protocol"]).map(|(_, value)| value.to_ascii_lowercase());
    match (has_tokens, mechanism) {
        // For tests, the client makes tokens itself, which are not signed.
        (false, Some("OAUTHBEARER"))
            if set(&["enable.sasl.oauthbearer.unsecure.jwt"]).is_none_or(|(_, value)| value != "true") =>
        {
            Err(invalid(format!("sasl.mechanisms=OAUTHBEARER needs tokens: {} must be set", oauth::URL)))
        }
        (false, _) => Ok(Vec::new()),
        (true, Some(other)) if other != "OAUTHBEARER" => {
            Err(invalid(format!("sasl.mechanisms must be OAUTHBEARER or absent, because {} is set", oauth::URL)))
        }
        (true, _) => match protocol.as_deref() {
            Some("sasl_ssl" | "sasl_plaintext") => Ok(vec![("sasl.mechanisms".into(), "OAUTHBEARER".into())]),
            None => Ok([("security.protocol", "SASL_SSL"), ("sasl.mechanisms", "OAUTHBEARER")]
                .map(|(key, value)| (key.into(), value.into()))
                .into()),
            Some(_) => Err(invalid(format!(
                "security.protocol must be SASL_SSL (the default) or SASL_PLAINTEXT, because {} is set",
                oauth::URL
            ))),
        },
    }
}

/// Validates a comma-separated list of `host`, `host:port` or `protocol://host:port`.
fn brokers(text: &str) -> Result<String, &'static str> {
    const MUST: &str = "must be brokers such as kafka-1:9092,kafka-2:9092";
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
    let is_host =
        |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let is_address = |host: &str| host.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
    for broker in text.split(',').map(str::trim) {
        let address = broker.split_once("://").map_or(broker, |(_, address)| address);
        let (host, port, known) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => {
                (host, rest.strip_prefix(':'), is_address(host) && (rest.is_empty() || rest.starts_with(':')))
            }
            None => {
                let (host, port) = address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)));
                (host, port, is_host(host))
            }
        };
        if host.is_empty() || !known || port.is_some_and(|port| !is_port(port)) {
            return Err(MUST);
        }
    }
    Ok(text.to_owned())
}

fn invalid(problem: impl Into<String>) -> SettingsError {
    SettingsError::invalid("KAFKA_PROPERTIES", problem.into())
}

/// Checks that librdkafka accepts each property, and all of them together.
fn check(config: &ClientConfig, properties: &[(String, String)]) -> Result<(), SettingsError> {
    let unusable = |_| invalid("librdkafka cannot be configured");
    let native = ClientConfig::new().create_native_config().map_err(unusable)?;
    for (number, (key, value)) in (1..).zip(properties) {
        if !is_known(&native, key) {
            let close = |common: &&str| strsim::normalized_damerau_levenshtein(key, common) >= 0.8;
            let meant = COMMON.into_iter().find(close).map(|meant| format!("; is {meant} meant?")).unwrap_or_default();
            return Err(invalid(format!("the name of entry {number} is not a property of librdkafka{meant}")));
        }
        let alone: ClientConfig = [(key.clone(), value.clone())].into_iter().collect();
        if alone.create_native_config().is_err() {
            return Err(invalid(format!("{key} has a value that librdkafka does not accept")));
        }
    }
    // Conflicting properties and missing files show only when a client is created. Without
    // `bootstrap.servers` it connects to no broker.
    let mut nowhere = config.clone();
    nowhere.remove("bootstrap.servers");
    match nowhere.create::<BaseConsumer>() {
        Ok(_) => Ok(()),
        Err(error) => {
            let why = match error {
                KafkaError::ClientCreation(why) => why,
                _ => String::new(),
            };
            let about: Vec<&str> =
                properties.iter().map(|(key, _)| key.as_str()).filter(|key| why.contains(key)).collect();
            let about = if about.is_empty() { String::new() } else { format!(", because of {}", about.join(" and ")) };
            Err(invalid(format!("the Kafka client cannot be created with these properties{about}")))
        }
    }
}

fn is_known(native: &NativeClientConfig, key: &str) -> bool {
    // librdkafka knows some properties that cannot be read back.
    !key.contains('\0') && (native.get(key).is_ok() || COMMON.contains(&key))
}

/// Whether the properties are in a file.
pub(super) fn is_file(text: &str) -> bool {
    text.starts_with('@')
}

/// Reads `key=value` pairs, separated by commas or lines, or the lines of the file after `@`.
fn properties(text: &str) -> Result<Vec<(String, String)>, SettingsError> {
    let from_file;
    let text = match text.strip_prefix('@') {
        Some(path) => {
            from_file = std::fs::read_to_string(path)
                .map_err(|error| invalid(format!("the file after @ cannot be read: {}", error.kind())))?;
            &from_file
        }
        None => text,
    };
    // A comma may be part of a value; it ends the value only if a new key follows.
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
    (1..)
        .zip(entries.iter().filter(|entry| !entry.trim().is_empty()))
        .map(|(number, entry)| {
            let (key, value) =
                entry.split_once('=').ok_or_else(|| invalid(format!("entry {number} must be key=value")))?;
            let key = key.trim();
            if OURS.contains(&key) {
                return Err(invalid(format!("{key} cannot be changed: ingest sets it itself")));
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
    fn invalid_properties_are_reported_without_repeating_them() {
        let settings = |properties: &str| {
            let all = [("KAFKA_BROKER", "k:9092"), ("KAFKA_PROPERTIES", properties)];
            let settings = Settings::from_environment(all.map(|(name, value)| (name.to_owned(), value.to_owned())));
            configurations(&settings, "g").map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(settings("security.protocol=PLAINTEXT,client.rack=r1,linger.ms=5"), Ok(()));
        for (text, says) in [
            ("auto.offset.reset=latest", "auto.offset.reset cannot be changed"),
            ("check.crcs=false", "check.crcs cannot be changed"),
            ("SECRET", "entry 1 must be key=value"),
            ("client.rack=r\nSECRET", "entry 2 must be key=value"),
            ("SECRET=x", "the name of entry 1 is not a property"),
            ("sasl.pasword=SECRET", "is sasl.password meant?"),
            ("sasl.password=SECRET,secret.part=SECRET", "the name of entry 2 is not a property"),
            ("security.protocol=SECRET", "security.protocol has a value"),
            ("session.timeout.ms=SECRET", "session.timeout.ms has a value"),
            ("ssl.ca.location=/SECRET,security.protocol=SSL", "because of ssl.ca.location"),
            ("security.protocol=SASL_PLAINTEXT,sasl.mechanisms=SECRET", "the Kafka client cannot be created"),
            ("@/SECRET", "the file after @ cannot be read"),
        ] {
            let sentence = settings(text).unwrap_err();
            assert!(sentence.contains(says), "{text}: {sentence}");
            assert!(!sentence.contains("SECRET") && !sentence.contains("secret"), "{text}: {sentence}");
        }
    }

    #[test]
    fn tokens_decide_the_mechanism() {
        let configured = |properties: &str, url: &str| {
            let all = [("KAFKA_BROKER", "k:9092"), ("KAFKA_PROPERTIES", properties), (oauth::URL, url)];
            let settings = Settings::from_environment(all.map(|(name, value)| (name.to_owned(), value.to_owned())));
            configurations(&settings, "g").map_err(|error| error.to_string())
        };
        let url = "https://id.example.com/token";
        for (properties, protocol) in [
            ("client.rack=r1", "SASL_SSL"),
            ("security.protocol=SASL_PLAINTEXT,sasl.mechanism=OAUTHBEARER", "SASL_PLAINTEXT"),
        ] {
            let (consumer, queries) = configured(properties, url).unwrap();
            for config in [consumer, queries] {
                assert_eq!(config.get("sasl.mechanisms"), Some("OAUTHBEARER"), "{properties}");
                assert_eq!(config.get("security.protocol"), Some(protocol), "{properties}");
            }
        }
        for (properties, url, says) in [
            ("security.protocol=SASL_SSL,sasl.mechanisms=OAUTHBEARER", "", "KAFKA_OAUTH_TOKEN_URL must be set"),
            ("security.protocol=SASL_SSL,sasl.mechanisms=PLAIN", url, "sasl.mechanisms must be OAUTHBEARER or absent"),
            ("security.protocol=SSL", url, "security.protocol must be SASL_SSL (the default) or SASL_PLAINTEXT"),
        ] {
            let sentence = configured(properties, url).unwrap_err();
            assert!(sentence.starts_with("KAFKA_PROPERTIES: ") && sentence.contains(says), "{properties}: {sentence}");
        }
    }

    #[test]
    fn brokers_are_hosts_and_ports() {
        for good in ["k", "k:9092", "kafka-1.example.com:9092,10.0.0.1:9093", "[::1]:9092", "SASL_SSL://k:9092"] {
            assert!(brokers(good).is_ok(), "{good}");
        }
        for bad in ["k:0", "k:99999", "k:", ":9092", "u:p@k:9092", "k 9092", "k:9092,", "[::1]9092", "http://"] {
            assert!(brokers(bad).is_err(), "{bad}");
        }
    }
}

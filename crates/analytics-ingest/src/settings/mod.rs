//! The settings of ingest, validated.

mod kafka;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use analytics_core::events::{Decoder, Redaction};
use analytics_db::DatabaseUrl;
use analytics_db::batch::Keeping;
use analytics_process::settings::{Settings, SettingsError};
use chrono::{DateTime, Utc};
use rdkafka::ClientConfig;

use crate::fold::MostWaiting;
use crate::oauth::Tokens;

/// The settings of ingest.
#[derive(Clone)]
pub struct IngestSettings {
    /// The PostgreSQL database.
    pub database_url: DatabaseUrl,
    /// The consumer group.
    pub group_id: String,
    /// Where partitions that existed before the group start.
    pub start: Start,
    /// The configuration of the consumer, including the operator's properties.
    pub kafka: ClientConfig,
    /// The configuration of clients that only query the broker and join no group.
    pub kafka_queries: ClientConfig,
    /// The tokens with which these clients authenticate themselves, if the brokers want tokens.
    pub(crate) tokens: Option<Arc<Tokens>>,
    /// The settings from which these two are made, if their properties are in a file.
    from_file: Option<Settings>,
    /// Decodes records into events.
    pub decoder: Decoder,
    /// How much dead letters keep, and which fields are removed from them.
    pub keeping: Keeping,
    /// How much may wait to be counted before writers pause.
    pub most_waiting: MostWaiting,
    /// How many records per second an audit reads at most; `None`: as many as it can.
    pub audit_rate: Option<NonZeroU32>,
    /// The address at which the probes are served.
    pub bind: SocketAddr,
}

/// Where partitions that existed before the group start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    Earliest,
    /// At the end.
    Latest,
    /// At the first record with this timestamp or a later one.
    At(DateTime<Utc>),
}

impl IngestSettings {
    /// Validates the settings that ingest needs.
    ///
    /// # Errors
    /// [`SettingsError`] for the first setting that is missing or invalid.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        settings.number("DEDUPE_DAYS", 1..=36_500_u32, "days")?;
        let group_id = settings.parse("KAFKA_GROUP_ID", |id| match id.len() {
            1..=249 => Ok(id.to_owned()),
            _ => Err("must have 1 to 249 characters"),
        })?;
        let decoder = settings.decoder()?;
        let tokens = Tokens::from_settings(settings)?;
        let (kafka, kafka_queries) = kafka::configurations(settings, &group_id)?;
        Ok(Self {
            database_url: settings
                .parse("DATABASE_URL", DatabaseUrl::parse)?
                .password_in(settings.get("DATABASE_PASSWORD_FILE")),
            start: settings.parse("KAFKA_START", start)?,
            kafka,
            kafka_queries,
            tokens,
            from_file: settings.get("KAFKA_PROPERTIES").is_some_and(kafka::is_file).then(|| settings.clone()),
            group_id,
            keeping: Keeping {
                payload_bytes: settings.bytes("DEAD_LETTER_MAX_BYTES")?,
                total_bytes: settings.number("DEAD_LETTER_MAX_TOTAL_BYTES", 0..=i64::MAX.unsigned_abs(), "bytes")?,
                redaction: match settings.flag("REDACT_DEAD_LETTERS")? {
                    true => decoder.redaction.clone(),
                    false => Redaction::default(),
                },
            },
            most_waiting: MostWaiting {
                records: settings.number("FOLD_MAX_WAITING_RECORDS", 1..=i64::MAX, "records")?,
                time: Duration::from_secs(settings.number("FOLD_MAX_WAITING_SECONDS", 1..=86_400, "seconds")?),
            },
            audit_rate: NonZeroU32::new(settings.number("AUDIT_RECORDS_PER_SECOND", 0..=1_000_000_000, "records")?),
            decoder,
            bind: settings.parse("INGEST_BIND", |bind| {
                bind.parse().map_err(|_| "must be an address and a port, such as 0.0.0.0:9090")
            })?,
        })
    }
}

impl IngestSettings {
    /// Whether the Kafka clients of a new session may differ from those of this one.
    #[must_use]
    pub const fn can_reread_kafka(&self) -> bool {
        self.from_file.is_some()
    }

    /// Reads the file with the properties of the Kafka clients again, if they are in one: a password or
    /// a certificate may have been replaced. If it cannot be used, everything stays as it is.
    pub fn reread_kafka(&mut self) {
        let Some(settings) = &self.from_file else { return };
        match kafka::configurations(settings, &self.group_id) {
            Ok((kafka, kafka_queries)) => (self.kafka, self.kafka_queries) = (kafka, kafka_queries),
            Err(error) => log::warn!("the properties that were read before are used: {error}"),
        }
    }
}

fn start(text: &str) -> Result<Start, &'static str> {
    match text {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        time => DateTime::parse_from_rfc3339(time)
            .map(|time| Start::At(time.to_utc()))
            .map_err(|_| "must be earliest, latest, or an RFC 3339 time such as 2026-11-01T00:00:00Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_setting_stops_the_start_with_one_sentence() {
        let good = [("DATABASE_URL", "postgres://h/d"), ("KAFKA_BROKER", "k:9092")];
        let with = |name: &str, value: &str| {
            let own = good.iter().filter(|(known, _)| *known != name).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            let settings = Settings::from_environment(own.chain([(name.to_owned(), value.to_owned())]));
            IngestSettings::from_settings(&settings).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(with("KAFKA_GROUP_ID", "g"), Ok(()));
        for (name, value, says) in [
            ("DATABASE_URL", "", "DATABASE_URL: must be set"),
            ("DATABASE_URL", "mysql://h/d", "DATABASE_URL: must be a PostgreSQL URL"),
            ("KAFKA_BROKER", "", "KAFKA_BROKER: must be set"),
            ("BASE_CURRENCY", "DOLLARS", "ISO 4217"),
            ("BUSINESS_TIMEZONE", "Mars/Olympus", "IANA"),
            ("KAFKA_TOPICS", "orders=x", "KAFKA_TOPICS: "),
            ("KAFKA_EXTRA_TOPICS", "order.created", "KAFKA_EXTRA_TOPICS: must name a topic once"),
            ("KAFKA_START", "yesterday", "must be earliest, latest"),
            ("MAX_RECORD_BYTES", "0", "number of bytes"),
            ("DEDUPE_DAYS", "0", "number of days"),
            ("FOLD_MAX_WAITING_RECORDS", "0", "number of records"),
            ("FOLD_MAX_WAITING_SECONDS", "1 min", "number of seconds"),
            ("AUDIT_RECORDS_PER_SECOND", "-1", "number of records"),
            ("INGEST_BIND", "9090", "address and a port"),
            ("REDACT_DEAD_LETTERS", "maybe", "must be true or false"),
            ("DEAD_LETTER_MAX_TOTAL_BYTES", "5 GB", "number of bytes"),
            ("KAFKA_PROPERTIES", "group.id=x", "group.id"),
            ("KAFKA_OAUTH_CLIENT_ID", "c", "KAFKA_OAUTH_TOKEN_URL: must be set"),
        ] {
            let sentence = with(name, value).unwrap_err();
            assert!(sentence.contains(says) && !sentence.contains('\n'), "{name}={value}: {sentence}");
        }
    }

    #[test]
    fn properties_in_a_file_are_read_again_and_kept_if_they_cannot_be_used() {
        let file = std::env::temp_dir().join(format!("properties-{}", std::process::id()));
        let write = |password: &str| {
            let text =
                format!("security.protocol=SASL_PLAINTEXT\nsasl.mechanisms=PLAIN\nsasl.username=u\n{password}\n");
            std::fs::write(&file, text).expect("a file");
        };
        write("sasl.password=first");
        let of = |properties: String| {
            let given = [("DATABASE_URL", "postgres://h/d".to_owned()), ("KAFKA_BROKER", "k:9092".to_owned())];
            let given = given.into_iter().chain([("KAFKA_PROPERTIES", properties)]);
            let settings = Settings::from_environment(given.map(|(name, value)| (name.to_owned(), value)));
            IngestSettings::from_settings(&settings).expect("settings")
        };
        let mut settings = of(format!("@{}", file.display()));
        for (written, used) in [("sasl.password=second", "second"), ("no.such.property=1", "second")] {
            write(written);
            settings.reread_kafka();
            let passwords = [&settings.kafka, &settings.kafka_queries].map(|config| config.get("sasl.password"));
            assert_eq!(passwords, [Some(used); 2]);
        }
        std::fs::remove_file(&file).expect("the file");
        assert!(settings.can_reread_kafka() && !of("client.rack=a".into()).can_reread_kafka());
    }
}

//! Reads ranges of offsets from Kafka, with a consumer that joins no group. It shares no code with the one that
//! ingest fetches records with.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use analytics_db::tables::offset_ranges::Range;
use analytics_process::shutdown::Shutdown;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::digest::{Held, hash};
use crate::kafka;
use crate::settings::IngestSettings;

const ANSWER: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
/// How long Kafka may send nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// Why a range could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// Some of its offsets do not exist any more.
    NotHeld,
    /// Its bytes are damaged on the broker's disk.
    Damaged,
    /// The process was asked to stop.
    Stopped,
    /// Kafka sends nothing.
    Silent,
    /// Kafka refuses.
    Failed(String),
}

impl From<KafkaError> for Unread {
    fn from(error: KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => Self::NotHeld,
            Some(
                RDKafkaErrorCode::BadMessage
                | RDKafkaErrorCode::BadCompression
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::NotImplemented,
            ) => Self::Damaged,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Reads one range after the other.
pub(super) struct Reader<'a> {
    settings: &'a IngestSettings,
    shutdown: &'a Shutdown,
    consumer: Option<BaseConsumer>,
    /// The number of the token that it has, if it authenticates itself with tokens.
    token: Cell<u64>,
    /// The partition that is read.
    partition: Option<(String, i32)>,
    /// The offset from which the next record is delivered.
    next: i64,
    /// The record that was delivered behind the last range.
    ahead: Option<(i64, u128)>,
    /// Since when records are read, and how many were.
    pace: (Instant, u64),
}

impl<'a> Reader<'a> {
    pub(super) fn new(settings: &'a IngestSettings, shutdown: &'a Shutdown) -> Result<Self, KafkaError> {
        let mut config = settings.kafka_queries.clone();
        // A follower may be behind, and say that the partition ends before it does.
        config.remove("client.rack");
        config
            .set("client.id", "analytics-ingest-audit")
            // The client does not read without a group id; it joins no group.
            .set("group.id", &settings.group_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("check.crcs", "true")
            // Questions share a connection with the fetch at the end of a partition, and are answered after it.
            .set("fetch.wait.max.ms", "20")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.message.max.bytes", "1048576")
            .set("fetch.queue.backoff.ms", "10");
        let consumer = Some(kafka::client(settings, &config, DefaultConsumerContext)?);
        let (token, pace) = (Cell::default(), (Instant::now(), 0));
        Ok(Self { settings, shutdown, consumer, token, partition: None, next: 0, ahead: None, pace })
    }

    fn consumer(&self) -> Result<&BaseConsumer, KafkaError> {
        let consumer = self.consumer.as_ref().ok_or(KafkaError::Canceled)?;
        if let Some(tokens) = &self.settings.tokens {
            let mut token = self.token.get();
            tokens.refresh(consumer.client(), &mut token);
            self.token.set(token);
        }
        Ok(consumer)
    }

    /// Returns the ids of the topics that exist, as far as topics have ids.
    pub(super) fn topic_id(&self, topic: &str) -> Result<Option<String>, KafkaError> {
        let mut ids = kafka_events::topics::ids(self.consumer()?, &[topic], ANSWER)?;
        ids.remove(topic).ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition))
    }

    /// Returns the first offset that Kafka holds of a partition, and the end of its committed records.
    pub(super) fn ends(&self, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
        self.consumer()?.fetch_watermarks(topic, partition, ANSWER)
    }

    /// Returns whether Kafka compacts a topic.
    ///
    /// # Errors
    /// The broker does not say so, or the user may not ask.
    pub(super) fn is_compacted(&self, topic: &str) -> Result<bool, KafkaError> {
        let admin: AdminClient<DefaultClientContext> = self.settings.kafka_queries.create()?;
        self.settings.tokens.as_ref().map_or(Ok(()), |tokens| tokens.give(admin.inner()))?;
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let configs = futures_executor::block_on(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options))?;
        let mut is_compacted = false;
        for config in configs {
            let config = config.map_err(KafkaError::AdminOp)?;
            let policy = config.get("cleanup.policy").and_then(|policy| policy.value.as_deref());
            is_compacted |= policy.is_some_and(|policy| policy.contains("compact"));
        }
        Ok(is_compacted)
    }

    /// Forgets what was read ahead, so that the next range is read from Kafka anew.
    pub(super) fn start_over(&mut self) {
        self.partition = None;
        self.ahead = None;
    }

    /// Reads a range.
    pub(super) fn read(&mut self, range: &Range) -> Result<Held, Unread> {
        let mut held = Held::default();
        let of_range = |offset: i64| (range.from_offset..range.to_offset).contains(&offset);
        let is_here = self.partition.as_ref().is_some_and(|(topic, partition)| {
            *topic == range.topic && *partition == range.partition && self.next == range.from_offset
        });
        if !is_here {
            self.start_at(range)?;
        }
        if let Some((offset, hash)) = self.ahead {
            if offset >= range.to_offset {
                self.next = range.to_offset;
                return Ok(held);
            }
            self.ahead = None;
            if of_range(offset) {
                held.add(hash);
            }
            if offset + 1 == range.to_offset {
                self.next = range.to_offset;
                return Ok(held);
            }
        }
        let read = self.read_on(range, &mut held);
        match read {
            Ok(()) => self.next = range.to_offset,
            // Read from where the next range begins.
            Err(_) => self.partition = None,
        }
        read.map(|()| held)
    }

    /// Reads records until those of the range are complete: the last one was delivered, or one behind it,
    /// or the end of the partition was reached.
    fn read_on(&mut self, range: &Range, held: &mut Held) -> Result<(), Unread> {
        let mut heard = Instant::now();
        loop {
            if self.shutdown.requested() {
                return Err(Unread::Stopped);
            }
            self.keep_pace();
            let Some(polled) = self.consumer()?.poll(POLL) else {
                if heard.elapsed() > SILENCE {
                    return Err(Unread::Silent);
                }
                continue;
            };
            let record = match polled {
                Ok(record) => record,
                Err(KafkaError::PartitionEOF(_)) => {
                    // It is reported once: the next range has to be assigned again.
                    self.partition = None;
                    return Ok(());
                }
                // The client tries again by itself.
                Err(error) if is_transport(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            heard = Instant::now();
            let offset = record.offset();
            let hash = hash(&record);
            drop(record);
            self.pace.1 += 1;
            if offset >= range.to_offset {
                self.ahead = Some((offset, hash));
                return Ok(());
            }
            if offset >= range.from_offset {
                held.add(hash);
            }
            if offset + 1 == range.to_offset {
                return Ok(());
            }
        }
    }

    fn start_at(&mut self, range: &Range) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&range.topic, range.partition, Offset::Offset(range.from_offset))?;
        self.partition = None;
        self.consumer()?.assign(&list)?;
        self.partition = Some((range.topic.clone(), range.partition));
        self.next = range.from_offset;
        self.ahead = None;
        Ok(())
    }

    /// Pauses if more records were read than there may be.
    fn keep_pace(&self) {
        let Some(rate) = self.settings.audit_rate else { return };
        let (since, records) = self.pace;
        let due = Duration::from_secs_f64(to_f64(records) / f64::from(rate.get()));
        let early = due.saturating_sub(since.elapsed());
        if early > Duration::from_millis(20) {
            let _requested = self.shutdown.wait(early.min(Duration::from_secs(1)));
        }
    }
}

/// Numbers of records are far below 2^53.
#[allow(clippy::cast_precision_loss)]
const fn to_f64(records: u64) -> f64 {
    records as f64
}

fn is_transport(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    matches!(error.rdkafka_error_code(), Some(AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve))
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // Closing a consumer takes a moment, and has been observed to hang: do not wait for it.
        let consumer = self.consumer.take();
        let closing = thread::Builder::new().name("closing".into()).spawn(move || drop(consumer));
        if let Err(error) = closing {
            log::warn!("a consumer could not be closed: {error}");
        }
    }
}

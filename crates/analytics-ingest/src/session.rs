//! One membership in the consumer group: polls Kafka, passes records to the writers, and shuts down
//! in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, TopicPartition};
use analytics_db::transactions::STATEMENT_SECONDS;
use analytics_process::shutdown::Shutdown;
use anyhow::Context as _;
use kafka_events::{Event, Events, Failure, Message, Place};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::buffer::{Buffer, End, Limits, Pushed};
use crate::fold::Fold;
use crate::kafka::{self, Consumer, Membership, Regressions};
use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;
use crate::writer::{Pace, Writer};

const WRITERS: usize = 2;

const LIMITS: Limits = Limits {
    batch_records: 22_000,
    batch_bytes: 24 << 20,
    waiting_bytes: 28 << 20,
    waiting_records: 27_000,
    linger: Duration::from_millis(100),
    heartbeat: Duration::from_secs(5),
    writers: WRITERS,
};

/// How long to wait for room in a full buffer. A longer wait would also delay a rebalance of the
/// other members.
const NO_ROOM: Duration = Duration::from_secs(20);
/// How long writing everything that is buffered may take, when the process stops or when damaged
/// records follow.
const DRAIN: Duration = Duration::from_secs(7);
const POLL: Duration = Duration::from_millis(100);
/// How long a writer may make no progress before the session ends, so that other members of the
/// group take over the partitions. Longer than any statement may take.
const STUCK: Duration = Duration::from_secs(STATEMENT_SECONDS + 10);
/// How often the stored offsets are committed to Kafka, for lag tools.
const TELL_KAFKA: Duration = Duration::from_secs(5);
/// How long leaving the group may take. A client that takes longer continues in the background.
const LEAVE: Duration = Duration::from_secs(60);
/// How long threads may take to notice that they have to stop.
const JOIN: Duration = Duration::from_millis(700);

/// Joins the group and counts until something ends the session. Returns the reason.
///
/// # Errors
/// Failures that a new session cannot fix: a property that the client refuses, a fatal error of the
/// client.
pub(crate) fn run(
    settings: &Arc<IngestSettings>,
    regressions: &Regressions,
    pace: &Pace,
    fold: &Fold,
    telemetry: &Telemetry,
    shutdown: &Shutdown,
) -> anyhow::Result<End> {
    let buffer = Arc::new(Buffer::new(LIMITS));
    let membership = Membership::new(Arc::clone(settings), Arc::clone(&buffer), telemetry.clone(), regressions.clone());
    let consumer = kafka::consumer(membership)?;
    let topics: Vec<&str> = settings.decoder.topics.names().collect();
    consumer.subscribe(&topics)?;
    telemetry.session_started(&buffer);
    telemetry.waiting("joining the consumer group");
    let mut threads = (0..WRITERS)
        .map(|number| {
            let (settings, buffer) = (Arc::clone(settings), Arc::clone(&buffer));
            let writer = Writer::new(settings, buffer, telemetry.clone(), pace.clone(), fold.clone());
            thread::Builder::new().name(format!("writer-{number}")).spawn(move || writer.run())
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (follower, followed, regressions) = (Arc::clone(settings), Arc::clone(&buffer), regressions.clone());
    let follow = move || kafka::follow(&follower, &followed, &regressions);
    threads.push(thread::Builder::new().name("ends".into()).spawn(follow)?);

    let polled = Poll::of(&consumer, &buffer, settings, telemetry).and_then(|mut poll| poll.until_the_end(shutdown));
    let end = buffer.ended().unwrap_or(End::Shutdown);
    if end == End::Shutdown && !buffer.drain(DRAIN) {
        log::warn!("not everything was written in time; the rest will be read again from the stored offsets");
    }
    tell_kafka(&consumer, &buffer, &mut BTreeMap::new());
    buffer.close();
    leave(consumer, &end)?;
    join(threads);
    polled.map(|()| end)
}

/// The polling loop, which runs on one thread.
struct Poll<'a> {
    events: Events<'a, Membership>,
    consumer: &'a Consumer,
    buffer: &'a Buffer,
    settings: &'a IngestSettings,
    telemetry: &'a Telemetry,
    /// The names of the topics, each shared by all records of the topic.
    topics: Vec<Arc<str>>,
    /// The offsets last committed to Kafka.
    told: BTreeMap<TopicPartition, Offset>,
    /// When offsets were last committed to Kafka.
    told_at: Instant,
    /// The number of the token that the consumer has, if it authenticates itself with tokens.
    token: u64,
}

impl<'a> Poll<'a> {
    fn of(
        consumer: &'a Consumer,
        buffer: &'a Buffer,
        settings: &'a IngestSettings,
        telemetry: &'a Telemetry,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            events: Events::of(consumer).context("the Kafka client has no queue to poll")?,
            consumer,
            buffer,
            settings,
            telemetry,
            topics: Vec::new(),
            told: BTreeMap::new(),
            told_at: Instant::now(),
            token: 0,
        })
    }

    /// Polls until the session has to end.
    fn until_the_end(&mut self, shutdown: &Shutdown) -> anyhow::Result<()> {
        loop {
            if shutdown.requested() {
                self.buffer.end(End::Shutdown);
            }
            if self.buffer.ended().is_some() {
                return Ok(());
            }
            if let Some(tokens) = &self.settings.tokens {
                tokens.refresh(self.consumer.client(), &mut self.token);
            }
            if let Some(event) = self.events.poll(POLL) {
                self.heard(event, shutdown)?;
            }
            self.telemetry.lag(&self.buffer.lag());
            if self.buffer.stuck_for() > STUCK {
                self.buffer.end(End::DatabaseAway("a writer has made no progress for too long".into()));
            }
            if self.told_at.elapsed() > TELL_KAFKA {
                tell_kafka(self.consumer, self.buffer, &mut self.told);
                self.told_at = Instant::now();
            }
        }
    }

    fn heard(&mut self, event: Event, shutdown: &Shutdown) -> anyhow::Result<()> {
        match event {
            Event::Message(message) => self.message(&message, shutdown),
            Event::EndOfPartition(Place { topic, partition, offset }) => {
                let partition = TopicPartition { topic: self.shared_name(&topic), partition };
                self.buffer.note_delivered(&partition, Offset(offset));
            }
            Event::Assigned(partitions) => self.consumer.context().assign(self.consumer, &partitions),
            Event::Revoked => self.consumer.context().revoke(self.consumer),
            Event::Failure(failure) => self.failed(failure)?,
            Event::Log(level, line) => self.consumer.context().log(level, &line),
            Event::Statistics(_) => {}
        }
        Ok(())
    }

    fn message(&mut self, message: &Message, shutdown: &Shutdown) {
        let topic = message.with_topic(|name| self.shared_name(name));
        let record = kafka::record(message, topic);
        self.telemetry.buffer_full(self.buffer.is_full());
        match self.buffer.push(record, NO_ROOM, shutdown) {
            Pushed::Taken => {}
            Pushed::NoRoom if shutdown.requested() => {}
            Pushed::NoRoom => self.buffer.end(End::DatabaseAway("the buffer has been full for too long".into())),
            Pushed::AnotherLog { partition, stored } => {
                let recorded = kafka::record_remade(self.settings, self.telemetry, &partition, stored);
                let why = || End::Kafka(format!("the topic of {partition} was deleted and recreated"));
                self.buffer.end(recorded.map_or_else(End::from, |()| why()));
            }
        }
    }

    /// Handles damaged records in a partition: waits until the records before them are counted, has
    /// the damage recorded as a gap, and ends the session. The next session continues after the
    /// gap.
    fn damaged(&self, partition: &TopicPartition, at: Offset, text: &str) {
        log::error!("{partition}: records cannot be read: {text}");
        let drained = self.buffer.drain(DRAIN);
        let stored = self.buffer.stored().get(partition).copied();
        let Some(stored) = stored.filter(|_| drained) else {
            self.buffer.end(End::DatabaseAway("the records before the damaged ones could not be written".into()));
            return;
        };
        let recorded = kafka::record_damage(self.settings, self.telemetry, partition, stored, at);
        let why = || End::Kafka(format!("{partition} has damaged records"));
        self.buffer.end(recorded.map_or_else(End::from, |()| why()));
    }

    /// Returns the topic's name as a string shared by all records of the topic.
    fn shared_name(&mut self, name: &str) -> Arc<str> {
        if let Some(found) = self.topics.iter().find(|topic| &***topic == name) {
            return Arc::clone(found);
        }
        let name: Arc<str> = name.into();
        self.topics.push(Arc::clone(&name));
        name
    }

    /// Handles an error that was polled. The client recovers from most of them by itself.
    fn failed(&mut self, failure: Failure) -> anyhow::Result<()> {
        let Failure { code, text, fatal, place } = failure;
        if fatal {
            anyhow::bail!("the Kafka client failed permanently: {text}");
        }
        if code == RDKafkaErrorCode::Authentication {
            self.settings.tokens.iter().for_each(|tokens| tokens.refused());
        }
        // An error about a topic that is subscribed to, but absent, names it only in its text.
        let topics = &self.settings.decoder.topics;
        let is_about = |topic: &str| match &place {
            Some(place) => place.topic == topic,
            None => text.contains(&format!(": {topic}: ")),
        };
        let of_optional = topics.names().any(|topic| topics.is_optional(topic) && is_about(topic));
        match (code, place) {
            // It is found once it exists, and says nothing about the others.
            (RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::TopicAuthorizationFailed, _)
                if of_optional =>
            {
                log::debug!("Kafka: {text}");
            }
            (RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange, _) => {
                // The next session finds out which partition it is, and records the gap.
                self.buffer.end(End::Kafka(format!("an offset does not exist any more: {text}")));
            }
            (code, Some(Place { topic, partition, offset })) if kafka::is_damage(code) => {
                let partition = TopicPartition { topic: self.shared_name(&topic), partition };
                self.damaged(&partition, Offset(offset), &text);
            }
            // The client would try the same password for ever. A token that was refused is replaced.
            (RDKafkaErrorCode::Authentication, _)
                if self.settings.can_reread_kafka() && self.settings.tokens.is_none() =>
            {
                self.buffer.end(End::Kafka(text));
            }
            (
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::UnknownTopicOrPartition,
                _,
            ) if self.buffer.stored().is_empty() => self.telemetry.waiting(&format!("Kafka: {text}")),
            _ => log::warn!("Kafka: {text}"),
        }
        Ok(())
    }
}

/// Commits the stored offsets to Kafka, without waiting. Ingest never reads them back.
fn tell_kafka(consumer: &Consumer, buffer: &Buffer, told: &mut BTreeMap<TopicPartition, Offset>) {
    let stored = buffer.stored();
    let mut list = TopicPartitionList::new();
    for (partition, Offset(offset)) in stored.iter().filter(|(partition, offset)| told.get(partition) != Some(offset)) {
        let added = list.add_partition_offset(&partition.topic, partition.partition, rdkafka::Offset::Offset(*offset));
        if let Err(error) = added {
            log::debug!("{partition}: {error}");
        }
    }
    if list.count() > 0 && consumer.commit(&list, CommitMode::Async).is_ok() {
        *told = stored;
    }
}

/// Leaves the group, which revokes the partitions. When the process stops, a broker that does not
/// answer is waited for only briefly.
fn leave(consumer: Consumer, end: &End) -> anyhow::Result<()> {
    let leaving = thread::Builder::new().name("leaving".into()).spawn(move || drop(consumer))?;
    finished(&leaving, if *end == End::Shutdown { JOIN } else { LEAVE });
    Ok(())
}

/// Waits for the threads to end. One that hangs because the database does not answer is abandoned;
/// the fence rejects anything that it would still write.
fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        finished(&thread, JOIN);
    }
}

/// Waits for a thread to end, at most this long. Returns whether it ended.
pub(crate) fn finished(handle: &JoinHandle<()>, at_most: Duration) -> bool {
    let deadline = Instant::now() + at_most;
    while !handle.is_finished() && Instant::now() < deadline {
        thread::park_timeout(Duration::from_millis(10));
    }
    handle.is_finished()
}

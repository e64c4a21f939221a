//! One membership in the consumer group: polls, hands on, and ends in good order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, TopicPartition};
use analytics_process::shutdown::Shutdown;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::intake::{End, Intake, Limits, Pushed};
use crate::kafka::{self, Consumer, Membership};
use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;
use crate::writer::Writer;

const WRITERS: usize = 2;

const LIMITS: Limits = Limits {
    batch_records: 32_000,
    batch_bytes: 32 << 20,
    waiting_bytes: 36 << 20,
    waiting_records: 38_000,
    linger: Duration::from_millis(100),
    heartbeat: Duration::from_secs(5),
    writers: WRITERS,
};

/// How long a full intake is waited for. Longer, and a rebalance of the others would wait too.
const NO_ROOM: Duration = Duration::from_secs(20);
/// How long the last batches may take when the process is to stop.
const DRAIN: Duration = Duration::from_secs(7);
const POLL: Duration = Duration::from_millis(100);
/// How often Kafka is told the offsets, for lag tools.
const TELL_KAFKA: Duration = Duration::from_secs(5);
/// How long threads may take to notice that they are to stop.
const JOIN: Duration = Duration::from_millis(700);

/// Joins the group and counts until something ends it.
///
/// # Errors
/// What no new session can mend: a property that the client refuses, a fatal error.
pub(crate) fn run(settings: &Arc<IngestSettings>, telemetry: &Telemetry, shutdown: &Shutdown) -> anyhow::Result<End> {
    let intake = Arc::new(Intake::new(LIMITS));
    let consumer = kafka::consumer(Membership {
        settings: Arc::clone(settings),
        intake: Arc::clone(&intake),
        telemetry: telemetry.clone(),
    })?;
    let topics: Vec<&str> = settings.decoder.topics.names().collect();
    consumer.subscribe(&topics)?;
    telemetry.session_started();
    telemetry.waiting("joining the consumer group");
    let writers = (0..WRITERS)
        .map(|number| {
            let writer = Writer::new(Arc::clone(settings), Arc::clone(&intake), telemetry.clone());
            thread::Builder::new().name(format!("writer-{number}")).spawn(move || writer.run())
        })
        .collect::<Result<Vec<_>, _>>()?;

    let polled = poll(&consumer, &intake, settings, telemetry, shutdown);
    let end = intake.ended().unwrap_or(End::Shutdown);
    if end == End::Shutdown && !intake.drain(DRAIN) {
        log::warn!("not everything could be written in time; it will be read again from the stored offsets");
    }
    tell_kafka(&consumer, &intake, &mut BTreeMap::new());
    intake.close();
    leave(consumer, &end)?;
    join(writers);
    polled.map(|()| end)
}

/// Polls until the session is to end.
fn poll(
    consumer: &Consumer,
    intake: &Intake,
    settings: &IngestSettings,
    telemetry: &Telemetry,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let mut told = BTreeMap::new();
    let mut told_at = Instant::now();
    let mut topics: Vec<Arc<str>> = Vec::new();
    loop {
        if shutdown.requested() {
            intake.end(End::Shutdown);
        }
        if intake.ended().is_some() {
            return Ok(());
        }
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                let topic = shared_name(&mut topics, message.topic());
                telemetry.intake_full(intake.is_full());
                match intake.push(kafka::record(&message, topic), NO_ROOM, shutdown) {
                    Pushed::Taken => {}
                    Pushed::NoRoom if shutdown.requested() => {}
                    Pushed::NoRoom => {
                        intake.end(End::DatabaseAway("nothing could be written for too long".into()));
                    }
                    Pushed::AnotherLog { partition, stored } => {
                        let recorded = kafka::record_remade(consumer, settings, telemetry, &partition, stored);
                        intake.end(recorded.map_or_else(End::from, |()| {
                            End::Kafka(format!("{partition} was deleted and made again"))
                        }));
                    }
                }
            }
            Some(Err(error)) => failed(&error, intake, telemetry)?,
        }
        if told_at.elapsed() > TELL_KAFKA {
            tell_kafka(consumer, intake, &mut told);
            told_at = Instant::now();
        }
    }
}

/// The topic's name, as one string for all records of the topic.
fn shared_name(known: &mut Vec<Arc<str>>, name: &str) -> Arc<str> {
    if let Some(found) = known.iter().find(|topic| &***topic == name) {
        return Arc::clone(found);
    }
    let name: Arc<str> = name.into();
    known.push(Arc::clone(&name));
    name
}

/// Judges an error that came out of poll: most pass by themselves.
fn failed(error: &KafkaError, intake: &Intake, telemetry: &Telemetry) -> anyhow::Result<()> {
    match error {
        KafkaError::MessageConsumptionFatal(code) => anyhow::bail!("the Kafka client cannot go on: {code}"),
        KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
            // A new session finds out which partition it is, and records the gap.
            intake.end(End::Kafka(format!("an offset is gone: {error}")));
        }
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::UnknownTopicOrPartition,
        ) if intake.stored().is_empty() => telemetry.waiting(&format!("Kafka: {error}")),
        _ => log::warn!("Kafka: {error}"),
    }
    Ok(())
}

/// Tells Kafka how far the database is. Nothing is ever read back from there.
fn tell_kafka(consumer: &Consumer, intake: &Intake, told: &mut BTreeMap<TopicPartition, Offset>) {
    let stored = intake.stored();
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

/// Leaves the group; the partitions are revoked on the way. A broker that does not answer is not
/// waited for when the process is to stop.
fn leave(consumer: Consumer, end: &End) -> anyhow::Result<()> {
    let leaving = thread::Builder::new().name("leaving".into()).spawn(move || drop(consumer))?;
    if *end == End::Shutdown {
        finished(&leaving, JOIN);
    } else if leaving.join().is_err() {
        log::error!("leaving the consumer group panicked");
    }
    Ok(())
}

/// Waits for the writers; one that hangs in a database that does not answer is left behind, fenced.
fn join(writers: Vec<JoinHandle<()>>) {
    for writer in writers {
        if finished(&writer, JOIN) && writer.join().is_err() {
            log::error!("a writer panicked; its batch will be read again from the stored offsets");
        }
    }
}

/// Waits for a thread to end, at most this long.
fn finished(handle: &JoinHandle<()>, at_most: Duration) -> bool {
    let deadline = Instant::now() + at_most;
    while !handle.is_finished() && Instant::now() < deadline {
        thread::park_timeout(Duration::from_millis(10));
    }
    handle.is_finished()
}

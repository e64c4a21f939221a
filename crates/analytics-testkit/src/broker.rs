//! Creates Kafka topics and produces messages for tests.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use analytics_core::family::Family;
use kafka_events::producing::{self, Record};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{ClientConfig, Offset};

use crate::wait;

/// A record to be produced.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Name of the event family or of another topic, without the sender's prefix.
    pub topic: String,
    /// The record's key; with `None` the client picks the partition.
    pub key: Option<String>,
    /// Names and values as bytes, which need not be UTF-8.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Milliseconds since the epoch; `None` for the current time.
    pub timestamp: Option<i64>,
    /// The record's value; `None` for a tombstone.
    pub payload: Option<Vec<u8>>,
}

impl Message {
    /// Returns a message with this payload, and no key, headers or timestamp.
    pub fn json(topic: &str, payload: impl ToString) -> Self {
        Self { topic: topic.into(), payload: Some(payload.to_string().into_bytes()), ..Self::default() }
    }
}

/// Creates those of the topics that do not exist yet.
///
/// # Panics
/// If the broker refuses.
pub fn create_topics(broker: &str, names: &[String], partitions: i32) {
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("max.message.bytes", "4194304"))
        .collect();
    let created = futures_executor::block_on(admin(broker).create_topics(&topics, &AdminOptions::new()));
    for topic in created.expect("the broker answers") {
        assert!(matches!(topic, Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))), "{topic:?}");
    }
}

/// Creates a topic whose partition `i` is on the brokers `replicas[i]`.
///
/// # Panics
/// If the broker does not answer, or the topic is not created within a minute.
pub fn create_topic_on(broker: &str, name: &str, replicas: &[&[i32]]) {
    let partitions = i32::try_from(replicas.len()).expect("few partitions");
    let topic = || NewTopic::new(name, partitions, TopicReplication::Variable(replicas));
    // A broker that has just joined is not known to the whole cluster immediately.
    wait::until("the topic to be created", Duration::from_secs(60), || {
        let made = futures_executor::block_on(admin(broker).create_topics(&[topic()], &AdminOptions::new()));
        made.expect("the broker answers").into_iter().all(|topic| topic.is_ok()).then_some(())
    });
}

/// Increases a topic's number of partitions to `total`.
///
/// # Panics
/// If the broker refuses.
pub fn add_partitions(broker: &str, name: &str, total: usize) {
    let (admin, wanted) = (admin(broker), [NewPartitions::new(name, total)]);
    let grown = futures_executor::block_on(admin.create_partitions(&wanted, &AdminOptions::new()));
    let grown = grown.expect("the broker answers");
    assert!(grown.iter().all(Result::is_ok), "{grown:?}");
}

/// Deletes a topic.
///
/// # Panics
/// If the broker refuses.
pub fn delete_topic(broker: &str, name: &str) {
    let deleted = futures_executor::block_on(admin(broker).delete_topics(&[name], &AdminOptions::new()));
    assert!(deleted.expect("the broker answers").iter().all(Result::is_ok), "{name} was not deleted");
}

/// Deletes the records of one partition below an offset, like retention.
///
/// # Panics
/// If the broker refuses.
pub fn forget_below(broker: &str, topic: &str, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
    let done = futures_executor::block_on(admin(broker).delete_records(&list, &AdminOptions::new()));
    let done = done.expect("the broker answers");
    assert!(done.elements().iter().all(|element| element.error().is_ok()), "{done:?}");
}

/// Has the broker compact a topic.
///
/// # Panics
/// If the broker refuses.
pub fn compact(broker: &str, topic: &str) {
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic))
        .set("cleanup.policy", "compact")
        .set("max.message.bytes", "4194304");
    let done = futures_executor::block_on(admin(broker).alter_configs([&change], &AdminOptions::new()));
    let done = done.expect("the broker answers");
    assert!(done.iter().all(Result::is_ok), "{done:?}");
}

fn admin(broker: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", broker).create().expect("an admin client")
}

/// Deletes a topic and creates it again under the same name, empty.
///
/// # Panics
/// If the broker refuses the deletion, or the topic is not created within a minute.
pub fn remake_topic(broker: &str, name: &str, partitions: i32) {
    delete_topic(broker, name);
    let topic = || NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("max.message.bytes", "4194304");
    // The broker refuses the name until the deletion is complete.
    wait::until("the topic to be recreated", Duration::from_secs(60), || {
        let made = futures_executor::block_on(admin(broker).create_topics(&[topic()], &AdminOptions::new()));
        made.expect("the broker answers").into_iter().all(|topic| topic.is_ok()).then_some(())
    });
}

/// A producer that waits until the broker has acknowledged its messages.
pub struct Sender {
    producer: BaseProducer<Deliveries>,
    prefix: String,
}

/// Keeps the first delivery failure, since flushing a producer does not report it.
#[derive(Default)]
struct Deliveries {
    failure: Mutex<Option<String>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let text = format!("{}/{}: {error}", message.topic(), message.partition());
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
        }
    }
}

impl Sender {
    /// Returns a sender that puts `prefix` before the names of topics.
    ///
    /// # Panics
    /// If the client cannot be made.
    #[must_use]
    pub fn new(broker: &str, prefix: &str) -> Self {
        Self::compressing(broker, prefix, "lz4")
    }

    /// The same with the given compression codec.
    ///
    /// # Panics
    /// If the client cannot be made.
    #[must_use]
    pub fn compressing(broker: &str, prefix: &str, codec: &str) -> Self {
        Self::made_of(&mut ClientConfig::new(), broker, prefix, codec)
    }

    /// Returns a sender of Kafka transactions.
    ///
    /// # Panics
    /// If the broker does not accept a transactional producer.
    #[must_use]
    pub fn transactional(broker: &str, prefix: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("transactional.id", format!("{prefix}transactions"));
        let sender = Self::made_of(&mut config, broker, prefix, "lz4");
        sender.producer.init_transactions(Duration::from_secs(60)).expect("transactions");
        sender
    }

    fn made_of(config: &mut ClientConfig, broker: &str, prefix: &str, codec: &str) -> Self {
        let producer = config
            .set("bootstrap.servers", broker)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("compression.type", codec)
            .set("message.max.bytes", "4194304")
            .set("queue.buffering.max.kbytes", "65536")
            .create_with_context(Deliveries::default())
            .expect("a producer");
        Self { producer, prefix: prefix.to_owned() }
    }

    /// Puts a message into the producer's queue. Waits while the queue is full.
    ///
    /// # Panics
    /// If the client refuses the message.
    pub fn queue(&self, message: &Message) {
        let topic = format!("{}{}", self.prefix, message.topic);
        let record = Record {
            topic: &topic,
            key: message.key.as_ref().map(String::as_bytes),
            timestamp: message.timestamp,
            headers: &message.headers,
            payload: message.payload.as_deref(),
        };
        loop {
            match producing::send(&self.producer, record) {
                Ok(()) => break,
                Err(RDKafkaErrorCode::QueueFull) => {
                    self.producer.poll(Duration::from_millis(50));
                }
                Err(error) => panic!("{topic}: {error}"),
            }
        }
        self.producer.poll(Duration::ZERO);
    }

    /// Sends messages in one transaction, and commits or aborts it.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn transaction<'a>(&self, messages: impl IntoIterator<Item = &'a Message>, commit: bool) {
        self.begin(messages);
        self.end(commit);
    }

    /// Begins a transaction, sends messages in it and leaves it open.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn begin<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        self.producer.begin_transaction().expect("a transaction");
        self.send(messages);
    }

    /// Commits or aborts the open transaction.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn end(&self, commit: bool) {
        let patience = Duration::from_secs(60);
        let ended =
            if commit { self.producer.commit_transaction(patience) } else { self.producer.abort_transaction(patience) };
        ended.expect("the end of the transaction");
    }

    /// Waits until the broker has acknowledged or refused everything in the queue.
    ///
    /// # Panics
    /// If that takes longer than two minutes, which leaves time for a restart of the broker.
    pub fn flush(&self) {
        self.producer.flush(Duration::from_secs(120)).expect("the queue to be flushed");
    }

    /// Sends messages and waits until the broker has acknowledged all of them.
    ///
    /// # Panics
    /// If any message was not delivered.
    pub fn send<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        for message in messages {
            self.queue(message);
        }
        self.flush();
        let failure = self.producer.context().failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        assert_eq!(failure, None, "a message was not delivered");
    }
}

/// Returns the number of offsets from the oldest to the end, summed over the partitions of the
/// topics.
///
/// # Panics
/// If the broker does not answer.
#[must_use]
pub fn held(broker: &str, topics: &[String], partitions: i32) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", broker).create().expect("a consumer");
    let end = |topic: &String, partition| {
        let (low, high) =
            consumer.fetch_watermarks(topic, partition, Duration::from_secs(10)).expect("the broker answers");
        high - low
    };
    topics
        .iter()
        .flat_map(|topic| (0..partitions).map(move |partition| (topic, partition)))
        .map(|(t, p)| end(t, p))
        .sum()
}

/// Returns the names, with this prefix, of the topics that may be absent.
#[must_use]
pub fn optional_topics(prefix: &str) -> Vec<String> {
    Family::ALL
        .iter()
        .filter(|family| family.is_optional())
        .map(|family| format!("{prefix}{}", family.name()))
        .collect()
}

/// Returns the names, with this prefix, of the topics that have to exist: those of the four event
/// families that are counted.
#[must_use]
pub fn family_topics(prefix: &str) -> Vec<String> {
    Family::ALL
        .iter()
        .filter(|family| !family.is_optional())
        .map(|family| format!("{prefix}{}", family.name()))
        .collect()
}

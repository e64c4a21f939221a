//! The tests' Kafka: topics and messages.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use analytics_core::family::Family;
use kafka_events::producing::{self, Record};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};

use crate::wait;

/// One message to be produced.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// The family's name, or the name of another topic.
    pub topic: String,
    /// `None`: any partition.
    pub key: Option<String>,
    /// Names and values, of any bytes.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Milliseconds since the epoch; `None`: now.
    pub timestamp: Option<i64>,
    /// `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
}

impl Message {
    /// A message of JSON text, with nothing else.
    pub fn json(topic: &str, payload: impl ToString) -> Self {
        Self { topic: topic.into(), payload: Some(payload.to_string().into_bytes()), ..Self::default() }
    }
}

/// Makes topics that are missing. One that is there stays as it is.
///
/// # Panics
/// Where the broker refuses.
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

/// Makes a topic with each partition on brokers of choice.
///
/// # Panics
/// Where the broker refuses.
pub fn create_topic_on(broker: &str, name: &str, replicas: &[&[i32]]) {
    let partitions = i32::try_from(replicas.len()).expect("few partitions");
    let topic = || NewTopic::new(name, partitions, TopicReplication::Variable(replicas));
    // A broker that has just joined is not known to all at once.
    wait::until("the topic to be made", Duration::from_secs(60), || {
        let made = futures_executor::block_on(admin(broker).create_topics(&[topic()], &AdminOptions::new()));
        made.expect("the broker answers").into_iter().all(|topic| topic.is_ok()).then_some(())
    });
}

/// Gives a topic more partitions.
///
/// # Panics
/// Where the broker refuses.
pub fn add_partitions(broker: &str, name: &str, total: usize) {
    let (admin, wanted) = (admin(broker), [NewPartitions::new(name, total)]);
    let grown = futures_executor::block_on(admin.create_partitions(&wanted, &AdminOptions::new()));
    let grown = grown.expect("the broker answers");
    assert!(grown.iter().all(Result::is_ok), "{grown:?}");
}

/// Deletes a topic.
///
/// # Panics
/// Where the broker refuses.
pub fn delete_topic(broker: &str, name: &str) {
    let deleted = futures_executor::block_on(admin(broker).delete_topics(&[name], &AdminOptions::new()));
    assert!(deleted.expect("the broker answers").iter().all(Result::is_ok), "{name} is not deleted");
}

fn admin(broker: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", broker).create().expect("an admin client")
}

/// Deletes a topic and makes it again, empty.
///
/// # Panics
/// Where the broker refuses.
pub fn remake_topic(broker: &str, name: &str, partitions: i32) {
    delete_topic(broker, name);
    let topic = || NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("max.message.bytes", "4194304");
    // The name is free once the deletion is done.
    wait::until("the topic to be made again", Duration::from_secs(60), || {
        let made = futures_executor::block_on(admin(broker).create_topics(&[topic()], &AdminOptions::new()));
        made.expect("the broker answers").into_iter().all(|topic| topic.is_ok()).then_some(())
    });
}

/// Sends messages and waits until the broker has them.
pub struct Sender {
    producer: BaseProducer<Deliveries>,
    prefix: String,
}

/// Remembers why a message was not delivered: flushing a producer does not tell.
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
    /// A sender to topics whose names begin with `prefix`.
    ///
    /// # Panics
    /// Where the client cannot be made.
    #[must_use]
    pub fn new(broker: &str, prefix: &str) -> Self {
        Self::compressing(broker, prefix, "lz4")
    }

    /// The same with a compression of choice.
    ///
    /// # Panics
    /// Where the client cannot be made.
    #[must_use]
    pub fn compressing(broker: &str, prefix: &str, codec: &str) -> Self {
        Self::made_of(&mut ClientConfig::new(), broker, prefix, codec)
    }

    /// A sender of transactions.
    ///
    /// # Panics
    /// Where the broker does not take it on.
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

    /// Puts a message into the queue, waiting where that is full.
    ///
    /// # Panics
    /// Where the message is refused.
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

    /// Sends messages in a transaction of their own, and commits it or aborts it.
    ///
    /// # Panics
    /// Where the broker refuses.
    pub fn transaction<'a>(&self, messages: impl IntoIterator<Item = &'a Message>, commit: bool) {
        self.begin(messages);
        self.end(commit);
    }

    /// Sends messages in a transaction that stays open.
    ///
    /// # Panics
    /// Where the broker refuses.
    pub fn begin<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        self.producer.begin_transaction().expect("a transaction");
        self.send(messages);
    }

    /// Commits the open transaction, or aborts it.
    ///
    /// # Panics
    /// Where the broker refuses.
    pub fn end(&self, commit: bool) {
        let patience = Duration::from_secs(60);
        let ended =
            if commit { self.producer.commit_transaction(patience) } else { self.producer.abort_transaction(patience) };
        ended.expect("its end");
    }

    /// Waits until the broker has everything, or has refused it.
    ///
    /// # Panics
    /// Where that takes longer than two minutes: a broker may be restarted meanwhile.
    pub fn flush(&self) {
        self.producer.flush(Duration::from_secs(120)).expect("the broker takes the messages");
    }

    /// Sends messages and waits until the broker has them all.
    ///
    /// # Panics
    /// Where it does not take one of them.
    pub fn send<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        for message in messages {
            self.queue(message);
        }
        self.flush();
        let failure = self.producer.context().failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        assert_eq!(failure, None, "a message was not delivered");
    }
}

/// How many records the topics of all families with this prefix hold.
///
/// # Panics
/// Where the broker does not answer.
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

/// The topics of the four families under a prefix.
#[must_use]
pub fn family_topics(prefix: &str) -> Vec<String> {
    Family::ALL.iter().map(|family| format!("{prefix}{}", family.name())).collect()
}

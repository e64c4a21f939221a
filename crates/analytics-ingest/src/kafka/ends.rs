//! Queries the broker about the topics that are counted: which of them exist, how many partitions
//! they have, and where these end. Uses a separate client, for which a partition's end includes the
//! records of transactions that are still open. During a session this runs on a separate thread,
//! which may block until the broker answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, TopicPartition};
use analytics_core::topics::Topics as Mapping;
use analytics_db::tables::ingest_topics::Topic;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, DefaultConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::buffer::{Buffer, End, Topics};
use crate::oauth::Tokens;
use crate::settings::IngestSettings;

use super::reasons::Reasons;
use super::regressions::Regressions;

/// How often the broker is queried.
const EVERY: Duration = Duration::from_secs(5);
/// How long the broker may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// For each partition of a topic, whether it has a leader. Empty if the topic does not exist.
pub(crate) type Leaders = Vec<bool>;

/// Creates a client that only queries the broker and joins no group.
pub(super) fn asking(settings: &IngestSettings) -> Result<BaseConsumer, KafkaError> {
    client(settings, &settings.kafka_queries, DefaultConsumerContext)
}

/// Creates a client that can authenticate itself.
///
/// # Errors
/// librdkafka refuses the configuration, or there is no token.
pub(crate) fn client<C: ConsumerContext>(
    settings: &IngestSettings,
    config: &ClientConfig,
    context: C,
) -> Result<BaseConsumer<C>, KafkaError> {
    let client = config.create_with_context::<_, BaseConsumer<C>>(context)?;
    settings.tokens.as_ref().map_or(Ok(()), |tokens| tokens.give(client.client()))?;
    Ok(client)
}

/// Returns each topic of the mapping, as the broker reports it.
///
/// # Errors
/// Why the broker does not answer.
pub(crate) fn topics(settings: &IngestSettings, at_most: Duration) -> Result<Topics, String> {
    // Said first, since without a token the client would only not answer.
    settings.tokens.as_ref().map_or(Ok(()), Tokens::wait)?;
    let reasons = Reasons::new(settings.tokens.clone());
    let client = client(settings, &settings.kafka_queries, reasons).map_err(|error| error.to_string())?;
    let mapping = &settings.decoder.topics;
    let known = mapping.names().map(|name| Ok(described(mapping, name, &leaders(&client, mapping, name, at_most)?)));
    known.collect::<Result<_, KafkaError>>().map_err(|error| Reasons::of(&client, &error))
}

fn described(mapping: &Mapping, name: &str, leaders: &Leaders) -> (String, Topic) {
    let partitions = i32::try_from(leaders.len()).unwrap_or(i32::MAX);
    (name.to_owned(), Topic { partitions, is_optional: mapping.is_optional(name) })
}

/// Returns the partitions of a topic.
pub(super) fn leaders(
    client: &BaseConsumer<impl ConsumerContext>,
    mapping: &Mapping,
    topic: &str,
    at_most: Duration,
) -> Result<Leaders, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), at_most)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(Leaders::new()) };
    match found.error().map(RDKafkaErrorCode::from) {
        None | Some(RDKafkaErrorCode::LeaderNotAvailable) => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(Leaders::new()),
        // An error about one topic, such as a missing authorization, must not hold up the others.
        Some(error) if !is_transport(error) => {
            // A broker also says so of a topic that does not exist.
            let level = if mapping.is_optional(topic) { log::Level::Debug } else { log::Level::Warn };
            log::log!(level, "{topic}: the broker does not describe the topic: {error}");
            return Ok(Leaders::new());
        }
        Some(error) => return Err(KafkaError::MetadataFetch(error)),
    }
    let mut leaders = vec![false; found.partitions().len()];
    for partition in found.partitions() {
        let place = usize::try_from(partition.id()).ok().and_then(|id| leaders.get_mut(id));
        place.into_iter().for_each(|leader| *leader = partition.leader() >= 0);
    }
    Ok(leaders)
}

/// Whether the error means that the broker could not be queried.
const fn is_transport(error: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, RequestTimedOut};
    matches!(error, AllBrokersDown | BrokerTransportFailure | OperationTimedOut | RequestTimedOut)
}

/// Returns the first offset of a partition and the offset of its end, as its leader reports them.
pub(super) fn ends(client: &BaseConsumer, partition: &TopicPartition) -> Result<(Offset, Offset), KafkaError> {
    let (low, high) = client.fetch_watermarks(&partition.topic, partition.partition, ANSWER)?;
    Ok((Offset(low.max(0)), Offset(high.max(0))))
}

/// After this many queries without an answer, the remaining ones are left for the next round.
pub(super) const MOST_SILENT: u32 = 3;

/// Whether the broker did not answer.
pub(super) fn is_silence(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut)
}

/// Queries the broker at regular intervals for as long as the session lasts.
pub(crate) fn follow(settings: &IngestSettings, buffer: &Buffer, regressions: &Regressions) {
    let mut client: Option<BaseConsumer> = None;
    let mut token = 0;
    while buffer.goes_on(EVERY) {
        let asked = match client.take().map_or_else(|| asking(settings), Ok) {
            Ok(open) => {
                settings.tokens.iter().for_each(|tokens| tokens.refresh(open.client(), &mut token));
                ask(&open, settings, buffer, regressions).map(|()| open)
            }
            Err(error) => Err(error),
        };
        match asked {
            Ok(open) => client = Some(open),
            Err(error) => log::debug!("the broker did not report the topics: {error}"),
        }
    }
}

fn ask(
    client: &BaseConsumer,
    settings: &IngestSettings,
    buffer: &Buffer,
    regressions: &Regressions,
) -> Result<(), KafkaError> {
    let mut known: BTreeMap<String, Leaders> = BTreeMap::new();
    let mapping = &settings.decoder.topics;
    for topic in mapping.names() {
        known.insert(topic.to_owned(), leaders(client, mapping, topic, ANSWER)?);
    }
    buffer.note_topics(known.iter().map(|(topic, leaders)| described(mapping, topic, leaders)).collect());
    let has_leader = |partition: &TopicPartition| {
        let leaders = known.get(&*partition.topic);
        leaders.and_then(|leaders| leaders.get(usize::try_from(partition.partition).ok()?)).copied().unwrap_or(false)
    };
    let mut silent = 0;
    for (partition, waits_from) in buffer.partitions() {
        // One unreachable broker must not prevent queries to the others.
        if !has_leader(&partition) || silent >= MOST_SILENT {
            continue;
        }
        let asked = Instant::now();
        match (ends(client, &partition), waits_from) {
            (Ok((_, end)), None) => buffer.note_end(&partition, end, asked),
            (Ok((_, end)), Some(from)) if end >= from || regressions.is_lasting(&partition) => {
                buffer.end(End::Kafka(format!("{partition} can be started now")));
            }
            (Ok(_), Some(_)) => {}
            (Err(error), _) => {
                silent += u32::from(is_silence(&error));
                log::debug!("{partition}: the broker did not report where it ends: {error}");
            }
        }
    }
    Ok(())
}

/// Builds a [`TopicPartition`] from the topic's name and the partition's number.
pub(super) fn named(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: Arc::from(topic), partition }
}

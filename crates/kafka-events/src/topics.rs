//! Queries the ids of topics. A topic that is deleted and recreated has another id.

use std::collections::HashMap;
use std::ffi::{CString, c_int};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, KafkaError, RDKafkaErrorCode};

use super::{OwnedEvent, text};

/// The id that librdkafka returns for a topic that has none: zero, in base64.
pub const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Returns the ids of those of the topics that exist, by name; `None` for a topic without an id,
/// from a broker older than Kafka 2.8.
///
/// # Errors
/// [`KafkaError::AdminOp`] if the request fails or no broker answers within `at_most`.
pub fn ids(
    client: &BaseConsumer,
    names: &[&str],
    at_most: Duration,
) -> Result<HashMap<String, Option<String>>, KafkaError> {
    let owned: Vec<CString> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut names: Vec<_> = owned.iter().map(|name| name.as_ptr()).collect();
    let millis = c_int::try_from(at_most.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the client is valid during the whole call. Everything that is created here is
    // destroyed here, after its last use; librdkafka copies the names and takes ownership of
    // nothing. The accessor of the result returns null for an event of another type, and what it
    // returns is valid as long as the event.
    unsafe {
        let client = client.client().native_ptr();
        let queue = native::rd_kafka_queue_new(client);
        let options =
            native::rd_kafka_AdminOptions_new(client, native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        native::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        let wanted = native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        native::rd_kafka_DescribeTopics(client, wanted, options, queue);
        let event = OwnedEvent::of(native::rd_kafka_queue_poll(queue, millis));
        let silent = RDKafkaErrorCode::OperationTimedOut;
        let ids = event.map_or(Err(KafkaError::AdminOp(silent)), |event| read(&event));
        native::rd_kafka_TopicCollection_destroy(wanted);
        native::rd_kafka_AdminOptions_destroy(options);
        native::rd_kafka_queue_destroy(queue);
        ids
    }
}

fn read(event: &OwnedEvent) -> Result<HashMap<String, Option<String>>, KafkaError> {
    let mut ids = HashMap::new();
    // SAFETY: as above; the event is valid during the whole call.
    unsafe {
        let error = native::rd_kafka_event_error(event.ptr());
        let result = native::rd_kafka_event_DescribeTopics_result(event.ptr());
        if error.is_error() || result.is_null() {
            return Err(KafkaError::AdminOp(error.into()));
        }
        let mut count = 0;
        let topics = native::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        for index in 0..count {
            let topic = *topics.add(index);
            let error = native::rd_kafka_TopicDescription_error(topic);
            if !error.is_null() && native::rd_kafka_error_code(error).is_error() {
                continue;
            }
            let id = text(native::rd_kafka_Uuid_base64str(native::rd_kafka_TopicDescription_topic_id(topic)));
            let name = text(native::rd_kafka_TopicDescription_name(topic));
            ids.insert(name, Some(id).filter(|id| id != NONE));
        }
    }
    Ok(ids)
}

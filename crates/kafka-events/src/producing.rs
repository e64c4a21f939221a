//! Produces records that clients in other languages can produce and `rdkafka` cannot, for tests.

use std::ffi::{CString, c_void};
use std::ptr;

use rdkafka::bindings as native;
use rdkafka::error::{IsError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

/// A record to produce.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The topic's full name.
    pub topic: &'a str,
    /// The key, which determines the partition; any partition if `None`.
    pub key: Option<&'a [u8]>,
    /// The timestamp in milliseconds since the Unix epoch; the current time if `None`.
    pub timestamp: Option<i64>,
    /// The headers as names and values, of any bytes.
    pub headers: &'a [(Vec<u8>, Vec<u8>)],
    /// The value; `None` for a tombstone.
    pub payload: Option<&'a [u8]>,
}

/// Adds a record to a producer's queue.
///
/// # Errors
/// The error code of librdkafka, for instance if the queue is full; `InvalidArgument` for a topic
/// name that contains NUL.
pub fn send<C: ProducerContext<DeliveryOpaque = ()> + 'static>(
    producer: &BaseProducer<C>,
    record: Record<'_>,
) -> Result<(), RDKafkaErrorCode> {
    let topic = CString::new(record.topic).map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
    let (key, key_length) = parts(record.key);
    let (payload, payload_length) = parts(record.payload);
    // SAFETY: librdkafka copies the key, the payload (because of `RD_KAFKA_MSG_F_COPY`), the
    // topic's name and the headers' contents. It takes ownership of the list of headers unless it
    // refuses the record. The producer is valid during the whole call.
    let refused = unsafe {
        let list = native::rd_kafka_headers_new(record.headers.len());
        for (name, value) in record.headers {
            let length = |bytes: &[u8]| isize::try_from(bytes.len()).unwrap_or(isize::MAX);
            native::rd_kafka_header_add(list, name.as_ptr().cast(), length(name), value.as_ptr().cast(), length(value));
        }
        let refused = native::rd_kafka_producev(
            producer.client().native_ptr(),
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC,
            topic.as_ptr(),
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
            native::RD_KAFKA_MSG_F_COPY,
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
            key,
            key_length,
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
            payload,
            payload_length,
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP,
            // 0 stands for the current time.
            record.timestamp.unwrap_or(0),
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
            list,
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE,
            ptr::null_mut::<c_void>(),
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
        );
        if refused.is_error() {
            native::rd_kafka_headers_destroy(list);
        }
        refused
    };
    if refused.is_error() { Err(RDKafkaErrorCode::from(refused)) } else { Ok(()) }
}

/// Returns the pointer to some bytes and their number; a null pointer for `None`.
fn parts(bytes: Option<&[u8]>) -> (*const u8, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()))
}

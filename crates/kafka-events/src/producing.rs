//! Records as clients of other languages can make them, for tests.

use std::ptr;

use rdkafka::bindings as native;
use rdkafka::error::{IsError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};

/// Puts a record into a producer's queue whose header names are any bytes but NUL.
///
/// # Errors
/// What librdkafka says of it.
pub fn send(
    producer: &BaseProducer,
    topic: &str,
    headers: &[(&[u8], &[u8])],
    payload: &[u8],
) -> Result<(), RDKafkaErrorCode> {
    let topic = std::ffi::CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
    // SAFETY: librdkafka copies the payload (it is told to), the topic's name and the headers' contents. It
    // takes the list of headers over unless it refuses the record. The producer lives for the whole call.
    let refused = unsafe {
        let list = native::rd_kafka_headers_new(headers.len());
        for (name, value) in headers {
            let length = |bytes: &[u8]| isize::try_from(bytes.len()).unwrap_or(isize::MAX);
            native::rd_kafka_header_add(list, name.as_ptr().cast(), length(name), value.as_ptr().cast(), length(value));
        }
        let refused = native::rd_kafka_producev(
            producer.client().native_ptr(),
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC,
            topic.as_ptr(),
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
            native::RD_KAFKA_MSG_F_COPY,
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
            payload.as_ptr(),
            payload.len(),
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
            list,
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE,
            ptr::null_mut::<std::ffi::c_void>(),
            native::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
        );
        if refused.is_error() {
            native::rd_kafka_headers_destroy(list);
        }
        refused
    };
    if refused.is_error() { Err(RDKafkaErrorCode::from(refused)) } else { Ok(()) }
}

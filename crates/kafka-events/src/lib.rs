//! Polls the events of a Kafka consumer directly from librdkafka.
//!
//! `rdkafka`, the Rust wrapper of librdkafka, panics on a header whose name is not UTF-8, and does
//! not report the topic and the offset of an error or of the end of a partition. [`Events`] polls
//! the same queue as the wrapper's `BaseConsumer::poll` and reports all of this. Everything else
//! (settings, group membership, assignments, commits, queries) is left to the wrapper.

pub mod memory;
pub mod oauth;
#[cfg(feature = "producing")]
pub mod producing;
pub mod topics;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::slice;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{IsError, RDKafkaErrorCode};
use rdkafka::types::{RDKafkaEvent, RDKafkaRespErr};

/// The events of one consumer. As long as this exists, the consumer's own `poll` must not be
/// called.
pub struct Events<'c, C: ConsumerContext + 'static> {
    consumer: &'c BaseConsumer<C>,
    queue: NonNull<native::rd_kafka_queue_t>,
}

/// An event of a consumer.
#[derive(Debug)]
pub enum Event {
    /// A record.
    Message(Message),
    /// The end of the partition was reached: everything below this offset was delivered, except
    /// offsets without a record (transaction markers, records of aborted transactions).
    EndOfPartition(Place),
    /// An error. Unless it is fatal, the client recovers by itself.
    Failure(Failure),
    /// The group assigned these partitions to the consumer, as topic and partition; the consumer
    /// has to assign them.
    Assigned(Vec<(String, i32)>),
    /// The group revoked the partitions of the consumer; the consumer has to unassign them.
    Revoked,
    /// The client's statistics, as JSON.
    Statistics(String),
    /// A line of the client's log.
    Log(RDKafkaLogLevel, String),
}

/// A place in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset; negative if it is not known.
    pub offset: i64,
}

/// An error that the client reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind of error.
    pub code: RDKafkaErrorCode,
    /// The client's error message.
    pub text: String,
    /// Whether the client cannot continue.
    pub fatal: bool,
    /// The place in a partition, if the error is about one.
    pub place: Option<Place>,
}

/// A fetched record, held in the client's memory.
#[derive(Debug)]
pub struct Message {
    message: NonNull<native::rd_kafka_message_t>,
    /// The event that owns the message.
    _event: OwnedEvent,
}

impl<'c, C: ConsumerContext + 'static> Events<'c, C> {
    /// Returns the events of a consumer that is a member of a group; `None` if it is not in a
    /// group.
    #[must_use]
    pub fn of(consumer: &'c BaseConsumer<C>) -> Option<Self> {
        // SAFETY: the client lives as long as the consumer, which is borrowed for as long as `Self`
        // lives.
        let queue = unsafe { native::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        NonNull::new(queue).map(|queue| Self { consumer, queue })
    }

    /// Returns the next event; `None` if there is none within `at_most` (capped at 2^31 - 1 ms,
    /// about 24 days), or if it is of a type that is ignored.
    #[must_use]
    pub fn poll(&self, at_most: Duration) -> Option<Event> {
        let millis = c_int::try_from(at_most.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: `self` owns a reference to the queue until it is dropped. The event is owned by
        // the caller of `rd_kafka_queue_poll`.
        let event = unsafe { OwnedEvent::of(native::rd_kafka_queue_poll(self.queue.as_ptr(), millis)) }?;
        event.read()
    }

    /// Returns the consumer whose events these are.
    #[must_use]
    pub const fn consumer(&self) -> &'c BaseConsumer<C> {
        self.consumer
    }
}

impl<C: ConsumerContext + 'static> Drop for Events<'_, C> {
    fn drop(&mut self) {
        // SAFETY: `self` owns this reference to the queue, and it is released once; the consumer is
        // still borrowed.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// An owned event, which is destroyed with everything in it when it is dropped.
#[derive(Debug)]
struct OwnedEvent(NonNull<RDKafkaEvent>);

impl OwnedEvent {
    /// # Safety
    /// `event` is null, or an event that nothing else destroys.
    unsafe fn of(event: *mut RDKafkaEvent) -> Option<Self> {
        NonNull::new(event).map(Self)
    }

    const fn ptr(&self) -> *mut RDKafkaEvent {
        self.0.as_ptr()
    }

    /// Reads the event; `None` for types that are ignored.
    fn read(self) -> Option<Event> {
        // SAFETY: in this function and those that it calls, the pointer is to an event that is
        // valid as long as `self`, and each accessor is one that librdkafka documents for the
        // event's type.
        match unsafe { native::rd_kafka_event_type(self.ptr()) } {
            native::RD_KAFKA_EVENT_FETCH => self.into_message(),
            native::RD_KAFKA_EVENT_ERROR => Some(self.failure()),
            native::RD_KAFKA_EVENT_REBALANCE => self.rebalance(),
            native::RD_KAFKA_EVENT_STATS => {
                // SAFETY: see above; the text is owned by the event.
                let json = unsafe { text(native::rd_kafka_event_stats(self.ptr())) };
                Some(Event::Statistics(json))
            }
            native::RD_KAFKA_EVENT_LOG => self.log(),
            _ => None,
        }
    }

    fn into_message(self) -> Option<Event> {
        // SAFETY: see `read`. A fetch event of a consumer contains one message, and owns it.
        let message = unsafe { native::rd_kafka_event_message_next(self.ptr()) };
        let message = NonNull::new(message.cast_mut())?;
        // SAFETY: the message is owned by the event, which is valid.
        let (error, topic, partition, offset) = unsafe {
            let native = message.as_ref();
            (native.err, topic_of(native), native.partition, native.offset)
        };
        if error.is_error() {
            let place = Some(Place { topic, partition, offset });
            return Some(self.failed(error, place));
        }
        Some(Event::Message(Message { message, _event: self }))
    }

    fn failure(&self) -> Event {
        // SAFETY: see `read`. The topic and partition are a copy, which is destroyed after it was
        // read.
        let (error, place) = unsafe {
            let error = native::rd_kafka_event_error(self.ptr());
            let place = native::rd_kafka_event_topic_partition(self.ptr());
            let read = NonNull::new(place).map(|place| {
                let native = place.as_ref();
                let read = Place { topic: text(native.topic), partition: native.partition, offset: native.offset };
                native::rd_kafka_topic_partition_destroy(place.as_ptr());
                read
            });
            (error, read)
        };
        self.failed(error, place)
    }

    fn failed(&self, error: RDKafkaRespErr, place: Option<Place>) -> Event {
        let code = RDKafkaErrorCode::from(error);
        match (code, place) {
            (RDKafkaErrorCode::PartitionEOF, Some(place)) => Event::EndOfPartition(place),
            (code, place) => {
                // SAFETY: see `read`; the text is owned by the event.
                let (text, fatal) = unsafe {
                    let text = text(native::rd_kafka_event_error_string(self.ptr()));
                    (text, native::rd_kafka_event_error_is_fatal(self.ptr()) != 0)
                };
                Event::Failure(Failure { code, text, fatal, place })
            }
        }
    }

    fn rebalance(&self) -> Option<Event> {
        // SAFETY: see `read`.
        match unsafe { native::rd_kafka_event_error(self.ptr()) } {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                // SAFETY: see `read`. The list is owned by the event, and `cnt` is the number of
                // its elements.
                let partitions = unsafe {
                    let list = NonNull::new(native::rd_kafka_event_topic_partition_list(self.ptr()))?;
                    let length = usize::try_from(list.as_ref().cnt).unwrap_or(0);
                    elements(list.as_ref().elems, length)
                        .iter()
                        .map(|element| (text(element.topic), element.partition))
                        .collect()
                };
                Some(Event::Assigned(partitions))
            }
            _ => Some(Event::Revoked),
        }
    }

    fn log(&self) -> Option<Event> {
        let (mut facility, mut line, mut level) = (std::ptr::null::<c_char>(), std::ptr::null::<c_char>(), 0);
        // SAFETY: see `read`. The texts are owned by the event.
        unsafe {
            let failed = native::rd_kafka_event_log(self.ptr(), &raw mut facility, &raw mut line, &raw mut level);
            (failed == 0)
                .then(|| Event::Log(level_of(level), format!("{} {}", text(facility).trim(), text(line).trim())))
        }
    }
}

impl Drop for OwnedEvent {
    fn drop(&mut self) {
        // SAFETY: `self` owns the event, and it is destroyed once.
        unsafe { native::rd_kafka_event_destroy(self.ptr()) };
    }
}

impl Message {
    fn native(&self) -> &native::rd_kafka_message_t {
        // SAFETY: the message is valid as long as its event, which is a field of `self`.
        unsafe { self.message.as_ref() }
    }

    /// Calls `read` with the topic's name, which is not copied.
    pub fn with_topic<T>(&self, read: impl FnOnce(&str) -> T) -> T {
        // SAFETY: the topic is valid at least as long as its message, and the name as long as the
        // topic.
        let name = unsafe { CStr::from_ptr(native::rd_kafka_topic_name(self.native().rkt)) };
        // Kafka's names are ASCII.
        read(name.to_str().unwrap_or_default())
    }

    /// Returns the partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.native().partition
    }

    /// Returns the offset.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.native().offset
    }

    /// Returns the timestamp in milliseconds since the Unix epoch; `None` if it is absent or
    /// negative.
    #[must_use]
    pub fn timestamp(&self) -> Option<i64> {
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid.
        let millis = unsafe { native::rd_kafka_message_timestamp(self.message.as_ptr(), &raw mut kind) };
        Some(millis).filter(|millis| *millis >= 0)
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        let native = self.native();
        // SAFETY: the key is valid as long as the message.
        unsafe { bytes(native.key, native.key_len) }
    }

    /// Returns the value; `None` for a tombstone.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        let native = self.native();
        // SAFETY: the value is valid as long as the message.
        unsafe { bytes(native.payload, native.len) }
    }

    /// Returns the headers in their order, as names and values. Names may be any bytes except NUL.
    #[must_use]
    pub fn headers(&self) -> Vec<(&[u8], Option<&[u8]>)> {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message is valid, and its headers with their names and values are valid as
        // long as it is.
        unsafe {
            if native::rd_kafka_message_headers(self.message.as_ptr(), &raw mut headers).is_error() {
                return Vec::new();
            }
            (0..native::rd_kafka_header_cnt(headers)).map_while(|index| header(headers, index)).collect()
        }
    }
}

/// # Safety
/// `headers` is valid for `'a`.
unsafe fn header<'a>(headers: *const native::rd_kafka_headers_t, index: usize) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let (mut name, mut value, mut length) = (std::ptr::null::<c_char>(), std::ptr::null::<c_void>(), 0);
    // SAFETY: guaranteed by the caller; the name ends with NUL.
    unsafe {
        let read = native::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut length);
        (!read.is_error() && !name.is_null()).then(|| (CStr::from_ptr(name).to_bytes(), bytes(value, length)))
    }
}

/// # Safety
/// `start` is null, or points to `length` bytes that are valid for `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: guaranteed by the caller.
    NonNull::new(start.cast_mut()).map(|start| unsafe { slice::from_raw_parts(start.as_ptr().cast::<u8>(), length) })
}

/// # Safety
/// `start` is null, or points to `length` elements that are valid for `'a`.
unsafe fn elements<'a>(
    start: *const native::rd_kafka_topic_partition_t,
    length: usize,
) -> &'a [native::rd_kafka_topic_partition_t] {
    // SAFETY: guaranteed by the caller.
    NonNull::new(start.cast_mut()).map_or(&[], |start| unsafe { slice::from_raw_parts(start.as_ptr(), length) })
}

/// # Safety
/// `text` is null or ends with NUL.
unsafe fn text(text: *const c_char) -> String {
    // SAFETY: guaranteed by the caller.
    NonNull::new(text.cast_mut())
        .map(|text| unsafe { CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned() })
        .unwrap_or_default()
}

/// # Safety
/// The message is valid.
unsafe fn topic_of(message: &native::rd_kafka_message_t) -> String {
    if message.rkt.is_null() {
        return String::new();
    }
    // SAFETY: a message's topic is valid at least as long as the message.
    unsafe { text(native::rd_kafka_topic_name(message.rkt)) }
}

/// Converts a syslog level.
const fn level_of(level: i32) -> RDKafkaLogLevel {
    match level {
        i32::MIN..=2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        7.. => RDKafkaLogLevel::Debug,
    }
}

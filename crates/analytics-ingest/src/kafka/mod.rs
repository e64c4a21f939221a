//! The consumer: its membership in the group, and where its partitions start.

mod membership;
mod start;

pub(crate) use membership::{Consumer, Membership, consumer};
pub(crate) use start::{Begin, record_remade};

use std::sync::Arc;

use analytics_core::record::{Header, Offset, Place, Record, TopicPartition};
use rdkafka::message::{BorrowedMessage, Headers, Message};

/// Takes a fetched message over. The topic's name is shared among its records.
pub(crate) fn record(message: &BorrowedMessage<'_>, topic: Arc<str>) -> Record {
    let headers = message.headers().map(|headers| {
        let header = |header: rdkafka::message::Header<'_, &[u8]>| Header {
            name: header.key.to_owned(),
            value: header.value.map(<[u8]>::to_vec),
        };
        headers.iter().map(header).collect()
    });
    Record {
        place: Place {
            partition: TopicPartition { topic, partition: message.partition() },
            offset: Offset(message.offset()),
            timestamp: message.timestamp().to_millis().filter(|millis| *millis >= 0),
        },
        key: message.key().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        payload: message.payload().map(<[u8]>::to_vec),
    }
}

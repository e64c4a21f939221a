//! The consumer: its membership in the group, where its partitions start, and what the broker
//! reports about topics and their ends.

mod damage;
mod ends;
mod membership;
mod reasons;
mod regressions;
mod start;

pub(crate) use damage::{is_damage, record_damage};
pub(crate) use ends::{client, follow, topics};
pub(crate) use membership::{Consumer, Membership, consumer};
pub(crate) use regressions::Regressions;
pub(crate) use start::{Begin, record_remade};

use std::sync::Arc;

use analytics_core::record::{self, Header, Offset, Place, Record, TopicPartition};
use kafka_events::Message;

/// Copies a fetched message into a [`Record`]. All records of a topic share its name.
pub(crate) fn record(message: &Message, topic: Arc<str>) -> Record {
    let header = |(name, value): (&[u8], Option<&[u8]>)| Header {
        name: String::from_utf8_lossy(name).into_owned(),
        value: value.map(<[u8]>::to_vec),
    };
    Record {
        place: Place {
            partition: TopicPartition { topic, partition: message.partition() },
            offset: Offset(message.offset()),
            timestamp: message.timestamp().filter(|millis| record::time(*millis).is_some()),
        },
        key: message.key().map(<[u8]>::to_vec),
        headers: message.headers().into_iter().map(header).collect(),
        payload: message.payload().map(<[u8]>::to_vec),
    }
}

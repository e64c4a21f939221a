//! What is written together: records of one or more partitions, and the stretches that they cover.

use analytics_core::event::Event;
use analytics_core::events::Redaction;
use analytics_core::maps::HashMap;
use analytics_core::record::{Offset, Place, Record, TopicPartition};
use analytics_core::rejection::Rejection;

use crate::offsets::Progress;

/// Records of one or more partitions, decoded, to be counted together.
#[derive(Debug)]
pub struct Batch {
    /// Whose offsets move.
    pub consumer_group: String,
    /// The stretch of each partition that the batch covers.
    pub spans: Vec<Span>,
    /// The records, those of a partition in its order.
    pub items: Vec<Item>,
    /// What is kept of records that cannot be counted.
    pub keeping: Keeping,
}

/// What dead letters keep.
#[derive(Debug, Clone, Default)]
pub struct Keeping {
    /// The most bytes of one payload.
    pub payload_bytes: usize,
    /// The most bytes that all of them take together, about. What comes beyond is counted only.
    pub total_bytes: u64,
    /// Fields that must not be kept, where a payload is JSON.
    pub redaction: Redaction,
}

impl Batch {
    /// The batch in two halves, the earlier records first.
    ///
    /// # Errors
    /// The batch itself where it has no two records.
    pub fn halves(mut self) -> Result<(Self, Self), Self> {
        let middle = self.items.len() / 2;
        if middle == 0 {
            return Err(self);
        }
        let later = self.items.split_off(middle);
        let (spans, rest) = cut(self.spans, &self.items);
        let consumer_group = self.consumer_group.clone();
        let later = Self { consumer_group, spans: rest, items: later, keeping: self.keeping.clone() };
        Ok((Self { spans, ..self }, later))
    }
}

/// Cuts stretches of partitions after `items`, their first records: what these cover, and what is left.
#[must_use]
pub fn cut(spans: Vec<Span>, items: &[Item]) -> (Vec<Span>, Vec<Span>) {
    let places = items.iter().map(|item| &item.record.place);
    let ends: HashMap<&TopicPartition, &Place> = places.map(|place| (&place.partition, place)).collect();
    let (mut covered, mut rest) = (Vec::new(), Vec::new());
    for span in spans {
        match ends.get(&span.partition) {
            None => rest.push(span),
            Some(end) if end.offset.next() == span.next => covered.push(span),
            Some(end) => {
                let next = end.offset.next();
                let part = Span { next, last_timestamp: end.timestamp, progress: Progress::default(), ..span.clone() };
                covered.push(part);
                rest.push(Span { expected: next, ..span });
            }
        }
    }
    (covered, rest)
}

/// A stretch of one partition.
#[derive(Debug, Clone)]
pub struct Span {
    /// Which partition.
    pub partition: TopicPartition,
    /// Where this writer believes the stored offset to be.
    pub expected: Offset,
    /// Where it is to be after the batch.
    pub next: Offset,
    /// The timestamp of its last record, in milliseconds, if it has one.
    pub last_timestamp: Option<i64>,
    /// What is known of the partition once the stretch is counted.
    pub progress: Progress,
}

/// One record and what it was decoded to.
#[derive(Debug)]
pub struct Item {
    /// The record as fetched.
    pub record: Record,
    /// The event in it, or why there is none.
    pub decoded: Result<Event, Rejection>,
}

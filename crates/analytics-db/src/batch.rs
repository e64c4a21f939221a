//! What is written together: records of one or more partitions, and the stretches that they cover.

use std::collections::BTreeMap;
use std::time::Instant;

use analytics_core::event::Event;
use analytics_core::events::Redaction;
use analytics_core::identity::EventId;
use analytics_core::maps::HashMap;
use analytics_core::record::{Offset, Place, Record, TopicPartition};
use analytics_core::rejection::{Reason, Rejection};
use analytics_core::time::EventTime;
use uuid::Uuid;

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

/// What a worker knows of a partition that it owns, besides the stored offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The end of the partition, and when the broker was asked for it.
    pub end: Option<(Offset, Instant)>,
    /// All below this offset is consumed, those without records too.
    pub consumed_to: Option<Offset>,
    /// Everything that was in the partition at this moment is counted.
    pub caught_up: Option<Instant>,
}

/// Whether the batch's events may be in the log already, under ids that are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reread {
    /// They are new unless their keys say otherwise: the offsets fence keeps it so.
    Unlikely,
    /// Offsets were set back, or another group read the same: look every id up.
    Possible,
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Events logged, by type.
    pub events: BTreeMap<String, u64>,
    /// Records that repeated an event.
    pub duplicates: u64,
    /// Of those, events that were found in the log by their id alone.
    pub reread: u64,
    /// Dead letters, by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// Of those, records that were not kept because there was no room for more.
    pub overflowed: u64,
}

impl Written {
    pub(crate) fn count(&mut self, event_type: &str) {
        match self.events.get_mut(event_type) {
            Some(events) => *events += 1,
            None => drop(self.events.insert(event_type.to_owned(), 1)),
        }
    }
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is counted, as this event.
    Counted(EventId),
    /// It repeats an event that was counted before.
    Duplicate(EventId),
    /// It cannot be counted.
    Rejected(Rejection),
}

impl Outcome {
    /// As traces and answers name it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Counted(_) => "counted",
            Self::Duplicate(_) => "duplicate",
            Self::Rejected(_) => "rejected",
        }
    }

    /// The event that it is counted as.
    #[must_use]
    pub const fn event(&self) -> Option<Uuid> {
        match self {
            Self::Counted(event) | Self::Duplicate(event) => Some(event.0),
            Self::Rejected(_) => None,
        }
    }

    /// Why it cannot be counted.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Rejected(Rejection { reason, detail, .. }) => Some(format!("{reason}: {detail}")),
            Self::Counted(_) | Self::Duplicate(_) => None,
        }
    }
}

/// What became of the records of one partition.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) events: i64,
    pub(crate) duplicates: i64,
    pub(crate) rejected: i64,
    pub(crate) last_event: Option<EventTime>,
}

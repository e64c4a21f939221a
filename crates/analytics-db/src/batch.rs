//! Batches: records of one or more partitions that are counted together, and the ranges of offsets
//! that they cover.

use std::collections::BTreeMap;
use std::time::Instant;

use analytics_core::event::Event;
use analytics_core::events::Redaction;
use analytics_core::identity::EventId;
use analytics_core::maps::HashMap;
use analytics_core::range_digest::RangeDigest;
use analytics_core::record::{Offset, Place, Record, TopicPartition};
use analytics_core::rejection::{Reason, Rejection};
use analytics_core::time::EventTime;
use uuid::Uuid;

/// Decoded records of one or more partitions, to be counted in one transaction.
#[derive(Debug)]
pub struct Batch {
    /// The consumer group whose stored offsets move.
    pub consumer_group: String,
    /// The range of offsets of each partition that the batch covers.
    pub spans: Vec<Span>,
    /// The records; those of one partition are in the order of their offsets.
    pub items: Vec<Item>,
    /// How much is kept of records that become dead letters.
    pub keeping: Keeping,
}

/// How much of a rejected record its dead letter keeps, and how much all dead letters may take.
#[derive(Debug, Clone, Default)]
pub struct Keeping {
    /// Maximum size of one stored payload, in bytes.
    pub payload_bytes: usize,
    /// Approximate maximum size of all dead letters, in bytes. Beyond it, rejected records are only
    /// counted.
    pub total_bytes: u64,
    /// Fields that are removed from payloads that are JSON.
    pub redaction: Redaction,
}

impl Batch {
    /// Splits the batch into two halves, the earlier records first.
    ///
    /// # Errors
    /// Returns the batch unchanged if it has fewer than two records.
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

/// Splits spans behind `items`, which are their first records. Returns the spans that `items`
/// cover, and the spans that are left.
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

/// A range of offsets of one partition.
#[derive(Debug, Clone)]
pub struct Span {
    /// The partition.
    pub partition: TopicPartition,
    /// Where this writer expects the stored offset: the first offset of the range.
    pub expected: Offset,
    /// Where the stored offset is after the batch: the first offset behind the range.
    pub next: Offset,
    /// Timestamp of the last record, in milliseconds, if it has one.
    pub last_timestamp: Option<i64>,
    /// Progress of the partition once the span is counted.
    pub progress: Progress,
}

/// A record and the result of decoding it.
#[derive(Debug)]
pub struct Item {
    /// The record as fetched.
    pub record: Record,
    /// The decoded event, or why the record cannot be counted.
    pub decoded: Result<Event, Rejection>,
}

/// What a worker knows about a partition that it owns, in addition to the stored offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The end of the partition as the broker reported it, and when it was requested.
    pub end: Option<(Offset, Instant)>,
    /// Everything below this offset is consumed, including offsets without records.
    pub consumed_to: Option<Offset>,
    /// Everything that was in the partition at this time is counted.
    pub caught_up: Option<Instant>,
}

/// Whether the log may already contain events of the batch whose keys are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reread {
    /// They are new unless their keys are known: the fence on the offsets ensures it.
    Unlikely,
    /// Offsets were reset to earlier ones, or another group counted the same records: every event
    /// id has to be looked up in the log.
    Possible,
}

/// The result of counting a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Events logged, by type.
    pub events: BTreeMap<String, u64>,
    /// Duplicates: records that repeated a known event.
    pub duplicates: u64,
    /// Of the duplicates, those that were recognised by their event id in the log.
    pub reread: u64,
    /// Rejected records, by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// Of the rejected records, those that were not kept as dead letters because these have reached
    /// their size limit.
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

/// The result of counting one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was counted as this event.
    Counted(EventId),
    /// It repeats this event, which was counted before.
    Duplicate(EventId),
    /// It cannot be counted.
    Rejected(Rejection),
}

impl Outcome {
    /// Returns the name used in `dead_letter_actions.result` and in answers of the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Counted(_) => "counted",
            Self::Duplicate(_) => "duplicate",
            Self::Rejected(_) => "rejected",
        }
    }

    /// Returns the id of the event that the record is counted as, if it is.
    #[must_use]
    pub const fn event(&self) -> Option<Uuid> {
        match self {
            Self::Counted(event) | Self::Duplicate(event) => Some(event.0),
            Self::Rejected(_) => None,
        }
    }

    /// Returns why the record was rejected, if it was.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Rejected(Rejection { reason, detail, .. }) => Some(format!("{reason}: {detail}")),
            Self::Counted(_) | Self::Duplicate(_) => None,
        }
    }
}

/// The results for the records of one partition.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) events: i64,
    pub(crate) duplicates: i64,
    pub(crate) rejected: i64,
    pub(crate) last_event: Option<EventTime>,
    /// Of all its records, whatever they are counted as.
    pub(crate) digest: RangeDigest,
}

impl Tally {
    /// Returns the number of records.
    pub(crate) const fn records(&self) -> i64 {
        self.events + self.duplicates + self.rejected
    }
}

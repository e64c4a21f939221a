//! Identities: what makes two records the same event.
//!
//! A record has up to two identities within its event type: an explicit one, which is an id given
//! by its producer, and a natural one, which follows from its content. Two records are the same
//! event if either is equal. A record that has neither is identified by its place in the log.

use std::fmt;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::family::Family;
use crate::ids::OrderId;
use crate::record::Place;
use crate::time::EventTime;
use crate::topics::EventType;

/// A hash of one identity of an event: records with an equal key are the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityKey(pub Uuid);

/// A hash of a normalized event. If two records have the same identity, the second is a duplicate
/// if their digests are equal, and a conflict otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub Uuid);

/// The id of a logged event, a UUID of version 8: 48 bits for its time in milliseconds since the
/// Unix epoch, followed by a hash of its identity. The same record always gets the same id, unless
/// its time is the moment of decoding; ids sort by event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub Uuid);

impl EventId {
    /// Returns the lowest id that an event of this millisecond or later can have, so that a range
    /// of times can be queried as a range of ids.
    #[must_use]
    pub fn lowest_at(time: EventTime) -> Self {
        Self(Uuid::from_u128(u128::from(time.millis().max(0).unsigned_abs()) << 80))
    }
}

impl EventId {
    /// Returns the event time that the id contains, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        i64::try_from(self.0.as_u128() >> 80).unwrap_or(MAX_MILLIS)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Hashes a list of parts so that different lists have different input to the hash: each text is
/// preceded by its length, and an absent text differs from an empty one.
pub struct Fingerprint {
    hash: Sha256,
    unhashed: Vec<u8>,
}

/// Number of bytes that are collected before they are hashed, which is faster than hashing part by
/// part. Most events have fewer bytes in total.
const AT_ONCE: usize = 512;

impl Fingerprint {
    /// Starts a fingerprint for one purpose: the same parts give another hash for another purpose.
    #[must_use]
    pub fn new(purpose: &str) -> Self {
        Self { hash: Sha256::new(), unhashed: Vec::with_capacity(AT_ONCE) }.text(purpose)
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, part: &str) -> Self {
        self.add(&(part.len() as u64).to_be_bytes());
        self.add(part.as_bytes());
        self
    }

    /// Adds a text that may be absent.
    #[must_use]
    pub fn optional(mut self, part: Option<&str>) -> Self {
        match part {
            Some(part) => self.text(part),
            None => {
                self.add(&u64::MAX.to_be_bytes());
                self
            }
        }
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, part: i64) -> Self {
        self.add(&part.to_be_bytes());
        self
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.unhashed.len() + bytes.len() > AT_ONCE {
            self.hash.update(&self.unhashed);
            self.unhashed.clear();
        }
        self.unhashed.extend_from_slice(bytes);
    }

    /// Returns the first 128 bits of the hash.
    #[must_use]
    pub fn finish(mut self) -> Uuid {
        self.hash.update(&self.unhashed);
        let hash: [u8; 32] = self.hash.finalize().into();
        let mut first = [0; 16];
        first.copy_from_slice(hash.split_at(16).0);
        Uuid::from_bytes(first)
    }
}

/// An explicit identity: an id that the producer gave the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Explicit<'a> {
    /// CloudEvents: `id` is unique within `source`.
    CloudEvent { id: &'a str, source: &'a str },
    /// The header `event-id`, or `eventId`.
    EventId(&'a str),
}

/// The scope in which identities are unique: the event type and, if the mapping of topics gives
/// one, the topic's namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Realm<'a> {
    pub(crate) event_type: &'a EventType,
    pub(crate) namespace: Option<&'a str>,
}

impl Realm<'_> {
    /// Starts the fingerprint of an identity of the given kind.
    fn fingerprint(self, kind: &str) -> Fingerprint {
        let purpose = Fingerprint::new(kind);
        let purpose = match self.namespace {
            Some(namespace) => purpose.text("namespace").text(namespace),
            None => purpose,
        };
        purpose.text(self.event_type.name())
    }

    /// Returns the key of an explicit identity. CloudEvents have a namespace of their own, their
    /// `source`, which is used in place of the topic's.
    pub(crate) fn explicit(self, explicit: &Explicit<'_>) -> IdentityKey {
        let of_source = Self { namespace: None, ..self };
        IdentityKey(match explicit {
            Explicit::CloudEvent { id, source } => of_source.fingerprint("cloudevent").text(source).text(id).finish(),
            Explicit::EventId(id) => self.fingerprint("event-id").text(id).finish(),
        })
    }

    /// Starts the fingerprint of a natural identity; the family's decoder adds the parts that
    /// identify the event.
    pub(crate) fn natural(self) -> Fingerprint {
        self.fingerprint("natural")
    }
}

/// Returns the natural identity of an order, by which it is found by its id. `namespace` is that of
/// its topic, if the topic mapping has one.
#[must_use]
pub fn order_key(order: &OrderId, namespace: Option<&str>) -> IdentityKey {
    let event_type = EventType::Counted(Family::OrderCreated);
    IdentityKey(Realm { event_type: &event_type, namespace }.natural().text(order.as_str()).finish())
}

/// Returns the identity that follows from a record's place in the log.
pub(crate) fn place_key(place: &Place) -> IdentityKey {
    IdentityKey(
        Fingerprint::new("place")
            .text(&place.partition.topic)
            .number(place.partition.partition.into())
            .number(place.offset.0)
            .number(place.timestamp.unwrap_or(-1))
            .finish(),
    )
}

/// Returns an id for a record that does not depend on its content: made from its place and its
/// timestamp.
#[must_use]
pub fn record_id(place: &Place) -> EventId {
    let millis = place.timestamp.unwrap_or(0).clamp(0, MAX_MILLIS);
    event_id(place_key(place), EventTime::from_micros(millis * 1000))
}

/// Returns the id of an adjustment. Its identity is the time at which it was made, with the actor
/// and the metric type. Adjustments are made under a lock, so that no two are made at the same
/// time.
#[must_use]
pub fn adjustment_id(time: EventTime, actor: &str, metric_type: &str) -> EventId {
    let parts = Fingerprint::new("adjustment").number(time.micros()).text(actor).text(metric_type);
    event_id(IdentityKey(parts.finish()), time)
}

/// Greatest number of milliseconds that fits into the time part of an id, 48 bits.
const MAX_MILLIS: i64 = (1 << 48) - 1;

/// Returns the id of an event with this identity and time.
pub(crate) fn event_id(identity: IdentityKey, time: EventTime) -> EventId {
    let mut bytes = *identity.0.as_bytes();
    // Event times are between 2000 and one day from now; 48 bits suffice until the year 10889.
    let millis = time.millis().to_be_bytes();
    for (byte, part) in bytes.iter_mut().zip(millis.iter().skip(2)) {
        *byte = *part;
    }
    EventId(Uuid::new_v8(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_are_of_version_8() {
        let identity = IdentityKey(Fingerprint::new("x").finish());
        let early = event_id(identity, EventTime::from_micros(1_793_240_159_591_000));
        let late = event_id(identity, EventTime::from_micros(1_793_240_159_592_000));
        assert!(early < late);
        assert_eq!(early.0.get_version_num(), 8);
        assert_eq!(early.0.as_u128() >> 80, 1_793_240_159_591);
    }

    #[test]
    fn different_parts_give_different_fingerprints() {
        let a = Fingerprint::new("x").text("ab").text("c").finish();
        assert_ne!(a, Fingerprint::new("x").text("a").text("bc").finish());
        assert_ne!(Fingerprint::new("x").optional(None).finish(), Fingerprint::new("x").optional(Some("")).finish());
    }
}

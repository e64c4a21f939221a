//! What makes two records the same event.
//!
//! A record has up to two identities within its event type: an explicit one that its producer
//! gave it, and a natural one that its content implies. Either suffices. A record with neither
//! is identified by its place in the log.

use std::fmt;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::family::Family;
use crate::ids::OrderId;
use crate::record::Place;
use crate::time::EventTime;
use crate::topics::EventType;

/// A hash of one identity of an event: equal keys are the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityKey(pub Uuid);

/// A hash of a normalized event: of two records of one identity it tells a repetition from a
/// contradiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub Uuid);

/// The id of a logged event: 48 bits of its time in milliseconds, then a hash of its identity
/// (UUID version 8). The same record always gets the same id, and ids sort by event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub Uuid);

impl EventId {
    /// The lowest id that an event of this millisecond or a later one can have: a range of time
    /// is a range of ids.
    #[must_use]
    pub fn lowest_at(time: EventTime) -> Self {
        Self(Uuid::from_u128(u128::from(time.millis().max(0).unsigned_abs()) << 80))
    }
}

impl EventId {
    /// The event's time in milliseconds, as the id has it.
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

/// Hashes parts so that no two different lists of parts look alike: each is preceded by its
/// length, and an absent part differs from an empty one.
pub struct Fingerprint {
    hash: Sha256,
    unhashed: Vec<u8>,
}

/// So many bytes are hashed at once, which is quicker than part by part; a usual event has fewer.
const AT_ONCE: usize = 512;

impl Fingerprint {
    /// A fingerprint for one purpose: the same parts for another purpose look different.
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

    /// The first 128 bits of the hash.
    #[must_use]
    pub fn finish(mut self) -> Uuid {
        self.hash.update(&self.unhashed);
        let hash: [u8; 32] = self.hash.finalize().into();
        let mut first = [0; 16];
        first.copy_from_slice(hash.split_at(16).0);
        Uuid::from_bytes(first)
    }
}

/// The identity that a producer gave the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Explicit<'a> {
    /// CloudEvents: `id` is unique within `source`.
    CloudEvent { id: &'a str, source: &'a str },
    /// The header `event-id`, or `eventId`.
    EventId(&'a str),
}

/// Within what identities are told apart: the event type and, where the mapping of topics gives one, the
/// topic's namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Realm<'a> {
    pub(crate) event_type: &'a EventType,
    pub(crate) namespace: Option<&'a str>,
}

impl Realm<'_> {
    /// The start of an identity of some kind.
    fn fingerprint(self, kind: &str) -> Fingerprint {
        let purpose = Fingerprint::new(kind);
        let purpose = match self.namespace {
            Some(namespace) => purpose.text("namespace").text(namespace),
            None => purpose,
        };
        purpose.text(self.event_type.name())
    }

    /// The identity that a producer gave. CloudEvents bring a namespace of their own, their source.
    pub(crate) fn explicit(self, explicit: &Explicit<'_>) -> IdentityKey {
        let of_source = Self { namespace: None, ..self };
        IdentityKey(match explicit {
            Explicit::CloudEvent { id, source } => of_source.fingerprint("cloudevent").text(source).text(id).finish(),
            Explicit::EventId(id) => self.fingerprint("event-id").text(id).finish(),
        })
    }

    /// The start of a natural identity; the family adds the parts that make it one.
    pub(crate) fn natural(self) -> Fingerprint {
        self.fingerprint("natural")
    }
}

/// The natural identity of an order: what its id is looked up by. `namespace` is that of its topic, if the
/// mapping of topics gives one.
#[must_use]
pub fn order_key(order: &OrderId, namespace: Option<&str>) -> IdentityKey {
    let event_type = EventType::Counted(Family::OrderCreated);
    IdentityKey(Realm { event_type: &event_type, namespace }.natural().text(order.as_str()).finish())
}

/// The identity of a record that has no other.
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

/// The id of a record as such, whatever is in it: made from its place and its timestamp.
#[must_use]
pub fn record_id(place: &Place) -> EventId {
    let millis = place.timestamp.unwrap_or(0).clamp(0, MAX_MILLIS);
    event_id(place_key(place), EventTime::from_micros(millis * 1000))
}

/// The id of an adjustment by hand. Its identity is the moment at which it was made, under a lock
/// that lets no two be made at once.
#[must_use]
pub fn adjustment_id(time: EventTime, actor: &str, metric_type: &str) -> EventId {
    let parts = Fingerprint::new("adjustment").number(time.micros()).text(actor).text(metric_type);
    event_id(IdentityKey(parts.finish()), time)
}

/// What fits into 48 bits, the time part of an id.
const MAX_MILLIS: i64 = (1 << 48) - 1;

/// The id of an event with this identity and time.
pub(crate) fn event_id(identity: IdentityKey, time: EventTime) -> EventId {
    let mut bytes = *identity.0.as_bytes();
    // Event times lie between 2000 and one day from now: 48 bits hold them until the year 10889.
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
    fn parts_never_run_into_each_other() {
        let a = Fingerprint::new("x").text("ab").text("c").finish();
        assert_ne!(a, Fingerprint::new("x").text("a").text("bc").finish());
        assert_ne!(Fingerprint::new("x").optional(None).finish(), Fingerprint::new("x").optional(Some("")).finish());
    }
}

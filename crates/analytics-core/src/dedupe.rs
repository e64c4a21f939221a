//! Telling repetitions from contradictions: what is known of identities, and the verdict on each
//! event that comes after.

use crate::event::Event;
use crate::identity::{Digest, EventId, IdentityKey};
use crate::maps::{HashMap, HashSet};
use crate::rejection::{Reason, Rejection};

/// What is known about identities that were counted before.
#[derive(Debug, Default)]
pub struct Known {
    /// Bound keys: the digest and the id of the event that each belongs to.
    pub keys: HashMap<IdentityKey, (Digest, EventId)>,
    /// Ids of events in the log, as far as they were looked up: all that is known of events
    /// without a key, or whose keys have been forgotten.
    pub ids: HashSet<EventId>,
}

/// What a record turns out to be, given those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not seen before: it counts.
    New,
    /// The same event again: ignored.
    Duplicate,
    /// The same event with other content: the first stands.
    Conflict(Rejection),
}

impl Known {
    /// Judges one event, and remembers its identities unless it contradicts an earlier one.
    ///
    /// A repetition may bring an identity that the first record lacked (the same order under a
    /// new event id); from then on that identity is the event's too.
    pub fn judge(&mut self, event: &Event) -> Verdict {
        let mut earlier = None;
        for (digest, id) in event.keys.iter().filter_map(|key| self.keys.get(key)) {
            if *digest != event.digest {
                return Verdict::Conflict(Rejection::new(
                    Reason::IdentityConflict,
                    format!("it is the same event as {id}, which was counted with other content"),
                ));
            }
            earlier = Some(*id);
        }
        let id = earlier.unwrap_or(event.id);
        for key in &event.keys {
            self.keys.entry(*key).or_insert((event.digest, id));
        }
        // The log itself remembers longer than the keys do.
        let logged = !self.ids.insert(id);
        if earlier.is_some() || logged { Verdict::Duplicate } else { Verdict::New }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::event::Content;
    use crate::family::Family;
    use crate::identity::{Fingerprint, event_id};
    use crate::time::EventTime;
    use crate::topics::EventType;

    fn event(keys: &[&str], content: &str) -> Event {
        let key = |name: &&str| IdentityKey(Fingerprint::new("test").text(name).finish());
        let keys: Vec<_> = keys.iter().map(key).collect();
        let identity = keys.first().copied().unwrap_or(IdentityKey(Uuid::nil()));
        Event {
            id: event_id(identity, EventTime::from_micros(1)),
            event_type: EventType::Counted(Family::OrderCreated),
            user: None,
            time: EventTime::from_micros(1),
            keys,
            order: None,
            digest: Digest(Fingerprint::new("digest").text(content).finish()),
            metadata: String::new(),
            content: Content::Nothing,
        }
    }

    #[test]
    fn either_identity_makes_the_same_event() {
        let mut known = Known::default();
        assert_eq!(known.judge(&event(&["e1", "order"], "a")), Verdict::New);
        assert_eq!(known.judge(&event(&["e1"], "a")), Verdict::Duplicate);
        assert_eq!(known.judge(&event(&["e2", "order"], "a")), Verdict::Duplicate);
        // The repetition bound e2 to the order.
        assert!(matches!(known.judge(&event(&["e2"], "b")), Verdict::Conflict(_)));
    }

    #[test]
    fn a_conflicting_record_binds_nothing() {
        let mut known = Known::default();
        assert_eq!(known.judge(&event(&["order"], "a")), Verdict::New);
        assert!(matches!(known.judge(&event(&["e9", "order"], "b")), Verdict::Conflict(_)));
        assert_eq!(known.judge(&event(&["e9", "other"], "c")), Verdict::New);
    }

    #[test]
    fn without_keys_the_place_counts_once() {
        let mut known = Known::default();
        assert_eq!(known.judge(&event(&[], "a")), Verdict::New);
        assert_eq!(known.judge(&event(&[], "a")), Verdict::Duplicate);
    }
}

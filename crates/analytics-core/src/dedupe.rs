//! Deduplication: decides by the identities that are already known whether an event is new, a
//! duplicate (same content) or a conflict (other content).

use crate::event::Event;
use crate::identity::{Digest, EventId, IdentityKey};
use crate::maps::{HashMap, HashSet};
use crate::rejection::{Reason, Rejection};

/// The identities of events that were counted before.
#[derive(Debug, Default)]
pub struct Known {
    /// The digest and the id of the event that each identity belongs to.
    pub keys: HashMap<IdentityKey, (Digest, EventId)>,
    /// Ids of events in the log, as far as they were looked up. For events that have no identity
    /// key, or whose keys have been deleted, nothing else is known.
    pub ids: HashSet<EventId>,
}

/// The result for one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not seen before: it is counted.
    New,
    /// The same event as an earlier one: it is ignored.
    Duplicate,
    /// The same event as an earlier one but with other content: the earlier one is kept.
    Conflict(Rejection),
}

impl Known {
    /// Decides about one event, and adds its identities to the known ones unless it is a conflict.
    ///
    /// A duplicate may have an identity that the first record lacked, such as the same order with a
    /// new event id. That identity then also belongs to the event.
    pub fn judge(&mut self, event: &Event) -> Verdict {
        let mut earlier = None;
        for (digest, id) in event.keys.iter().filter_map(|key| self.keys.get(key)) {
            if *digest != event.digest {
                let about = event.order().or_else(|| event.content.reversal().map(|reversal| reversal.order));
                let detail = format!("the record is the same event as {id}, which was counted with other content");
                return Verdict::Conflict(Rejection::new(Reason::IdentityConflict, detail).about(about));
            }
            earlier = Some(*id);
        }
        let id = earlier.unwrap_or(event.id);
        for key in &event.keys {
            self.keys.entry(*key).or_insert((event.digest, id));
        }
        // The ids in the log are kept longer than the identity keys.
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
            natural: None,
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
        // The duplicate added e2 to the identities of the order.
        assert!(matches!(known.judge(&event(&["e2"], "b")), Verdict::Conflict(_)));
    }

    #[test]
    fn a_conflict_adds_no_identities() {
        let mut known = Known::default();
        assert_eq!(known.judge(&event(&["order"], "a")), Verdict::New);
        assert!(matches!(known.judge(&event(&["e9", "order"], "b")), Verdict::Conflict(_)));
        assert_eq!(known.judge(&event(&["e9", "other"], "c")), Verdict::New);
    }

    #[test]
    fn an_event_without_keys_is_identified_by_its_id() {
        let mut known = Known::default();
        assert_eq!(known.judge(&event(&[], "a")), Verdict::New);
        assert_eq!(known.judge(&event(&[], "a")), Verdict::Duplicate);
    }
}

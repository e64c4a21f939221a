//! Seals: a checksum over what was decided about an event, stored with it. Changing the event in
//! the log without counting it again makes the seal wrong, which verify detects.

use crate::event::{Covering, Event};
use crate::identity::Fingerprint;
use crate::ids::UserId;

/// Returns the seal of an event that was decided by this version of the rules. It covers every
/// column that counting uses, which excludes the payload.
#[must_use]
pub fn seal(event: &Event, rules_version: i16) -> i64 {
    let common = Fingerprint::new("seal")
        .number(rules_version.into())
        .text(&event.id.0.to_string())
        .text(event.event_type.name())
        .optional(event.user.as_ref().map(UserId::as_str))
        .number(event.time.micros());
    let (first, _) = event.content.fingerprint(common, Covering::Decisions).finish().as_u64_pair();
    i64::from_be_bytes(first.to_be_bytes())
}

//! Decodes `user.registered`: a new account. Its natural identity is the user id.

use crate::event::Content;
use crate::ids::UserId;
use crate::rejection::{Faults, Rejection};

use super::{Decoded, Input, fields};

const NEW_USER: [&str; 5] = ["userId", "user_id", "buyerId", "customerId", "id"];

pub(super) fn decode(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let payload = &input.envelope.payload;
    let mut faults = Faults::default();
    let user = faults.keep(fields::needed_id(payload, &NEW_USER, UserId::parse));
    let time = faults.keep(fields::event_time(input, &fields::TIME));
    let compared = vec![fields::label(payload, "role"), fields::label(payload, "source")];
    faults.finish(user.zip(time).map(|(user, time)| Decoded {
        natural: Some(input.natural().text(user.as_str())),
        user: Some(user),
        time,
        compared,
        content: Content::Nothing,
    }))
}

#[cfg(test)]
mod cases;

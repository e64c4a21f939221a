//! Decodes records: each becomes an [`Event`], or a [`Rejection`] that says why it cannot be
//! counted.
//!
//! Each family has a module of its own; `fields` has the field names and formats that they share.

pub(crate) mod fields;
mod money;
mod naming;
mod order_created;
mod payments;
mod product_viewed;
mod rating_updated;
mod reversals;
mod time;
mod user_registered;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::business::Business;
use crate::envelope::Envelope;
use crate::event::{Content, Covering, Event};
use crate::family::Family;
use crate::identity::{self, Digest, Fingerprint, Realm};
use crate::ids::UserId;
use crate::json;
pub use crate::json::Redaction;
use crate::record::Record;
use crate::rejection::{Faults, Reason, Rejection};
use crate::reversal::Reversal;
use crate::topics::{EventType, Topics};
use fields::{Time, TimeSource};

/// Decodes records into events, according to the settings of the process.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// The mapping of topics to event types.
    pub topics: Topics,
    /// The base currency, used for amounts that name none, and the calendar, which defines when the
    /// day of a date without a time begins.
    pub business: Business,
    /// The fields that must not be stored.
    pub redaction: Redaction,
    /// Greatest size of a payload that is decoded, in bytes.
    pub max_record_bytes: usize,
    /// When orders count.
    pub order_counts: OrderCounts,
}

/// When an order counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OrderCounts {
    /// When it was created.
    #[default]
    Created,
    /// When it is paid, on the day on which it was placed.
    Paid,
}

/// The result of a family's decoder: the parts of an event that depend on the family.
struct Decoded {
    user: Option<UserId>,
    time: Time,
    /// Fields that no rule uses but that are part of the digest, which tells a duplicate from a
    /// conflict.
    compared: Vec<Option<String>>,
    content: Content,
    /// The natural identity, if the content identifies the event.
    natural: Option<Fingerprint>,
}

impl Decoder {
    /// Decodes one record. `now` is the current time, against which event times are checked.
    ///
    /// # Errors
    /// The [`Rejection`] with which the record becomes a dead letter.
    pub fn decode(&self, record: &Record, now: DateTime<Utc>) -> Result<Event, Rejection> {
        self.read(record, now).map_err(|rejection| rejection.without_value(|field| self.redaction.names(field)))
    }

    fn read(&self, record: &Record, now: DateTime<Utc>) -> Result<Event, Rejection> {
        let bytes = record.payload.as_deref().unwrap_or_default();
        if bytes.len() > self.max_record_bytes && !bytes.trim_ascii().is_empty() {
            let detail = format!("the record has {} bytes, at most {} are allowed", bytes.len(), self.max_record_bytes);
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        let text = json::text(bytes)?;
        let base64_data = OnceCell::new();
        let envelope = Envelope::open(record, text, &base64_data)?;
        let event_type = self.event_type(record);
        let input = Input { decoder: self, record, envelope: &envelope, event_type: &event_type, now };
        let decoded = match &event_type {
            EventType::Counted(Family::UserRegistered) => user_registered::decode(&input)?,
            EventType::Counted(Family::ProductViewed) => product_viewed::decode(&input)?,
            EventType::Counted(Family::OrderCreated) => order_created::decode(&input)?,
            EventType::Counted(Family::RatingUpdated) => rating_updated::decode(&input)?,
            EventType::Counted(Family::OrderPaid) => payments::paid(&input)?,
            EventType::Counted(Family::OrderCancelled) => reversals::cancelled(&input)?,
            EventType::Counted(Family::OrderRefunded) => reversals::refunded(&input)?,
            EventType::Counted(Family::OrderStatusUpdated) => reversals::status(&input)?,
            EventType::Counted(Family::ProductCreated | Family::ProductUpdated) => naming::product(&input)?,
            EventType::Counted(Family::VendorCreated | Family::VendorUpdated) => naming::vendor(&input)?,
            EventType::Extra(_) | EventType::Adjustment => extra(&input)?,
        };
        Ok(self.event(&input, decoded))
    }

    /// Returns the event type of the record's topic. Topics outside the mapping are never
    /// subscribed to; a record of such a topic would be logged like one of an extra topic.
    fn event_type(&self, record: &Record) -> EventType {
        let topic = &record.place.partition.topic;
        self.topics.event_type(topic).cloned().unwrap_or_else(|| EventType::Extra(Arc::clone(topic)))
    }

    fn event(&self, input: &Input<'_>, decoded: Decoded) -> Event {
        let Decoded { user, time, compared, content, natural } = decoded;
        let explicit = input.envelope.explicit().map(|explicit| input.realm().explicit(&explicit));
        let natural = natural.map(|parts| identity::IdentityKey(parts.finish()));
        let mut keys: Vec<_> = explicit.into_iter().chain(natural).collect();
        let place = identity::place_key(&input.record.place);
        if keys.is_empty() && time.source == TimeSource::Clock {
            // If the record is read again, it gets another time and so another id. Its place is
            // added as a key so that the event is identified all the same.
            keys.push(place);
        }
        let id = identity::event_id(keys.first().copied().unwrap_or(place), time.at);
        let digest = if keys.is_empty() { Digest(id.0) } else { digest(user.as_ref(), time, &compared, &content) };
        let metadata = self.metadata(input);
        let event_type = input.event_type.clone();
        Event { id, event_type, user, time: time.at, keys, natural, digest, metadata, content }
    }

    /// Returns the payload without redacted fields, with the type that the envelope declares if it
    /// is not the topic's.
    fn metadata(&self, input: &Input<'_>) -> String {
        let payload = self.redaction.apply(input.envelope.payload_text);
        match &input.envelope.declared_type {
            Some(declared) if declared != input.event_type.name() && !declared.contains('\0') => {
                with_field(payload, DECLARED_TYPE, declared)
            }
            _ => payload.into_owned(),
        }
    }
}

/// Returns, for each line of a logged order, how its payload names the line's vendor: `Some(true)` by
/// the line itself, `Some(false)` by the order, `None` not at all, or in a field that was redacted.
#[must_use]
pub fn vendors_named_in(payload: &str) -> Vec<Option<bool>> {
    let Some((lines, by_order)) = order_created::named_vendors(payload) else { return Vec::new() };
    lines.into_iter().map(|by_line| (by_line || by_order).then_some(by_line)).collect()
}

/// The names of the field of an order's payload that has its id, in the order in which they are looked for.
pub const ORDER_FIELDS: [&str; 3] = order_created::ORDER;

/// The key in the metadata for a type that the envelope declares if it differs from the topic's.
const DECLARED_TYPE: &str = "_declaredType";

fn with_field(object: Cow<'_, str>, key: &str, value: &str) -> String {
    let body = object.trim_ascii_end().strip_suffix('}').unwrap_or(&object).trim_ascii_end();
    let comma = if body.ends_with('{') { "" } else { "," };
    format!("{body}{comma}\"{key}\":{}}}", serde_json::Value::from(value))
}

/// The input of the families' decoders.
struct Input<'a> {
    decoder: &'a Decoder,
    record: &'a Record,
    envelope: &'a Envelope<'a>,
    event_type: &'a EventType,
    now: DateTime<Utc>,
}

impl Input<'_> {
    fn realm(&self) -> Realm<'_> {
        let namespace = self.decoder.topics.namespace(&self.record.place.partition.topic);
        Realm { event_type: self.event_type, namespace }
    }

    /// Starts the fingerprint of the natural identity of the record's event.
    fn natural(&self) -> Fingerprint {
        self.realm().natural()
    }
}

fn extra(input: &Input<'_>) -> Result<Decoded, Rejection> {
    let mut faults = Faults::default();
    let user = faults.keep_optional(fields::id(&input.envelope.payload, &fields::USER, UserId::parse));
    let time = faults.keep(fields::event_time(input, &fields::TIME));
    faults.finish(time.map(|time| Decoded {
        user,
        time,
        compared: Vec::new(),
        content: Content::Nothing,
        natural: None,
    }))
}

/// Returns the hash of a normalized event: of its decoded fields, independent of field names,
/// envelope and number formats. The time is only included if it is from the payload.
fn digest(user: Option<&UserId>, time: Time, compared: &[Option<String>], content: &Content) -> Digest {
    if content.payment().is_some() || content.reversal().is_some_and(Reversal::is_whole_cancellation) {
        // Several topics may say it, at different times.
        return Digest(content.fingerprint(Fingerprint::new("event"), Covering::Content).finish());
    }
    let own_time = matches!(time.source, TimeSource::Payload(_)).then(|| time.at.micros().to_string());
    let common = Fingerprint::new("event").optional(user.map(UserId::as_str)).optional(own_time.as_deref());
    let common = compared.iter().fold(common, |sum, part| sum.optional(part.as_deref()));
    Digest(content.fingerprint(common, Covering::Content).finish())
}

#[cfg(test)]
mod tests;

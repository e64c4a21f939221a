//! Removes the envelope of a record and reads the producer's id from it.
//!
//! A payload may have no envelope, a CloudEvents 1.0 envelope (structured or binary), or the
//! envelope `{"eventType": ..., "payload": {...}}`. Only one level is removed.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::identifier;
use crate::identity::Explicit;
use crate::json::{self, Object, Value};
use crate::record::Record;
use crate::rejection::{Faults, Reason, Rejection};

/// The payload of a record, and what its envelope says about it.
pub(crate) struct Envelope<'a> {
    /// The fields of the event.
    pub(crate) payload: Object<'a>,
    /// The payload as JSON text.
    pub(crate) payload_text: &'a str,
    /// The time that the envelope gives.
    pub(crate) time: Option<Value<'a>>,
    /// The event type that the envelope names. It is stored with the event, but the topic decides.
    pub(crate) declared_type: Option<Cow<'a, str>>,
    cloud_event: Option<(Cow<'a, str>, Cow<'a, str>)>,
    event_id: Option<Cow<'a, str>>,
}

impl<'a> Envelope<'a> {
    /// Removes the envelope of a record. `decoded` holds the decoded bytes of `data_base64`, if
    /// there are any.
    ///
    /// # Errors
    /// The errors of [`json::object`] for the record or the payload in it; `not_json` for data that
    /// is not base64; and `invalid_identifier` for an explicit id that is not a string or an
    /// integer.
    pub(crate) fn open(record: &'a Record, text: &'a str, decoded: &'a OnceCell<Vec<u8>>) -> Result<Self, Rejection> {
        let outer = json::object(text)?;
        let header = |name| record.header(name).map(Cow::Borrowed);
        let header_time = || record.header("ce_time").map(|time| Value::Text(Cow::Borrowed(time)));
        let structured = record.header("content-type").is_some_and(is_structured) || outer.get("specversion").is_some();

        let mut faults = Faults::default();
        let mut cloud_event = header("ce_id").zip(header("ce_source"));
        let mut envelope_event_id = None;
        let (payload, payload_text, time, declared_type) = if structured {
            if cloud_event.is_none() {
                cloud_event = faults.keep_optional(explicit_id(&outer, "id")).zip(text_of(outer.get("source")));
            }
            envelope_event_id = faults.keep_optional(explicit_id(&outer, "eventId"));
            let (payload, payload_text) = cloud_event_data(&outer, decoded)?;
            (payload, payload_text, outer.get("time").or_else(header_time), text_of(outer.get("type")))
        } else if record.header("ce_specversion").or_else(|| record.header("ce_id")).is_some() {
            (outer, text, header_time(), header("ce_type"))
        } else if let Some((declared_type, payload, payload_text)) = wrapped(&outer) {
            envelope_event_id = faults.keep_optional(explicit_id(&outer, "eventId"));
            (payload, payload_text, outer.get("timestamp"), Some(declared_type))
        } else {
            (outer, text, None, None)
        };
        let payload_event_id = faults.keep_optional(explicit_id(&payload, "eventId"));
        let event_id = header("event-id").or(payload_event_id).or(envelope_event_id);
        faults.finish(Some(Self { payload, payload_text, time, declared_type, cloud_event, event_id }))
    }

    /// Returns the identity that the producer gave the record, if any.
    pub(crate) fn explicit(&self) -> Option<Explicit<'_>> {
        match (&self.cloud_event, &self.event_id) {
            (Some((id, source)), _) => Some(Explicit::CloudEvent { id, source }),
            (None, Some(id)) => Some(Explicit::EventId(id)),
            (None, None) => None,
        }
    }
}

fn is_structured(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/cloudevents+json")
}

/// Reads the payload of a structured CloudEvent. Data is optional in CloudEvents: without it the
/// payload is an empty object.
fn cloud_event_data<'a>(
    outer: &Object<'a>,
    decoded: &'a OnceCell<Vec<u8>>,
) -> Result<(Object<'a>, &'a str), Rejection> {
    let not_an_object = || Rejection::new(Reason::NotAnObject, "the CloudEvent's data must be a JSON object");
    let text = match (outer.get("data"), outer.get("data_base64")) {
        (Some(Value::Object(text)), _) => return Ok((json::object(text)?, text)),
        (Some(_), _) => return Err(not_an_object()),
        (None, Some(Value::Text(encoded))) => {
            let bytes = json::from_base64(&encoded)
                .map_err(|error| Rejection::new(Reason::NotJson, format!("data_base64 is not base64: {error}")))?;
            json::text(decoded.get_or_init(|| bytes))?
        }
        (None, Some(_)) => return Err(not_an_object()),
        (None, None) => "{}",
    };
    Ok((json::object(text)?, text))
}

/// Reads the envelope with a type and a payload. `None` if the type is not a string or the payload
/// is not an object: such a record has no envelope.
fn wrapped<'a>(outer: &Object<'a>) -> Option<(Cow<'a, str>, Object<'a>, &'a str)> {
    let (_, Value::Text(declared_type)) = outer.first(&["eventType", "type", "event"])? else { return None };
    let (_, payload) = outer.first(&["payload", "data"])?;
    let Value::Object(text) = payload else { return None };
    Some((declared_type, payload.object()?, text))
}

fn text_of(value: Option<Value<'_>>) -> Option<Cow<'_, str>> {
    match value {
        Some(Value::Text(Cow::Borrowed(text))) => Some(Cow::Borrowed(text.trim())),
        Some(Value::Text(Cow::Owned(text))) => Some(Cow::Owned(text.trim().to_owned())),
        _ => None,
    }
}

fn explicit_id<'a>(object: &Object<'a>, name: &'static str) -> Result<Option<Cow<'a, str>>, Rejection> {
    object.get(name).map(|value| identifier::text(name, value)).transpose()
}

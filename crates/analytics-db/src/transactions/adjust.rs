//! Sets a metric by hand, and logs an event that says who did it, why, and by how much it changed.

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::event::{Content, Event};
use analytics_core::identity::adjustment_id;
use analytics_core::ids::UserId;
use analytics_core::rules;
use analytics_core::sums;
use analytics_core::time::EventTime;
use analytics_core::topics::EventType;
use diesel::OptionalExtension;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::runner::run;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::raw_json::RawJson;
use crate::sql::{row, statement};
use crate::tables::audit_log::{self, Action, Entry};
use crate::tables::batches::{self, Kind};
use crate::tables::{event_days, event_log, metrics, rollups};
use crate::{Connection, DbError};

/// A request to set a metric.
#[derive(Debug, Clone)]
pub struct Adjustment {
    /// The metric's type.
    pub metric_type: String,
    /// Its new value; `None` keeps the current one.
    pub value: Option<i64>,
    /// Its new metadata; `None` keeps the current one.
    pub metadata: Option<RawJson>,
    /// The reason given.
    pub reason: Option<String>,
    /// The person who sets it.
    pub actor: String,
}

/// Sets a metric. The difference to the current value is computed under the counting lock, so that
/// events counted meanwhile are neither lost nor counted twice. Returns the id of the logged event.
///
/// # Errors
/// [`WriteError`]; then nothing is changed.
pub fn adjust(connection: &mut Connection, adjustment: &Adjustment, business: Business) -> Result<Uuid, WriteError> {
    row! {
        struct Current {
            value: Option<i64>,
        }
    }
    run(connection, "adjust", |connection| {
        let lock = CountingLock::take(connection)?;
        let current: Option<Current> = statement("SELECT value FROM metrics WHERE type = $1")
            .value(&adjustment.metric_type)
            .get_result(connection)
            .optional()?;
        let before = current.and_then(|current| current.value);
        if before.is_some_and(|before| sums::known(before).is_none()) {
            // What it would take to get from there to the target is not known.
            return Err(WriteError::Refused);
        }
        let delta = adjustment.value.map(|target| i128::from(target) - i128::from(before.unwrap_or(0)));
        let delta = delta.map(i64::try_from).transpose().map_err(|_| WriteError::Refused)?;
        let event = event(adjustment, delta, before, crate::now(connection)?.into())?;
        let mut deltas = Deltas::default();
        rules::count(&event, business, &mut deltas);

        let batch = batches::new_id(connection)?;
        event_log::copy(connection, batch, &[&event])?;
        batches::number(connection, &lock, batch, Kind::Adjustment)?;
        metrics::add(connection, &lock, &deltas)?;
        metrics::set_metadata(connection, &lock, &adjustment.metric_type, adjustment.metadata.as_ref())?;
        rollups::add(connection, &lock, &deltas.rollups)?;
        event_days::add(connection, &lock, &deltas.events)?;
        metrics::derive(connection, &lock)?;
        audit_log::record(connection, &entry(adjustment, &event, delta, before))?;
        Ok(event.id.0)
    })
}

/// Returns what the audit log says about the adjustment.
fn entry(adjustment: &Adjustment, event: &Event, delta: Option<i64>, before: Option<i64>) -> Entry {
    let Adjustment { metric_type, value, metadata, reason, actor } = adjustment;
    let detail = json!({
        "eventId": event.id.0, "value": value, "previous": before, "delta": delta, "reason": reason,
        "setsMetadata": metadata.is_some(),
    });
    Entry { actor: actor.clone(), action: Action::Adjust, subject: metric_type.clone(), detail }
}

/// The payload of an adjustment's event.
#[derive(Serialize)]
struct Said<'a> {
    r#type: &'a str,
    delta: Option<i64>,
    value: Option<i64>,
    previous: Option<i64>,
    metadata: Option<&'a RawJson>,
    reason: Option<&'a str>,
    actor: &'a str,
}

/// Builds the event that logs the adjustment, on the day on which it is made.
fn event(
    adjustment: &Adjustment,
    delta: Option<i64>,
    before: Option<i64>,
    time: EventTime,
) -> Result<Event, WriteError> {
    let Adjustment { metric_type, value, metadata, reason, actor } = adjustment;
    let id = adjustment_id(time, actor, metric_type);
    let content = Content::Adjustment { metric_type: metric_type.clone(), delta };
    let said = Said {
        r#type: metric_type,
        delta,
        value: *value,
        previous: before,
        metadata: metadata.as_ref(),
        reason: reason.as_deref(),
        actor,
    };
    let said = serde_json::to_string(&said).map_err(|error| DbError::Unusable(error.to_string()))?;
    let logged = Event::logged(id, EventType::Adjustment, UserId::parse(actor).ok(), time, content);
    Ok(Event { metadata: said, ..logged })
}

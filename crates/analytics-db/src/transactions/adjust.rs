//! A metric set by hand, and the event that says who did it, why, and by how much.

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::event::{Content, Event};
use analytics_core::identity::adjustment_id;
use analytics_core::ids::UserId;
use analytics_core::rules;
use analytics_core::time::EventTime;
use analytics_core::topics::EventType;
use chrono::Utc;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text};
use diesel::{OptionalExtension, QueryableByName, RunQueryDsl, sql_query};
use serde::Serialize;
use uuid::Uuid;

use super::runner::run;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::raw_json::RawJson;
use crate::tables::{all_taken, event_days, event_log, metrics};
use crate::{Connection, DbError};

/// What somebody wants a metric to be.
#[derive(Debug, Clone)]
pub struct Adjustment {
    /// The metric's type.
    pub metric_type: String,
    /// Its new value; `None` leaves it.
    pub value: Option<i64>,
    /// Its new metadata; `None` leaves it.
    pub metadata: Option<RawJson>,
    /// Why.
    pub reason: Option<String>,
    /// Who.
    pub actor: String,
}

/// Sets a metric. The difference to what stands is taken under the lock that counting takes, so
/// that events counted meanwhile are neither lost nor doubled. Returns the logged event's id.
///
/// # Errors
/// [`WriteError`]; nothing is changed then.
pub fn adjust(connection: &mut Connection, adjustment: &Adjustment, business: Business) -> Result<Uuid, WriteError> {
    #[derive(QueryableByName)]
    struct Current {
        #[diesel(sql_type = Nullable<BigInt>)]
        value: Option<i64>,
    }
    run(connection, "adjust", |connection| {
        let lock = CountingLock::take(connection)?;
        let current: Option<Current> = sql_query("SELECT value FROM metrics WHERE type = $1")
            .bind::<Text, _>(&adjustment.metric_type)
            .get_result(connection)
            .optional()?;
        let before = current.and_then(|current| current.value);
        let delta = adjustment.value.map(|target| i128::from(target) - i128::from(before.unwrap_or(0)));
        let delta = delta.map(metrics::bigint).transpose()?;
        let set = sql_query(
            "INSERT INTO metrics AS m (type, value, metadata) VALUES ($1, $2, $3) ON CONFLICT (type) DO UPDATE \
             SET value = coalesce(excluded.value, m.value), metadata = coalesce(excluded.metadata, m.metadata), \
                 updated_at = now()",
        )
        .bind::<Text, _>(&adjustment.metric_type)
        .bind::<Nullable<BigInt>, _>(adjustment.value)
        .bind::<Nullable<Jsonb>, _>(adjustment.metadata.as_ref())
        .execute(connection)?;
        all_taken("metrics", set, 1)?;
        log(connection, &lock, adjustment, delta, before, business)
    })
}

/// What the event of an adjustment says.
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

/// Logs the adjustment like any other event.
fn log(
    connection: &mut Connection,
    lock: &CountingLock,
    adjustment: &Adjustment,
    delta: Option<i64>,
    before: Option<i64>,
    business: Business,
) -> Result<Uuid, WriteError> {
    let Adjustment { metric_type, value, metadata, reason, actor } = adjustment;
    let time = EventTime::from(Utc::now());
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
    let mut event =
        Event { metadata: said, ..Event::logged(id, EventType::Adjustment, UserId::parse(actor).ok(), time, content) };
    let mut deltas = Deltas::default();
    rules::count(&event, business, &mut deltas);
    event_log::copy(connection, &[&mut event])?;
    event_days::add(connection, lock, &deltas.events)?;
    Ok(id.0)
}

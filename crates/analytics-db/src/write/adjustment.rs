//! A metric set by hand, and the event that says who did it, why, and by how much.

use chrono::Utc;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{Connection as _, OptionalExtension, QueryableByName, RunQueryDsl, sql_query};
use serde_json::{Value, json};
use uuid::Uuid;

use analytics_core::RULES_VERSION;
use analytics_core::identity::adjustment_id;

use super::{LIMITS, WriteError, fence};
use crate::Connection;

/// The type under which adjustments are logged.
pub const EVENT_TYPE: &str = "metric.adjusted";

/// What somebody wants a metric to be.
#[derive(Debug, Clone)]
pub struct Adjustment {
    /// The metric's type.
    pub metric_type: String,
    /// Its new value; `None` leaves it.
    pub value: Option<i64>,
    /// Its new metadata; `None` leaves it.
    pub metadata: Option<Value>,
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
pub fn adjust(connection: &mut Connection, adjustment: &Adjustment) -> Result<Uuid, WriteError> {
    #[derive(QueryableByName)]
    struct Current {
        #[diesel(sql_type = Nullable<BigInt>)]
        value: Option<i64>,
    }
    connection.transaction(|connection| {
        connection.batch_execute(LIMITS)?;
        fence::lock_counting(connection)?;
        let current: Option<Current> = sql_query("SELECT value FROM metrics WHERE type = $1")
            .bind::<Text, _>(&adjustment.metric_type)
            .get_result(connection)
            .optional()?;
        let before = current.and_then(|current| current.value);
        let delta = adjustment.value.map(|target| i128::from(target) - i128::from(before.unwrap_or(0)));
        let delta = delta.map(super::metrics::bigint).transpose()?;
        sql_query(
            "INSERT INTO metrics AS m (type, value, metadata) VALUES ($1, $2, $3) ON CONFLICT (type) DO UPDATE \
             SET value = coalesce(excluded.value, m.value), metadata = coalesce(excluded.metadata, m.metadata), \
                 updated_at = now()",
        )
        .bind::<Text, _>(&adjustment.metric_type)
        .bind::<Nullable<BigInt>, _>(adjustment.value)
        .bind::<Nullable<Jsonb>, _>(&adjustment.metadata)
        .execute(connection)?;

        let now = Utc::now();
        let id = adjustment_id(now.into(), &adjustment.actor, &adjustment.metric_type).0;
        let said = json!({
            "type": adjustment.metric_type, "delta": delta, "value": adjustment.value, "previous": before,
            "metadata": adjustment.metadata, "reason": adjustment.reason, "actor": adjustment.actor,
        });
        sql_query(
            "INSERT INTO event_logs (id, event_type, user_id, metadata, created_at, rules_version) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(EVENT_TYPE)
        .bind::<Text, _>(&adjustment.actor)
        .bind::<Jsonb, _>(said)
        .bind::<Timestamptz, _>(now)
        .bind::<diesel::sql_types::SmallInt, _>(RULES_VERSION)
        .execute(connection)?;
        Ok(id)
    })
}

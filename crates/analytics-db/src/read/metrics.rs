//! One metric by its type.

use super::RawJson;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::metrics;
use crate::{Connection, DbError};

/// A metric as it stands.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = metrics)]
pub struct Metric {
    /// The row's id.
    pub id: Uuid,
    /// Its type.
    pub metric_type: String,
    /// Its value; `None` is a rate without a denominator.
    pub value: Option<i64>,
    /// What the value is made of, for rates and averages.
    pub metadata: Option<RawJson>,
    /// When it was first counted.
    pub created_at: DateTime<Utc>,
    /// When it was last counted.
    pub updated_at: DateTime<Utc>,
}

/// The metric of a type, if it was ever counted.
///
/// # Errors
/// [`DbError`].
pub fn by_type(connection: &mut Connection, metric_type: &str) -> Result<Option<Metric>, DbError> {
    let found = metrics::table
        .filter(metrics::metric_type.eq(metric_type))
        .select(Metric::as_select())
        .first(connection)
        .optional()?;
    Ok(found)
}

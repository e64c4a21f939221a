//! `jsonb` handed through as text: numbers past any machine's range stay as they are, and no
//! tree is built for what nobody looks into.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::Jsonb;
use serde::Serialize;
use serde_json::value::RawValue;

/// JSON text from the database.
#[derive(Debug, Clone, Serialize, FromSqlRow)]
#[serde(transparent)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// Its value, for whoever has to look into it.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }
}

impl FromSql<Jsonb, Pg> for RawJson {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        // The version of jsonb's binary form, then the text.
        match value.as_bytes().split_first() {
            Some((1, text)) => Ok(Self(RawValue::from_string(std::str::from_utf8(text)?.to_owned())?)),
            _ => Err("jsonb in an unknown form".into()),
        }
    }
}

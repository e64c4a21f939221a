//! `jsonb` passed through as text: numbers keep all their digits, and no tree is built for JSON
//! that is not inspected.

use std::io::Write;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Jsonb;
use serde::Serialize;
use serde_json::value::RawValue;

/// Version of jsonb's binary format, which precedes the text.
const VERSION: u8 = 1;

/// JSON text read from the database or to be stored in it.
#[derive(Debug, Clone, Serialize, FromSqlRow, AsExpression)]
#[serde(transparent)]
#[diesel(sql_type = Jsonb)]
pub struct RawJson(Box<RawValue>);

impl From<Box<RawValue>> for RawJson {
    fn from(text: Box<RawValue>) -> Self {
        Self(text)
    }
}

impl RawJson {
    /// Returns the text.
    pub(crate) fn text(&self) -> &str {
        self.0.get()
    }

    /// Parses the text, for callers that have to inspect it.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }
}

impl FromSql<Jsonb, Pg> for RawJson {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes().split_first() {
            Some((&VERSION, text)) => Ok(Self(RawValue::from_string(std::str::from_utf8(text)?.to_owned())?)),
            _ => Err("jsonb has an unknown format version".into()),
        }
    }
}

impl ToSql<Jsonb, Pg> for RawJson {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&[VERSION])?;
        out.write_all(self.0.get().as_bytes())?;
        Ok(IsNull::No)
    }
}

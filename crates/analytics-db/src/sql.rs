//! SQL statements, the values bound to them, and the rows that they return.
//!
//! Simple queries use Diesel's query builder and the tables in `schema`. All others are SQL text:
//! inline if they fit a few lines or are assembled from pieces, otherwise in a file next to their
//! only user, with a comment on each CTE. The SQL type of a value follows from its Rust type.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::serialize::ToSql;
use diesel::sql_types::{
    Array, BigInt, Binary, Bool, Date, Double, HasSqlType, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz,
};
use diesel::{QueryResult, QueryableByName, RunQueryDsl, sql_query};
use serde_json::Value;
use uuid::Uuid;

use crate::Connection;
use crate::raw_json::RawJson;

/// Maps a Rust type to its SQL type.
pub(crate) trait Column {
    /// The SQL type.
    type Sql: Send + 'static;
}

macro_rules! columns {
    ($($rust:ty => $sql:ty),* $(,)?) => { $(impl Column for $rust { type Sql = $sql; })* };
}

columns! {
    bool => Bool,
    i16 => SmallInt,
    i32 => Integer,
    i64 => BigInt,
    f64 => Double,
    str => Text,
    String => Text,
    [u8] => Binary,
    Vec<u8> => Binary,
    Vec<i64> => Array<BigInt>,
    Vec<Option<i64>> => Array<Nullable<BigInt>>,
    Vec<Option<String>> => Array<Nullable<Text>>,
    Uuid => diesel::sql_types::Uuid,
    DateTime<Utc> => Timestamptz,
    NaiveDate => Date,
    Value => Jsonb,
    RawJson => Jsonb,
}

impl<T: Column + ?Sized> Column for &T {
    type Sql = T::Sql;
}

impl<T: Column<Sql: diesel::sql_types::SqlType<IsNull = diesel::sql_types::is_nullable::NotNull>>> Column
    for Option<T>
{
    type Sql = Nullable<T::Sql>;
}

/// A statement. Values are bound in the order of its parameters.
pub(crate) struct Statement<'a>(BoxedSqlQuery<'a, Pg, SqlQuery>);

/// Creates a statement with this text.
pub(crate) fn statement<'a>(sql: impl Into<String>) -> Statement<'a> {
    Statement(sql_query(sql).into_boxed())
}

impl<'a> Statement<'a> {
    /// Binds a value to the next parameter.
    pub(crate) fn value<T>(self, value: T) -> Self
    where
        T: Column + ToSql<T::Sql, Pg> + Send + 'a,
        Pg: HasSqlType<T::Sql>,
    {
        Self(self.0.bind::<T::Sql, _>(value))
    }

    /// Binds a column of several rows to the next parameter, as an array.
    pub(crate) fn column<T>(self, values: impl IntoIterator<Item = T>) -> Self
    where
        T: Column + Send + 'a,
        Vec<T>: ToSql<Array<T::Sql>, Pg>,
        Pg: HasSqlType<T::Sql>,
    {
        Self(self.0.bind::<Array<T::Sql>, _>(values.into_iter().collect::<Vec<T>>()))
    }

    /// Executes the statement and returns how many rows it changed.
    pub(crate) fn execute(self, connection: &mut Connection) -> QueryResult<usize> {
        self.0.execute(connection)
    }

    /// Executes the statement and returns all rows.
    pub(crate) fn load<R: QueryableByName<Pg> + 'static>(self, connection: &mut Connection) -> QueryResult<Vec<R>> {
        self.0.load(connection)
    }

    /// Executes the statement and returns the column `id` of all rows.
    pub(crate) fn ids(self, connection: &mut Connection) -> QueryResult<Vec<Uuid>> {
        row! {
            struct Row {
                id: Uuid,
            }
        }
        Ok(self.load(connection)?.into_iter().map(|Row { id }| id).collect())
    }

    /// Executes the statement and returns the first row; [`diesel::result::Error::NotFound`] if
    /// there is none.
    pub(crate) fn get_result<R: QueryableByName<Pg> + 'static>(self, connection: &mut Connection) -> QueryResult<R> {
        self.0.get_result(connection)
    }
}

/// Declares a row that a statement returns: each field is read from the column of the same name.
macro_rules! row {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(diesel::QueryableByName)]
        $visibility struct $name {
            $(
                $(#[$field_attribute])*
                #[diesel(sql_type = <$type as $crate::sql::Column>::Sql)]
                $field_visibility $field: $type
            ),*
        }
    };
}
pub(crate) use row;

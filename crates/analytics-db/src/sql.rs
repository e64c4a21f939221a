//! Statements with the values that are bound to them, and the rows that they return.
//!
//! What is simple enough for Diesel's query builder is written with it, by the tables in `schema`. Everything
//! else is SQL: inline where it fits a few lines or is put together from pieces, else in a file beside its only
//! user, with a comment for each CTE. The SQL type of a value follows from its Rust type.

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

/// The SQL type of a Rust type.
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

/// A statement; values are bound in the order of its parameters.
pub(crate) struct Statement<'a>(BoxedSqlQuery<'a, Pg, SqlQuery>);

/// A statement of this text.
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

    /// Binds a column of rows to the next parameter, as an array.
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

    /// All rows.
    pub(crate) fn load<R: QueryableByName<Pg> + 'static>(self, connection: &mut Connection) -> QueryResult<Vec<R>> {
        self.0.load(connection)
    }

    /// The first row; [`diesel::result::Error::NotFound`] where there is none.
    pub(crate) fn get_result<R: QueryableByName<Pg> + 'static>(self, connection: &mut Connection) -> QueryResult<R> {
        self.0.get_result(connection)
    }
}

/// A row that a statement returns: each field is the column of its name.
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

//! Bringing a database to the schema of this version, and refusing what it cannot work with.

use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::connection::DatabaseUrl;
use crate::locks::{Guard, Lock};
use crate::sql::{row, statement};
use crate::{Connection, DbError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// The oldest schema that this program works with.
const OLDEST_SCHEMA: &str = "20261127000006";

/// The first schema that migrations lead on from.
const BASELINE: &str = "20261127000001";

/// Does something to the schema while nobody else does.
///
/// # Errors
/// Those of `work`, and [`DbError`] where the right to it cannot be had.
pub fn exclusively<T>(
    connection: &mut Connection,
    url: &DatabaseUrl,
    work: impl FnOnce(&mut Connection) -> Result<T, DbError>,
) -> Result<T, DbError> {
    let _guard = Guard::wait(url, Lock::Migration)?;
    work(connection)
}

/// Applies what is missing and returns the names of what it applied: nothing on a schema that is newer
/// than this program's, as after a step back to an older version. To be called [`exclusively`].
///
/// # Errors
/// [`DbError::Unusable`] where a migration fails, or where this program cannot work with the database.
pub fn migrate(connection: &mut Connection) -> Result<Vec<String>, DbError> {
    check_encoding(connection)?;
    if let (Some(database), Some(own)) = (database_version(connection)?, own_version()) {
        if *database < *BASELINE {
            return Err(DbError::Unusable(format!(
                "the database has schema {database}, which cannot be upgraded: use an empty database and read the topics \
                 again from their beginning"
            )));
        }
        if database > own {
            check(connection)?;
            return Ok(Vec::new());
        }
    }
    let applied = connection
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| DbError::Unusable(format!("a migration failed, its changes are undone: {error}")))?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

/// Takes back every migration: for tests of the way down, and for nothing else.
///
/// # Errors
/// [`DbError::Unusable`] where a migration fails.
pub fn revert_all(connection: &mut Connection) -> Result<(), DbError> {
    connection
        .revert_all_migrations(MIGRATIONS)
        .map(drop)
        .map_err(|error| DbError::Unusable(format!("a migration could not be taken back: {error}")))
}

/// Checks that this program can work with the database: that its schema is neither too old nor made for
/// newer programs only, and that it holds every character.
///
/// # Errors
/// [`DbError::Unusable`] with a sentence that names both versions.
pub fn check(connection: &mut Connection) -> Result<(), DbError> {
    let own = own_version().unwrap_or_default();
    let Some(database) = database_version(connection)? else {
        return Err(DbError::Unusable(format!(
            "the database has no schema yet, this version needs {own}: run `analytics-jobs migrate`"
        )));
    };
    check_encoding(connection)?;
    if *database < *OLDEST_SCHEMA {
        return Err(DbError::Unusable(format!(
            "the database has schema {database}, this version needs {OLDEST_SCHEMA} or newer: \
             run `analytics-jobs migrate`"
        )));
    }
    let oldest_program = oldest_program(connection)?;
    if own < oldest_program {
        return Err(DbError::Unusable(format!(
            "the database has schema {database}, which needs programs of schema {oldest_program} or newer, \
             this version has {own}: run a newer version"
        )));
    }
    Ok(())
}

/// A database in another encoding cannot hold every character that a record may have.
fn check_encoding(connection: &mut Connection) -> Result<(), DbError> {
    let encoding = text(
        connection,
        "SELECT pg_encoding_to_char(encoding) AS text FROM pg_database WHERE datname = current_database()",
    )?;
    match encoding.as_deref() {
        Some("UTF8") => Ok(()),
        other => Err(DbError::Unusable(format!(
            "the database has the encoding {}, it must be UTF8: make it with CREATE DATABASE ... ENCODING 'UTF8' \
             TEMPLATE template0",
            other.unwrap_or("of an unknown name")
        ))),
    }
}

/// The schema of the oldest programs that work with the database's.
fn oldest_program(connection: &mut Connection) -> Result<String, DbError> {
    let oldest = text(connection, "SELECT oldest_program AS text FROM schema_compatibility")?;
    oldest.ok_or_else(|| DbError::Unusable("the database's table schema_compatibility must have a row".into()))
}

/// The text in the first row that a query gives, as `text`.
fn text(connection: &mut Connection, query: &str) -> Result<Option<String>, DbError> {
    row! {
        struct Row {
            text: String,
        }
    }
    let rows: Vec<Row> = statement(query).load(connection)?;
    Ok(rows.into_iter().next().map(|row| row.text))
}

fn own_version() -> Option<String> {
    let migrations = MigrationSource::<Pg>::migrations(&MIGRATIONS).ok()?;
    migrations
        .iter()
        .map(|migration| migration.name().version().as_owned())
        .max()
        .map(|v: MigrationVersion<'_>| v.to_string())
}

fn database_version(connection: &mut Connection) -> Result<Option<String>, DbError> {
    row! {
        struct Exists {
            exists: bool,
        }
    }
    let table: Exists =
        statement("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS exists").get_result(connection)?;
    if !table.exists {
        return Ok(None);
    }
    text(connection, "SELECT version AS text FROM __diesel_schema_migrations ORDER BY version DESC LIMIT 1")
}

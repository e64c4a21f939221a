//! Brings a database to the schema of this version, and rejects databases that this program cannot
//! work with.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::connection::DatabaseUrl;
use crate::error::IN_THE_WAY;
use crate::locks::{Guard, Lock};
use crate::sql::{row, statement};
use crate::{Connection, DbError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// The oldest schema that this program works with. It also works with newer ones, unless they exclude
/// it in `schema_compatibility`: while a schema is upgraded, programs of both versions run.
const OLDEST_SCHEMA: &str = "20261128000040";

/// The oldest schema that can be migrated to this version's.
const BASELINE: &str = "20261127000001";

/// How long a migration waits for a table that others use. Those who come later queue behind it for as long. It is shorter
/// than the time after which PostgreSQL looks for deadlocks, so that of two who wait for each other, the migration gives
/// way.
const LOCK_TIMEOUT: &str = "300ms";
const PAUSE: Duration = Duration::from_millis(200);
/// For how long a migration is tried again: longer than any statement of the service takes.
const PATIENCE: Duration = Duration::from_mins(10);

/// Runs `work` on the schema while it holds the migration lock.
///
/// # Errors
/// Those of `work`, and [`DbError`] if the lock cannot be taken.
pub fn exclusively<T>(
    connection: &mut Connection,
    url: &DatabaseUrl,
    work: impl FnOnce(&mut Connection) -> Result<T, DbError>,
) -> Result<T, DbError> {
    let _guard = Guard::wait(url, Lock::Migration)?;
    work(connection)
}

/// Applies the missing migrations and returns their names: none if the schema is newer than this
/// program's, as after a downgrade to an older version. To be called [`exclusively`].
///
/// # Errors
/// [`DbError::Unusable`] if a migration fails, or if this program cannot work with the database.
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
    let pending = connection.pending_migrations(MIGRATIONS).map_err(|error| failed(&*error))?;
    pending.iter().map(|migration| apply(connection, migration.as_ref())).collect()
}

/// Applies a migration while others read and write, and returns its version.
fn apply(connection: &mut Connection, migration: &dyn Migration<Pg>) -> Result<String, DbError> {
    let (began, mut said) = (Instant::now(), None::<Instant>);
    loop {
        let attempt: Result<_, Box<dyn Error + Send + Sync>> = connection.transaction(|connection| {
            connection.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))?;
            connection.run_migration(migration)
        });
        let error = match attempt {
            Ok(version) => return Ok(version.to_string()),
            Err(error) => error,
        };
        // The error is known by its text only. With a server in another language it is an ordinary one.
        let is_in_the_way = IN_THE_WAY.iter().any(|text| error.to_string().contains(text));
        if !is_in_the_way || began.elapsed() > PATIENCE {
            return Err(failed(&*error));
        }
        if said.is_none_or(|said| said.elapsed() > Duration::from_secs(10)) {
            log::warn!("waiting for a table that is in use: {error}");
            said = Some(Instant::now());
        }
        thread::sleep(PAUSE);
    }
}

fn failed(error: &dyn Error) -> DbError {
    DbError::Unusable(format!("a migration failed and was rolled back: {error}"))
}

/// Reverts every migration, or the newest one. Only for tests.
///
/// # Errors
/// [`DbError::Unusable`] if a migration fails.
pub fn revert(connection: &mut Connection, all: bool) -> Result<(), DbError> {
    let reverted = if all {
        connection.revert_all_migrations(MIGRATIONS).map(drop)
    } else {
        connection.revert_last_migration(MIGRATIONS).map(drop)
    };
    reverted.map_err(|error| DbError::Unusable(format!("a migration could not be reverted: {error}")))
}

/// Checks that this program can work with the database: that its encoding is UTF-8, and that its
/// schema is neither too old nor for newer programs only.
///
/// # Errors
/// [`DbError::NotMigrated`] if there is no schema yet, or one that is too old, and
/// [`DbError::Unusable`] otherwise. The message names both versions, or the encoding.
pub fn check(connection: &mut Connection) -> Result<(), DbError> {
    check_encoding(connection)?;
    let Some(database) = database_version(connection)? else {
        return Err(DbError::NotMigrated(format!(
            "the database has no schema yet, this version needs {OLDEST_SCHEMA} or newer: \
             run `analytics-jobs migrate`"
        )));
    };
    if *database < *OLDEST_SCHEMA {
        return Err(DbError::NotMigrated(format!(
            "the database has schema {database}, this version needs {OLDEST_SCHEMA} or newer: \
             run `analytics-jobs migrate`"
        )));
    }
    let own = own_version().unwrap_or_default();
    let oldest_program = oldest_program(connection)?;
    if own < oldest_program {
        return Err(DbError::Unusable(format!(
            "the database has schema {database}, which needs programs of schema {oldest_program} or newer, \
             this version has {own}: run a newer version"
        )));
    }
    Ok(())
}

/// Checks that the encoding is UTF-8: in another one, a database cannot store every character that
/// a record may contain.
fn check_encoding(connection: &mut Connection) -> Result<(), DbError> {
    let encoding = text(
        connection,
        "SELECT pg_encoding_to_char(encoding) AS text FROM pg_database WHERE datname = current_database()",
    )?;
    match encoding.as_deref() {
        Some("UTF8") => Ok(()),
        other => Err(DbError::Unusable(format!(
            "the database has the encoding {}, it must be UTF8: create it with CREATE DATABASE ... ENCODING 'UTF8' \
             TEMPLATE template0",
            other.unwrap_or("(unknown)")
        ))),
    }
}

/// Returns the schema version of the oldest programs that work with the database's schema.
fn oldest_program(connection: &mut Connection) -> Result<String, DbError> {
    let oldest = text(connection, "SELECT oldest_program AS text FROM schema_compatibility")?;
    oldest.ok_or_else(|| DbError::Unusable("the table schema_compatibility is empty: it must have one row".into()))
}

/// Returns the column `text` of the first row that a query returns.
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

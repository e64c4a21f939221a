//! Bringing a database to the schema of this version, and refusing any other.

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::{Connection, DbError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Held by whoever migrates; an arbitrary number, fixed for ever.
const MIGRATION_LOCK: i64 = 0x616e_616c_7974_6963;

/// Does something to the schema while nobody else does.
///
/// # Errors
/// Those of `work`, and [`DbError`] where the lock cannot be had.
pub fn exclusively<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, DbError>,
) -> Result<T, DbError> {
    // A session lock: it outlives the transaction of each migration and goes with the connection.
    sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(MIGRATION_LOCK).execute(connection)?;
    let done = work(connection);
    sql_query("SELECT pg_advisory_unlock($1)").bind::<BigInt, _>(MIGRATION_LOCK).execute(connection)?;
    done
}

/// Applies what is missing and returns the names of what it applied. To be called
/// [`exclusively`].
///
/// # Errors
/// [`DbError::Unusable`] where a migration fails or the database is newer than this version.
pub fn migrate(connection: &mut Connection) -> Result<Vec<String>, DbError> {
    if let (Some(database), Some(own)) = (database_version(connection)?, own_version())
        && database > own
    {
        return Err(unknown_schema(&database, &own));
    }
    connection.batch_execute("SET client_min_messages = warning")?;
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

/// Checks that the database has exactly the schema of this version.
///
/// # Errors
/// [`DbError::Unusable`] with a sentence that names both versions.
pub fn check(connection: &mut Connection) -> Result<(), DbError> {
    let (database, own) = (database_version(connection)?, own_version().unwrap_or_default());
    match database {
        Some(database) if database == own => Ok(()),
        Some(database) => Err(unknown_schema(&database, &own)),
        None => Err(DbError::Unusable(format!(
            "the database has no schema yet, this version needs {own}: run `analytics-jobs migrate`"
        ))),
    }
}

fn unknown_schema(database: &str, own: &str) -> DbError {
    let advice = if database > own { "run a newer version" } else { "run `analytics-jobs migrate`" };
    DbError::Unusable(format!("the database has schema {database}, this version knows {own}: {advice}"))
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
    #[derive(QueryableByName)]
    struct Exists {
        #[diesel(sql_type = Bool)]
        exists: bool,
    }
    #[derive(QueryableByName)]
    struct Version {
        #[diesel(sql_type = Text)]
        version: String,
    }
    let table: Exists =
        sql_query("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS exists").get_result(connection)?;
    if !table.exists {
        return Ok(None);
    }
    let versions: Vec<Version> =
        sql_query("SELECT version FROM __diesel_schema_migrations ORDER BY version DESC LIMIT 1").load(connection)?;
    Ok(versions.into_iter().next().map(|row| row.version))
}

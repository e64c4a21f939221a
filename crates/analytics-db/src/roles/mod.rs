//! The service's roles in PostgreSQL and their privileges: an owner, which migrates and maintains, and
//! roles of ingest, of administration and of reads. The SQL in this folder is the only source:
//! `analytics-jobs roles` prints or runs it.

use diesel::connection::SimpleConnection;

use crate::error::LOCK_TIMEOUT;
use crate::sql::{row, statement};
use crate::transactions::run;
use crate::{Connection, DbError};

/// Creates roles, and gives them what exists.
const ROLES: &str = include_str!("roles.sql");
/// Grants privileges on the tables that exist.
const PRIVILEGES: &str = include_str!("privileges.sql");

/// A role of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Owns the schema: for migrations and maintenance.
    Owner,
    /// Counts.
    Ingest,
    /// Changes numbers by hand, and verifies them.
    Admin,
    /// Reads.
    Reader,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Ingest, Self::Admin, Self::Reader];

    /// Returns the part of the name that follows the prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Ingest => "ingest",
            Self::Admin => "admin",
            Self::Reader => "reader",
        }
    }

    /// Returns the role with this name.
    ///
    /// # Errors
    /// A message that lists the valid names.
    pub fn named(name: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.name() == name);
        role.ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// The prefix of the names of all roles. It needs no quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Validates a prefix.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_valid = starts_well && text.len() <= 50 && text.chars().all(is_allowed);
        let why = "must be 1 to 50 lowercase letters, digits and underscores, and begin with a letter";
        if is_valid { Ok(Self(text.to_owned())) } else { Err(why) }
    }

    fn in_sql(&self, sql: &str) -> String {
        sql.replace("PREFIX", &self.0)
    }
}

/// Returns the statements as a script for psql. It sets no passwords.
#[must_use]
pub fn script(prefix: &Prefix) -> String {
    format!("BEGIN;\n{}\n{}COMMIT;\n", prefix.in_sql(ROLES), prefix.in_sql(PRIVILEGES))
}

/// Creates the roles that are missing, grants their privileges, and sets the given passwords: all or
/// nothing. `connection` is that of a superuser, or of a role with CREATEROLE that owns the database.
///
/// # Errors
/// [`DbError`]; then nothing is changed.
pub fn apply(connection: &mut Connection, prefix: &Prefix, passwords: &[(Role, String)]) -> Result<(), DbError> {
    run(connection, "roles", |connection| {
        connection.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))?;
        connection.batch_execute(&prefix.in_sql(ROLES))?;
        connection.batch_execute(&prefix.in_sql(PRIVILEGES))?;
        // The server's log must not have the passwords. Only a superuser may switch it off.
        connection.batch_execute(
            "SELECT set_config(name, 'none', true) FROM pg_settings \
             WHERE name = 'log_statement' AND current_setting('is_superuser') = 'on'",
        )?;
        // A statement of its own: the next ones are parsed by it.
        connection.batch_execute("SET LOCAL standard_conforming_strings = on")?;
        for (role, password) in passwords {
            let password = password.replace('\'', "''");
            let name = prefix.in_sql(&format!("PREFIX_{}", role.name()));
            connection.batch_execute(&format!("ALTER ROLE {name} PASSWORD '{password}'"))?;
        }
        Ok(())
    })
}

/// Grants the privileges on what the current role has created, if it is the owner of roles that
/// [`apply`] created. Returns whether it is.
///
/// # Errors
/// [`DbError`].
pub fn grant(connection: &mut Connection) -> Result<bool, DbError> {
    row! {
        struct Found {
            prefix: String,
        }
    }
    let found: Vec<Found> = statement(
        "SELECT p.prefix FROM (SELECT left(current_user, -6) AS prefix WHERE current_user LIKE '%\\_owner') AS p \
         WHERE 3 = (SELECT count(*) FROM pg_roles \
                    WHERE rolname IN (p.prefix || '_ingest', p.prefix || '_admin', p.prefix || '_reader'))",
    )
    .load(connection)?;
    let Some(prefix) = found.first().and_then(|found| Prefix::parse(&found.prefix).ok()) else { return Ok(false) };
    run(connection, "privileges", |connection| {
        Ok::<_, DbError>(connection.batch_execute(&prefix.in_sql(PRIVILEGES))?)
    })?;
    Ok(true)
}

//! Checks whether this program can work with a database. Every process uses this one check.

use analytics_core::business::Business;

use crate::tables::service_settings;
use crate::{Connection, DbError, migrations};

/// Checks the schema, the encoding and the settings that the numbers depend on, and makes the
/// calendar of `business` use the timezone rules that the database stores.
///
/// # Errors
/// [`DbError::Unusable`] with a message that says what has to be changed; [`DbError::NotMigrated`] or
/// another [`DbError`] if the database is not available yet.
pub fn check(connection: &mut Connection, business: Business) -> Result<(), DbError> {
    migrations::check(connection)?;
    service_settings::check(connection, business)
}

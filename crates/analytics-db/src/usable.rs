//! Whether this program can work with a database: the one check, for every process.

use analytics_core::business::Business;

use crate::tables::service_settings;
use crate::{Connection, DbError, migrations};

/// Checks the schema, the encoding and the settings that the numbers depend on, and has the business's calendar
/// follow the timezone rules that the database stores.
///
/// # Errors
/// [`DbError::Unusable`] with a sentence that says what has to be changed; another [`DbError`] where the database
/// has to be waited for.
pub fn check(connection: &mut Connection, business: Business) -> Result<(), DbError> {
    migrations::check(connection)?;
    service_settings::check(connection, business)
}

//! Administrative writes of one statement, with their record in the audit log.

use super::runner::run;
use crate::tables::audit_log::{self, Entry};
use crate::{Connection, DbError};

/// Runs `write` in a transaction that also records it: `write` returns what to record, or `None` if it
/// changed nothing. The longer transactions record themselves.
///
/// # Errors
/// Those of `write`, and [`DbError`] if it cannot be recorded; then nothing is changed.
pub fn administer<T>(
    connection: &mut Connection,
    mut write: impl FnMut(&mut Connection) -> Result<(T, Option<Entry>), DbError>,
) -> Result<T, DbError> {
    run(connection, "administer", |connection| {
        let (written, entry) = write(connection)?;
        if let Some(entry) = entry {
            audit_log::record(connection, &entry)?;
        }
        Ok(written)
    })
}

//! `metadata_indexes`: the fields of payloads by which operators have the event log indexed.
//!
//! An index is one b-tree on each quiet partition of the log and on the default partition, by the
//! text of the field and the event's id. It is built partition by partition, without a lock that
//! ingest would wait for; a run that is interrupted is continued by the next one. The partition
//! into which events stream has no such index: it is indexed once its days are over.

use analytics_core::metadata::{MAX_VALUE_CHARS, MetadataPath};
use diesel::OptionalExtension;
use diesel::result::{DatabaseErrorKind, Error};

use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Greatest number of indexes. Each takes space, and time of the job that creates partitions.
pub const MOST: i16 = 8;

row! {
    /// A field by which the event log is indexed.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MetadataIndex {
        /// The end of the names of its indexes.
        pub(super) number: i16,
        /// The path of the field.
        pub path: String,
        /// The only type of event that is indexed; `None`: all.
        pub event_type: Option<String>,
        /// `building`, `ready` or `dropping`.
        pub state: String,
    }
}

impl MetadataIndex {
    /// Whether it finds the events of a type, or of all, that have a value in a field.
    #[must_use]
    pub fn serves(&self, path: &MetadataPath, event_type: Option<&str>) -> bool {
        self.state == READY
            && self.path == path.as_str()
            && self.event_type.as_deref().is_none_or(|own| event_type == Some(own))
    }

    /// Whether its indexes are to exist.
    pub(super) fn is_wanted(&self) -> bool {
        self.state != DROPPING
    }

    /// Returns the end of the names of its indexes.
    pub(super) fn end(&self) -> String {
        format!("metadata_{}", self.number)
    }

    /// Returns what is indexed, as in `CREATE INDEX`.
    pub(super) fn definition(&self) -> Result<String, DbError> {
        let unusable = || DbError::Unusable(format!("metadata_indexes has a row that is not valid: {self:?}"));
        let path = MetadataPath::parse(&self.path).map_err(|_| unusable())?;
        let columns = format!("({}, id)", value_of(&path, "metadata"));
        match &self.event_type {
            None => Ok(columns),
            Some(name) if is_event_type(name) => Ok(format!("{columns} WHERE event_type = '{name}'")),
            Some(_) => Err(unusable()),
        }
    }
}

/// The state of an index that reads rely on.
const READY: &str = "ready";
/// The state of an index that is being dropped.
const DROPPING: &str = "dropping";

/// Returns SQL for the text of a field of `column`, at most one character longer than values that
/// are compared: so long that it is equal to none of them, and that any value fits into an index.
pub(crate) fn value_of(path: &MetadataPath, column: &str) -> String {
    // Names of paths have no character that would have to be escaped.
    let names: Vec<String> = path.names().map(|name| format!("\"{name}\"")).collect();
    format!("(left({column} #>> '{{{}}}', {}) COLLATE \"C\")", names.join(","), MAX_VALUE_CHARS + 1)
}

/// Whether a text can be the type of an event: it is that of a topic.
#[must_use]
pub fn is_event_type(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=100).contains(&text.len()) && text.chars().all(is_allowed)
}

/// Returns all indexes, by their paths.
///
/// # Errors
/// [`DbError`].
pub fn all(connection: &mut Connection) -> Result<Vec<MetadataIndex>, DbError> {
    Ok(statement("SELECT number, path, event_type, state FROM metadata_indexes ORDER BY path, event_type")
        .load(connection)?)
}

/// Why an index was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdded {
    /// There are as many as there may be.
    #[error("there are {MOST} indexes already, which is the limit: drop one with --drop")]
    TooMany,
    /// It exists, and is being dropped.
    #[error("the index is being dropped: run the job with --drop again, then without it")]
    BeingDropped,
}

/// Adds an index, unless it exists. It is built by
/// [`index_metadata`](super::partitions::index_metadata).
///
/// # Errors
/// [`DbError`].
pub fn add(
    connection: &mut Connection,
    path: &MetadataPath,
    event_type: Option<&str>,
) -> Result<Result<(), NotAdded>, DbError> {
    if let Some(there) = find(connection, path, event_type)? {
        return Ok(if there.is_wanted() { Ok(()) } else { Err(NotAdded::BeingDropped) });
    }
    let added = statement(
        "INSERT INTO metadata_indexes (number, path, event_type) \
         SELECT min(n), $1, $2 FROM generate_series(1, $3) AS n \
         WHERE n NOT IN (SELECT number FROM metadata_indexes) HAVING min(n) IS NOT NULL",
    )
    .value(path.as_str())
    .value(event_type)
    .value(i32::from(MOST))
    .execute(connection);
    match added {
        Ok(0) => Ok(Err(NotAdded::TooMany)),
        Ok(_) => Ok(Ok(())),
        // Another process has added an index since: perhaps the same one.
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => add(connection, path, event_type),
        Err(error) => Err(error.into()),
    }
}

/// Says that reads must no longer rely on an index. Returns it, or `None` if there is none.
///
/// # Errors
/// [`DbError`].
pub fn retire(
    connection: &mut Connection,
    path: &MetadataPath,
    event_type: Option<&str>,
) -> Result<Option<MetadataIndex>, DbError> {
    let Some(index) = find(connection, path, event_type)? else { return Ok(None) };
    statement("UPDATE metadata_indexes SET state = $2 WHERE number = $1")
        .value(index.number)
        .value(DROPPING)
        .execute(connection)?;
    Ok(Some(index))
}

fn find(
    connection: &mut Connection,
    path: &MetadataPath,
    event_type: Option<&str>,
) -> Result<Option<MetadataIndex>, DbError> {
    let found = statement(
        "SELECT number, path, event_type, state FROM metadata_indexes \
         WHERE path = $1 AND event_type IS NOT DISTINCT FROM $2",
    )
    .value(path.as_str())
    .value(event_type);
    Ok(found.get_result(connection).optional()?)
}

/// Says that an index is on every partition that is to have it.
pub(super) fn built(connection: &mut Connection, index: &MetadataIndex) -> Result<(), DbError> {
    statement("UPDATE metadata_indexes SET state = $2 WHERE number = $1 AND state = 'building'")
        .value(index.number)
        .value(READY)
        .execute(connection)?;
    Ok(())
}

/// Forgets an index that is on no partition any more.
pub(super) fn forget(connection: &mut Connection, index: &MetadataIndex) -> Result<(), DbError> {
    statement("DELETE FROM metadata_indexes WHERE number = $1 AND state = $2")
        .value(index.number)
        .value(DROPPING)
        .execute(connection)?;
    Ok(())
}

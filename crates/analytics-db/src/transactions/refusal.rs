//! Finds the records that the database refuses.
//!
//! Decoding accepts nothing that PostgreSQL 15 with default settings refuses. A server may still
//! refuse something: because of a smaller stack, a stricter encoding, a constraint added by an
//! operator. Then the batch fails every time although the database works. In that case its records
//! are tested without the rest of the transaction: all of them, then halves, down to the records
//! that fail.
//!
//! The first test only evaluates the values, so that nothing else can make it fail. The second
//! writes the events in a transaction that is rolled back. A full disk or a lock can make that one
//! fail too. A violated constraint is reported as such. After any other failure, a record is
//! rejected only if the database accepts a comparison event (`witness`) at the same time: the same
//! event with as many bytes of other text.

use analytics_core::event::Event;
use analytics_core::identity::EventId;
use analytics_core::rejection::{Reason, Rejection};
use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};
use uuid::Uuid;

use super::runner::run_once;
use crate::batch::Batch;
use crate::error::WriteError;
use crate::sql::{row, statement};
use crate::tables::{batches, event_log};
use crate::{Connection, DbError};

/// Turns the records that the database refuses into rejections, and returns how many there were.
///
/// # Errors
/// [`DbError`] if the database does not work; then nothing was found out. [`DbError::Unusable`] if
/// triggers added by an operator may be the cause.
pub fn reject_refused(connection: &mut Connection, batch: &mut Batch) -> Result<usize, DbError> {
    check_triggers(connection)?;
    let mut refused = 0;
    let mut suspects: Vec<_> = batch.items.iter_mut().map(|item| &mut item.decoded).filter(|d| d.is_ok()).collect();
    let mut groups: Vec<&mut [&mut Result<Event, Rejection>]> = vec![&mut suspects];
    while let Some(group) = groups.pop() {
        let events: Vec<&Event> = group.iter().filter_map(|decoded| decoded.as_ref().ok()).collect();
        let Some(why) = refusal(connection, &events)? else { continue };
        match group {
            [only] => {
                let order = only.as_ref().ok().and_then(Event::order);
                let why = Rejection::new(Reason::Unstorable, format!("the database refuses it: {why}"));
                **only = Err(why.about(order));
                refused += 1;
            }
            several => {
                let (first, second) = several.split_at_mut(several.len() / 2);
                groups.extend([first, second]);
            }
        }
    }
    Ok(refused)
}

/// Returns why the database refuses one of these events, if it does.
fn refusal(connection: &mut Connection, events: &[&Event]) -> Result<Option<String>, DbError> {
    if events.is_empty() {
        return Ok(None);
    }
    let values: Vec<&str> = events.iter().map(|event| event.metadata.as_str()).collect();
    let evaluated: Result<usize, DbError> = run_once(connection, "refusal", |connection| {
        let query = statement("SELECT count(jsonb_typeof(v::jsonb)) FROM unnest($1) AS v");
        Ok(query.column(&values).execute(connection)?)
    });
    if let Err(error) = evaluated {
        // The refusal only counts if the database works.
        connection.batch_execute("SELECT 1")?;
        return Ok(Some(error.to_string()));
    }
    match attempt(connection, events)? {
        Attempt::Taken => Ok(None),
        Attempt::Refused(why) => Ok(Some(why)),
        Attempt::Failed(_) => {
            let witnesses: Vec<Event> = events.iter().map(|event| witness(event)).collect();
            let witnesses: Vec<&Event> = witnesses.iter().collect();
            if !matches!(attempt(connection, &witnesses)?, Attempt::Taken) {
                // The database does not accept the comparison events either: the records are not
                // the cause.
                return Ok(None);
            }
            match attempt(connection, events)? {
                Attempt::Taken => Ok(None),
                Attempt::Refused(why) | Attempt::Failed(why) => Ok(Some(why)),
            }
        }
    }
}

/// Finds out whether an operator's index or trigger may be why numbers cannot be changed. Returns the
/// error to report: that one, if there is one, or the given one.
#[must_use]
pub fn obstacle(connection: &mut Connection, error: DbError) -> DbError {
    match &error {
        DbError::Statement(failure) if fault(failure) == Fault::Operator => DbError::Unusable(format!(
            "a unique index that does not belong to this service refuses numbers and has to be dropped: {failure}"
        )),
        DbError::Statement(_) | DbError::Unusable(_) => check_triggers(connection).err().unwrap_or(error),
        DbError::Unreachable(_) | DbError::Busy | DbError::NotMigrated(_) => error,
    }
}

/// Fails if there are triggers that no migration created.
fn check_triggers(connection: &mut Connection) -> Result<(), DbError> {
    let triggers = run_once(connection, "refusal", foreign_triggers)?;
    if triggers.is_empty() {
        return Ok(());
    }
    Err(DbError::Unusable(format!(
        "triggers that are not part of this service may refuse good records and must be dropped: {}",
        triggers.join(", ")
    )))
}

/// The result of writing some events and rolling back.
enum Attempt {
    Taken,
    /// A constraint of the tables is violated. Only values can cause that.
    Refused(String),
    /// Failed for any other reason.
    Failed(String),
}

/// Writes events in a transaction that is rolled back.
fn attempt(connection: &mut Connection, events: &[&Event]) -> Result<Attempt, DbError> {
    let tried = run_once(connection, "refusal", |connection| {
        // Under new ids, so that it does not wait for a writer that has written the same events or
        // is writing them.
        let copies: Vec<Event> =
            events.iter().map(|event| Event { id: fresh_id(event.id), ..(*event).clone() }).collect();
        let batch = batches::new_id(connection)?;
        event_log::copy(connection, batch, &copies)?;
        Err(Error::RollbackTransaction.into())
    });
    match tried {
        Ok(()) | Err(WriteError::Database(DbError::Statement(Error::RollbackTransaction))) => Ok(Attempt::Taken),
        Err(WriteError::Database(DbError::Statement(error))) if fault(&error) == Fault::Record => {
            Ok(Attempt::Refused(error.to_string()))
        }
        Err(WriteError::Database(error @ DbError::Unreachable(_))) => Err(error),
        Err(error) => Ok(Attempt::Failed(error.to_string())),
    }
}

/// What caused a statement to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A record: it violates a constraint of the tables.
    Record,
    /// A unique index added by an operator, which refuses good records.
    Operator,
    /// A record, the database, or something else.
    Unclear,
}

/// Returns what caused a statement of a batch to fail, as far as the error shows it. Violations of
/// the service's own primary keys are never passed here: see [`WriteError::AlreadyLogged`].
#[must_use]
pub fn fault(error: &Error) -> Fault {
    use DatabaseErrorKind::{
        CheckViolation, ExclusionViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation,
    };
    match error {
        Error::DatabaseError(CheckViolation | ExclusionViolation | ForeignKeyViolation | NotNullViolation, _) => {
            Fault::Record
        }
        Error::DatabaseError(UniqueViolation, _) => Fault::Operator,
        _ => Fault::Unclear,
    }
}

/// Returns the triggers, on the tables that counting writes, that no migration created. While they
/// exist, any failure may be caused by them.
fn foreign_triggers(connection: &mut Connection) -> Result<Vec<String>, DbError> {
    row! {
        struct Row {
            named: String,
        }
    }
    let rows: Vec<Row> = statement(include_str!("foreign_triggers.sql")).load(connection)?;
    Ok(rows.into_iter().map(|row| row.named).collect())
}

/// Builds a comparison event: the same event, in the same partition of the log, with as many bytes
/// of incompressible text. Whatever space the event needs, this one needs too.
fn witness(event: &Event) -> Event {
    let mut text = String::with_capacity(event.metadata.len() + 32);
    while text.len() + 8 < event.metadata.len() {
        text.push_str(&Uuid::new_v4().simple().to_string());
    }
    text.truncate(event.metadata.len().saturating_sub(8));
    Event { id: fresh_id(event.id), metadata: format!(r#"{{"w":"{text}"}}"#), ..event.clone() }
}

/// Returns another id with the same time, so that it is in the same partition of the log.
fn fresh_id(id: EventId) -> EventId {
    let mut bytes = *Uuid::new_v4().as_bytes();
    bytes.iter_mut().zip(id.0.as_bytes()).take(6).for_each(|(byte, time)| *byte = *time);
    EventId(Uuid::new_v8(bytes))
}

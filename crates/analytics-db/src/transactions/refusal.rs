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

use std::collections::BTreeSet;

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::event::Event;
use analytics_core::identity::EventId;
use analytics_core::maps::HashMap;
use analytics_core::rejection::{Reason, Rejection};
use analytics_core::rules;
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
pub fn reject_refused(connection: &mut Connection, batch: &mut Batch, business: Business) -> Result<usize, DbError> {
    let triggers = run_once(connection, "refusal", foreign_triggers)?;
    if !triggers.is_empty() {
        return Err(DbError::Unusable(format!(
            "triggers that are not part of this service may refuse good records and must be dropped: {}",
            triggers.join(", ")
        )));
    }
    let mut refused = reject_overflowing(connection, batch, business)?;
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

/// Rejects the events whose amounts no longer fit into a metric, given its current value and the
/// events before them in the batch.
fn reject_overflowing(connection: &mut Connection, batch: &mut Batch, business: Business) -> Result<usize, DbError> {
    row! {
        struct Standing {
            metric_type: String,
            value: i64,
        }
    }
    let counters = |event: &Event| {
        let mut deltas = Deltas::default();
        rules::count(event, business, &mut deltas);
        deltas.counters
    };
    let events = batch.items.iter().filter_map(|item| item.decoded.as_ref().ok());
    let types: BTreeSet<String> = events.flat_map(|event| counters(event).into_keys()).map(|t| t.to_string()).collect();
    let standing: Result<Vec<Standing>, DbError> = run_once(connection, "refusal", |connection| {
        let query =
            statement("SELECT type AS metric_type, value FROM metrics WHERE type = ANY($1) AND value IS NOT NULL");
        Ok(query.column(types.iter()).load(connection)?)
    });
    let mut sums: HashMap<String, i128> =
        standing?.into_iter().map(|row| (row.metric_type, i128::from(row.value))).collect();
    let mut rejected = 0;
    for decoded in batch.items.iter_mut().map(|item| &mut item.decoded) {
        let Ok(event) = decoded else { continue };
        let adds: Vec<(String, i128)> = counters(event).into_iter().map(|(t, sum)| (t.to_string(), sum)).collect();
        let fits = |(t, sum): &(String, i128)| sums.get(t).copied().unwrap_or(0) + sum <= i128::from(i64::MAX);
        if adds.iter().all(fits) {
            for (metric_type, sum) in adds {
                *sums.entry(metric_type).or_default() += sum;
            }
        } else {
            let detail = "its amounts do not fit into a metric any more";
            *decoded = Err(Rejection::new(Reason::Unstorable, detail).about(event.order()));
            rejected += 1;
        }
    }
    Ok(rejected)
}

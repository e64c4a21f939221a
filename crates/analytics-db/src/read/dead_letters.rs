//! Reads dead letters, what was done with them, and how many are open.

use chrono::{DateTime, Utc};
use diesel::OptionalExtension;
use uuid::Uuid;

use super::EventLogAccess;
use crate::raw_json::RawJson;
use crate::sql::{row, statement};
use crate::tables::dead_letters::State;
use crate::{Connection, DbError};

row! {
    /// A record that could not be counted.
    #[derive(Debug)]
    pub struct DeadLetter {
        /// Derived from the record's place; sorts by the record's time.
        pub id: Uuid,
        /// Topic of the record.
        pub topic: String,
        /// Partition of the record.
        pub partition: i32,
        /// Offset of the record.
        pub offset: i64,
        /// The record's own time.
        pub record_timestamp: Option<DateTime<Utc>>,
        /// Size of the record's payload, in bytes.
        pub payload_bytes: Option<i64>,
        /// Code of the reason why it could not be counted.
        pub reason: String,
        /// The reason in a sentence.
        pub detail: String,
        /// `open`, `replayed` or `discarded`.
        pub state: String,
        /// When it was rejected.
        pub created_at: DateTime<Utc>,
    }
}

row! {
    /// The contents of a dead letter.
    #[derive(Debug)]
    pub struct Contents {
        /// The record's headers, in order.
        pub headers: RawJson,
        /// The stored part of the payload.
        pub payload: Option<Vec<u8>>,
    }
}

row! {
    /// An action on a dead letter.
    #[derive(Debug)]
    pub struct Action {
        /// `replay`, `discard` or `reread`.
        pub action: String,
        /// When it was done.
        pub acted_at: DateTime<Utc>,
        /// Who did it.
        pub actor: String,
        /// `counted`, `duplicate`, `rejected` or `discarded`.
        pub result: String,
        /// The event that the record is counted as.
        pub event_id: Option<Uuid>,
        /// Why it was rejected again.
        pub detail: Option<String>,
        /// Whether a corrected payload was given.
        pub corrected: bool,
    }
}

/// Conditions that dead letters must meet.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    /// With one of these ids; empty means any.
    pub ids: Vec<Uuid>,
    /// In this state.
    pub state: Option<State>,
    /// With this reason.
    pub reason: Option<String>,
    /// From this topic.
    pub topic: Option<String>,
    /// Rejected at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Rejected before this time.
    pub to: Option<DateTime<Utc>>,
}

/// Returns at most `limit` dead letters, newest records first, starting after the one with the id
/// `before`.
///
/// # Errors
/// [`DbError`].
pub fn newest(
    connection: &mut Connection,
    _: EventLogAccess,
    filter: &LetterFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<DeadLetter>, DbError> {
    Ok(statement(include_str!("dead_letters.sql"))
        .column(&filter.ids)
        .value(filter.state.map(State::name))
        .value(&filter.reason)
        .value(&filter.topic)
        .value(filter.from)
        .value(filter.to)
        .value(before)
        .value(limit)
        .load(connection)?)
}

/// Returns one dead letter, its contents, and the actions on it, oldest first.
///
/// # Errors
/// [`DbError`].
pub fn one(
    connection: &mut Connection,
    access: EventLogAccess,
    id: Uuid,
) -> Result<Option<(DeadLetter, Contents, Vec<Action>)>, DbError> {
    let of_id = LetterFilter { ids: vec![id], ..LetterFilter::default() };
    let Some(letter) = newest(connection, access, &of_id, None, 1)?.pop() else { return Ok(None) };
    let contents: Option<Contents> = statement("SELECT headers, payload FROM dead_letters WHERE id = $1")
        .value(id)
        .get_result(connection)
        .optional()?;
    let actions = statement(
        "SELECT action, acted_at, actor, result, event_id, detail, corrected IS NOT NULL AS corrected \
         FROM dead_letter_actions WHERE dead_letter_id = $1 ORDER BY id",
    )
    .value(id)
    .load(connection)?;
    Ok(contents.map(|contents| (letter, contents, actions)))
}

row! {
    /// The number of open dead letters with one reason, and the age of the oldest.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Waiting {
        /// Code of the reason.
        pub reason: String,
        /// Number of dead letters.
        pub letters: i64,
        /// When the oldest of them was rejected.
        pub oldest: DateTime<Utc>,
    }
}

/// Counts the open dead letters, by reason.
///
/// # Errors
/// [`DbError`].
pub fn waiting(connection: &mut Connection) -> Result<Vec<Waiting>, DbError> {
    Ok(statement(
        "SELECT reason, count(*) AS letters, min(created_at) AS oldest FROM dead_letters \
         WHERE state = 'open' GROUP BY reason ORDER BY reason",
    )
    .load(connection)?)
}

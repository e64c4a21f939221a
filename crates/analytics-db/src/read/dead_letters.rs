//! Dead letters: which there are, what was done with them, and how many wait.

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
        /// Made from the record's place: sorts by the record's time.
        pub id: Uuid,
        /// Where the record stood.
        pub topic: String,
        /// Where the record stood.
        pub partition: i32,
        /// Where the record stood.
        pub offset: i64,
        /// The record's own time.
        pub record_timestamp: Option<DateTime<Utc>>,
        /// How many bytes it had.
        pub payload_bytes: Option<i64>,
        /// Why it could not be counted.
        pub reason: String,
        /// The same in a sentence.
        pub detail: String,
        /// `open`, `replayed` or `discarded`.
        pub state: String,
        /// When it was refused.
        pub created_at: DateTime<Utc>,
    }
}

row! {
    /// What a dead letter holds.
    #[derive(Debug)]
    pub struct Contents {
        /// The record's headers, in order.
        pub headers: RawJson,
        /// What is kept of its bytes.
        pub payload: Option<Vec<u8>>,
    }
}

row! {
    /// Something that was done with a dead letter.
    #[derive(Debug)]
    pub struct Action {
        /// `replay`, `discard` or `reread`.
        pub action: String,
        /// When.
        pub acted_at: DateTime<Utc>,
        /// By whom.
        pub actor: String,
        /// `counted`, `duplicate`, `rejected` or `discarded`.
        pub result: String,
        /// The event that it is counted as.
        pub event_id: Option<Uuid>,
        /// Why it was rejected again.
        pub detail: Option<String>,
        /// Whether another payload was given.
        pub corrected: bool,
    }
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    /// Of these ids; empty is any.
    pub ids: Vec<Uuid>,
    /// `open`, `replayed` or `discarded`.
    pub state: Option<State>,
    /// With this reason.
    pub reason: Option<String>,
    /// From this topic.
    pub topic: Option<String>,
    /// Refused at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Refused before this time.
    pub to: Option<DateTime<Utc>>,
}

/// Dead letters, newest records first: at most `limit`, before the one of this id.
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

/// One dead letter, what it holds, and what was done with it, oldest first.
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
    /// How many dead letters of one reason wait, and since when.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Waiting {
        /// The reason.
        pub reason: String,
        /// How many.
        pub letters: i64,
        /// When the oldest of them was refused.
        pub oldest: DateTime<Utc>,
    }
}

/// The open dead letters, by reason.
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

//! Dead letters: which there are, what was done with them, and how many wait.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Binary, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, RunQueryDsl, sql_query};
use uuid::Uuid;

use super::EventLogAccess;
use crate::raw_json::RawJson;
use crate::tables::dead_letters::State;
use crate::{Connection, DbError};

/// A record that could not be counted.
#[derive(Debug, QueryableByName)]
pub struct DeadLetter {
    /// Made from the record's place: sorts by the record's time.
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// Where the record stood.
    #[diesel(sql_type = Text)]
    pub topic: String,
    /// Where the record stood.
    #[diesel(sql_type = Integer)]
    pub partition: i32,
    /// Where the record stood.
    #[diesel(sql_type = BigInt)]
    pub offset: i64,
    /// The record's own time.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub record_timestamp: Option<DateTime<Utc>>,
    /// How many bytes it had.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub payload_bytes: Option<i64>,
    /// Why it could not be counted.
    #[diesel(sql_type = Text)]
    pub reason: String,
    /// The same in a sentence.
    #[diesel(sql_type = Text)]
    pub detail: String,
    /// `open`, `replayed` or `discarded`.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// When it was refused.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
}

/// What a dead letter holds.
#[derive(Debug, QueryableByName)]
pub struct Contents {
    /// The record's headers, in order.
    #[diesel(sql_type = Jsonb)]
    pub headers: RawJson,
    /// What is kept of its bytes.
    #[diesel(sql_type = Nullable<Binary>)]
    pub payload: Option<Vec<u8>>,
}

/// Something that was done with a dead letter.
#[derive(Debug, QueryableByName)]
pub struct Action {
    /// `replay`, `discard` or `reread`.
    #[diesel(sql_type = Text)]
    pub action: String,
    /// When.
    #[diesel(sql_type = Timestamptz)]
    pub acted_at: DateTime<Utc>,
    /// By whom.
    #[diesel(sql_type = Text)]
    pub actor: String,
    /// `counted`, `duplicate`, `rejected` or `discarded`.
    #[diesel(sql_type = Text)]
    pub result: String,
    /// The event that it is counted as.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub event_id: Option<Uuid>,
    /// Why it was rejected again.
    #[diesel(sql_type = Nullable<Text>)]
    pub detail: Option<String>,
    /// Whether another payload was given.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    pub corrected: bool,
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
    Ok(sql_query(include_str!("dead_letters.sql"))
        .bind::<Array<SqlUuid>, _>(&filter.ids)
        .bind::<Nullable<Text>, _>(filter.state.map(State::name))
        .bind::<Nullable<Text>, _>(&filter.reason)
        .bind::<Nullable<Text>, _>(&filter.topic)
        .bind::<Nullable<Timestamptz>, _>(filter.from)
        .bind::<Nullable<Timestamptz>, _>(filter.to)
        .bind::<Nullable<SqlUuid>, _>(before)
        .bind::<BigInt, _>(limit)
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
    let contents: Option<Contents> = sql_query("SELECT headers, payload FROM dead_letters WHERE id = $1")
        .bind::<SqlUuid, _>(id)
        .get_result(connection)
        .optional()?;
    let actions = sql_query(
        "SELECT action, acted_at, actor, result, event_id, detail, corrected IS NOT NULL AS corrected \
         FROM dead_letter_actions WHERE dead_letter_id = $1 ORDER BY id",
    )
    .bind::<SqlUuid, _>(id)
    .load(connection)?;
    Ok(contents.map(|contents| (letter, contents, actions)))
}

/// How many dead letters of one reason wait, and since when.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Waiting {
    /// The reason.
    #[diesel(sql_type = Text)]
    pub reason: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub letters: i64,
    /// When the oldest of them was refused.
    #[diesel(sql_type = Timestamptz)]
    pub oldest: DateTime<Utc>,
}

/// The open dead letters, by reason.
///
/// # Errors
/// [`DbError`].
pub fn waiting(connection: &mut Connection) -> Result<Vec<Waiting>, DbError> {
    Ok(sql_query(
        "SELECT reason, count(*) AS letters, min(created_at) AS oldest FROM dead_letters \
         WHERE state = 'open' GROUP BY reason ORDER BY reason",
    )
    .load(connection)?)
}

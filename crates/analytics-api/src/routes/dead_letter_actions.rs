//! Replays and discards dead letters, in read-write mode: a single one, or a selection of open
//! ones.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_db::DbError;
use analytics_db::read::dead_letters::{self, LetterFilter};
use analytics_db::tables::dead_letters::{self as letters, State};
use analytics_db::transactions::replay::{self, Replayed};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use super::dead_letters::{LONGEST_TOPIC, id, reason};
use crate::as_of::{Numbered, numbered};
use crate::caller;
use crate::database::Database;
use crate::problem::{Failures, NotFound, Problem, TooLarge};
use crate::query::Query;
use crate::settings::ApiSettings;

/// The size limit of a body that may have a corrected payload, in bytes.
pub(crate) const LARGEST_REPLAY: usize = 4 << 20;
/// The maximum number of dead letters in one request.
const MOST: usize = 500;

/// How to replay one dead letter.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replay {
    /// A corrected payload that is counted instead of the original one.
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
}

/// Selects open dead letters: the newest 500 that match all given fields. At least one of `ids`,
/// `reason`, `topic`, `from` and `to` must be given.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Selection {
    /// Only dead letters with these ids.
    #[serde(default)]
    #[schema(max_items = 500)]
    ids: Vec<Uuid>,
    /// Only dead letters with this reason, such as `invalid_amount`.
    reason: Option<String>,
    /// Only records of this topic.
    #[schema(min_length = 1, max_length = 249)]
    topic: Option<String>,
    /// Only records that were rejected at this time or later.
    from: Option<DateTime<Utc>>,
    /// Only records that were rejected before this time.
    to: Option<DateTime<Utc>>,
    /// Only records that are older than that of this dead letter: `next` of the previous response.
    before: Option<Uuid>,
}

/// The results of replaying or discarding several dead letters.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcomes {
    items: Vec<OutcomeBody>,
    /// Value of `before` to continue with the next dead letters that match; null if there are none.
    next: Option<Uuid>,
}

/// The result of replaying or discarding one dead letter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterOutcome)]
pub(crate) struct OutcomeBody {
    id: Uuid,
    /// `counted`; `duplicate`: its event was counted before; `rejected`: it was rejected again;
    /// `refused`: it could not be replayed, see `detail`; or `discarded`.
    result: &'static str,
    /// The id of the event as which it was counted.
    event_id: Option<Uuid>,
    /// Why it was rejected or refused.
    detail: Option<String>,
}

/// Aliases for the OpenAPI macro, which does not support generic types.
type NumberedOutcome = Numbered<OutcomeBody>;
type NumberedOutcomes = Numbered<Outcomes>;

/// Replay a dead letter
///
/// Decodes and counts the record as if it were read again, with a corrected payload if one is
/// given. It counts once, no matter how often it is replayed.
#[utoipa::path(
    post, path = "/api/dead-letters/{id}/replay", operation_id = "replayDeadLetter", tag = "dead letters", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The dead letter's id")),
    request_body = Replay,
    responses((status = 200, description = "The result", body = NumberedOutcome), Failures, NotFound, TooLarge)
)]
pub(crate) async fn replay_one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    replay: Json<Replay>,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[], &[])?;
    let id = id(&path)?;
    let payload = replay.into_inner().payload.map(|payload| payload.get().as_bytes().to_vec());
    let (replayed, as_of) = replay_all(vec![id], payload, &principal, &database, &settings).await?;
    let outcome = replayed.into_iter().next().ok_or_else(Problem::dead_letter_not_found)?;
    match outcome.result {
        Err(replay::NotReplayed::Unknown) => Err(Problem::dead_letter_not_found()),
        _ => Ok(numbered(HttpResponse::Ok(), as_of, outcome_body(outcome))),
    }
}

/// Discard a dead letter
///
/// For a record that is not to be counted. Its payload and its key are deleted. The record of who
/// discarded it is kept.
#[utoipa::path(
    delete, path = "/api/dead-letters/{id}", operation_id = "discardDeadLetter", tag = "dead letters", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The dead letter's id")),
    responses((status = 200, description = "The result", body = NumberedOutcome), Failures, NotFound)
)]
pub(crate) async fn discard_one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[], &[])?;
    let id = id(&path)?;
    let actor = caller::actor(&principal);
    let (discarded, as_of) =
        database.write_as_of(move |connection| letters::discard(connection, &[id], &actor)).await?;
    let discarded = discarded.first().copied().ok_or_else(Problem::dead_letter_not_found)?;
    Ok(numbered(HttpResponse::Ok(), as_of, discarded_body(discarded)))
}

/// Replay many open dead letters
///
/// Decodes and counts the newest 500 of a selection as if they were read again. Dead letters that
/// are rejected again or refused stay open.
#[utoipa::path(
    post, path = "/api/dead-letters/replay", operation_id = "replayDeadLetters", tag = "dead letters", security(("bearer" = [])),
    request_body = Selection,
    responses((status = 200, description = "The result for each", body = NumberedOutcomes), Failures, TooLarge)
)]
pub(crate) async fn replay_many(
    principal: Principal,
    request: HttpRequest,
    selection: Json<Selection>,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[], &[])?;
    let (ids, next) = select(&principal, selection.into_inner(), &database).await?;
    let (replayed, as_of) = replay_all(ids, None, &principal, &database, &settings).await?;
    let outcomes = Outcomes { items: replayed.into_iter().map(outcome_body).collect(), next };
    Ok(numbered(HttpResponse::Ok(), as_of, outcomes))
}

/// Discard many open dead letters
///
/// Discards the newest 500 of a selection. Their payloads and keys are deleted. The record of who
/// discarded them is kept.
#[utoipa::path(
    post, path = "/api/dead-letters/discard", operation_id = "discardDeadLetters", tag = "dead letters", security(("bearer" = [])),
    request_body = Selection,
    responses((status = 200, description = "The result for each", body = NumberedOutcomes), Failures, TooLarge)
)]
pub(crate) async fn discard_many(
    principal: Principal,
    request: HttpRequest,
    selection: Json<Selection>,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[], &[])?;
    let (ids, next) = select(&principal, selection.into_inner(), &database).await?;
    let actor = caller::actor(&principal);
    let (discarded, as_of) = database.write_as_of(move |connection| letters::discard(connection, &ids, &actor)).await?;
    let outcomes = Outcomes { items: discarded.into_iter().map(discarded_body).collect(), next };
    Ok(numbered(HttpResponse::Ok(), as_of, outcomes))
}

/// Returns the ids of the newest open dead letters of a selection, at most [`MOST`], and the value
/// of `before` for the next ones, if there are more.
async fn select(
    principal: &Principal,
    selection: Selection,
    database: &Database,
) -> Result<(Vec<Uuid>, Option<Uuid>), Problem> {
    let access = caller::event_log(principal)?;
    let Selection { ids, reason: code, topic, from, to, before } = selection;
    if ids.is_empty() && code.is_none() && topic.is_none() && from.is_none() && to.is_none() {
        return Err(Problem::invalid_body("must have at least one of ids, reason, topic, from and to"));
    }
    if ids.len() > MOST {
        return Err(Problem::invalid_body(format!("ids: must have at most {MOST} items")));
    }
    if topic.as_ref().is_some_and(|topic| topic.is_empty() || topic.len() > LONGEST_TOPIC || topic.contains('\0')) {
        return Err(Problem::invalid_body(format!("topic: must be text of 1 to {LONGEST_TOPIC} characters")));
    }
    let in_range = |time: &DateTime<Utc>| (0..253_402_300_800).contains(&time.timestamp());
    if !from.iter().chain(&to).all(in_range) {
        return Err(Problem::invalid_body("from, to: must be times in the years 1970 to 9999"));
    }
    let reason =
        code.as_deref().map(reason).transpose().map_err(|why| Problem::invalid_body(format!("reason: {why}")))?;
    let filter = LetterFilter { ids, state: Some(State::Open), reason, topic, from, to };
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    let found =
        database.read(move |connection| dead_letters::newest(connection, access, &filter, before, most + 1)).await?;
    let mut ids: Vec<Uuid> = found.into_iter().map(|letter| letter.id).collect();
    let more = ids.len() > MOST;
    ids.truncate(MOST);
    let next = ids.last().copied().filter(|_| more);
    Ok((ids, next))
}

async fn replay_all(
    ids: Vec<Uuid>,
    payload: Option<Vec<u8>>,
    principal: &Principal,
    database: &Database,
    settings: &ApiSettings,
) -> Result<(Vec<Replayed>, i64), Problem> {
    let (decoder, actor) = (settings.decoder.clone(), caller::actor(principal));
    database
        .write_as_of(move |connection| {
            replay::replay(connection, &ids, payload.as_deref(), &decoder, &actor).map_err(DbError::from)
        })
        .await
}

fn outcome_body(replayed: Replayed) -> OutcomeBody {
    let Replayed { id, result } = replayed;
    match result {
        Ok(outcome) => OutcomeBody { id, result: outcome.name(), event_id: outcome.event(), detail: outcome.detail() },
        Err(why) => OutcomeBody { id, result: "refused", event_id: None, detail: Some(why.to_string()) },
    }
}

const fn discarded_body(id: Uuid) -> OutcomeBody {
    OutcomeBody { id, result: State::Discarded.name(), event_id: None, detail: None }
}

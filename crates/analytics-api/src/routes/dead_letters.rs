//! `GET /api/dead-letters` and `GET /api/dead-letters/{id}`: records that could not be counted.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::rejection::Reason;
use analytics_db::RawJson;
use analytics_db::read::dead_letters::{self, Action, Contents, DeadLetter, LetterFilter};
use analytics_db::tables::dead_letters::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::as_of::{Numbered, numbered};
use crate::caller;
use crate::database::Database;
use crate::page::Page;
use crate::problem::{Failures, NotFound, Problem, Unchanged};
use crate::query::Query;
use crate::range;
use crate::settings::ApiSettings;

/// The maximum length of a topic's name, in characters.
pub(super) const LONGEST_TOPIC: usize = 249;

/// A record that could not be counted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterBody {
    /// Ids sort by the time of the record.
    id: Uuid,
    topic: String,
    partition: i32,
    offset: i64,
    /// The timestamp of the record.
    record_timestamp: Option<DateTime<Utc>>,
    /// `open`, `replayed` (its event is now counted) or `discarded`.
    state: String,
    /// The reason for the rejection, such as `invalid_amount`.
    reason: String,
    /// What is wrong, in a sentence that names the field.
    detail: String,
    /// When the record was rejected.
    created_at: DateTime<Utc>,
    /// The size of the payload without redacted fields, in bytes; null if the record has no
    /// payload.
    payload_bytes: Option<i64>,
}

/// A dead letter with its contents and what was done with it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetterDetails {
    #[serde(flatten)]
    letter: DeadLetterBody,
    /// The headers of the record, in its order, each with `name` and `value`, or `valueHex` if the
    /// value is not text.
    #[schema(value_type = Vec<Object>)]
    headers: RawJson,
    /// The payload, if it is text.
    payload: Option<String>,
    /// The payload in base64, if it is not text.
    payload_base64: Option<String>,
    /// Whether the payload shown is only the beginning of the original one.
    payload_cut: bool,
    /// What was done with it, oldest first.
    actions: Vec<ActionBody>,
}

/// A replay or discard of a dead letter, or that its record was read again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterAction)]
pub(crate) struct ActionBody {
    /// `replay`, `discard`, or `reread` (ingest read the record again).
    action: String,
    /// When it was done.
    at: DateTime<Utc>,
    /// Who did it.
    actor: String,
    /// `counted`, `duplicate`, `rejected` or `discarded`.
    result: String,
    /// The id of the event as which the record was counted.
    event_id: Option<Uuid>,
    /// Why the record was rejected again.
    detail: Option<String>,
    /// Whether a corrected payload was given.
    corrected: bool,
}

/// An alias for the OpenAPI macro, which does not support generic types.
type DeadLetterPage = Page<DeadLetterBody>;
type NumberedDeadLetter = Numbered<DeadLetterDetails>;

/// List dead letters
///
/// In descending order of the records' timestamps, without payloads: these are in the response for
/// a single dead letter.
#[utoipa::path(
    get, path = "/api/dead-letters", operation_id = "listDeadLetters", tag = "dead letters", security(("bearer" = [])),
    params(
        ("state" = Option<String>, Query,
         description = "Only dead letters in this state: `open`, `replayed` or `discarded`"),
        ("reason" = Option<String>, Query,
         description = "Only dead letters with this reason, such as `invalid_amount`"),
        ("topic" = Option<String>, Query, description = "Only records of this topic", min_length = 1, max_length = 249),
        ("from" = Option<String>, Query, description = "Only records that were rejected on this date or at this time, or later"),
        ("to" = Option<String>, Query, description = "Only records that were rejected until the end of this date, or before this time"),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of dead letters", body = DeadLetterPage), Unchanged, Failures)
)]
pub(crate) async fn list(
    principal: Principal,
    request: HttpRequest,
    settings: Data<ApiSettings>,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    let access = caller::event_log(&principal)?;
    let query = Query::of(&request, &["state", "reason", "topic", "from", "to", "limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let before: Option<Uuid> = query.cursor_key()?;
    let (from, to) = range::of_list(&query, settings.business.calendar)?;
    let filter = LetterFilter {
        ids: Vec::new(),
        state: query.optional("state", State::named)?,
        reason: query.optional("reason", reason)?,
        topic: query.text("topic", LONGEST_TOPIC)?,
        from,
        to,
    };
    let more = i64::from(limit) + 1;
    let (found, as_of) = database
        .read_expensive_as_of(move |connection| dead_letters::newest(connection, access, &filter, before, more))
        .await?;
    Ok(Page::of(found, limit, |letter| letter.id.to_string(), |letter| body(&letter)).answer(&request, as_of))
}

/// Get a dead letter
///
/// With the record's headers, what is kept of its payload, and what was done with it.
#[utoipa::path(
    get, path = "/api/dead-letters/{id}", operation_id = "getDeadLetter", tag = "dead letters", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The dead letter's id")),
    responses((status = 200, description = "The dead letter", body = NumberedDeadLetter), Unchanged, Failures, NotFound)
)]
pub(crate) async fn one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    let access = caller::event_log(&principal)?;
    Query::of(&request, &[], &[])?;
    let id = id(&path)?;
    let (found, as_of) = database.read_as_of(move |connection| dead_letters::one(connection, access, id)).await?;
    let (letter, contents, actions) = found.ok_or_else(Problem::dead_letter_not_found)?;
    Ok(numbered(HttpResponse::Ok(), as_of, details(&letter, contents, actions)))
}

/// Parses a dead letter's id in a path.
pub(super) fn id(path: &str) -> Result<Uuid, Problem> {
    path.parse().map_err(|_| Problem::invalid_parameter("id", "must be a UUID"))
}

/// Checks the code of a reason. The error lists all codes.
pub(super) fn reason(code: &str) -> Result<String, String> {
    let reason = Reason::of_code(code).map(|reason| reason.code().to_owned());
    reason.ok_or_else(|| format!("must be one of {}", Reason::ALL.map(Reason::code).join(", ")))
}

fn body(letter: &DeadLetter) -> DeadLetterBody {
    DeadLetterBody {
        id: letter.id,
        topic: letter.topic.clone(),
        partition: letter.partition,
        offset: letter.offset,
        record_timestamp: letter.record_timestamp,
        state: letter.state.clone(),
        reason: letter.reason.clone(),
        detail: letter.detail.clone(),
        created_at: letter.created_at,
        payload_bytes: letter.payload_bytes,
    }
}

fn details(letter: &DeadLetter, contents: Contents, actions: Vec<Action>) -> DeadLetterDetails {
    let body = body(letter);
    let kept = contents.payload.as_ref().map(Vec::len);
    let payload_cut =
        kept.is_some_and(|kept| letter.payload_bytes.is_some_and(|bytes| usize::try_from(bytes) != Ok(kept)));
    let (payload, payload_base64) = match contents.payload.map(String::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text), None),
        Some(Err(bytes)) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
    };
    let action = |action: Action| {
        let Action { action, acted_at, actor, result, event_id, detail, corrected } = action;
        ActionBody { action, at: acted_at, actor, result, event_id, detail, corrected }
    };
    let actions = actions.into_iter().map(action).collect();
    DeadLetterDetails { letter: body, headers: contents.headers, payload, payload_base64, payload_cut, actions }
}

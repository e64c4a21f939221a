//! `GET /api/dead-letters`: records that could not be counted.

use actix_web::web::{Data, Json, Path};
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

use crate::caller;
use crate::database::Database;
use crate::page::Page;
use crate::problem::{Failures, NotFound, Problem, Unchanged};
use crate::query::Query;

/// The longest name of a topic.
pub(super) const LONGEST_TOPIC: usize = 249;

/// A record that could not be counted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterBody {
    /// Sorts by the record's time.
    id: Uuid,
    topic: String,
    partition: i32,
    offset: i64,
    /// The record's own time.
    record_timestamp: Option<DateTime<Utc>>,
    /// `open`, `replayed` (what it says is counted by now) or `discarded`.
    state: String,
    /// The rule that refused it.
    reason: String,
    /// A sentence that names the field.
    detail: String,
    /// When it was refused.
    created_at: DateTime<Utc>,
    /// How many bytes the record had; null is a record without a payload.
    payload_bytes: Option<i64>,
}

/// A dead letter with its contents and its history.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetterDetails {
    #[serde(flatten)]
    letter: DeadLetterBody,
    /// Names and values, in the order of the record.
    #[schema(value_type = Vec<Object>)]
    headers: RawJson,
    /// The payload as text, if it is text.
    payload: Option<String>,
    /// The payload in base64, if it is no text.
    payload_base64: Option<String>,
    /// Only the beginning of the payload was kept.
    payload_cut: bool,
    /// What was done with it, oldest first.
    actions: Vec<ActionBody>,
}

/// Something that was done with a dead letter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterAction)]
pub(crate) struct ActionBody {
    /// `replay`, `discard`, or `reread` (ingest read the record again).
    action: String,
    at: DateTime<Utc>,
    actor: String,
    /// `counted`, `duplicate`, `rejected` or `discarded`.
    result: String,
    event_id: Option<Uuid>,
    detail: Option<String>,
    /// Another payload was counted in place of the original.
    corrected: bool,
}

/// For the document, whose macro knows no generic types.
type DeadLetterPage = Page<DeadLetterBody>;

/// Dead letters
///
/// Newest records first. Payloads come with the single dead letter.
#[utoipa::path(
    get, path = "/api/dead-letters", operation_id = "listDeadLetters", tag = "dead letters", security(("bearer" = [])),
    params(
        ("state" = Option<String>, Query, description = "`open`, `replayed` or `discarded`"),
        ("reason" = Option<String>, Query, description = "Such as `invalid_amount`"),
        ("topic" = Option<String>, Query, description = "From this topic", min_length = 1, max_length = 249),
        ("from" = Option<DateTime<Utc>>, Query, description = "Refused then or later"),
        ("to" = Option<DateTime<Utc>>, Query, description = "Refused before"),
        ("limit" = Option<u16>, Query, description = "Items on a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page of dead letters", body = DeadLetterPage), Unchanged, Failures)
)]
pub(crate) async fn list(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    let access = caller::event_log(&principal)?;
    let query = Query::of(&request, &["state", "reason", "topic", "from", "to", "limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let before: Option<Uuid> = query.cursor_key()?;
    let filter = LetterFilter {
        ids: Vec::new(),
        state: query.optional("state", State::named)?,
        reason: query.optional("reason", reason)?,
        topic: query.text("topic", LONGEST_TOPIC)?,
        from: query.time("from")?,
        to: query.time("to")?,
    };
    let more = i64::from(limit) + 1;
    let found =
        database.read(move |connection| dead_letters::newest(connection, access, &filter, before, more)).await?;
    Ok(Page::of(found, limit, |letter| letter.id.to_string(), |letter| body(&letter)).answer(&request))
}

/// One dead letter
///
/// With its headers, what is kept of its payload, and what was done with it.
#[utoipa::path(
    get, path = "/api/dead-letters/{id}", operation_id = "getDeadLetter", tag = "dead letters", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The dead letter's id")),
    responses((status = 200, description = "The dead letter", body = DeadLetterDetails), Unchanged, Failures, NotFound)
)]
pub(crate) async fn one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<Json<DeadLetterDetails>, Problem> {
    let access = caller::event_log(&principal)?;
    Query::of(&request, &[], &[])?;
    let id = id(&path)?;
    let found = database.read(move |connection| dead_letters::one(connection, access, id)).await?;
    let (letter, contents, actions) = found.ok_or_else(Problem::dead_letter_not_found)?;
    Ok(Json(details(&letter, contents, actions)))
}

/// A dead letter's id in a path.
pub(super) fn id(path: &str) -> Result<Uuid, Problem> {
    path.parse().map_err(|_| Problem::invalid_parameter("id", "must be a UUID"))
}

/// A reason by its code.
pub(super) fn reason(code: &str) -> Result<String, String> {
    let reason = Reason::of_code(code).map(|reason| reason.code().to_owned());
    reason.ok_or_else(|| format!("there are {}", Reason::ALL.map(Reason::code).join(", ")))
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

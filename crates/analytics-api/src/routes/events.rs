//! `GET /api/events`: the event log, newest first.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json};
use analytics_db::read::RawJson;
use analytics_db::read::events::{self, LoggedEvent};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::{Principal, Role};
use uuid::Uuid;

use crate::database::Database;
use crate::problem::Problem;
use crate::query::Query;

const DEFAULT_LIMIT: u16 = 100;
const LARGEST_LIMIT: u16 = 1000;

/// A page of events.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventsPage {
    items: Vec<EventBody>,
    /// Give it back as `cursor` for the next page; null on the last.
    next_cursor: Option<Uuid>,
}

/// An event as clients see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventBody {
    id: Uuid,
    event_type: String,
    user_id: Option<String>,
    metadata: Option<RawJson>,
    created_at: DateTime<Utc>,
    ingested_at: DateTime<Utc>,
}

pub(crate) async fn list(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<Json<EventsPage>, Problem> {
    if principal.role != Role::Admin {
        return Err(Problem::forbidden());
    }
    let query = Query::parse(request.query_string(), &["type", "limit", "cursor"])?;
    let event_type = query.optional("type", event_type)?;
    let limit = query.optional("limit", limit)?.unwrap_or(DEFAULT_LIMIT);
    let before = query.optional("cursor", |text| text.parse::<Uuid>().map_err(|_| "it is no cursor of this API"))?;
    let more = i64::from(limit) + 1;
    let read = move |connection: &mut _| events::newest(connection, event_type.as_deref(), before, more);
    let mut found = database.read(read).await?;
    // One more than asked for tells whether there is a next page.
    let next_cursor = (found.len() > usize::from(limit)).then(|| {
        found.truncate(limit.into());
        found.last().map(|event| event.id)
    });
    Ok(Json(EventsPage { items: found.into_iter().map(body).collect(), next_cursor: next_cursor.flatten() }))
}

fn event_type(text: &str) -> Result<String, &'static str> {
    match text.chars().count() {
        1..=100 if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err("it is an event type of 1 to 100 characters, such as order.created"),
    }
}

fn limit(text: &str) -> Result<u16, String> {
    let limit = text.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
    limit.ok_or_else(|| format!("it is a number from 1 to {LARGEST_LIMIT}"))
}

fn body(event: LoggedEvent) -> EventBody {
    let LoggedEvent { id, event_type, user_id, metadata, created_at, ingested_at } = event;
    EventBody { id, event_type, user_id, metadata, created_at, ingested_at }
}

//! `GET /api/events` and `GET /api/events/{id}`: the event log, newest first.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::ids::{MAX_ENCODED_CHARS, MAX_PLAIN_CHARS};
use analytics_db::RawJson;
use analytics_db::read::AsOf;
use analytics_db::read::events::{self, EventFilter, LoggedEvent};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use super::metrics::LONGEST;
use crate::caller;
use crate::database::Database;
use crate::page::Page;
use crate::problem::{Failures, NotFound, Problem, Unchanged};
use crate::query::Query;

/// An event of the log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub(crate) struct EventBody {
    /// Sorts by the event's time.
    id: Uuid,
    event_type: String,
    user_id: Option<String>,
    /// The payload, without fields that must not be stored.
    #[schema(value_type = Option<Object>)]
    metadata: Option<RawJson>,
    /// When it happened.
    created_at: DateTime<Utc>,
    /// When it was counted.
    ingested_at: DateTime<Utc>,
}

/// For the document, whose macro knows no generic types.
type EventPage = Page<EventBody>;

/// The event log
///
/// Newest first by event time. Pages stay right while new events arrive: none is shown twice, and
/// none that was there at the start is missed.
#[utoipa::path(
    get, path = "/api/events", operation_id = "listEvents", tag = "events", security(("bearer" = [])),
    params(
        ("type" = Option<String>, Query, description = "Such as `order.created`", min_length = 1, max_length = 100),
        ("userId" = Option<String>, Query, description = "About this user", min_length = 1, max_length = 255),
        ("productId" = Option<String>, Query, description = "About this product, also in a line of an order", min_length = 1, max_length = 64),
        ("vendorId" = Option<String>, Query, description = "About this vendor, also in a line of an order", min_length = 1, max_length = 64),
        ("from" = Option<DateTime<Utc>>, Query, description = "Happened then or later"),
        ("to" = Option<DateTime<Utc>>, Query, description = "Happened before"),
        ("limit" = Option<u16>, Query, description = "Items on a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page of events", body = EventPage), Unchanged, Failures)
)]
pub(crate) async fn list(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    let access = caller::event_log(&principal)?;
    let names = ["type", "userId", "productId", "vendorId", "from", "to", "limit", "cursor"];
    let query = Query::of(&request, &names, &[])?;
    let limit = query.limit()?;
    let filter = EventFilter {
        event_type: query.text("type", LONGEST)?,
        user: query.text("userId", MAX_PLAIN_CHARS)?,
        product: query.text("productId", MAX_ENCODED_CHARS)?,
        vendor: query.text("vendorId", MAX_ENCODED_CHARS)?,
        from: query.time("from")?,
        to: query.time("to")?,
        before: query.cursor_key()?,
    };
    let found = database
        .read(move |connection| {
            let as_of = AsOf::latest(connection)?;
            events::newest(connection, access, &as_of, &filter, limit.into())
        })
        .await?;
    let next = found.next.map(|id| id.to_string());
    Ok(Page::with_next(found.events.into_iter().map(body).collect(), next).answer(&request))
}

/// One event
///
/// As it was logged, with its payload.
#[utoipa::path(
    get, path = "/api/events/{id}", operation_id = "getEvent", tag = "events", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The event's id")),
    responses((status = 200, description = "The event", body = EventBody), Unchanged, Failures, NotFound)
)]
pub(crate) async fn one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<Json<EventBody>, Problem> {
    let access = caller::event_log(&principal)?;
    Query::of(&request, &[], &[])?;
    let id: Uuid = path.parse().map_err(|_| Problem::invalid_parameter("id", "must be a UUID"))?;
    let found = database.read(move |connection| events::by_id(connection, access, id)).await?;
    Ok(Json(body(found.ok_or_else(Problem::event_not_found)?)))
}

fn body(event: LoggedEvent) -> EventBody {
    let LoggedEvent { id, event_type, user_id, metadata, created_at, ingested_at, .. } = event;
    EventBody { id, event_type, user_id, metadata, created_at, ingested_at }
}

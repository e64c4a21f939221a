//! `GET /api/events` and `GET /api/events/{id}`: the event log, newest first.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::calendar::Calendar;
use analytics_core::ids::{MAX_ENCODED_CHARS, MAX_PLAIN_CHARS};
use analytics_db::read::events::{self, EventFilter, EventPage as Found, LoggedEvent};
use analytics_db::read::{AsOf, EventLogAccess};
use analytics_db::tables::metadata_indexes;
use analytics_db::{Connection, DbError, RawJson};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use super::metrics::LONGEST;
use crate::as_of::{Numbered, numbered};
use crate::caller;
use crate::conditions;
use crate::database::Database;
use crate::lines::{self, Lines, Source, Start, Streams, not_as_of};
use crate::page::Page;
use crate::problem::{Changed, Failures, NotFound, Problem, Unchanged};
use crate::query::Query;
use crate::range;
use crate::settings::ApiSettings;

/// A logged event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub(crate) struct EventBody {
    /// Ids sort by the time of the event.
    id: Uuid,
    /// Such as `order.created`.
    event_type: String,
    /// The user that the event is about.
    user_id: Option<String>,
    /// The payload, without the fields that `REDACT_FIELDS` removes.
    #[schema(value_type = Option<Object>)]
    metadata: Option<RawJson>,
    /// When the event happened.
    created_at: DateTime<Utc>,
    /// When the event was counted.
    ingested_at: DateTime<Utc>,
}

/// An alias for the OpenAPI macro, which does not support generic types.
type EventPage = Page<EventBody>;
type NumberedEvent = Numbered<EventBody>;

/// List events
///
/// In descending order of event time. Pages are consistent while new events arrive: no event is on
/// two pages, and no event is missing that was logged when the first page was read.
///
/// As NDJSON, all matching events are streamed, one per line, as of the number in the header `As-Of`.
/// A response that is cut off continues with the id of its last whole line as `cursor`, and that
/// number as `asOf`.
#[utoipa::path(
    get, path = "/api/events", operation_id = "listEvents", tag = "events", security(("bearer" = [])),
    params(
        ("type" = Option<String>, Query,
         description = "Only events of this type, such as `order.created`", min_length = 1, max_length = 100),
        ("userId" = Option<String>, Query,
         description = "Only events about this user", min_length = 1, max_length = 255),
        ("productId" = Option<String>, Query,
         description = "Only events about this product, including orders with a line for it",
         min_length = 1, max_length = 64),
        ("vendorId" = Option<String>, Query,
         description = "Only events about this vendor, including orders with a line for it; cancellations and refunds \
                        of it are the events of `seller_refunds:<vendor>`",
         min_length = 1, max_length = 64),
        ("from" = Option<String>, Query, description = "Only events that happened on this date or at this time, or later"),
        ("to" = Option<String>, Query, description = "Only events that happened until the end of this date, or before this time"),
        ("asOf" = Option<i64>, Query, description = "`asOf` of an answer: only events that it includes", minimum = 0),
        ("where" = Option<Vec<String>>, Query,
         description = "Only events with this value in their payload, as in `metadata.source=search`: a path of names \
                        with dots, and a value that is compared as text; `null` is no value, and `\"null\"` that text. \
                        May be given up to 5 times; all must hold. Then `from` must be at most 31 days before `to`, or \
                        366 days if one of the fields has an index (`analytics-jobs metadata-index`)",
         max_items = 5),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query,
         description = "`nextCursor` of the previous page; for NDJSON the id of the last line"),
    ),
    responses(
        (status = 200, description = "A page of events", content((EventPage = "application/json"), (String = "application/x-ndjson"))),
        Unchanged, Failures, Changed
    )
)]
pub(crate) async fn list(
    principal: Principal,
    request: HttpRequest,
    settings: Data<ApiSettings>,
    database: Data<Database>,
    streams: Data<Streams>,
) -> Result<HttpResponse, Problem> {
    let access = caller::event_log(&principal)?;
    let calendar = settings.business.calendar;
    let names = ["type", "userId", "productId", "vendorId", "from", "to", "asOf", "limit", "cursor"];
    let query = Query::of(&request, &names, &["where"])?;
    let now = database.now();
    let (from, to) = range::of_list(&query, calendar)?;
    let mut filter = EventFilter {
        event_type: query.text("type", LONGEST)?,
        user: query.text("userId", MAX_PLAIN_CHARS)?,
        product: query.text("productId", MAX_ENCODED_CHARS)?,
        vendor: query.text("vendorId", MAX_ENCODED_CHARS)?,
        from,
        to,
        conditions: conditions::conditions(&query)?,
        before: None,
    };
    if lines::asked(&request) {
        let start = Start::of(&query)?;
        return streams.answer(&request, start, Log { database, access, calendar, filter, now }).await;
    }
    filter.before = query.cursor_key()?;
    let (limit, as_of) = (query.limit()?, query.optional("asOf", lines::number)?);
    let (as_of, found) = database
        .read_expensive(move |connection| page(connection, access, calendar, &filter, now, as_of, limit.into()))
        .await??;
    let next = found.next.map(|id| id.to_string());
    Ok(Page::with_next(found.events.into_iter().map(body).collect(), next).answer(&request, as_of))
}

/// Reads a page as of a batch, without one as of the last. Returns the batch's number as well.
fn page(
    connection: &mut Connection,
    access: EventLogAccess,
    calendar: Calendar,
    filter: &EventFilter,
    now: DateTime<Utc>,
    as_of: Option<i64>,
    limit: usize,
) -> Result<Result<(i64, Found), Problem>, DbError> {
    if let Err(problem) = check(connection, filter, now)? {
        return Ok(Err(problem));
    }
    let as_of = match as_of {
        Some(number) => AsOf::at(connection, number)?,
        None => Ok(AsOf::latest(connection)?),
    };
    let as_of = match as_of {
        Ok(as_of) => as_of,
        Err(why) => return Ok(Err(not_as_of(why))),
    };
    Ok(Ok((as_of.number, events::newest(connection, access, &as_of, calendar, filter, limit)?)))
}

/// The event log as a list to stream.
struct Log {
    database: Data<Database>,
    access: EventLogAccess,
    calendar: Calendar,
    filter: EventFilter,
    /// When the stream began: the end of the range that has none.
    now: DateTime<Utc>,
}

impl Source for Log {
    async fn page(&self, start: Start, limit: usize) -> Result<(i64, Lines), Problem> {
        let (access, calendar, now) = (self.access, self.calendar, self.now);
        let filter = EventFilter { before: start.after, ..self.filter.clone() };
        let read =
            move |connection: &mut Connection| page(connection, access, calendar, &filter, now, start.as_of, limit);
        let (as_of, found) = self.database.read_expensive(read).await??;
        Ok((as_of, Lines::of(found.events.into_iter().map(body), found.next)?))
    }
}

/// Checks that a list with conditions on payloads is of a range that is not too long.
fn check(
    connection: &mut Connection,
    filter: &EventFilter,
    now: DateTime<Utc>,
) -> Result<Result<(), Problem>, DbError> {
    if filter.conditions.is_empty() {
        return Ok(Ok(()));
    }
    let indexes = metadata_indexes::all(connection)?;
    let (to, event_type) = (filter.to.unwrap_or(now), filter.event_type.as_deref());
    Ok(conditions::check_range(filter.from, to, &filter.conditions, event_type, &indexes))
}

/// Get an event
///
/// The event as it was logged, with its payload.
#[utoipa::path(
    get, path = "/api/events/{id}", operation_id = "getEvent", tag = "events", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The event's id")),
    responses((status = 200, description = "The event", body = NumberedEvent), Unchanged, Failures, NotFound)
)]
pub(crate) async fn one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    let access = caller::event_log(&principal)?;
    Query::of(&request, &[], &[])?;
    let id: Uuid = path.parse().map_err(|_| Problem::invalid_parameter("id", "must be a UUID"))?;
    let (found, as_of) = database.read_as_of(move |connection| events::by_id(connection, access, id)).await?;
    Ok(numbered(HttpResponse::Ok(), as_of, body(found.ok_or_else(Problem::event_not_found)?)))
}

fn body(event: LoggedEvent) -> EventBody {
    let LoggedEvent { id, event_type, user_id, metadata, created_at, ingested_at, .. } = event;
    EventBody { id, event_type, user_id, metadata, created_at, ingested_at }
}

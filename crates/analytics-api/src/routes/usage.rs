//! `GET /api/events/stats`: how many events of each type happened.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::web::{Data, Json};
use analytics_core::period::Interval;
use analytics_db::read::usage;
use chrono::{DateTime, FixedOffset};
use serde::Serialize;
use utoipa::ToSchema;

use super::metrics::LONGEST;
use crate::database::Database;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;
use crate::range::{Finest, Range};
use crate::settings::ApiSettings;

/// Events by type over time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventStats)]
pub(crate) struct EventStatsBody {
    /// `day`, `week`, `month` or `year`.
    interval: &'static str,
    timezone: &'static str,
    buckets: Vec<EventBucket>,
}

/// The events of one bucket.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventBucket {
    start: DateTime<FixedOffset>,
    end: DateTime<FixedOffset>,
    /// The number of events by type. Every type that the range has is in every bucket.
    counts: BTreeMap<String, i64>,
}

/// Count events by type over time
///
/// By when they happened. Events are counted by business day, so the interval is a day or longer.
#[utoipa::path(
    get, path = "/api/events/stats", operation_id = "getEventStats", tag = "events", security(("bearer" = [])),
    params(
        ("interval" = Option<String>, Query, description = "`day` (the default), `week`, `month` or `year`"),
        ("type" = Option<String>, Query, description = "Only events of this type"),
        ("period" = Option<String>, Query, description = "`today`, `yesterday`, `7d`, `30d` (the default), `90d`, `this_month`, `last_month`, `this_year` or `all`: from the first day with events"),
        ("from" = Option<String>, Query, description = "A date, or the time at which a business day starts"),
        ("to" = Option<String>, Query, description = "A date, which is included; default today"),
    ),
    responses((status = 200, description = "The counts", body = EventStatsBody), Unchanged, Failures)
)]
pub(crate) async fn show(
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<Json<EventStatsBody>, Problem> {
    let query = Query::of(&request, &["interval", "type", "period", "from", "to"], &[])?;
    let calendar = settings.business.calendar;
    let event_type = query.text("type", LONGEST)?;
    let range = Range::of(&query, &database, &settings, Finest::Day).await?;
    let interval = range.interval(&query)?;
    if interval == Interval::Hour {
        return Err(Problem::invalid_parameter("interval", "must be day or longer: events are counted by day"));
    }
    let buckets = range.buckets(calendar, settings.week_start, interval)?;
    let first = calendar.day(range.span.from.into());
    let last = calendar.day((range.span.to - chrono::Duration::seconds(1)).into());
    let rows = database.read(move |connection| usage::by_day(connection, first, last, event_type.as_deref())).await?;
    let none: BTreeMap<String, i64> = rows.iter().map(|row| (row.event_type.clone(), 0)).collect();
    let mut counts = vec![none; buckets.len()];
    for row in rows {
        let start = calendar.day_start(row.day);
        let bucket = buckets.partition_point(|bucket| bucket.to <= start);
        if let Some(count) = counts.get_mut(bucket).and_then(|counts| counts.get_mut(&row.event_type)) {
            *count += row.events;
        }
    }
    let bucket = |(span, counts): (&analytics_core::period::Span, _)| EventBucket {
        start: calendar.shown(span.from),
        end: calendar.shown(span.to),
        counts,
    };
    let buckets = buckets.iter().zip(counts).map(bucket).collect();
    Ok(Json(EventStatsBody { interval: interval.name(), timezone: calendar.name(), buckets }))
}

//! `GET /api/events/stats`: how many events of each type happened, and which values their payloads
//! have.

use std::collections::BTreeMap;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::metadata::MetadataPath;
use analytics_core::period::{Interval, Span};
use analytics_core::topics::{EventType, Topics};
use analytics_db::read::usage::{self, Counted, Group};
use analytics_db::read::{AsOf, EventLogAccess};
use analytics_db::tables::metadata_indexes;
use analytics_db::{Connection, DbError};
use chrono::{DateTime, Duration, FixedOffset, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;

use super::metrics::LONGEST;
use crate::as_of::answer;
use crate::database::Database;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;
use crate::range::{Finest, Range, check_days};
use crate::settings::ApiSettings;
use crate::{caller, conditions};

/// The longest range that is counted by hours, in days.
const MOST_DAYS_OF_HOURS: i64 = 7;

/// Events by type over time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventStats)]
pub(crate) struct EventStatsBody {
    /// `hour`, `day`, `week`, `month` or `year`.
    interval: &'static str,
    timezone: &'static str,
    /// The number of the last batch that the counts include.
    as_of: i64,
    buckets: Vec<EventBucket>,
    /// The values of the field in `by`, over all buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<ValuesBody>,
}

/// The events of one bucket.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventBucket {
    start: DateTime<FixedOffset>,
    end: DateTime<FixedOffset>,
    /// The number of events by type. The types of all topics that are counted are in every bucket, and
    /// others that the range has; with `type`, only that.
    counts: BTreeMap<String, i64>,
    /// The number of events with each of the most frequent values of the range; with `by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<BTreeMap<String, i64>>,
    /// The number of events with another value; with `by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<i64>,
    /// The number of events without a value: the field is absent or null; with `by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<i64>,
}

/// Events by the values of a field.
#[derive(Serialize, ToSchema)]
#[schema(as = EventValues)]
pub(crate) struct ValuesBody {
    /// The field, as in `by`.
    path: String,
    /// The most frequent values, at most 50, the most frequent one first.
    values: Vec<ValueBody>,
    /// The number of events with another value, or with one of more than 100 characters.
    other: i64,
    /// The number of events without a value: the field is absent or null.
    missing: i64,
}

/// A value of a field.
#[derive(Serialize, ToSchema)]
#[schema(as = EventValue)]
pub(crate) struct ValueBody {
    /// The value as text.
    value: String,
    /// The number of events that have it.
    events: i64,
}

/// Count events by type over time
///
/// By when they happened. Days and longer intervals of all events are counted by ingest. For hours,
/// and with `where` or `by`, the events of the log are counted, which takes time: by hour at most 7
/// days; with `where` or `by` at most 31 days, or 366 days if a field of `where` has an index
/// (`analytics-jobs metadata-index`). What takes longer than a statement may take is 503.
#[utoipa::path(
    get, path = "/api/events/stats", operation_id = "getEventStats", tag = "events", security(("bearer" = [])),
    params(
        ("interval" = Option<String>, Query, description = "`hour`, `day` (the default), `week`, `month` or `year`"),
        ("type" = Option<String>, Query, description = "Only events of this type"),
        ("where" = Option<Vec<String>>, Query,
         description = "Only events with this value in their payload, as in `metadata.source=search`: a path of names \
                        with dots, and a value that is compared as text; `null` is no value, and `\"null\"` that text. \
                        May be given up to 5 times; all must hold",
         max_items = 5),
        ("by" = Option<String>, Query,
         description = "Also count by the values of this field of the payload, as in `metadata.source`: the 50 most \
                        frequent ones, all others, and the events without a value"),
        ("period" = Option<String>, Query, description = "`today`, `yesterday`, `7d` (the default for hours), `30d` (the default), `90d`, `this_month`, `last_month`, `this_year` or `all`: from the first day with events"),
        ("from" = Option<String>, Query, description = "A date, or the time at which a business day starts; for hours, `where` and `by` any full hour"),
        ("to" = Option<String>, Query, description = "A date, which is included; default today"),
    ),
    responses((status = 200, description = "The counts", body = EventStatsBody), Unchanged, Failures)
)]
pub(crate) async fn show(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let access = caller::event_log(&principal)?;
    let query = Query::of(&request, &["interval", "type", "by", "period", "from", "to"], &["where"])?;
    let calendar = settings.business.calendar;
    let event_type = query.text("type", LONGEST)?;
    let (conditions, by) = (conditions::conditions(&query)?, conditions::by(&query)?);
    let is_by_hour = query.get("interval") == Some(Interval::Hour.name());
    let is_of_log = is_by_hour || !conditions.is_empty() || by.is_some();
    let (default, finest) = if is_by_hour { ("7d", Finest::Hour) } else { ("30d", Finest::Day) };
    let finest = if is_of_log { Finest::Hour } else { finest };
    let range = Range::of_or(default, &query, &database, &settings, finest).await?;
    let interval = range.interval(&query)?;
    let span = range.span;
    if is_by_hour {
        check_days(Some(span.from), span.to, MOST_DAYS_OF_HOURS, " if interval is hour")?;
    }
    let buckets = range.buckets(calendar, settings.week_start, interval)?;
    let no_events = no_events(event_type.as_deref(), &settings.decoder.topics);
    let (groups, as_of) = if is_of_log {
        let counted = Counted { buckets: buckets.clone(), event_type, conditions, by: by.clone() };
        database.read_expensive(move |connection| of_log(connection, access, &counted, span)).await??
    } else {
        let first = calendar.day(span.from.into());
        let last = calendar.day((span.to - Duration::seconds(1)).into());
        let (days, as_of) = database
            .read_as_of(move |connection| usage::by_day(connection, first, last, event_type.as_deref()))
            .await?;
        let bucket = |start: DateTime<Utc>| buckets.partition_point(|bucket| bucket.to <= start);
        let group =
            |day: usage::EventDay| (bucket(calendar.day_start(day.day)), Group::Type(day.event_type), day.events);
        (days.into_iter().map(group).collect(), as_of)
    };
    let shown = |time| calendar.shown(time);
    let (buckets, by) = arranged(&buckets, no_events, groups, by, shown);
    let body = EventStatsBody { interval: interval.name(), timezone: calendar.name(), as_of, buckets, by };
    Ok(answer(HttpResponse::Ok(), as_of, &body))
}

/// The types that every bucket has, whether or not there are events of them: the one that was asked
/// for, or those of all topics.
fn no_events(asked: Option<&str>, topics: &Topics) -> BTreeMap<String, i64> {
    let of_topics = topics.names().filter(|_| asked.is_none()).filter_map(|topic| topics.event_type(topic));
    asked.into_iter().chain(of_topics.map(EventType::name)).map(|name| (name.to_owned(), 0)).collect()
}

/// The index of a bucket, a group of its events, and their number.
type Counts = Vec<(usize, Group, i64)>;

fn of_log(
    connection: &mut Connection,
    access: EventLogAccess,
    counted: &Counted,
    span: Span,
) -> Result<Result<(Counts, i64), Problem>, DbError> {
    if !counted.conditions.is_empty() || counted.by.is_some() {
        let (indexes, event_type) = (metadata_indexes::all(connection)?, counted.event_type.as_deref());
        if let Err(problem) =
            conditions::check_range(Some(span.from), span.to, &counted.conditions, event_type, &indexes)
        {
            return Ok(Err(problem));
        }
    }
    let as_of = AsOf::latest(connection)?;
    let counts = usage::count(connection, access, &as_of, counted)?;
    Ok(Ok((counts, as_of.number)))
}

/// Arranges the counts by bucket. Every type and every value is in every bucket.
fn arranged(
    spans: &[Span],
    mut types: BTreeMap<String, i64>,
    groups: Counts,
    by: Option<MetadataPath>,
    shown: impl Fn(DateTime<Utc>) -> DateTime<FixedOffset>,
) -> (Vec<EventBucket>, Option<ValuesBody>) {
    let (mut values, mut other, mut missing) = (BTreeMap::new(), 0, 0);
    for (_, group, events) in &groups {
        match group {
            Group::Type(name) => drop(types.insert(name.clone(), 0)),
            Group::Value(value) => *values.entry(value.clone()).or_default() += events,
            Group::Other => other += events,
            Group::Missing => missing += events,
        }
    }
    let no_values: BTreeMap<String, i64> = values.keys().map(|value| (value.clone(), 0)).collect();
    let bucket = |span: &Span| EventBucket {
        start: shown(span.from),
        end: shown(span.to),
        counts: types.clone(),
        values: by.as_ref().map(|_| no_values.clone()),
        other: by.as_ref().map(|_| 0),
        missing: by.as_ref().map(|_| 0),
    };
    let mut buckets: Vec<EventBucket> = spans.iter().map(bucket).collect();
    for (number, group, events) in groups {
        let Some(bucket) = buckets.get_mut(number) else { continue };
        let count = match group {
            Group::Type(name) => bucket.counts.get_mut(&name),
            Group::Value(value) => bucket.values.as_mut().and_then(|values| values.get_mut(&value)),
            Group::Other => bucket.other.as_mut(),
            Group::Missing => bucket.missing.as_mut(),
        };
        if let Some(count) = count {
            *count += events;
        }
    }
    let by = by.map(|path| {
        let mut values: Vec<ValueBody> =
            values.into_iter().map(|(value, events)| ValueBody { value, events }).collect();
        // Sorted by value before, and so among values of the same number.
        values.sort_by_key(|value| std::cmp::Reverse(value.events));
        ValuesBody { path: format!("metadata.{path}"), values, other, missing }
    });
    (buckets, by)
}

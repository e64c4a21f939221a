//! `GET /api/arrivals/stats`: what became of the records of each topic, by when they arrived.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::period::Interval;
use analytics_db::read::arrivals::{self, Outcome};
use chrono::{DateTime, FixedOffset};
use serde::Serialize;
use utoipa::ToSchema;

use crate::as_of::answer;
use crate::database::Database;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;
use crate::range::{Finest, Range, check_days};
use crate::settings::ApiSettings;

/// Greatest length of the name of a topic, in characters.
const LONGEST_TOPIC: usize = 249;
/// The longest range, in days.
const MOST_DAYS: i64 = 366;
/// The longest range by hour, in days.
const MOST_DAYS_OF_HOURS: i64 = 31;

/// What became of records, by the time of their arrival.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ArrivalStats)]
pub(crate) struct ArrivalStatsBody {
    /// `hour`, `day`, `week`, `month` or `year`.
    interval: &'static str,
    timezone: &'static str,
    /// The number of the last batch that the counts include.
    as_of: i64,
    buckets: Vec<ArrivalBucket>,
}

/// The records that arrived in one bucket.
#[derive(Serialize, ToSchema)]
pub(crate) struct ArrivalBucket {
    start: DateTime<FixedOffset>,
    end: DateTime<FixedOffset>,
    /// What became of them, by topic. Every topic that the range has is in every bucket.
    topics: BTreeMap<String, ArrivedBody>,
}

/// What became of the records of a topic.
#[derive(Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Arrived)]
pub(crate) struct ArrivedBody {
    /// The number of records that were counted.
    events: i64,
    /// The number of records that repeated a known event and were ignored.
    duplicates: i64,
    /// The number of records that were rejected, by reason; also of those that were not kept as dead
    /// letters.
    dead_letters: BTreeMap<String, i64>,
}

/// Count records by topic and time of arrival
///
/// What became of the records of each topic: counted, ignored as duplicates, or rejected with a
/// reason. By the hour in which ingest counted them, by the database's clock, and not by when their
/// events happened. A record that is read again, after an offset was set back, arrives again; a
/// replay of a dead letter is no arrival.
#[utoipa::path(
    get, path = "/api/arrivals/stats", operation_id = "getArrivalStats", tag = "events", security(("bearer" = [])),
    params(
        ("interval" = Option<String>, Query, description = "`hour` (at most 31 days), `day` (the default), `week`, `month` or `year`"),
        ("topic" = Option<String>, Query, description = "Only records of this topic", min_length = 1, max_length = 249),
        ("period" = Option<String>, Query, description = "`today`, `yesterday`, `7d` (the default), `30d`, `90d`, `this_month`, `last_month`, `this_year` or `all`: from the first day with events"),
        ("from" = Option<String>, Query, description = "A date, or a time at a full hour, at most 366 days before `to`"),
        ("to" = Option<String>, Query, description = "A date, which is included, or a time; default today"),
    ),
    responses((status = 200, description = "The counts", body = ArrivalStatsBody), Unchanged, Failures)
)]
pub(crate) async fn show(
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["interval", "topic", "period", "from", "to"], &[])?;
    let calendar = settings.business.calendar;
    let topic = query.text("topic", LONGEST_TOPIC)?;
    let range = Range::of_or("7d", &query, &database, &settings, Finest::Hour).await?;
    let interval = range.interval(&query)?;
    let (most, why) =
        if interval == Interval::Hour { (MOST_DAYS_OF_HOURS, " if interval is hour") } else { (MOST_DAYS, "") };
    check_days(Some(range.span.from), range.span.to, most, why)?;
    let spans = range.buckets(calendar, settings.week_start, interval)?;
    let counted = spans.clone();
    let (arrived, as_of) = database
        .read_expensive_as_of(move |connection| arrivals::count(connection, &counted, topic.as_deref()))
        .await?;
    let topics: BTreeSet<&String> = arrived.iter().map(|arrived| &arrived.topic).collect();
    let none: BTreeMap<String, ArrivedBody> =
        topics.into_iter().map(|topic| (topic.clone(), ArrivedBody::default())).collect();
    let mut buckets: Vec<ArrivalBucket> = spans
        .iter()
        .map(|span| ArrivalBucket {
            start: calendar.shown(span.from),
            end: calendar.shown(span.to),
            topics: none.clone(),
        })
        .collect();
    for arrived in arrived {
        let Some(bucket) = buckets.get_mut(arrived.bucket) else { continue };
        let topic = bucket.topics.entry(arrived.topic).or_default();
        match arrived.outcome {
            Outcome::Event => topic.events += arrived.records,
            Outcome::Duplicate => topic.duplicates += arrived.records,
            Outcome::Rejected(reason) => *topic.dead_letters.entry(reason).or_default() += arrived.records,
        }
    }
    let body = ArrivalStatsBody { interval: interval.name(), timezone: calendar.name(), as_of, buckets };
    Ok(answer(HttpResponse::Ok(), as_of, &body))
}

//! `GET /api/freshness`: up to when the numbers are complete. Distinguishes "no sales" from "no
//! data".

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::freshness::{self, Freshness, TopicReport};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::as_of::answer;
use crate::database::Database;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;

/// How fresh the numbers are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Freshness)]
pub(crate) struct FreshnessBody {
    /// The number of the last batch that was counted, as of the last check of the database; null before
    /// the first one.
    pub(crate) as_of: Option<i64>,
    /// The worst state of any topic.
    pub(crate) state: State,
    /// Why the state is not `live`.
    pub(crate) reason: Option<&'static str>,
    /// Everything that was in Kafka at this time is counted; null until every partition was counted
    /// completely at least once.
    pub(crate) counted_up_to: Option<DateTime<Utc>>,
    /// The age of `countedUpTo`, in seconds.
    pub(crate) lag_seconds: Option<i64>,
    topics: Vec<TopicBody>,
}

/// How fresh the numbers of one topic are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TopicFreshness)]
pub(crate) struct TopicBody {
    topic: String,
    /// The worst state of any partition.
    state: State,
    /// Why the state is not `live`.
    reason: Option<&'static str>,
    /// Everything that was in the topic at this time is counted; null until each of its partitions
    /// was counted completely at least once.
    counted_up_to: Option<DateTime<Utc>>,
    /// The age of `countedUpTo`, in seconds.
    lag_seconds: Option<i64>,
    /// Number of records in the topic that were not counted at the last reports of ingest.
    lag_messages: i64,
    /// The latest time of an event that was counted.
    last_event_time: Option<DateTime<Utc>>,
    /// The time of the last report of ingest, for the partition with the oldest one.
    heard_at: Option<DateTime<Utc>>,
}

/// Whether the numbers are up to date. `idle`: an optional topic that does not exist; `live`: records
/// are counted within seconds; `delayed`: ingest is counting, but is behind; `stalled`: no worker is
/// counting, or the state is not known.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    Idle,
    Live,
    Delayed,
    Stalled,
}

impl From<freshness::State> for State {
    fn from(state: freshness::State) -> Self {
        match state {
            freshness::State::Idle => Self::Idle,
            freshness::State::Live => Self::Live,
            freshness::State::Delayed => Self::Delayed,
            freshness::State::Stalled => Self::Stalled,
        }
    }
}

impl FreshnessBody {
    /// Judges the latest reports of ingest, by the database's clock.
    pub(crate) fn of(database: &Database) -> Self {
        let (checked, now) = (database.checked(), database.now());
        let judged: Vec<(TopicReport, Freshness)> = checked
            .reports
            .into_iter()
            .map(|report| {
                let freshness = report.judge(now);
                (report, freshness)
            })
            .collect();
        let Freshness { state, reason, counted_up_to, .. } = Freshness::of_all(&judged);
        let lag_seconds = lag_seconds(counted_up_to, now);
        let topics = judged.into_iter().map(|(report, freshness)| TopicBody::of(report, freshness, now)).collect();
        Self { as_of: checked.number, state: state.into(), reason, counted_up_to, lag_seconds, topics }
    }
}

impl TopicBody {
    fn of(report: TopicReport, freshness: Freshness, now: DateTime<Utc>) -> Self {
        let TopicReport { topic, last_event_time, .. } = report;
        let Freshness { state, reason, counted_up_to, lag_messages, heard_at } = freshness;
        let lag_seconds = lag_seconds(counted_up_to, now);
        let state = state.into();
        Self { topic, state, reason, counted_up_to, lag_seconds, lag_messages, last_event_time, heard_at }
    }
}

fn lag_seconds(counted_up_to: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<i64> {
    counted_up_to.map(|time| (now - time).num_seconds().max(0))
}

/// Get the freshness of the numbers
///
/// Derived from the last time at which everything in each partition had been counted, according to
/// the latest reports of ingest. The state is `stalled` if ingest is dead, if the broker does not
/// answer, or if the database replica does not follow its primary.
#[utoipa::path(
    get, path = "/api/freshness", operation_id = "getFreshness", tag = "freshness", security(("bearer" = [])),
    responses((status = 200, description = "The freshness of the numbers", body = FreshnessBody), Unchanged, Failures)
)]
pub(crate) async fn show(request: HttpRequest, database: Data<Database>) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[], &[])?;
    let body = FreshnessBody::of(&database);
    Ok(match body.as_of {
        Some(as_of) => answer(HttpResponse::Ok(), as_of, &body),
        None => HttpResponse::Ok().json(body),
    })
}

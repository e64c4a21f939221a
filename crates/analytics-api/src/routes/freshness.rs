//! `GET /api/freshness`: no sales can be told from no data.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json};
use analytics_core::freshness::{self, Freshness, TopicReport};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::database::Database;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;

/// How fresh the numbers are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Freshness)]
pub(crate) struct FreshnessBody {
    /// The worst state of any topic.
    state: State,
    /// Why it is not `live`.
    reason: Option<&'static str>,
    /// Everything that was in Kafka at this time is counted; null before that was so once.
    pub(crate) counted_up_to: Option<DateTime<Utc>>,
    /// How long ago that is.
    pub(crate) lag_seconds: Option<i64>,
    topics: Vec<TopicBody>,
}

/// How fresh the numbers of one topic are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TopicFreshness)]
pub(crate) struct TopicBody {
    topic: String,
    state: State,
    /// Why it is not `live`.
    reason: Option<&'static str>,
    /// Everything that was in the topic at this time is counted; null before that was so once.
    counted_up_to: Option<DateTime<Utc>>,
    /// How long ago that is.
    lag_seconds: Option<i64>,
    /// Messages in the topic that are not counted yet, when ingest last spoke.
    lag_messages: i64,
    /// The latest time of an event that was counted.
    last_event_time: Option<DateTime<Utc>>,
    /// When ingest last spoke of the partition that it spoke of least recently.
    heard_at: Option<DateTime<Utc>>,
}

/// Whether numbers can be relied on to be up to date: `live` is counted within seconds, `delayed` is counting
/// but behind, `stalled` is that nobody counts, or nobody tells.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    Live,
    Delayed,
    Stalled,
}

impl From<freshness::State> for State {
    fn from(state: freshness::State) -> Self {
        match state {
            freshness::State::Live => Self::Live,
            freshness::State::Delayed => Self::Delayed,
            freshness::State::Stalled => Self::Stalled,
        }
    }
}

impl FreshnessBody {
    /// Judges what ingest last said, by the database's clock.
    pub(crate) fn of(database: &Database) -> Self {
        let now = database.now();
        let judged: Vec<(TopicReport, Freshness)> = database
            .reports()
            .into_iter()
            .map(|report| {
                let freshness = report.judge(now);
                (report, freshness)
            })
            .collect();
        let Freshness { state, reason, counted_up_to, .. } = Freshness::of_all(&judged);
        let lag_seconds = lag_seconds(counted_up_to, now);
        let topics = judged.into_iter().map(|(report, freshness)| TopicBody::of(report, freshness, now)).collect();
        Self { state: state.into(), reason, counted_up_to, lag_seconds, topics }
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

/// How fresh the numbers are
///
/// Judged by how long ago everything in each partition was counted, as ingest last said of itself: a dead
/// ingest, a broker that does not answer and a replica that does not follow read as stalled.
#[utoipa::path(
    get, path = "/api/freshness", operation_id = "getFreshness", tag = "freshness", security(("bearer" = [])),
    responses((status = 200, description = "How fresh they are", body = FreshnessBody), Unchanged, Failures)
)]
pub(crate) async fn show(request: HttpRequest, database: Data<Database>) -> Result<Json<FreshnessBody>, Problem> {
    Query::of(&request, &[], &[])?;
    Ok(Json(FreshnessBody::of(&database)))
}

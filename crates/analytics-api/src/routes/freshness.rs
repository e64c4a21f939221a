//! `GET /api/freshness`: no sales can be told from no data.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json};
use analytics_db::read::freshness::TopicFreshness;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::{Permission, Principal};
use utoipa::ToSchema;

use crate::caller;
use crate::database::Database;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;

/// Ingest speaks up every 5 seconds. Silence for longer than this is a dead ingest, or a replica
/// that does not follow.
const SILENT_SECONDS: i64 = 30;
/// Numbers that are further behind than this are not live.
const LATE_SECONDS: i64 = 30;

/// How fresh the numbers are.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Freshness {
    /// The worst state of any topic.
    state: State,
    /// Everything that happened before this time is counted; null where nothing was ever read.
    pub(crate) counted_up_to: Option<DateTime<Utc>>,
    /// How long ago that is.
    pub(crate) lag_seconds: Option<i64>,
    topics: Vec<TopicBody>,
}

/// How fresh the numbers of one topic are.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TopicFreshness)]
pub(crate) struct TopicBody {
    topic: String,
    state: State,
    /// Everything that happened before this time is counted.
    counted_up_to: DateTime<Utc>,
    /// How long ago that is.
    lag_seconds: i64,
    /// Messages in the topic that are not counted yet, when ingest last spoke.
    lag_messages: i64,
    /// The latest time of an event that was counted.
    last_event_time: Option<DateTime<Utc>>,
    /// When ingest last spoke of the topic.
    heard_at: DateTime<Utc>,
}

/// Whether numbers can be relied on to be up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    /// Counted within seconds.
    Live,
    /// Counting, but behind.
    Delayed,
    /// Nobody is counting, or nobody tells.
    Stalled,
}

impl Freshness {
    /// Judges what ingest last said by how long ago that was.
    pub(crate) fn judge(topics: Vec<TopicFreshness>, now: DateTime<Utc>) -> Self {
        let topics: Vec<TopicBody> = topics.into_iter().map(|topic| TopicBody::judge(topic, now)).collect();
        Self {
            state: topics.iter().map(|topic| topic.state).max().unwrap_or(State::Stalled),
            counted_up_to: topics.iter().map(|topic| topic.counted_up_to).min(),
            lag_seconds: topics.iter().map(|topic| topic.lag_seconds).max(),
            topics,
        }
    }
}

impl TopicBody {
    fn judge(topic: TopicFreshness, now: DateTime<Utc>) -> Self {
        let TopicFreshness { topic, last_event_time, lag_messages, heard_at } = topic;
        // Without a lag everything up to the last word is counted; with one, up to the last event.
        let behind = last_event_time.filter(|_| lag_messages > 0);
        let counted_up_to = behind.map_or(heard_at, |last| last.min(heard_at));
        let lag_seconds = (now - counted_up_to).num_seconds().max(0);
        let state = if (now - heard_at).num_seconds() > SILENT_SECONDS {
            State::Stalled
        } else if lag_seconds > LATE_SECONDS {
            State::Delayed
        } else {
            State::Live
        };
        Self { topic, state, counted_up_to, lag_seconds, lag_messages, last_event_time, heard_at }
    }
}

/// How fresh the numbers are
///
/// Judged by the age of what ingest last said of itself, so that a dead ingest and a replica that
/// does not follow read as stalled.
#[utoipa::path(
    get, path = "/api/freshness", tag = "freshness", security(("bearer" = [])),
    responses((status = 200, body = Freshness), Unchanged, Failures)
)]
pub(crate) async fn show(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<Json<Freshness>, Problem> {
    caller::need(&principal, Permission::ReadPublic)?;
    Query::of(&request, &[], &[])?;
    Ok(Json(Freshness::judge(database.freshness(), Utc::now())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_judged_by_its_age() {
        let now: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
        let ago = |seconds| now - chrono::Duration::seconds(seconds);
        for (heard, last_event, lag_messages, state, lag_seconds) in [
            (3, Some(2), 0, State::Live, 3),
            (3, Some(86_400), 0, State::Live, 3),
            (3, None, 0, State::Live, 3),
            (3, Some(10), 500, State::Live, 10),
            (3, Some(600), 500, State::Delayed, 600),
            (31, Some(2), 0, State::Stalled, 31),
            (3600, Some(2), 0, State::Stalled, 3600),
        ] {
            let said = TopicFreshness {
                topic: "t".into(),
                last_event_time: last_event.map(ago),
                lag_messages,
                heard_at: ago(heard),
            };
            let judged = Freshness::judge(vec![said], now);
            assert_eq!(
                (judged.state, judged.lag_seconds),
                (state, Some(lag_seconds)),
                "{heard} {last_event:?} {lag_messages}"
            );
        }
        assert_eq!(Freshness::judge(vec![], now).state, State::Stalled, "nothing was ever read");
    }
}

//! `GET /api/proofs`: the results of recounting the metrics from the event log.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use analytics_db::verify::proofs::{self, Proof};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::database::Database;
use crate::page::Page;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;

/// The result of a run of `analytics-jobs verify`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Proof)]
pub(crate) struct ProofBody {
    id: i64,
    /// When the run began. Each day was verified in a snapshot of its own, then all metrics.
    proved_at: DateTime<Utc>,
    /// Whether every day was read from the event log. Otherwise days that were proved before and
    /// have not changed since were skipped.
    complete: bool,
    /// The latest version of the rules at that time. Each event is recounted by the version that
    /// first counted it.
    rules_version: i16,
    /// Number of days that have numbers.
    days: i32,
    /// Number of days that were read from the event log.
    days_read: i32,
    /// Number of events of the days that were read.
    events_read: i64,
    /// Number of numbers that were compared.
    keys_checked: i64,
    /// How many numbers differed from the event log; should be 0.
    drift: i64,
    /// A hash of all numbers: equal digests mean equal numbers, if nothing was counted during the runs.
    digest: Uuid,
    /// The number of the last batch that is contained in each part: `days` by day, and `metrics`.
    #[schema(value_type = Object)]
    watermarks: Value,
    /// The stored offset of each partition when the run began, with `group`, `topic`, `partition` and
    /// `nextOffset`.
    #[schema(value_type = Vec<Object>)]
    offsets: Value,
    /// The first 100 differences, each with `kind`, `key`, `found` and `expected`.
    #[schema(value_type = Vec<Object>)]
    differences: Value,
    /// How the counted records compare with those that Kafka held, as far as `analytics-ingest audit` has compared
    /// them: `whole`; the `ranges` and `records` that are `equal`, `notYetAudited` (since `notYetAuditedSince`) or
    /// `goneUnaudited`; the first 100 `gaps` and `differences`, and the number of all of them. Null in proofs of
    /// earlier versions.
    #[schema(value_type = Option<Object>)]
    coverage: Option<Value>,
    /// How long the run took, in milliseconds.
    took_ms: i64,
}

/// An alias for the OpenAPI macro, which does not support generic types.
type ProofPage = Page<ProofBody>;

/// List proofs
///
/// Newest first. Each is the result of a run of `analytics-jobs verify`, which recounts the numbers
/// from the event log and compares them.
#[utoipa::path(
    get, path = "/api/proofs", operation_id = "listProofs", tag = "proofs", security(("bearer" = [])),
    params(
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of proofs", body = ProofPage), Unchanged, Failures)
)]
pub(crate) async fn list(request: HttpRequest, database: Data<Database>) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let before: Option<i64> = query.cursor_key()?;
    let more = i64::from(limit) + 1;
    let (found, as_of) =
        database.read_expensive_as_of(move |connection| proofs::newest(connection, before, more)).await?;
    Ok(Page::of(found, limit, |proof| proof.id.to_string(), body).answer(&request, as_of))
}

fn body(proof: Proof) -> ProofBody {
    ProofBody {
        id: proof.id,
        proved_at: proof.proved_at,
        complete: proof.complete,
        rules_version: proof.rules_version,
        days: proof.days,
        days_read: proof.days_read,
        events_read: proof.events_read,
        keys_checked: proof.keys_checked,
        drift: proof.drift,
        digest: proof.digest,
        watermarks: proof.watermarks,
        offsets: proof.offsets,
        differences: proof.differences,
        coverage: proof.coverage,
        took_ms: proof.took_ms,
    }
}

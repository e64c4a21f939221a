//! `GET /api/proofs`: what counting everything again came to.

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

/// A run of `analytics-jobs verify`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Proof)]
pub(crate) struct ProofBody {
    id: i64,
    /// When the snapshot was taken that it is about.
    proved_at: DateTime<Utc>,
    /// Every day was read from the log; else days that were proved before and have not changed
    /// since were not.
    complete: bool,
    /// The version of the rules that the program knew; each event is judged by its own.
    rules_version: i16,
    /// Days that have numbers.
    days: i32,
    /// Days that were read from the log.
    days_read: i32,
    events_read: i64,
    keys_checked: i64,
    /// How many numbers were not as the log says. It should be 0.
    drift: i64,
    /// A hash of all numbers: equal digests are equal numbers.
    digest: Uuid,
    /// How far each partition was counted in that snapshot.
    #[schema(value_type = Vec<Object>)]
    offsets: Value,
    /// The first 100 differences, each with `kind`, `key`, `found` and `expected`.
    #[schema(value_type = Vec<Object>)]
    differences: Value,
    took_ms: i64,
}

/// For the document, whose macro knows no generic types.
type ProofPage = Page<ProofBody>;

/// Proofs
///
/// Each is a run of `analytics-jobs verify`: all numbers counted again from the event log, at one
/// snapshot.
#[utoipa::path(
    get, path = "/api/proofs", operation_id = "listProofs", tag = "proofs", security(("bearer" = [])),
    params(
        ("limit" = Option<u16>, Query, description = "Items on a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page of proofs", body = ProofPage), Unchanged, Failures)
)]
pub(crate) async fn list(request: HttpRequest, database: Data<Database>) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let before: Option<i64> = query.cursor_key()?;
    let more = i64::from(limit) + 1;
    let found = database.read(move |connection| proofs::newest(connection, before, more)).await?;
    Ok(Page::of(found, limit, |proof| proof.id.to_string(), body).answer(&request))
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
        offsets: proof.offsets,
        differences: proof.differences,
        took_ms: proof.took_ms,
    }
}

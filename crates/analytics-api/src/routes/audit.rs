//! `GET /api/audit`: who changed what by hand.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use analytics_db::tables::audit_log::{self, Action, AuditFilter, Recorded};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::database::Database;
use crate::page::Page;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;
use crate::range;
use crate::settings::ApiSettings;

/// The maximum length of an actor's name, in characters.
const LONGEST_ACTOR: usize = 255;

/// An administrative write.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdministrativeWrite)]
pub(crate) struct WriteBody {
    id: i64,
    /// When it was done.
    at: DateTime<Utc>,
    /// Who did it: the email, or else the id, in the token; for jobs, the name given by `--actor`.
    actor: String,
    /// What was done, such as `metric.adjust` or `offsets.set`.
    action: String,
    /// What was changed, such as a metric type or a partition.
    subject: String,
    /// More about it; its fields depend on the action.
    #[schema(value_type = Object)]
    detail: Value,
}

/// An alias for the OpenAPI macro, which does not support generic types.
type WritePage = Page<WriteBody>;

/// List administrative writes
///
/// Newest first: adjustments, replayed and discarded dead letters, and what operators did by
/// `analytics-jobs`: offsets, rebuilds, indexes, migrations. Each is recorded in the transaction of
/// the change.
#[utoipa::path(
    get, path = "/api/audit", operation_id = "listAdministrativeWrites", tag = "audit", security(("bearer" = [])),
    params(
        ("actor" = Option<String>, Query, description = "Only what this person or job did", min_length = 1, max_length = 255),
        ("action" = Option<String>, Query, description = "Only actions of this kind, such as `metric.adjust`"),
        ("from" = Option<String>, Query, description = "Only what was done on this date or at this time, or later"),
        ("to" = Option<String>, Query, description = "Only what was done until the end of this date, or before this time"),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of administrative writes", body = WritePage), Unchanged, Failures)
)]
pub(crate) async fn list(
    request: HttpRequest,
    settings: Data<ApiSettings>,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["actor", "action", "from", "to", "limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let before: Option<i64> = query.cursor_key()?;
    let (from, to) = range::of_list(&query, settings.business.calendar)?;
    let filter = AuditFilter {
        actor: query.text("actor", LONGEST_ACTOR)?,
        action: query.optional("action", Action::named)?,
        from,
        to,
    };
    let more = i64::from(limit) + 1;
    let (found, as_of) =
        database.read_expensive_as_of(move |connection| audit_log::newest(connection, &filter, before, more)).await?;
    Ok(Page::of(found, limit, |write| write.id.to_string(), body).answer(&request, as_of))
}

fn body(write: Recorded) -> WriteBody {
    let Recorded { id, acted_at, actor, action, subject, detail } = write;
    WriteBody { id, at: acted_at, actor, action, subject, detail }
}

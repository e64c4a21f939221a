//! `GET /api/anomalies` and `POST /api/anomalies/{id}/acknowledge`: where numbers were not what they
//! usually are.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::ids::VendorId;
use analytics_core::period::Span;
use analytics_db::read::anomalies::{self, Anomaly, AnomalyFilter};
use analytics_db::tables::anomalies as stored;
use chrono::{DateTime, SecondsFormat, Utc};
use percent_encoding::utf8_percent_encode;
use serde::{Deserialize, Serialize};
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::as_of::{Numbered, numbered};
use crate::caller;
use crate::database::Database;
use crate::links::{SEGMENT, events_link};
use crate::page::Page;
use crate::problem::{Failures, NotFound, Problem, TooLarge, Unchanged};
use crate::query::Query;
use crate::settings::ApiSettings;

/// The maximum length of a type, in characters.
const LONGEST_TYPE: usize = 200;
/// The maximum length of a comment, in characters.
const LONGEST_COMMENT: usize = 1000;

/// Hours or days in a row, or nearly so, in which a number was not what it usually is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Anomaly)]
pub(crate) struct AnomalyBody {
    id: Uuid,
    /// What was judged: a type of a metric; `total_conversion`; `events:` and a type of events; or
    /// `freshness`, of the numbers themselves.
    r#type: String,
    /// `drop` or `surge` of the number; `delayed`: the numbers are not complete in time; `unknown`: it is not
    /// known how complete they are.
    verdict: String,
    /// `open`, `acknowledged`, or `resolved`: it has ended.
    state: String,
    /// The start of the first hour or day outside of the band.
    from: DateTime<Utc>,
    /// The end of the last one so far.
    to: DateTime<Utc>,
    /// The value of the one that is the furthest outside. Rates are in basis points, `freshness` in seconds.
    observed: f64,
    /// What was expected of it.
    expected: f64,
    /// The lowest value that is usual.
    lower: f64,
    /// The highest value that is usual.
    upper: f64,
    /// The share of comparable earlier ones that were closer to what was expected of them, from 0 to 1.
    confidence: f64,
    /// The events that the numbers are made of in that time; of `freshness`, up to when each topic is counted.
    events: String,
    /// When it was found.
    opened_at: DateTime<Utc>,
    /// When it ended.
    resolved_at: Option<DateTime<Utc>>,
    /// When it was acknowledged last.
    acknowledged_at: Option<DateTime<Utc>>,
    /// By whom; for admins only.
    acknowledged_by: Option<String>,
    /// What they said about it; for admins only.
    comment: Option<String>,
}

/// What an admin says about an anomaly.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledgement {
    /// Such as why it happened. If it is not given, an earlier comment is kept.
    #[schema(max_length = 1000)]
    comment: Option<String>,
}

/// Aliases for the OpenAPI macro, which does not support generic types.
type AnomalyPage = Page<AnomalyBody>;
type NumberedAnomaly = Numbered<AnomalyBody>;

/// List anomalies
///
/// Newest first. Found by `analytics-jobs anomalies`, in hours and days that are over and completely counted, by
/// the same time of the week in the 8 weeks before. Sellers get those of their own numbers.
#[utoipa::path(
    get, path = "/api/anomalies", operation_id = "listAnomalies", tag = "anomalies", security(("bearer" = [])),
    params(
        ("state" = Option<String>, Query,
         description = "Only anomalies in this state: `open`, `acknowledged`, `resolved`, or `unresolved`: one of the first two"),
        ("verdict" = Option<String>, Query,
         description = "Only anomalies with this verdict: `drop`, `surge`, `delayed` or `unknown`"),
        ("type" = Option<String>, Query, description = "Only anomalies of this type, such as `total_orders`",
         min_length = 1, max_length = 200),
        ("vendorId" = Option<String>, Query, description = "Only anomalies of this seller and its products",
         min_length = 1, max_length = 64),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of anomalies", body = AnomalyPage), Unchanged, Failures)
)]
pub(crate) async fn list(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    let query = Query::of(&request, &["state", "verdict", "type", "vendorId", "limit", "cursor"], &[])?;
    let filter = AnomalyFilter {
        state: query.optional("state", |text| one_of(text, &["open", "acknowledged", "resolved", "unresolved"]))?,
        verdict: query.optional("verdict", |text| one_of(text, &["drop", "surge", "delayed", "unknown"]))?,
        subject: query.text("type", LONGEST_TYPE)?,
        vendor: query.optional("vendorId", VendorId::parse)?.map(|vendor| vendor.as_str().to_owned()),
    };
    let limit = query.limit()?;
    let before = query.cursor()?.map(|key| parsed(&key)).transpose()?;
    let (readable, reads_users) = (tenant.anomalies(), tenant.reads_users());
    let more = i64::from(limit) + 1;
    let (found, as_of) =
        database.read_as_of(move |connection| anomalies::newest(connection, &readable, &filter, before, more)).await?;
    let key = |anomaly: &Anomaly| format!("{}/{}", anomaly.opened_at.timestamp_micros(), anomaly.id);
    let item = |anomaly| body(anomaly, reads_users, &settings, as_of);
    Ok(Page::of(found, limit, key, item).answer(&request, as_of))
}

/// Acknowledge an anomaly
///
/// Says that somebody has seen it. It stays until it ends.
#[utoipa::path(
    post, path = "/api/anomalies/{id}/acknowledge", operation_id = "acknowledgeAnomaly", tag = "anomalies",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The anomaly's id")),
    request_body = Acknowledgement,
    responses(
        (status = 200, description = "The anomaly", body = NumberedAnomaly), Failures, NotFound, TooLarge
    )
)]
pub(crate) async fn acknowledge(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    acknowledgement: Json<Acknowledgement>,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[], &[])?;
    let id: Uuid = path.parse().map_err(|_| Problem::invalid_parameter("id", "must be a UUID"))?;
    let comment = acknowledgement.into_inner().comment;
    let text = comment.as_deref().unwrap_or_default();
    if text.chars().count() > LONGEST_COMMENT || text.contains('\0') {
        let detail = format!("comment: must have at most {LONGEST_COMMENT} characters, without U+0000");
        return Err(Problem::invalid_body(detail));
    }
    let actor = caller::actor(&principal);
    let (found, as_of) = database
        .write_as_of(move |connection| {
            let exists = stored::acknowledge(connection, id, &actor, comment.as_deref())?;
            if exists { anomalies::one(connection, id) } else { Ok(None) }
        })
        .await?;
    let anomaly = found.ok_or_else(Problem::anomaly_not_found)?;
    Ok(numbered(HttpResponse::Ok(), as_of, body(anomaly, true, &settings, as_of)))
}

fn one_of(text: &str, names: &[&str]) -> Result<String, String> {
    if names.contains(&text) { Ok(text.to_owned()) } else { Err(format!("must be one of {}", names.join(", "))) }
}

/// Parses the key of a cursor: when an anomaly was found, and its id.
fn parsed(key: &str) -> Result<(DateTime<Utc>, Uuid), Problem> {
    let parts = key
        .split_once('/')
        .and_then(|(micros, id)| Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?)));
    parts.ok_or_else(|| Problem::invalid_parameter("cursor", "must be a cursor from this route"))
}

fn body(anomaly: Anomaly, reads_users: bool, settings: &ApiSettings, as_of: i64) -> AnomalyBody {
    let events = events(&anomaly, settings, as_of);
    AnomalyBody {
        id: anomaly.id,
        r#type: anomaly.subject,
        verdict: anomaly.verdict,
        state: anomaly.state,
        from: anomaly.from_time,
        to: anomaly.to_time,
        observed: anomaly.observed,
        expected: anomaly.expected,
        lower: anomaly.lower,
        upper: anomaly.upper,
        confidence: anomaly.confidence,
        events,
        opened_at: anomaly.opened_at,
        resolved_at: anomaly.resolved_at,
        acknowledged_at: anomaly.acknowledged_at,
        acknowledged_by: anomaly.acknowledged_by.filter(|_| reads_users),
        comment: anomaly.comment.filter(|_| reads_users),
    }
}

/// Returns the address of what an anomaly is made of.
fn events(anomaly: &Anomaly, settings: &ApiSettings, as_of: i64) -> String {
    let base = &settings.base_path;
    match anomaly.subject.as_str() {
        "freshness" => format!("{base}/api/freshness"),
        subject => match subject.strip_prefix("events:") {
            Some(event_type) => {
                let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
                let event_type = utf8_percent_encode(event_type, SEGMENT);
                let (from, to) = (written(anomaly.from_time), written(anomaly.to_time));
                format!("{base}/api/events?type={event_type}&from={from}&to={to}")
            }
            None => {
                // A conversion changes by its orders.
                let metric_type = if subject == "total_conversion" { "total_orders" } else { subject };
                let span = Span { from: anomaly.from_time, to: anomaly.to_time };
                events_link(settings, metric_type, Some(span), as_of)
            }
        },
    }
}
